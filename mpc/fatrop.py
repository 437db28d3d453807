"""The horizon problem stage by stage and fatrop, an interior-point method that lives on that structure."""

from typing import Any

import casadi as ca
import numpy as np

from .ocp import HorizonProblem
from .plan import Plan, Situation
from .scales import scaled_functions

FINEST = 1e-7
"""Tolerance below which fatrop often stands at the optimum, to nine digits of the cost, and says it is not there."""


class Stages:
    """Variables of stages k = 0..N, one after the other: states (x_k, w_k), then (u_k, s_k).

    x_{k+1} = f(x_k, u_k),  w_{k+1} = u_k,  u_k = w_k within a move,  s_k: slack of the soft bounds on y_k

    w carries the last input, so that its move belongs to one stage; stage 0 has no states, for they are known.
    Constraints of stage k: what follows in stage k + 1, then rates and soft bounds. kinds names each variable's.
    """

    def __init__(self, problem: HorizonProblem):
        self.p = {n: ca.MX.sym(n, *shape) for n, shape in problem.parameters()}
        self.variables, self.kinds, self.rows, self.low, self.high = [], [], [], [], []
        self.nx, self.nu, self.ng, self.cost = [0], [], [], 0
        self._build(problem, self.p)

    def _build(self, q: HorizonProblem, p: dict[str, Any]) -> None:
        nx, nu, s, b = q.system.nx, q.system.nu, q.scales, q.bounds
        f, g = scaled_functions(q.system, s)
        y_low, y_high = (((v - s.y_mid) / s.y_range)[q.soft] for v in (b.y_min, b.y_max))
        fall, rise = ((rate / s.u_half)[q.rated] for rate in (b.du_min, b.du_max))
        x, w = p["x"], p["u_prev"]
        for k in range(q.N + 1):
            moves, before = k in q.first_stage, len(self.variables)
            u = self._new("u", nu) if moves else w
            slack = self._new("s", len(q.soft) if k else 0)
            self.nu.append(sum(v.numel() for v in self.variables[before:]))
            if k < q.N:
                self.cost += q.stage_cost(0, u - p["u_s"], u - w if moves else 0, 0)
                after = self._new("x", nx), self._new("w", nu)
                self.nx.append(nx + nu)
                self._row(ca.vertcat(*after) - ca.vertcat(f(x, u), u), 0, 0)
            already = sum(row.numel() for row in self.rows)
            if moves:
                self._row(_pick(u - w, q.rated), fall, rise)
            if k:
                y: Any = g(x)
                y = y + p["d"]
                self.cost += q.stage_cost(y - p["reference"][:, k - 1], 0, 0, slack) + q.economy(x, w, y, p["shift"])
                self._row(_pick(y, q.soft) - slack, -np.inf, y_high)
                self._row(_pick(y, q.soft) + slack, y_low, np.inf)
            self.ng.append(sum(row.numel() for row in self.rows) - already)
            if k < q.N:
                x, w = after
        self.cost += ca.bilin(p["P"], x - p["x_s"], x - p["x_s"]) + p["hold"] * q.stage_cost(0, 0, p["u_s"] - w, 0)

    def _new(self, kind: str, size: int) -> Any:
        self.variables.append(ca.MX.sym(kind, size))
        self.kinds += [kind] * size
        return self.variables[-1]

    def _row(self, row: Any, low: Any, high: Any) -> None:
        """Those of its entries that have a bound."""
        low, high = (np.broadcast_to(v, row.numel()) for v in (low, high))
        bounded = np.flatnonzero(np.isfinite(low) | np.isfinite(high))
        self.rows.append(_pick(row, bounded))
        self.low.append(low[bounded])
        self.high.append(high[bounded])

    @property
    def nlp(self) -> dict[str, Any]:
        x, g = ca.vertcat(*self.variables), ca.vertcat(*self.rows)
        return {"x": x, "p": ca.veccat(*self.p.values()), "f": self.cost, "g": g}


class FatropSolver:
    """Solution in moves, states and slacks together; tol on the scaled problem, FINEST at least.

    Its time grows with N (nx + nu)^3. fatrop widens every bound by 1e-8, so the plan is that of its inputs, made
    admissible; it knows no limit of time.
    Reference: L. Vanroye, A. Sathya, J. De Schutter, W. Decre (2023), "FATROP: a fast constrained optimal control
    problem solver for robot trajectory optimization and control", IROS.
    """

    def __init__(self, problem: HorizonProblem, tol: float):
        self._problem, stages = problem, Stages(problem)
        self._limits = {"lbg": np.concatenate(stages.low), "ubg": np.concatenate(stages.high)}
        options = {
            "print_time": False,
            "error_on_fail": False,
            "show_eval_warnings": False,
            "structure_detection": "manual",
            "N": problem.N,
            "nx": stages.nx,
            "nu": stages.nu,
            "ng": stages.ng,
            "equality": (self._limits["lbg"] == self._limits["ubg"]).tolist(),
            "fatrop.print_level": 0,
            "fatrop.tol": max(tol, FINEST),
            "fatrop.max_iter": 200,
        }
        self._solver = ca.nlpsol("horizon", "fatrop", stages.nlp, options)
        kinds = np.array(stages.kinds)
        self._at = {kind: np.flatnonzero(kinds == kind) for kind in "uxws"}

    def solve(self, situation: Situation, guess: Plan) -> tuple[Plan, float, str, bool]:
        """The optimal plan, its cost, the outcome in words, and whether it converged."""
        q, at = self._problem, self._at
        s, b, moves = q.scales, q.bounds, len(q.first_stage)
        first, low, high = (np.full(sum(map(len, at.values())), v) for v in (0.0, -np.inf, np.inf))
        u = (guess.u - s.u_mid) / s.u_half
        first[at["u"]], first[at["w"]] = u[q.first_stage].ravel(), u.ravel()
        first[at["x"]] = ((guess.x - s.x_mid) / s.x_half).ravel()
        first[at["s"]], low[at["s"]] = (q.excess(guess.y) / s.y_range)[:, q.soft].ravel(), 0
        for side, bound in ((low, b.u_min), (high, b.u_max)):
            side[at["u"]] = np.tile((bound + situation.shift - s.u_mid) / s.u_half, moves)
        try:
            found: Any = self._solver(x0=first, p=q.pack(situation), lbx=low, ubx=high, **self._limits)
        except RuntimeError as failure:  # what it raises where numbers are not finite
            return guess, np.inf, f"fatrop: {str(failure).splitlines()[-1]}", False
        u = found["x"].full().ravel()[at["u"]].reshape(-1, q.system.nu)
        if not np.isfinite(u).all():
            return guess, np.inf, "fatrop found no finite inputs", False
        plan, cost = q.played(situation, (s.u_mid + s.u_half * u)[list(q.blocks)])
        ok = bool(self._solver.stats()["success"]) and np.isfinite(cost)
        return plan, cost, "" if ok else "fatrop did not converge", ok


def _pick(column: Any, index: np.ndarray) -> Any:
    """A column of those entries; one of 1 x 1 indexed by an empty list would come back as a row."""
    return ca.vertcat(*(column[int(i)] for i in index)) if len(index) else ca.MX(0, 1)
