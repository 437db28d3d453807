"""What a training scores: windows of records, and blocks of them that are kept to judge it."""

import numpy as np

from .data import Experiment
from .literal import Batch
from .scaler import Scaler


def windows(scaler: Scaler, train: Experiment, window: int | None, washout: int) -> Batch:
    """Normalised windows of at most `window` samples (None: whole records); the first `washout` have no weight.

    Windows overlap by what has no weight. Missing outputs are interpolated, with weight zero.
    """
    us, ys, ws = [], [], []
    for u, y, filled in zip(train.us, train.ys, train.interpolated().ys, strict=True):
        u, y, filled, size = scaler.u_in(u), scaler.y_in(y), scaler.y_in(filled), min(window or len(u), len(u))
        skip = min(washout, size // 4)
        for start in (*range(0, len(u) - size, max(size - skip, 1)), len(u) - size):
            us.append(u[start : start + size])
            ys.append(filled[start : start + size])
            ws.append(np.isfinite(y[start : start + size]).astype(float))
            ws[-1][:skip] = 0
    return Batch(us, ys, ws)


BLOCKS = 20
"""Blocks of a record of which every fifth is kept from a training that would learn its noise."""


def hold_out(data: Batch) -> list[np.ndarray]:
    """Weights of the samples that judge: every fifth block of each record; for the training their weight is zero."""
    held = []
    for w in data.w:
        is_kept = (np.arange(len(w)) * BLOCKS // len(w) % 5 == 2)[:, None]
        held.append(np.where(is_kept, w, 0.0))
        w *= ~is_kept
    return held
