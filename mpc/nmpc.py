"""Nonlinear model predictive controller: engineering units in, an admissible input out, always."""

import time
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import numpy as np

from .fallback import PlanMemory
from .ocp import HorizonProblem
from .plan import Plan, Situation
from .reference import Reference
from .scales import find_scales
from .settings import parse_bounds, parse_weights
from .solver import ipopt_options
from .step_result import Prediction, StepResult
from .system import System, check_system, evaluate
from .target import SteadyTarget, Target
from .terminal import CostToGo

# A soft bound counts as violated beyond this share of the output's range (solver tolerance).
VIOLATED = 1e-4


class _Solved(NamedTuple):
    plan: Plan | None
    cost: float
    reason: str


class NMPC:
    """Tracks references with the inputs in their box; see HorizonProblem for the equations.

    system: a System
    horizon: N, number of steps of dt
    weights: {"y": , "u": , "du": }, per unit squared; each a scalar, an array or a dict by channel
        name. Defaults: y: 1 / range^2, u (distance to the steady-state target): 0,
        du: 0.1 max(Q range^2) / half box^2
    bounds: {"u": {name: (low, high)}, "du": {name: largest change per step}, "y": {name: (low,
        high)}}; u defaults to the system's box and may not leave it; y bounds are soft
    terminal: "cost_to_go" (see CostToGo), None, or a matrix P (nx, nx) for |x_N - x_s|_P^2
    y_range: {name: change that counts as large}, in its unit; default: simulated from the box
    soft_penalty: price of violating a bound by one range, in units of an error of one range
    max_time: s of wall time a solve may take; None is no limit
    tol: IPOPT's tolerance on the scaled problem

    Raises: ValueError for unknown names, contradictory bounds, wrong shapes.
    """

    def __init__(
        self,
        system: System,
        horizon: int,
        weights: Mapping[str, Any] | None = None,
        bounds: Mapping[str, Any] | None = None,
        *,
        terminal: Literal["cost_to_go"] | np.ndarray | None = "cost_to_go",
        y_range: Any = None,
        soft_penalty: float = 100.0,
        max_time: float | None = None,
        tol: float = 1e-8,
    ):
        check_system(system)
        if horizon < 1:
            raise ValueError(f"horizon is {horizon}, it must be at least one step")
        if not soft_penalty > 0:
            raise ValueError(f"soft_penalty is {soft_penalty}, it must be positive")
        self.system, self.horizon = system, int(horizon)
        self.scales = find_scales(system, y_range)
        self.weights = parse_weights(system, weights, self.scales)
        self.bounds = parse_bounds(system, bounds)
        self.u_names, self.y_names, self.dt = system.u_names, system.y_names, system.dt
        b, options = self.bounds, ipopt_options(max_time, tol)
        self._problem = HorizonProblem(system, self.horizon, self.weights, b, self.scales, soft_penalty, options)
        w = {"y": self.weights.y}
        self.target = SteadyTarget(system, w, u_min=b.u_min, u_max=b.u_max, scales=self.scales)
        self._to_go = CostToGo(system, self.weights)
        self._terminal = _check_terminal(terminal, system.nx)
        self._memory = PlanMemory(self._problem)
        self._outputs = system.g.map(self.horizon + 1)
        self._reference = Reference(system.y_names, self.horizon)
        self.reset()

    def reset(self, u_prev: np.ndarray | None = None) -> None:
        """Forget plan, target and references; u_prev (nu,) is the input applied until now."""
        self._memory.reset()
        self._u_prev = None if u_prev is None else np.array(u_prev, float)
        self._d = np.zeros(self.system.ny)
        self._reference.reset()
        self.target.reset()

    def step(
        self,
        x_hat: np.ndarray,
        d_hat: np.ndarray | None,
        reference: Any,
        u_prev: np.ndarray | None = None,
    ) -> StepResult:
        """Input for now, from state x_hat (nx,), output disturbance d_hat (ny,) and reference.

        reference: units of y; scalar, (ny,), a dict by name, or a preview (N + 1, ny) from now.
        u_prev (nu,): input applied during the last sample; default: what step returned last, and at
        first the input that holds the present output.

        A solve that fails or a NaN is a status with ok False. The input then is that of the
        previous plan, else that of the steady-state target, else u_prev; within box and rates.

        Raises: ValueError for wrong shapes.
        """
        started = time.perf_counter()
        x, d = self._check("x_hat", x_hat, self.system.nx), self._take_disturbance(d_hat)
        y_now = evaluate(self.system.g, x) + d if np.isfinite(x).all() else None
        r, held = self._reference.take(reference, y_now, self.weights.y > 0)
        u_prev = self._take_last_input(u_prev, y_now, d)
        target = self.target.solve(r[-1], d)
        troubles = [f"NaN reference of {name}: last one kept" for name in held]
        if d_hat is not None and not np.isfinite(d_hat).all():
            troubles.append("NaN disturbance estimate: last one kept")
        solved = self._solve(x, d, r, u_prev, target)
        u, rung = self._memory.choose(solved.plan, target, u_prev)
        if rung != "solved":
            troubles.append(solved.reason)
        self._u_prev = u
        self._memory.advance(solved.plan, target)
        return StepResult(
            u=u,
            status="; ".join([rung, *troubles]),
            ok=not troubles,
            reachable=target.reachable,
            cost=solved.cost,
            solve_time=time.perf_counter() - started,
            violated=self._violated(solved.plan),
            predicted=self._predict(x, d, solved.plan),
        )

    def _check(self, name: str, value: Any, size: int) -> np.ndarray:
        vector = np.asarray(value, float).reshape(-1)
        if vector.shape != (size,):
            raise ValueError(f"{name} has {vector.size} entries, the system has {size}")
        return vector

    def _take_disturbance(self, d_hat: Any) -> np.ndarray:
        if d_hat is not None:
            d = self._check("d_hat", d_hat, self.system.ny)
            self._d = np.where(np.isfinite(d), d, self._d)
        return self._d

    def _take_last_input(self, u_prev: Any, y_now: np.ndarray | None, d: np.ndarray) -> np.ndarray:
        if u_prev is not None:
            u = self._check("u_prev", u_prev, self.system.nu)
            if np.isfinite(u).all():
                self._u_prev = u
        if self._u_prev is None:
            self._u_prev = self.scales.u_mid if y_now is None else self.target.solve(y_now, d).u
        return np.clip(self._u_prev, self.bounds.u_min, self.bounds.u_max)

    def _solve(self, x: np.ndarray, d: np.ndarray, r: np.ndarray, u_prev: np.ndarray, target: Target) -> _Solved:
        if not np.isfinite(x).all():
            return _Solved(None, np.inf, "NaN state estimate")
        P, hold = self._terminal_weight(target)
        now = Situation(x, u_prev, d, r[1:], target.x, target.u, P, hold)
        cold = self._problem.cold_plan(x, u_prev)
        guess = self._memory.guess
        plan, cost, reason, ok = self._problem.solve(now, cold if guess is None else guess)
        if not ok and guess is not None and "Time" not in reason:
            plan, cost, reason, ok = self._problem.solve(now, cold)
        return _Solved(plan, cost, reason) if ok else _Solved(None, np.inf, reason)

    def _terminal_weight(self, target: Target) -> tuple[np.ndarray, float]:
        if isinstance(self._terminal, np.ndarray) and target.ok:
            return self._terminal, 0.0
        wanted = self._terminal is not None and target.ok
        found = self._to_go(target.x, target.u) if wanted else None
        P, holds = (np.zeros((self.system.nx,) * 2), False) if found is None else found
        return P, float(holds)

    def _violated(self, plan: Plan | None) -> tuple[str, ...]:
        if plan is None:
            return ()
        broken = (plan.slack > VIOLATED * self.scales.y_range).any(0)
        return tuple(self.y_names[i] for i in np.flatnonzero(broken))

    def _predict(self, x: np.ndarray, d: np.ndarray, plan: Plan | None) -> Prediction | None:
        if plan is None:
            return None
        outputs: Any = self._outputs(np.vstack([x, plan.x]).T)
        return Prediction(plan.u, outputs.full().T + d)


def _check_terminal(terminal: Any, nx: int) -> Any:
    if terminal is None or (isinstance(terminal, str) and terminal == "cost_to_go"):
        return terminal
    P = np.asarray(terminal)
    if P.shape != (nx, nx) or P.dtype.kind not in "fi" or not np.allclose(P, P.T):
        raise ValueError(f"terminal is {terminal!r}; give 'cost_to_go', None or symmetric (nx, nx)")
    return P.astype(float)
