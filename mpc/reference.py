"""References of a controller: any accepted form to a preview, with NaN held."""

from collections.abc import Mapping
from math import isfinite
from typing import Any

import numpy as np

from .names import check_names


def as_preview(reference: Any, names: tuple[str, ...], horizon: int) -> np.ndarray:
    """Reference over k..k+N as (N + 1, ny), from a scalar, (ny,), a dict by name of numbers or of (N + 1,), or itself.

    Raises: ValueError for another shape or an unknown name.
    """
    ny, rows = len(names), horizon + 1
    if isinstance(reference, Mapping):
        check_names("reference", reference, names)
        preview = np.full((rows, ny), np.nan)
        for j, name in enumerate(names):
            column = np.asarray(reference.get(name, np.nan), float)
            if column.shape not in ((), (rows,)):
                raise ValueError(
                    f"reference of {name!r} has shape {column.shape}; give a number, or ({rows},) from now"
                )
            preview[:, j] = column
        return preview
    r = np.asarray(reference, float)
    if r.shape == (rows, ny) or (ny == 1 and r.shape == (rows,)):
        return r.reshape(rows, ny).copy()
    if r.shape in ((), (ny,)):
        preview = np.empty((rows, ny))
        preview[:] = r
        return preview
    raise ValueError(
        f"reference has shape {r.shape}; give a scalar, ({ny},), a dict by name, "
        f"or a preview (horizon + 1, ny) = {(rows, ny)}"
    )


def is_finite(v: np.ndarray) -> bool:
    """Whether all of v is, and their sum; of few numbers, in a fraction of NumPy's time."""
    return isfinite(sum(v.ravel().tolist()))


class Reference:
    """Remembers the last finite reference, to stand in for a missing one."""

    def __init__(self, names: tuple[str, ...], horizon: int):
        self._names, self._horizon = names, horizon
        self.reset()

    def reset(self) -> None:
        self.last = np.full(len(self._names), np.nan)

    def take(
        self, reference: Any, y_now: np.ndarray | None, tracked: np.ndarray
    ) -> tuple[np.ndarray, list[str], list[str]]:
        """Finite preview (N + 1, ny), and the tracked outputs whose reference went missing or never was given.

        A missing value is the one before it; before the first, the present output y_now (ny,). A dict leaves an
        output out without losing the reference it had.
        """
        r = as_preview(reference, self._names, self._horizon)
        if is_finite(r):
            self.last = r[0].copy()
            return r, [], []
        finite = np.isfinite(r)
        known = np.isfinite(self.last)
        left_out = np.array([isinstance(reference, Mapping) and name not in reference for name in self._names])
        gaps: Any = ~np.all(finite, axis=0) & tracked
        missing, absent = gaps & known & ~left_out, gaps & ~known
        start = np.zeros(r.shape[1]) if y_now is None else np.nan_to_num(y_now)
        last = np.where(known, self.last, start)
        for i, row in enumerate(r):
            row[~finite[i]] = last[~finite[i]]
            last = row
        self.last = np.where(finite[0], r[0], self.last)
        return r, self._named(missing), self._named(absent)

    def _named(self, which: np.ndarray) -> list[str]:
        return [self._names[i] for i in np.flatnonzero(which)]
