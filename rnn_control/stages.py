"""Which way a search goes, what it works on in turn, and how many iterates that makes."""

import numpy as np

from .levenberg import LARGEST, LARGEST_OF_LONG
from .objective import Objective
from .whitened import MOST, SAMPLES
from .windows import parts

STEP_WORTH = 10
"""Iterations of L-BFGS that a Levenberg-Marquardt step replaces in the budget."""


def goes_deep(objective: Objective) -> bool:
    """Whether the search will be by Gauss-Newton matrices: there are few variables, or many samples for each."""
    return objective.is_free and (is_small(objective) or (size(objective) <= MOST and suffices(objective)))


def suffices(objective: Objective) -> bool:
    """Whether there are SAMPLES measured numbers for each variable."""
    return SAMPLES * size(objective) <= sum(int(np.count_nonzero(w)) for w in objective.seen)


def is_long(objective: Objective) -> bool:
    """Whether a deep search begins with a part of the records."""
    return next(parts(objective.data), None) is not None


def stages(objective: Objective) -> list[Objective]:
    """What a deep search works on in turn: parts of long records, those that have enough samples, then everything."""
    given = objective.data._replace(w=objective.weights)
    return [*filter(suffices, map(objective.on, parts(given))), objective]


def seldom(stage: Objective, objective: Objective) -> int:
    """Every how many-th iterate of a stage is judged, which may take all samples: together they cost as much as it."""
    samples = [sum(map(len, o.data.u)) for o in (objective, stage)]
    return max(samples[0] // (samples[1] * step_worth(stage)), 1)


def size(objective: Objective) -> int:
    """Variables of a search in which nothing is enforced."""
    return objective.n_theta + objective.starts.size


def is_small(objective: Objective) -> bool:
    return size(objective) <= (LARGEST_OF_LONG if is_long(objective) else LARGEST)


def step_worth(objective: Objective) -> int:
    """Iterations of L-BFGS that one of a deep search replaces in the budget."""
    return STEP_WORTH if is_small(objective) else 1


def budget(objective: Objective, epochs: int, polish: int, starts: int = 1) -> int:
    """How many iterates a search from that many starts judges at most, repairs aside."""
    if not goes_deep(objective):
        return 1 + epochs + polish
    if is_long(objective):
        worked_on = enumerate(stages(objective))
        return 1 + sum(-(-((polish >> k) // step_worth(s)) // seldom(s, objective)) for k, s in worked_on)
    return 1 + epochs + starts * (polish // step_worth(objective))
