"""The horizon problem: what is minimised under which constraints, whoever solves it."""

from collections.abc import Sequence
from typing import Any

import casadi as ca
import numpy as np

from .fast_call import FastCall
from .plan import Plan, Situation
from .scales import Scales
from .settings import Bounds, Weights, limit_input, shifted
from .system import System


class HorizonProblem:
    """Optimal control over N steps, with inputs u_i held between samples.

    min  sum_{i=1..N} |y_i - r_i|_Q^2 + c (s_i + s_i^2) + price(x_i, u_{i-1}, y_i)
         + sum_{i=0..N-1} |u_i - u_s|_R^2 + |u_i - u_{i-1}|_S^2
         + |x_N - x_s|_P^2 + hold |u_s - u_{N-1}|_S^2
    s.t. x_{i+1} = f(x_i, u_i),  y_i = g(x_i) + d,  u in the box,  du_min <= u_i - u_{i-1} <= du_max,
         y_min - s_i <= y_i <= y_max + s_i,  s_i >= 0 in units of the output's range,
         u_i = u_j where stages i and j belong to the same move.

    c is soft_penalty, one for each output, times the cost of an error of one range in the most weighted output:
    large enough, the penalty is exact and bounds give way only if they must.

    moves: number of stages that each move lasts; their sum is N
    economy: the price as an Economy, or None
    """

    def __init__(
        self,
        system: System,
        weights: Weights,
        bounds: Bounds,
        scales: Scales,
        soft_penalty: np.ndarray,
        moves: Sequence[int],
        economy: Any = None,
    ):
        self.system, self.N, self.scales, self._economy = system, sum(moves), scales, economy
        self.weights, self.bounds, self.soft_penalty = weights, bounds, soft_penalty
        self.blocks = tuple(b for b, length in enumerate(moves) for _ in range(length))
        self.first_stage = np.flatnonzero(np.diff(self.blocks, prepend=-1))
        self._moves = np.array(self.blocks)
        n_u = len(self.first_stage) * system.nu
        self._cuts = n_u, n_u + self.N * system.nx
        self.cost_unit = max(float(np.max(weights.y * scales.y_range**2)), economy.unit if economy else 0.0)
        self.P_unit = self.cost_unit / np.outer(scales.x_half, scales.x_half)
        self._middle, self._unit = self._scale_given()
        self._plan_middle, self._plan_unit = self._scale_plan()
        self.sizes = len(self._plan_unit), len(self._unit)  # of what unpack takes, and of what pack lines up until P
        self.soft = np.flatnonzero(np.isfinite(bounds.y_min) | np.isfinite(bounds.y_max))
        self.rated = np.flatnonzero(np.isfinite(bounds.du_min) | np.isfinite(bounds.du_max))
        self._f, self._outputs = FastCall(system.f), FastCall(system.g.map(self.N))

    def parameters(self) -> list[tuple[str, tuple[int, int]]]:
        """Name and shape of what pack lines up, column by column."""
        nx, nu, ny = self.system.nx, self.system.nu, self.system.ny
        return [
            ("x", (nx, 1)),
            ("u_prev", (nu, 1)),
            ("d", (ny, 1)),
            ("reference", (ny, self.N)),
            ("x_s", (nx, 1)),
            ("u_s", (nu, 1)),
            ("shift", (nu, 1)),
            ("P", (nx, nx)),
            ("hold", (1, 1)),
        ]

    def stage_weights(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Q, R, S on scaled quantities, as shares of cost_unit."""
        s, w = self.scales, self.weights
        Q, R, S = w.y * s.y_range**2, w.u * s.u_half**2, w.du * s.u_half**2
        return Q / self.cost_unit, R / self.cost_unit, S / self.cost_unit

    def stage_cost(self, e: Any, u: Any, du: Any, slack: Any) -> Any:
        Q, R, S = (ca.DM(w) for w in self.stage_weights())
        quadratic = ca.sum1(Q * e**2) + ca.sum1(R * u**2) + ca.sum1(S * du**2)
        return quadratic + ca.sum1(ca.DM(self.soft_penalty[self.soft]) * (slack + slack**2))

    def economy(self, x: Any, u: Any, y: Any, shift: Any) -> Any:
        """The price of scaled x, y, and u of which shift was not sent, as a share of cost_unit; 0 without one."""
        return self._economy.scaled(x, u, y, shift) / self.cost_unit if self._economy else 0

    def pack(self, now: Situation) -> np.ndarray:
        """The situation as one scaled vector, in the order of parameters."""
        given = np.concatenate([now.x, now.u_prev, now.d, now.reference.ravel(), now.x_s, now.u_s, now.shift])
        given = (given - self._middle) / self._unit
        return np.concatenate([given, (now.P / self.P_unit).ravel(), [now.hold]])

    def unpack(self, found: np.ndarray) -> Plan:
        """The plan that moves, states and outputs are, scaled and one after the other."""
        u, x, y = self.parts(self._plan_middle + self._plan_unit * found)
        return Plan(u[self._moves], x, y)

    def parts(self, found: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Views of moves (moves, nu), states (N, nx) and outputs (N, ny) that lie one after the other."""
        u, x, y = np.split(found, self._cuts)
        return u.reshape(len(self.first_stage), -1), x.reshape(self.N, -1), y.reshape(self.N, -1)

    def _scale_given(self) -> tuple[np.ndarray, np.ndarray]:
        """Middle and unit of each number that pack lines up until P."""
        s, N = self.scales, self.N
        middle = s.x_mid, s.u_mid, 0 * s.y_range, np.tile(s.y_mid, N), s.x_mid, s.u_mid, 0 * s.u_mid
        unit = s.x_half, s.u_half, s.y_range, np.tile(s.y_range, N), s.x_half, s.u_half, s.u_half
        return np.concatenate(middle), np.concatenate(unit)

    def _scale_plan(self) -> tuple[np.ndarray, np.ndarray]:
        """Middle and unit of each number that unpack takes."""
        s, rows = self.scales, (len(self.first_stage), self.N, self.N)
        middle, unit = (s.u_mid, s.x_mid, s.y_mid), (s.u_half, s.x_half, s.y_range)
        tiled = ([np.tile(v, n) for v, n in zip(side, rows, strict=True)] for side in (middle, unit))
        middle, unit = (np.concatenate(side) for side in tiled)
        return middle, unit

    def cold_plan(self, now: Situation) -> Plan:
        """First guess: state and input stand still."""
        x = np.tile(now.x, (self.N, 1))
        return Plan(np.tile(now.u_prev, (self.N, 1)), x, self.outputs(x) + now.d)

    def shift(self, plan: Plan, u_last: np.ndarray) -> Plan:
        """The plan one step later, ending with u_last where it ended."""
        nu, nx, n_s = self.system.nu, self.system.nx, len(self.soft)
        later = Plan(
            u=np.concatenate((plan.u[1:], u_last[None])),
            x=np.concatenate((plan.x[1:], plan.x[-1:])),
            y=np.concatenate((plan.y[1:], plan.y[-1:])),
        )
        if plan.lam_x is None or plan.lam_g is None:
            return later
        lam_u, lam_x, lam_s = np.split(plan.lam_x, self._cuts)
        stage = nx + len(self.rated) + 2 * n_s
        return later._replace(
            lam_x=np.concatenate([_later(lam_u, nu), _later(lam_x, nx), _later(lam_s, n_s)]),
            lam_g=_later(plan.lam_g, stage),
        )

    def admissible(self, u: np.ndarray, now: Situation) -> np.ndarray:
        """The inputs (N, nu) nearest to u, one after the other, that keep the box, the rates and the moves."""
        nearest, last, bounds = np.empty_like(u), now.u_prev, shifted(self.bounds, now.shift)
        for i, wanted in enumerate(u):
            last = limit_input(bounds, wanted, last) if i in self.first_stage else last
            nearest[i] = last
        return nearest

    def outputs(self, x: np.ndarray) -> np.ndarray:
        """g of states (N, nx), (N, ny), without the disturbance."""
        return self._outputs(x.ravel())[0].reshape(self.N, -1).copy()

    def excess(self, y: np.ndarray) -> np.ndarray:
        """How far outputs (N, ny) are out of their bounds, in their units."""
        if not self.soft.size:
            return np.zeros(y.shape)
        return np.maximum(0.0, np.maximum(self.bounds.y_min - y, y - self.bounds.y_max))

    def best(self, now: Situation, guess: Plan, others: Sequence[Plan]) -> tuple[Plan, float] | None:
        """Of other plans the cheapest, made admissible, and its cost; None if the guess is no dearer."""
        candidates = [self.played(now, p.u) for p in (guess, *others) if np.isfinite(p.u).all()]
        finite = [c for c in candidates if np.isfinite(c[1])]
        best = min(finite, key=lambda c: c[1], default=None)
        return None if best is None or best is candidates[0] else best

    def played(self, now: Situation, u: np.ndarray) -> tuple[Plan, float]:
        """The plan that inputs u (N, nu) lead to, and its cost."""
        u, x, s = self.admissible(u, now), [now.x], self.scales
        for u_k in u:
            x.append(self._f(x[-1], u_k)[0].copy())
        later = np.array(x[1:])
        y = self.outputs(later) + now.d
        w, e, slack = self.weights, x[-1] - now.x_s, self.excess(y) / s.y_range
        moves = np.diff(np.vstack([now.u_prev, u, now.u_s if now.hold else u[-1]]), axis=0)
        cost = (w.y * (y - now.reference) ** 2).sum() + (w.u * (u - now.u_s) ** 2).sum() + (w.du * moves**2).sum()
        soft = self.cost_unit * (self.soft_penalty * (slack + slack**2)).sum()
        price = self._economy.function if self._economy else None
        parts = zip(later, u - now.shift, y, strict=True)
        cost += sum(float(price(*part)) for part in parts) if price else 0.0
        return Plan(u, later, y), float(cost + e @ now.P @ e + soft)


def _later(v: np.ndarray, width: int) -> np.ndarray:
    return np.concatenate([v[width:], v[len(v) - width :]])
