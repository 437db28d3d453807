"""Initial states from the first samples of a record: regularised Gauss-Newton on the roll-out."""

import numpy as np

from .kernel import Kernel
from .model import Model

PRIOR = 1e-3
"""Weight of |x0|^2 beside the mean squared output error: decides states that the window does not show."""


def initial_state(
    kernel: Kernel, model: Model, u: np.ndarray, y: np.ndarray, iterations: int = 4, step: float = 1e-5
) -> np.ndarray:
    """x0 (nx,) that minimises mean |y - yhat|^2 + PRIOR |x0|^2 over a window u (T, nu), y (T, ny), in the state box.

    Everything normalised. Derivatives by forward differences, all directions one batch of simulations.
    """
    nx, p = model.nx, model.theta()
    if not len(u):
        return np.zeros(nx)
    box = model.state_box(p, model.input_box()).detach().numpy()
    x0, best, best_cost = np.zeros(nx), np.zeros(nx), np.inf
    for _ in range(iterations):
        starts = np.vstack([x0, x0 + step * np.eye(nx)])
        outputs = np.stack([yhat for _, yhat in kernel.simulate(p, starts, [u] * (nx + 1))])
        error = (y - outputs[0]).ravel()
        cost = (error**2).mean() + PRIOR * x0 @ x0
        if not cost < best_cost:
            break
        best, best_cost = x0, cost
        J = (outputs[1:] - outputs[0]).reshape(nx, -1).T / step
        H = J.T @ J / len(error) + PRIOR * np.eye(nx)
        x0 = np.clip(x0 + np.linalg.solve(H, J.T @ error / len(error) - PRIOR * x0), -box, box)
    return best
