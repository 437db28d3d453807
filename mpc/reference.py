"""References of a controller: any accepted form to a preview, with NaN held."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from .names import channel_vector, check_names


def as_preview(reference: Any, names: tuple[str, ...], horizon: int) -> np.ndarray:
    """Reference over k..k+N as (N + 1, ny), from a scalar, (ny,), a dict by name or itself.

    Raises: ValueError for another shape or an unknown name.
    """
    ny, rows = len(names), horizon + 1
    if isinstance(reference, Mapping):
        check_names("reference", reference, names)
        row = [reference.get(name, np.nan) for name in names]
        return np.tile(np.asarray(row, float), (rows, 1))
    r = np.asarray(reference, float)
    if r.shape == (rows, ny) or (ny == 1 and r.shape == (rows,)):
        return r.reshape(rows, ny).copy()
    if r.shape in ((), (ny,)):
        return np.array(np.broadcast_to(r, (rows, ny)))
    raise ValueError(
        f"reference has shape {r.shape}; give a scalar, ({ny},), a dict by name, "
        f"or a preview (horizon + 1, ny) = {(rows, ny)}"
    )


class Reference:
    """Remembers the last finite reference, to stand in for a missing one."""

    def __init__(self, names: tuple[str, ...], horizon: int):
        self._names, self._horizon = names, horizon
        self.reset()

    def reset(self) -> None:
        self._last = channel_vector("reference", None, self._names, 0.0) * np.nan

    def take(self, reference: Any, y_now: np.ndarray | None, tracked: np.ndarray) -> tuple[np.ndarray, list[str]]:
        """Finite preview (N + 1, ny), and the tracked outputs whose reference was missing.

        A missing value is the one before it; before the first, the present output y_now (ny,).
        """
        r = as_preview(reference, self._names, self._horizon)
        finite = np.isfinite(r)
        held = [
            name
            for name, fine, used in zip(self._names, np.all(finite, axis=0).tolist(), tracked, strict=True)
            if used and not fine
        ]
        start = np.zeros(r.shape[1]) if y_now is None else np.nan_to_num(y_now)
        last = np.where(np.isfinite(self._last), self._last, start)
        for i, row in enumerate(r):
            fine = finite[i]
            row[~fine] = last[~fine]
            last = row
        self._last = np.where(finite[0], r[0], self._last)
        return r, held
