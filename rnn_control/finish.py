"""The last steps of a deep search, on all samples: what judged it need not be lost."""

import numpy as np

from .levenberg import levenberg
from .search import Found
from .stages import is_small, stages

STEPS = 3
"""Of Levenberg-Marquardt: few enough to stay near the iterate that was judged; five took a free LSTM away from it."""


def finish(found: Found, held: list[np.ndarray]) -> Found:
    """STEPS from the best iterate on the training samples and those that were `held` from them, which judge no more.

    held: weights (T, ny), as `hold_out` took them away; none, and all stays as it is. So it does where the iterate is a
    linear model as such: that one was trained on all samples, and every step from it was judged to be worse. Of the
    steps, the last counts before one that explains all samples less well than the iterate. A Ctrl-C ends the steps.
    """
    objective, tracker, interrupted = found
    if interrupted or tracker.best is None or not held or tracker.best_iteration in tracker.linear:
        return found
    for w, kept in zip(objective.weights, held, strict=True):
        w += kept
    followed = [tracker.best]
    try:
        objective.reweigh(tracker.best)
        objective.expect(None)
        part = stages(objective)[0]
        for at_work in (part, objective):
            at_work.settle(tracker.best, 1.0)
        objective(tracker.best)
        allowed = objective.error

        def strays(v, value):
            if objective.error <= allowed:
                followed.append(v)
            return objective.error > allowed

        levenberg(objective, tracker.best, STEPS, strays, None if is_small(objective) else part)
    except KeyboardInterrupt:
        return found._replace(interrupted=True)
    tracker.best = followed[-1]
    return found
