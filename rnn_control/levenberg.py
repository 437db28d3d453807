"""Levenberg-Marquardt on the free-run error of a small model: curvature in every direction, no learning rate."""

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, cho_solve

from .objective import Objective

LARGEST = 1000
"""Variables up to which a step pays: the normal equations cost n^2 a sample, the solution n^3."""

FLAT = 1e-6
"""Least curvature, over the largest one, that the damping takes a direction for."""


@np.errstate(over="ignore", invalid="ignore")  # where a free model blows up no step is found
def levenberg(objective: Objective, v: np.ndarray, iterations: int, report) -> np.ndarray:
    """Steps d with (H + mu diag H) d = -g, H the Gauss-Newton matrix; `report(v, J)` after each, True stops.

    Variables that rest on their bounds and are pushed outwards stay there. mu grows by four while the objective does
    not fall, and falls by three after a step that was accepted at once.

    Reference: D. W. Marquardt (1963), J. Soc. Indust. Appl. Math. 11(2).
    """
    low, high = objective.box()
    mu = 1e-2
    for _ in range(iterations):
        value, g, H = objective.gauss_newton(v)
        resting = (v <= low) & (g > 0) | (v >= high) & (g < 0)
        g[resting], curvature = 0, H[resting, resting]
        H[resting], H[:, resting] = 0, 0
        H[resting, resting] = curvature
        for damping in mu * 4.0 ** np.arange(20):
            new = np.clip(v + step(H, g, damping), low, high)
            new_value = objective(new)[0]
            if new_value < value:
                break
        else:
            return v
        v, mu = new, max(mu / 3, 1e-8) if damping == mu else damping
        if report(v, new_value) or value - new_value < 1e-9 * value:
            return v
    return v


def step(H: np.ndarray, g: np.ndarray, mu: float) -> np.ndarray:
    """-(H + mu diag H)^(-1) g; NaN, which no objective accepts, if that is not positive definite."""
    try:
        curvature = np.diag(H)
        damping = mu * np.maximum(curvature, FLAT * curvature.max())
        return -cho_solve(cho_factor(H + np.diag(damping)), g)
    except (LinAlgError, ValueError):
        return np.full_like(g, np.nan)
