"""Levenberg-Marquardt on the free-run error of a small model: curvature in every direction, no learning rate."""

from typing import NamedTuple

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, cho_solve

from .objective import Objective

LARGEST, LARGEST_OF_LONG = 1000, 300
"""Variables up to which a step pays: the normal equations cost n^2 a sample, the solution n^3. Fewer for long records:
a REN of six states (350 variables) errs by 0.36 mV on the Silverbox where one matrix has to do for many steps, by 0.56
where each has its own (held out: 0.0064 and 0.0065 deviations). A GRU of eight (257) is of two minds: 0.46 or 0.40 mV
on the Silverbox's arrow, 0.54 or 0.90 mV on Wiener-Hammerstein."""

FLAT = 1e-6
"""Least curvature, over the largest one, that the damping takes a direction for."""


class Step(NamedTuple):
    """Where a step led: v, the objective there and before, the damping it took; H, and which variables were free."""

    v: np.ndarray
    value: float
    before: float
    damping: float
    H: np.ndarray
    moves: np.ndarray


@np.errstate(over="ignore", invalid="ignore")  # where a free model blows up no step is found
def levenberg(
    objective: Objective, v: np.ndarray, iterations: int, report, part: Objective | None = None
) -> np.ndarray:
    """Steps d with (H + mu diag H) d = -g, H the Gauss-Newton matrix; `report(v, J)` after each, True stops.

    Variables that rest on their bounds and are pushed outwards stay there. mu grows by four while the objective does
    not fall, and falls by three after a step that was accepted at once. part: see `take_step`.

    Reference: D. W. Marquardt (1963), J. Soc. Indust. Appl. Math. 11(2).
    """
    mu = 1e-2
    for _ in range(iterations):
        step = take_step(objective, v, mu, part)
        if step is None:
            return v
        v, mu = step.v, max(mu / 3, 1e-8) if step.damping == mu else step.damping
        if report(v, step.value) or step.before - step.value < 1e-9 * step.before:
            return v
    return v


def take_step(objective: Objective, v: np.ndarray, mu: float, part: Objective | None = None) -> Step | None:
    """The step of the least damping mu, 4 mu, 16 mu .. that makes the objective fall; None if none does.

    part: the objective on a part of the records, whose H is to do for all of them.
    """
    low, high = objective.box()
    value, g, H = (part or objective).gauss_newton(v)
    if part is not None:
        value, g = objective(v)
    resting = (v <= low) & (g > 0) | (v >= high) & (g < 0)
    g[resting], curvature = 0, H[resting, resting]
    H[resting], H[:, resting] = 0, 0
    H[resting, resting] = curvature
    for damping in mu * 4.0 ** np.arange(20):
        new = np.clip(v + _step(H, g, damping), low, high)
        new_value = objective(new)[0]
        if new_value < value:
            return Step(new, new_value, value, float(damping), H, ~resting)
    return None


def damped(H: np.ndarray, mu: float) -> np.ndarray:
    """H + mu diag H, flat directions taken for nearly flat ones."""
    curvature = np.diag(H)
    return H + np.diag(mu * np.maximum(curvature, FLAT * curvature.max()))


def _step(H: np.ndarray, g: np.ndarray, mu: float) -> np.ndarray:
    """-(H + mu diag H)^(-1) g; NaN, which no objective accepts, if that is not positive definite."""
    try:
        return -cho_solve(cho_factor(damped(H, mu)), g)
    except (LinAlgError, ValueError):
        return np.full_like(g, np.nan)
