"""A stiff plant in discrete time: the implicit counterpart of `rk4_step`."""

import math

import casadi as ca
import numpy as np

# Hairer, Wanner (1996), Solving Ordinary Differential Equations II, Table IV.5.6: Radau IIA of order 5
R = math.sqrt(6.0)
A = np.array(
    [
        [(88 - 7 * R) / 360, (296 - 169 * R) / 1800, (-2 + 3 * R) / 225],
        [(296 + 169 * R) / 1800, (88 + 7 * R) / 360, (-2 - 3 * R) / 225],
        [(16 - R) / 36, (16 + R) / 36, 1 / 9],
    ]
)
GROWTH, LARGEST = 1.2, 10.0  # a step to the one before it, and to the first
TOLERANCE = 1e-11  # of the stage equations, in state units: below the 1e-8 that rounding costs stiff rates


def radau_step(ode: ca.Function, dt: float, substep: float) -> ca.Function:
    """(x, u, d) -> x_next after dt by Radau IIA of order 5, in steps that grow from `substep` s.

    X_i = x + h sum_j A_ij ode(X_j, u, d), x_next = X_3: L-stable, so modes much faster than h are damped and not
    resolved; the input jumps at the beginning, so there h is least. The stages are found by Newton's method;
    derivatives follow by the implicit function theorem.
    """
    nx, nu, nd = (ode.size1_in(i) for i in range(3))
    X, p = ca.SX.sym("X", 3 * nx), ca.SX.sym("p", nx + nu + nd + 1)
    x, u, d, h = ca.vertsplit(p, np.cumsum([0, nx, nu, nd, 1]).tolist())
    rates = ca.horzcat(*(ode(X_i, u, d) for X_i in ca.vertsplit(X, nx)))
    residual = ca.vec(ca.reshape(X, nx, 3) - ca.repmat(x, 1, 3) - h * rates @ A.T)
    options = {"abstol": TOLERANCE, "error_on_fail": True, "show_eval_warnings": False}
    stages = ca.rootfinder("stages", "newton", {"x": X, "p": p, "g": residual}, options)
    x, u, d, h = (ca.MX.sym(name, n) for name, n in zip("xudh", (nx, nu, nd, 1), strict=True))
    X = stages(x0=ca.repmat(x, 3), p=ca.vertcat(x, u, d, h))["x"]
    step = ca.Function("step", [x, u, d, h], [X[2 * nx :]])
    lengths = graded(dt, substep)
    x_next = step.fold(len(lengths))(x, *(ca.repmat(v, 1, len(lengths)) for v in (u, d)), ca.DM(lengths).T)
    return ca.Function("f", [x, u, d], [x_next], ["x", "u", "d"], ["x_next"])


def graded(dt: float, first: float) -> np.ndarray:
    """Lengths that add up to dt: at most `first`, then GROWTH times the one before, up to LARGEST times `first`."""
    rising = first * GROWTH ** np.arange(math.ceil(math.log(LARGEST) / math.log(GROWTH)))
    n = int(np.searchsorted(np.cumsum(rising), dt)) + 1
    level = max(math.ceil((dt - rising.sum()) / (LARGEST * first)), 0)
    lengths = np.concatenate([rising[:n], np.full(level, LARGEST * first)])
    return dt * lengths / lengths.sum()
