"""A stiff plant in discrete time: the linearly implicit counterpart of `rk4_step`."""

import math

import casadi as ca
import numpy as np

# Hairer, Wanner (1996), Solving Ordinary Differential Equations II, section VI.4: RODAS, of order 4 in six stages
GAMMA = 0.25
A = (
    (1.544,),
    (0.9466785280815826, 0.2557011698983284),
    (3.314825187068521, 2.896124015972201, 0.9986419139977817),
    (1.221224509226641, 6.019134481288629, 12.53708332932087, -0.687886036105895),
    (1.221224509226641, 6.019134481288629, 12.53708332932087, -0.687886036105895, 1.0),
)
C = (
    (-5.6688,),
    (-2.430093356833875, -0.2063599157091915),
    (-0.1073529058151375, -9.594562251023355, -20.47028614809616),
    (7.496443313967647, -10.24680431464352, -33.99990352819905, 11.7089089320616),
    (8.083246795921522, -7.981132988064893, -31.52159432874371, 16.31930543123136, -6.058818238834054),
)
GROWTH, LARGEST = 1.2, 10.0  # a step to the one before it, and to the first
# derivatives in few directions at a time: the C code of many takes a compiler a minute; of W, large, in one
STEP, RATE, SLOPE = ({"cse": True, "max_num_dir": n} for n in (12, 6, 1))


def rosenbrock_step(ode: ca.Function, dt: float, substep: float) -> ca.Function:
    """(x, u, d) -> x_next after dt by RODAS, of order 4, in steps that grow from `substep` s.

    (I / gamma - h d ode/dx) U_i = h ode(x + sum_j a_ij U_j, u, d) + sum_j c_ij U_j,   x_next = x + sum_j a_6j U_j + U_6

    L-stable, so modes much faster than h are damped and not resolved; the input jumps at the beginning, so there h is
    least. Six linear equations of one matrix and no iteration: an explicit expression, of which C can be written.
    """
    nx, nu, nd = (ode.size1_in(i) for i in range(3))
    x, u, d = (ca.SX.sym(name, n) for name, n in zip("xud", (nx, nu, nd), strict=True))
    rate = ca.Function("rate", [x, u, d], [ode(x, u, d)], RATE)
    slope = ca.Function("slope", [x, u, d], [ca.jacobian(ode(x, u, d), x)], SLOPE)
    x, u, d, h = (ca.MX.sym(name, n) for name, n in zip("xudh", (nx, nu, nd, 1), strict=True))
    W = ca.DM.eye(nx) / GAMMA - h * slope(x, u, d)
    U = ca.solve(W, h * rate(x, u, d), "qr")
    for a, c in zip(A, C, strict=True):
        U = ca.horzcat(U, ca.solve(W, h * rate(x + U @ ca.DM(a), u, d) + U @ ca.DM(c), "qr"))
    step = ca.Function("step", [x, u, d, h], [x + U @ ca.DM((*A[-1], 1.0))], STEP)
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
