"""The horizon problem by multiple shooting and IPOPT: for any System, stable or not."""

from typing import Any

import casadi as ca
import numpy as np

from .ocp import HorizonProblem
from .plan import Plan, Situation
from .scales import scaled_functions


class IpoptSolver:
    """Interior-point solution in moves, states and slacks together; tol on the scaled problem, max_time in s."""

    def __init__(self, problem: HorizonProblem, tol: float, max_time: float | None):
        self._problem = problem
        nlp, self._limits = self._build()
        self._solver = ca.nlpsol("horizon", "ipopt", nlp, ipopt_options(max_time, tol))

    def _build(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        q = self._problem
        sys, N, s, b = q.system, q.N, q.scales, q.bounds
        moves = len(q.first_stage)
        U, X, S = (ca.MX.sym(*v) for v in (("U", sys.nu, moves), ("X", sys.nx, N), ("S", len(q.soft), N)))
        p = {n: ca.MX.sym(n, *shape) for n, shape in q.parameters()}
        f_n, g_n = scaled_functions(sys, s)
        inputs = ca.horzsplit(U)
        stages = [[inputs[i] for i in q.blocks], *(ca.horzsplit(M) for M in (X, S, p["reference"]))]
        x, u_prev, cost, rows, low, high = p["x"], p["u_prev"], 0, [], [], []
        for u, x_next, slack, r in zip(*stages, strict=True):
            y: Any = g_n(x_next)
            defect: Any = f_n(x, u)
            y = y + p["d"]
            cost += q.stage_cost(y - r, u - p["u_s"], u - u_prev, slack) + q.economy(x_next, u, y, p["shift"])
            y_soft = _pick(y, q.soft)
            rows += [defect - x_next, _pick(u - u_prev, q.rated)]
            rows += [y_soft - slack, y_soft + slack]
            fall, rise = ((rate / s.u_half)[q.rated] for rate in (b.du_min, b.du_max))
            y_low, y_high = ((v - s.y_mid) / s.y_range for v in (b.y_min, b.y_max))
            free = np.full(len(q.soft), np.inf)
            low += [np.zeros(sys.nx), fall, -free, y_low[q.soft]]
            high += [np.zeros(sys.nx), rise, y_high[q.soft], free]
            x, u_prev = x_next, u
        cost += ca.bilin(p["P"], x - p["x_s"], x - p["x_s"])
        cost += p["hold"] * q.stage_cost(0, 0, p["u_s"] - u_prev, 0)
        nlp = {
            "x": ca.veccat(U, X, S),
            "p": ca.veccat(*p.values()),
            "f": cost,
            "g": ca.vertcat(*rows),
        }
        u_box = [np.tile((v - s.u_mid) / s.u_half, moves) for v in (b.u_min, b.u_max)]
        free = np.full(N * sys.nx, np.inf)
        n_slack = N * len(q.soft)
        limits = {
            "lbx": np.concatenate([u_box[0], -free, np.zeros(n_slack)]),
            "ubx": np.concatenate([u_box[1], free, np.full(n_slack, np.inf)]),
            "lbg": np.concatenate(low),
            "ubg": np.concatenate(high),
        }
        return nlp, limits

    def _shifted(self, v: np.ndarray) -> dict[str, np.ndarray]:
        """The limits with those of the inputs moved by an input disturbance v (nu,)."""
        p, limits = self._problem, dict(self._limits)
        by = np.tile(v / p.scales.u_half, len(p.first_stage))
        for side in ("lbx", "ubx"):
            limits[side] = limits[side] + np.pad(by, (0, len(limits[side]) - len(by)))
        return limits

    def solve(self, situation: Situation, guess: Plan) -> tuple[Plan, float, str, bool]:
        """The optimal plan, its cost, IPOPT's words, and whether it converged."""
        p = self._problem
        s, sys, N = p.scales, p.system, p.N
        first = np.concatenate(
            [
                ((guess.u - s.u_mid) / s.u_half)[p.first_stage].ravel(),
                ((guess.x - s.x_mid) / s.x_half).ravel(),
                (p.excess(guess.y) / s.y_range)[:, p.soft].ravel(),
            ]
        )
        found: Any = self._solver(
            x0=first,
            lam_x0=0 if guess.lam_x is None else guess.lam_x,
            lam_g0=0 if guess.lam_g is None else guess.lam_g,
            p=p.pack(situation),
            **self._shifted(situation.shift),
        )
        flat = found["x"].full().ravel()
        n_u = len(p.first_stage) * sys.nu
        u, x, _ = np.split(flat, [n_u, n_u + N * sys.nx])
        x = s.x_mid + s.x_half * x.reshape(N, -1)
        plan = Plan(
            u=(s.u_mid + s.u_half * u.reshape(-1, sys.nu))[list(p.blocks)],
            x=x,
            y=p.outputs(x) + situation.d,
            lam_x=found["lam_x"].full().ravel(),
            lam_g=found["lam_g"].full().ravel(),
        )
        stats: Any = self._solver.stats()
        ok = bool(stats["success"]) and bool(np.isfinite(flat).all())
        return plan, float(found["f"]) * p.cost_unit, stats["return_status"], ok


def _pick(column: Any, index: np.ndarray) -> Any:
    # a 1 x 1 column indexed by an empty list would come back as a row
    return ca.vertcat(*(column[int(i)] for i in index)) if len(index) else ca.MX(0, 1)


def ipopt_options(max_time: float | None, tol: float) -> dict[str, Any]:
    """Options for problems solved again and again, each a little different."""
    options: dict[str, Any] = {
        "print_time": False,
        "error_on_fail": False,
        "show_eval_warnings": False,
        "ipopt.sb": "yes",
        "calc_lam_p": False,  # never read, and a warning on stderr where it fails
        "ipopt.print_level": 0,
        "ipopt.tol": tol,
        "ipopt.max_iter": 200,
        "ipopt.warm_start_init_point": "yes",
        "ipopt.warm_start_bound_push": 1e-6,
        "ipopt.warm_start_mult_bound_push": 1e-6,
        "ipopt.warm_start_slack_bound_push": 1e-6,
        "ipopt.mu_init": 1e-4,
        "ipopt.mu_strategy": "adaptive",
        # relaxed bounds would let every slack of a soft bound go negative and earn a negative price
        "ipopt.bound_relax_factor": 0.0,
    }
    if max_time is not None:
        options["ipopt.max_wall_time"] = max_time
    return options
