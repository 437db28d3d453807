"""Initial states from the first samples of a record: regularised, projected Gauss-Newton on the roll-out."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from .kernel import Kernel
from .model import Model
from .weighting import likelihood

PRIOR = 1e-3
"""Weight of |x0|^2 beside the mean squared output error, of models that tell no better."""
LEAST = 1e-5
"""Weight of |(x0 - mean) / spread|^2 at least: it decides what the window does not show."""
RECORDS = 32
"""That tell where a training takes the states: of more, some from all over."""
HALVINGS = 0.5 ** np.arange(10)[:, None]
"""Steps that are tried along each direction, all at once."""


class Visited(NamedTuple):
    """Mean (nx,) of the states over the training records, normalised, and the largest deviation of one.

    Initial states are looked for there: a model without a certificate may have several rest points, of which the
    records showed one, and with many states a window can be explained from where none of them ever was.
    """

    mean: np.ndarray
    spread: float

    @classmethod
    def by(cls, runs: Sequence[tuple[np.ndarray, np.ndarray]]) -> "Visited | None":
        """From simulated states (T+1, nx) and outputs; None where they diverged or rest."""
        x = np.concatenate([states[:-1] for states, _ in runs])
        with np.errstate(over="ignore", invalid="ignore"):
            mean, spread = x.mean(0), float(x.std(0).max())
        return cls(mean, spread) if 0 < spread < np.inf else None

    @classmethod
    def read(cls, stored: Any, nx: int) -> "Visited":
        """From a file. Raises ValueError if it is no mean of nx states and a positive spread."""
        mean, spread = np.array(stored[0], float), float(stored[1])
        if mean.shape != (nx,) or not np.isfinite(mean).all() or not 0 < spread < np.inf:
            raise ValueError(f"the mean of the states has shape {mean.shape}, their spread is {spread}; nx = {nx}")
        return cls(mean, spread)


def initial_state(
    kernel: Kernel, model: Model, u: np.ndarray, y: np.ndarray, residual: np.ndarray | None = None,
    visited: Visited | None = None, iterations: int = 20, step: float = 1e-5,
) -> np.ndarray:  # fmt: skip
    """x0 (nx,) in the state box that minimises mean w |y - yhat|^2 + p |(x0 - mean) / spread|^2, u (T, nu), y (T, ny).

    w: the `likelihood` weights of the outputs' residuals (ny,), all one without. Samples that are missing (NaN in y)
    do not count. visited: mean and spread; the search begins at the mean. p = max residual^2 / (T ny), which makes it
    the maximum a posteriori estimate, LEAST at least. PRIOR |x0|^2 without `visited`, p = PRIOR without residuals.
    Everything normalised. Derivatives by forward differences, all directions one batch of simulations. States that rest
    on the box and are pushed outwards are held there; the search ends where a step gains less than 0.1 %.
    """
    nx, p, known = model.nx, model.theta(), ~np.isnan(y)
    box = model.state_box(p, model.input_box()).detach().numpy()
    mean, spread = visited or (np.zeros(nx), 1.0)
    x0 = mean = np.clip(mean, -box, box)
    if not len(u):
        return x0
    told = PRIOR if visited is None or residual is None else max(float(residual.max()) ** 2 / y.size, LEAST)
    weight = told / spread**2
    root = np.sqrt(likelihood(residual))

    def errors(starts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        outputs = np.stack([yhat for _, yhat in kernel.simulate(p, starts, [u] * len(starts))])
        error = np.where(known, root * (y - outputs), 0.0).reshape(len(starts), -1)
        with np.errstate(over="ignore", invalid="ignore"):
            costs = (error**2).mean(1) + weight * ((starts - mean) ** 2).sum(1)
        return error, np.where(np.isfinite(costs), costs, np.inf)

    for _ in range(iterations):
        error, costs = errors(np.vstack([x0, x0 + step * np.eye(nx)]))
        if not np.isfinite(costs).all():
            break
        J = (error[0] - error[1:]).T / step
        H = J.T @ J / len(J) + weight * np.eye(nx)
        downhill = J.T @ error[0] / len(J) - weight * (x0 - mean)
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
