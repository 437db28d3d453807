"""The horizon problem: multiple shooting over the system's own f and g, in scaled numbers."""

from typing import Any

import casadi as ca
import numpy as np

from .plan import Plan, Situation
from .scales import Scales, scaled_functions
from .settings import Bounds, Weights
from .system import System


class HorizonProblem:
    """Optimal control over N steps, with inputs u_i held between samples.

    min  sum_{i=1..N} |y_i - r_i|_Q^2 + c (s_i + s_i^2)
         + sum_{i=0..N-1} |u_i - u_s|_R^2 + |u_i - u_{i-1}|_S^2
         + |x_N - x_s|_P^2 + hold |u_s - u_{N-1}|_S^2
    s.t. x_{i+1} = f(x_i, u_i),  y_i = g(x_i) + d,  u in the box,  |u_i - u_{i-1}| <= du_max,
         y_min - s_i <= y_i <= y_max + s_i,  s_i >= 0 in units of the output's range.

    c is soft_penalty times the cost of an error of one range in the most weighted output: large
    enough, the penalty is exact and bounds give way only if they must.
    """

    def __init__(
        self,
        system: System,
        horizon: int,
        weights: Weights,
        bounds: Bounds,
        scales: Scales,
        soft_penalty: float,
        options: dict[str, Any],
    ):
        self.system, self.N, self.scales = system, horizon, scales
        self.weights, self.bounds = weights, bounds
        self.cost_unit = float(np.max(weights.y * scales.y_range**2))
        self.soft = np.flatnonzero(np.isfinite(bounds.y_min) | np.isfinite(bounds.y_max))
        self.rated = np.flatnonzero(np.isfinite(bounds.du_max))
        self._penalty = soft_penalty
        self._stage_multipliers = system.nx + len(self.rated) + 2 * len(self.soft)
        nlp, self._limits = self._build()
        self._solver = ca.nlpsol("horizon", "ipopt", nlp, options)

    def _build(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        sys, N, s, b = self.system, self.N, self.scales, self.bounds
        U, X, S = (ca.MX.sym(n, k, N) for n, k in self._variables())
        p = {n: ca.MX.sym(n, *shape) for n, shape in self._parameters()}
        f_n, g_n = scaled_functions(sys, s)
        stages = [ca.horzsplit(M) for M in (U, X, S, p["reference"])]
        x, u_prev, cost, rows, low, high = p["x"], p["u_prev"], 0, [], [], []
        for u, x_next, slack, r in zip(*stages, strict=True):
            y: Any = g_n(x_next)
            defect: Any = f_n(x, u)
            y = y + p["d"]
            cost += self._stage_cost(y - r, u - p["u_s"], u - u_prev, slack)
            y_soft = _pick(y, self.soft)
            rows += [defect - x_next, _pick(u - u_prev, self.rated)]
            rows += [y_soft - slack, y_soft + slack]
            rate = (b.du_max / s.u_half)[self.rated]
            y_low, y_high = ((v - s.y_mid) / s.y_range for v in (b.y_min, b.y_max))
            free = np.full(len(self.soft), np.inf)
            low += [np.zeros(sys.nx), -rate, -free, y_low[self.soft]]
            high += [np.zeros(sys.nx), rate, y_high[self.soft], free]
            x, u_prev = x_next, u
        cost += ca.bilin(p["P"], x - p["x_s"], x - p["x_s"])
        cost += p["hold"] * self._stage_cost(0, 0, p["u_s"] - u_prev, 0)
        nlp = {
            "x": ca.veccat(U, X, S),
            "p": ca.veccat(*p.values()),
            "f": cost,
            "g": ca.vertcat(*rows),
        }
        u_box = [np.tile((v - s.u_mid) / s.u_half, N) for v in (b.u_min, b.u_max)]
        free = np.full(N * sys.nx, np.inf)
        n_slack = N * len(self.soft)
        limits = {
            "lbx": np.concatenate([u_box[0], -free, np.zeros(n_slack)]),
            "ubx": np.concatenate([u_box[1], free, np.full(n_slack, np.inf)]),
            "lbg": np.concatenate(low),
            "ubg": np.concatenate(high),
        }
        return nlp, limits

    def _variables(self) -> list[tuple[str, int]]:
        return [("U", self.system.nu), ("X", self.system.nx), ("S", len(self.soft))]

    def _parameters(self) -> list[tuple[str, tuple[int, int]]]:
        nx, nu, ny = self.system.nx, self.system.nu, self.system.ny
        return [
            ("x", (nx, 1)),
            ("u_prev", (nu, 1)),
            ("d", (ny, 1)),
            ("reference", (ny, self.N)),
            ("x_s", (nx, 1)),
            ("u_s", (nu, 1)),
            ("P", (nx, nx)),
            ("hold", (1, 1)),
        ]

    def _stage_cost(self, e: Any, u: Any, du: Any, slack: Any) -> Any:
        s, w = self.scales, self.weights
        Q, R, S = (ca.DM(v / self.cost_unit) for v in (w.y * s.y_range**2, w.u * s.u_half**2, w.du * s.u_half**2))
        quadratic = ca.sum1(Q * e**2) + ca.sum1(R * u**2) + ca.sum1(S * du**2)
        return quadratic + self._penalty * ca.sum1(slack + slack**2)

    def solve(self, situation: Situation, guess: Plan) -> tuple[Plan, float, str, bool]:
        """The optimal plan, its cost, IPOPT's words, and whether it converged."""
        s, sys, N = self.scales, self.system, self.N
        first = np.concatenate(
            [
                ((guess.u - s.u_mid) / s.u_half).ravel(),
                ((guess.x - s.x_mid) / s.x_half).ravel(),
                (guess.slack / s.y_range)[:, self.soft].ravel(),
            ]
        )
        found: Any = self._solver(
            x0=first,
            lam_x0=guess.lam_x,
            lam_g0=guess.lam_g,
            p=self._pack(situation),
            **self._limits,
        )
        flat = found["x"].full().ravel()
        u, x, slack = np.split(flat, [N * sys.nu, N * (sys.nu + sys.nx)])
        slacks = np.zeros((N, sys.ny))
        slacks[:, self.soft] = slack.reshape(N, -1) * s.y_range[self.soft]
        plan = Plan(
            u=s.u_mid + s.u_half * u.reshape(N, -1),
            x=s.x_mid + s.x_half * x.reshape(N, -1),
            slack=slacks,
            lam_x=found["lam_x"].full().ravel(),
            lam_g=found["lam_g"].full().ravel(),
        )
        stats: Any = self._solver.stats()
        ok = bool(stats["success"]) and bool(np.isfinite(flat).all())
        return plan, float(found["f"]) * self.cost_unit, stats["return_status"], ok

    def _pack(self, now: Situation) -> np.ndarray:
        s = self.scales
        D = s.x_half[:, None] * s.x_half
        return np.concatenate(
            [
                (now.x - s.x_mid) / s.x_half,
                (now.u_prev - s.u_mid) / s.u_half,
                now.d / s.y_range,
                ((now.reference - s.y_mid) / s.y_range).ravel(),
                (now.x_s - s.x_mid) / s.x_half,
                (now.u_s - s.u_mid) / s.u_half,
                (D * now.P / self.cost_unit).ravel(),
                [now.hold],
            ]
        )

    def cold_plan(self, x: np.ndarray, u: np.ndarray) -> Plan:
        """First guess: state and input stand still."""
        u, x = np.tile(u, (self.N, 1)), np.tile(x, (self.N, 1))
        n_x, n_g = len(self._limits["lbx"]), len(self._limits["lbg"])
        return Plan(u, x, np.zeros((self.N, self.system.ny)), np.zeros(n_x), np.zeros(n_g))

    def shift(self, plan: Plan, u_last: np.ndarray, x_last: np.ndarray) -> Plan:
        """The plan one step later, ending with u_last and x_last."""
        nu, nx, n_s, N = self.system.nu, self.system.nx, len(self.soft), self.N
        lam_u, lam_x, lam_s = np.split(plan.lam_x, [N * nu, N * (nu + nx)])

        def later(v: np.ndarray, width: int) -> np.ndarray:
            return np.concatenate([v[width:], v[len(v) - width :]])

        return Plan(
            u=np.vstack([plan.u[1:], u_last]),
            x=np.vstack([plan.x[1:], x_last]),
            slack=np.vstack([plan.slack[1:], plan.slack[-1:]]),
            lam_x=np.concatenate([later(lam_u, nu), later(lam_x, nx), later(lam_s, n_s)]),
            lam_g=later(plan.lam_g, self._stage_multipliers),
        )


def _pick(column: Any, index: np.ndarray) -> Any:
    # a 1 x 1 column indexed by an empty list would come back as a row
    return ca.vertcat(*(column[int(i)] for i in index)) if len(index) else ca.MX(0, 1)
