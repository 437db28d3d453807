"""Gauss-Newton on the free-run error of a linear system: matrices, offset and initial states together."""

from collections.abc import Sequence

import numpy as np

from .beginnings import beginnings
from .scan import scan
from .subspace import StateSpace
from .weighting import likelihood

PRIOR = 1e-3
"""Weight of |x0|^2 beside the mean squared output error, as for every other model."""
ITERATIONS = 30
"""Of Levenberg-Marquardt at most, on the first part of a record."""


def initial_state(system: StateSpace, u: np.ndarray, y: np.ndarray, residual: np.ndarray | None = None) -> np.ndarray:
    """x(0), (n,), that minimises mean w |y - yhat|^2 + PRIOR |x0|^2 over a window u (T, nu), y (T, ny; NaN: missing).

    w: the `likelihood` weights of the outputs' residuals (ny,), all one without.
    """
    n, root = len(system.A), ~np.isnan(y) * np.sqrt(likelihood(residual))
    rest = root * np.where(np.isnan(y), 0.0, y - system.simulate(np.zeros(n), u))
    Gamma = (system.observability(len(u)) * root[:, :, None]).reshape(-1, n)
    return np.linalg.solve(
        Gamma.T @ Gamma / Gamma.shape[0] + PRIOR * np.eye(n), Gamma.T @ rest.ravel() / Gamma.shape[0]
    )


def refine(start: StateSpace, us: Sequence[np.ndarray], ys: Sequence[np.ndarray]) -> StateSpace:
    """The system that minimises sum |y - yhat|^2 over the records, from `start`: Levenberg-Marquardt.

    Samples that are missing (NaN in y) do not count.

    On the beginnings of long records first, then on ever more of them, at most half as many steps each time. The
    states' basis is free, so the normal equations are singular; the damping decides. Steps to an unstable A count as no
    improvement.
    Reference: L. Ljung (1999), System Identification, sections 7.5 (output error) and 10.2.
    """
    lengths = [len(u) for u in us]
    for k, ends in enumerate((*beginnings(lengths), lengths)):
        u, y = ([record[:end] for record, end in zip(records, ends, strict=True)] for records in (us, ys))
        start = _refine(start, u, y, max(ITERATIONS >> k, 1))
    return start


def _refine(start, us, ys, iterations: int, gain: float = 1e-4) -> StateSpace:
    """Ends where a step gains less than the share `gain`."""
    x0s = np.stack([initial_state(start, u, y) for u, y in zip(us, ys, strict=True)])
    system, cost, damping = start, _cost(start, x0s, us, ys), 1e-3
    for _ in range(iterations):
        H, g = _normal_equations(system, x0s, us, ys)
        before = cost
        while damping < 1e8:
            step = np.linalg.solve(H + damping * np.diag(H.diagonal() + 1e-9 * H.diagonal().max()), g)
            trial, trial_x0s = _moved(system, x0s, step)
            trial_cost = _cost(trial, trial_x0s, us, ys)
            damping *= 0.2 if trial_cost < cost else 5
            if trial_cost < cost:
                system, x0s, cost = trial, trial_x0s, trial_cost
                break
        if not cost < (1 - gain) * before:
            break
    return system


def _cost(system, x0s, us, ys) -> float:
    if not system.radius() < 1:
        return np.inf
    return sum(float(np.nansum((y - system.simulate(x, u)) ** 2)) for x, u, y in zip(x0s, us, ys, strict=True))


def _moved(system, x0s, step) -> tuple[StateSpace, np.ndarray]:
    """The parameters in the order of `_normal_equations`: (A, B) by columns, C by rows, b, then the initial states."""
    n, nu, ny = len(system.A), system.B.shape[1], len(system.C)
    AB, C, b, x = np.split(step, np.cumsum([n * (n + nu), ny * n, ny]))
    AB = AB.reshape(n + nu, n).T
    A, B = system.A + AB[:, :n], system.B + AB[:, n:]
    return StateSpace(A, B, system.C + C.reshape(ny, n), system.b + b), x0s + x.reshape(x0s.shape)


def _normal_equations(system, x0s, us, ys) -> tuple[np.ndarray, np.ndarray]:
    """J'J and J'(y - yhat), J the derivatives of all outputs."""
    n, ny = len(system.A), len(system.C)
    size = n * (n + system.B.shape[1]) + ny * n + ny
    H, g = np.zeros((size + x0s.size,) * 2), np.zeros(size + x0s.size)
    for i, (x0, u, y) in enumerate(zip(x0s, us, ys, strict=True)):
        error, J = _derivatives(system, x0, u, y)
        own = np.r_[0:size, size + i * n : size + (i + 1) * n]
        H[np.ix_(own, own)] += J.T @ J
        g[own] += J.T @ error
    return H, g


def _derivatives(system, x0, u, y) -> tuple[np.ndarray, np.ndarray]:
    """Errors (T ny,) and J (T ny, parameters) of one record, zero where y is missing.

    By (A, B)_ij the output moves by R e_i for R(k+1) = R(k) A + C (x, u)_j(k), and by x0 it moves by C A^k.
    """
    (A, _, C, b), (T, ny), n = system, y.shape, len(x0)
    X, Gamma = system.states(x0, u), system.observability(T)
    drive = np.hstack([X, u])
    forced = drive.shape[1] * n
    J = np.zeros((T, ny, forced + ny * n + ny + n))
    J[:, :, :forced] = scan(np.einsum("tj,on->tojn", drive, C), A).reshape(T, ny, forced)
    J[:, :, -n:] = Gamma
    for j in range(ny):
        J[:, j, forced + j * n : forced + (j + 1) * n] = X
        J[:, j, forced + ny * n + j] = 1
    error, missing = y - X @ C.T - b, np.isnan(y)
    error[missing], J[missing] = 0, 0
    return error.ravel(), J.reshape(T * ny, -1)
