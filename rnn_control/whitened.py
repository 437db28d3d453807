"""L-BFGS in coordinates in which the Gauss-Newton matrix is the identity: deep where that matrix is dear."""

import numpy as np
from scipy.linalg import cholesky, solve_triangular
from scipy.optimize import minimize

from .levenberg import Step, damped, take_step
from .objective import Objective

MOST = 8000
"""Variables up to which it pays: the matrix costs n^2 a sample and of memory, its root n^3."""
SAMPLES = 5
"""Measured numbers for each variable at least: with fewer it learns noise by heart; plain L-BFGS is too slow to."""
ROUND = 100
"""Iterations for which one matrix has to do."""


@np.errstate(over="ignore", invalid="ignore")  # where a free model blows up no step is found
def whitened(objective: Objective, v: np.ndarray, iterations: int, report, part: Objective | None = None) -> np.ndarray:
    """In turns a step of Levenberg-Marquardt and L-BFGS in z, v = v0 + L^-T z with L L' = H + mu diag H of that step.

    A matrix costs some hundred gradients, an iteration of L-BFGS little more than one. A variable that rests on a bound
    stays there until the next step. `report(v, J)` after each, True stops. part: the objective on a part of the
    records, whose matrix is to do: it need be no more than near.

    Reference: J. Nocedal, S. Wright (2006), Numerical Optimization, section 7.2 (the initial matrix of L-BFGS).
    """
    mu, done = 1e-3, 0
    while done < iterations:
        step = take_step(objective, v, mu, part)
        if step is None:
            return v
        v, mu, done = step.v, max(step.damping / 4, 1e-8), done + 1
        if report(v, step.value):
            return v
        v, value, taken, is_stopped = _descend(objective, step, min(ROUND, iterations - done), report)
        done += taken
        if is_stopped or step.before - value < 1e-9 * step.before:
            return v
    return v


def _descend(objective: Objective, step: Step, iterations: int, report) -> tuple[np.ndarray, float, int, bool]:
    """L-BFGS from z = 0: v and its value, the iterations taken, whether `report` stopped them."""
    (low, high), L = objective.box(), cholesky(damped(step.H, step.damping), lower=True)
    v, value, taken, is_stopped = step.v, step.value, 0, False

    def at(z):
        return np.clip(step.v + step.moves * solve_triangular(L.T, z), low, high)

    def loss(z):
        v = at(z)
        value, g = objective(v)
        if not (np.isfinite(value) and np.isfinite(g).all()):
            return 1e10, np.zeros_like(z)
        return value, solve_triangular(L, g * (step.moves & (v > low) & (v < high)), lower=True)

    def callback(intermediate_result):
        nonlocal v, value, taken, is_stopped
        v, value, taken = at(intermediate_result.x), float(intermediate_result.fun), taken + 1
        is_stopped = bool(report(v, value))
        if is_stopped:
            raise StopIteration

    options = dict(maxiter=iterations, maxfun=2 * iterations + 20, maxcor=20, ftol=1e-12, gtol=1e-12)
    minimize(loss, np.zeros_like(step.v), jac=True, method="L-BFGS-B", callback=callback, options=options)
    return v, value, taken, is_stopped
