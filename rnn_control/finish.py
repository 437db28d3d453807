"""The last steps of a deep search, on all samples: what judged it need not be lost."""

import numpy as np

from .levenberg import levenberg
from .search import Found

STEPS = 3
"""Of Levenberg-Marquardt: few enough to stay near the iterate that was judged; five took a free LSTM away from it."""


def finish(found: Found, held: list[np.ndarray]) -> Found:
    """STEPS from the best iterate on the training samples and those that were `held` from them, which judge no more.

    held: weights (T, ny), as `hold_out` took them away; none, and all stays as it is. So it does where the steps lead
    nowhere; a Ctrl-C ends them.
    """
    objective, tracker, interrupted = found
    if interrupted or tracker.best is None or not held:
        return found
    for w, kept in zip(objective.weights, held, strict=True):
        w += kept
    try:
        objective.reweigh(tracker.best)
        objective.settle(tracker.best, 1.0)
        v = levenberg(objective, tracker.best, STEPS, lambda v, value: False)
    except KeyboardInterrupt:
        return found._replace(interrupted=True)
    if np.isfinite(objective(v)[0]):
        tracker.best = v
    return found
