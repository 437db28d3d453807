"""What a training scores: windows of records, their beginnings, and the ends of them that are kept to judge it."""

from collections.abc import Iterator

import numpy as np

from .beginnings import beginnings
from .data import Experiment
from .literal import Batch
from .scaler import Scaler

HELD = 0.2
"""Share of a record that is kept from a training that would learn its noise."""


def windows(scaler: Scaler, train: Experiment, window: int | None, washout: int) -> Batch:
    """Normalised windows of at most `window` samples (None: whole records); the first `washout` have no weight.

    Missing outputs are interpolated, with weight zero.
    """
    us, ys, ws = [], [], []
    for u, y, filled in zip(train.us, train.ys, train.interpolated().ys, strict=True):
        for part in cut(len(u), window, washout):
            us.append(scaler.u_in(u[part]))
            ys.append(scaler.y_in(filled[part]))
            ws.append(np.isfinite(y[part]).astype(float))
            ws[-1][: skipped(len(u), window, washout)] = 0
    return Batch(us, ys, ws)


def ramps(train: Experiment, window: int | None, washout: int) -> list[np.ndarray]:
    """For each window (T, R): a ramp over the record r that it was cut from, in column r, and 0 elsewhere.

    From -1 to 1, so that 0 is the middle of the record; from -2 to 0, its end, where the record went on after it.
    """
    found, middle = [], -1.0 if train.goes_on else 0.0
    for r, u in enumerate(train.us):
        ramp = np.linspace(middle - 1, middle + 1, len(u))[:, None] * np.eye(len(train.us))[r]
        found += [ramp[part] for part in cut(len(u), window, washout)]
    return found


def cut(length: int, window: int | None, washout: int) -> Iterator[slice]:
    """Windows that overlap by what has no weight, the last one at the end of the record."""
    size = min(window or length, length)
    step = max(size - skipped(length, window, washout), 1)
    for start in (*range(0, length - size, step), length - size):
        yield slice(start, start + size)


def skipped(length: int, window: int | None, washout: int) -> int:
    """Samples at the start of each window whose errors do not count."""
    return min(washout, min(window or length, length) // 4)


def parts(data: Batch) -> Iterator[Batch]:
    """The beginnings of all records that a deep search begins with."""
    for ends in beginnings([len(u) for u in data.u]):
        yield Batch(*([a[:end] for a, end in zip(part, ends, strict=True)] for part in data))


def hold_out(data: Batch) -> list[np.ndarray]:
    """Weights of the samples that judge: the last fifth of each record's that count; for the training theirs is zero.

    Blocks in between would share with their neighbours what disturbs a plant for long, and a model that has learned it
    by heart would be taken for a good one.
    """
    held = []
    for w in data.w:
        counted = np.cumsum(w.any(1))
        is_kept = (counted > (1 - HELD) * counted[-1])[:, None]
        held.append(np.where(is_kept, w, 0.0))
        w *= ~is_kept
    return held
