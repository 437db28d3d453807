"""A stiff plant in discrete time: the linearly implicit counterpart of `rk4_step`."""

import math
from collections.abc import Sequence

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
    Its Jacobian solves the derivatives of these equations: one inverse, and a few products for all columns at once.
    """
    nx, *held = (ode.size1_in(i) for i in range(3))
    names, lengths = ("x", "u", "d"), ca.DM(graded(dt, substep)).T
    x, u, d = (ca.MX.sym(name, n) for name, n in zip(names, (nx, *held), strict=True))
    p, n = ca.repmat(ca.vertcat(u, d), 1, lengths.numel()), nx + sum(held)
    stages = Stages(ode)
    x_next = stages.step().fold(lengths.numel())(x, p, lengths)
    z = stages.step_with_slopes().fold(lengths.numel())(ca.horzcat(x, ca.DM.eye(n)[:nx, :]), p, lengths)
    blocks = ca.horzsplit(z, np.cumsum([0, 1, nx, *held]).tolist())[1:]
    jacobian = ca.Function("jac_f", [x, u, d, ca.MX(nx, 1)], blocks, [*names, "out_x_next"],
                           [f"jac_x_next_{name}" for name in names])  # fmt: skip
    # derivatives in as many directions as there are inputs are read off the Jacobian; gradients, and theirs, are not
    options = {"custom_jacobian": jacobian, "jac_penalty": 0.95 * held[0] / n}
    return ca.Function("f", [x, u, d], [x_next], [*names], ["x_next"], options)


class Stages:
    """One step of length h from x, with p = (u, d) held."""

    def __init__(self, ode: ca.Function):
        self._nx, *held = (ode.size1_in(i) for i in range(3))
        self._np = sum(held)
        x, p, U = (ca.SX.sym(name, n) for name, n in zip("xpU", (self._nx, self._np, self._nx), strict=True))
        k, z = ode(x, *ca.vertsplit(p, np.cumsum([0, *held]).tolist())), ca.vertcat(x, p)
        slope = ca.jacobian(k, x)
        self._rate = ca.Function("rate", [x, p], [k], RATE)
        self._slope = ca.Function("slope", [x, p], [slope], SLOPE)
        self._slopes = ca.Function("slopes", [x, p], [ca.densify(ca.jacobian(k, z))], SLOPE)
        self._bend = ca.Function("bend", [x, p, U], [ca.densify(ca.jacobian(slope @ U, z))], SLOPE)

    def step(self) -> ca.Function:
        """(x, p, h) -> x_next."""
        x, p, h = (ca.MX.sym(name, n) for name, n in zip("xph", (self._nx, self._np, 1), strict=True))
        W = self._matrix(x, p, h)
        U = ca.solve(W, h * self._rate(x, p), "qr")
        for a, c in zip(A, C, strict=True):
            U = ca.horzcat(U, ca.solve(W, h * self._rate(x + U @ ca.DM(a), p) + U @ ca.DM(c), "qr"))
        return ca.Function("step", [x, p, h], [x + U @ ca.DM((*A[-1], 1.0))], STEP)

    def step_with_slopes(self) -> ca.Function:
        """([x, S], p, h) -> [x_next, S_next], where S = d x / d (x(0), p)."""
        nx, n = self._nx, self._nx + self._np
        z, p, h = ca.MX.sym("z", nx, 1 + n), ca.MX.sym("p", self._np), ca.MX.sym("h")
        x, E, stages = z[:, 0], ca.DM.eye(n)[nx:, :], []
        inverse = ca.solve(self._matrix(x, p, h), ca.DM.eye(nx), "qr")
        for a, c in zip(((), *A), ((), *C), strict=True):
            at, kept = _sum(z, a, stages), _sum(ca.MX(nx, 1 + n), c, stages)
            U = inverse @ (h * self._rate(at[:, 0], p) + kept[:, 0])
            bent = self._bend(x, p, U) @ ca.vertcat(z[:, 1:], E)
            bent += self._slopes(at[:, 0], p) @ ca.vertcat(at[:, 1:], E)
            stages.append(ca.horzcat(U, inverse @ (h * bent + kept[:, 1:])))
        return ca.Function("step_with_slopes", [z, p, h], [_sum(z, (*A[-1], 1.0), stages)], SLOPE)

    def _matrix(self, x: ca.MX, p: ca.MX, h: ca.MX) -> ca.MX:
        return ca.DM.eye(self._nx) / GAMMA - h * self._slope(x, p)


def _sum(start: ca.MX, factors: Sequence[float], parts: Sequence[ca.MX]) -> ca.MX:
    for factor, part in zip(factors, parts, strict=True):
        start = start + factor * part
    return start


def graded(dt: float, first: float) -> np.ndarray:
    """Lengths that add up to dt: at most `first`, then GROWTH times the one before, up to LARGEST times `first`."""
    rising = first * GROWTH ** np.arange(math.ceil(math.log(LARGEST) / math.log(GROWTH)))
    n = int(np.searchsorted(np.cumsum(rising), dt)) + 1
    level = max(math.ceil((dt - rising.sum()) / (LARGEST * first)), 0)
    lengths = np.concatenate([rising[:n], np.full(level, LARGEST * first)])
    return dt * lengths / lengths.sum()
