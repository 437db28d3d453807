"""Piecewise constant signals over time: references and disturbances of a closed-loop run."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from .names import check_names


def as_signal(what: str, given: Any, names: tuple[str, ...], steps: int, dt: float, start: Any = np.nan) -> np.ndarray:
    """Signal (steps, n) from an array, or from {name: [(time in s, value), ...]} or {name: value}.

    A schedule holds each value from its time on, and start (scalar or (n,)) before its first time
    and for channels left out. An array is (n,) constant, (steps, n), or longer and cut.

    Raises: ValueError for unknown names, times that go back, wrong shapes.
    """
    if isinstance(given, Mapping):
        check_names(what, given, names)
        signal = np.tile(np.broadcast_to(np.asarray(start, float), (len(names),)), (steps, 1))
        time = np.arange(steps) * dt
        for name, schedule in given.items():
            _fill(signal[:, names.index(name)], time, f"{what} of {name!r}", schedule, dt)
        return signal
    array = np.asarray(given, float)
    if array.ndim == 1 and len(names) == 1 and len(array) >= steps > 1:
        array = array[:, None]
    if array.shape in ((), (len(names),)):
        return np.array(np.broadcast_to(array, (steps, len(names))))
    if array.ndim != 2 or array.shape[1] != len(names) or len(array) < steps:
        raise ValueError(
            f"{what} has shape {array.shape}; give ({len(names)},), ({steps}, {len(names)}) or "
            "{name: [(time in s, value), ...]}"
        )
    return array[:steps].copy()


def _fill(column: np.ndarray, time: np.ndarray, what: str, schedule: Any, dt: float) -> None:
    if np.ndim(schedule) == 0:
        column[:] = schedule
        return
    last = -np.inf
    for entry in schedule:
        if np.ndim(entry) != 1 or len(entry) != 2:
            raise ValueError(f"{what} has entry {entry!r}; give pairs (time in s, value)")
        if entry[0] < last:
            raise ValueError(f"{what} goes back in time, from {last:g} s to {entry[0]:g} s")
        # half a percent of a step: a time written as a decimal still falls on its own sample
        column[time >= entry[0] - 0.005 * dt] = entry[1]
        last = entry[0]
