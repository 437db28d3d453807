"""Initial states from the first samples of a record: regularised, projected Gauss-Newton on the roll-out."""

from collections.abc import Sequence

import numpy as np

from .kernel import Kernel
from .model import Model
from .weighting import likelihood

PRIOR = 1e-3
"""Weight of |x0 - centre|^2 beside the mean squared output error: decides states that the window does not show."""
LONGEST = 2000
"""Samples of each record that tell the mean of the states, at most."""
HALVINGS = 0.5 ** np.arange(10)[:, None]
"""Steps that are tried along each direction, all at once."""


def initial_state(
    kernel: Kernel, model: Model, u: np.ndarray, y: np.ndarray, residual: np.ndarray | None = None,
    centre: np.ndarray | None = None, iterations: int = 20, step: float = 1e-5,
) -> np.ndarray:  # fmt: skip
    """x0 (nx,) in the state box that minimises mean w |y - yhat|^2 + PRIOR |x0 - centre|^2 over u (T, nu), y (T, ny).

    w: the `likelihood` weights of the outputs' residuals (ny,), all one without. Samples that are missing (NaN in y)
    do not count. centre: the `mean_state` of the training records, where the search begins (without: the origin); a
    model without a certificate may have several rest points, of which the records showed one.
    Everything normalised. Derivatives by forward differences, all directions one batch of simulations. States that rest
    on the box and are pushed outwards are held there; the search ends where a step gains less than 0.1 %.
    """
    nx, p, known = model.nx, model.theta(), ~np.isnan(y)
    box = model.state_box(p, model.input_box()).detach().numpy()
    centre = np.zeros(nx) if centre is None else np.clip(centre, -box, box)
    x0 = centre
    if not len(u):
        return x0
    root = np.sqrt(likelihood(residual))

    def errors(starts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        outputs = np.stack([yhat for _, yhat in kernel.simulate(p, starts, [u] * len(starts))])
        error = np.where(known, root * (y - outputs), 0.0).reshape(len(starts), -1)
        with np.errstate(over="ignore", invalid="ignore"):
            costs = (error**2).mean(1) + PRIOR * ((starts - centre) ** 2).sum(1)
        return error, np.where(np.isfinite(costs), costs, np.inf)

    for _ in range(iterations):
        error, costs = errors(np.vstack([x0, x0 + step * np.eye(nx)]))
        if not np.isfinite(costs).all():
            break
        J = (error[0] - error[1:]).T / step
        H = J.T @ J / len(J) + PRIOR * np.eye(nx)
        downhill = J.T @ error[0] / len(J) - PRIOR * (x0 - centre)
        free = (abs(x0) < box) | (x0 * downhill < 0)
        direction = np.zeros(nx)
        direction[free] = np.linalg.solve(H[np.ix_(free, free)], downhill[free])
        tried = np.clip(x0 + HALVINGS * direction, -box, box)
        _, trial_costs = errors(tried)
        best = int(trial_costs.argmin())
        if trial_costs[best] < costs[0]:
            x0 = tried[best]
        if not trial_costs[best] < 0.999 * costs[0]:
            break
    return x0


def mean_state(kernel: Kernel, model: Model, us: Sequence[np.ndarray], x0: np.ndarray) -> np.ndarray:
    """Mean (nx,) of the states of free runs from x0 (S, nx) for the first LONGEST of each inputs (T, nu), normalised.

    The origin if they diverge.
    """
    runs = kernel.simulate(model.theta(), x0, [u[:LONGEST] for u in us])
    with np.errstate(over="ignore", invalid="ignore"):
        mean = np.concatenate([x[:-1] for x, _ in runs]).mean(0)
    return mean if np.isfinite(mean).all() else np.zeros(model.nx)
