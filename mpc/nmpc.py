"""Nonlinear model predictive controller: engineering units in, an admissible input out, always."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .economic import EconomicTarget, Economy, Price
from .end import End
from .fallback import PlanMemory
from .intake import Intake, Taken, check_size
from .keepable import warn_of_bounds
from .measured import Measured
from .ocp import HorizonProblem
from .plan import Plan, Situation
from .settings import DEFAULT_SOFT_PENALTY, check_moves, parse_bounds, parse_rest, parse_soft_penalty, parse_weights
from .solving import Name, Solved, Solvers
from .step_result import Prediction, StepResult
from .system import System, check_system, state_names
from .target import REACHED, SteadyTarget, Target
from .watched import Watched

# A soft bound counts as violated beyond this share of the output's range (solver tolerance).
VIOLATED = 1e-4


class NMPC:
    """Tracks references with the inputs in their box; see HorizonProblem for the equations.

    system: a System
    horizon: N, number of steps of dt
    weights: {"y": , "u": , "du": }, per unit squared; each a scalar, an array or a dict by channel
        name. Defaults: y: 1 / range^2, u (distance to the steady-state target): 0,
        du: 0.1 max(Q range^2) / half box^2
    bounds: {"u": {name: (low, high)}, "du": {name: largest change per step, or (largest fall < 0, largest rise)},
        "y": {name: (low, high)}, "x": {state: (low, high)}}; u defaults to the system's box and may not leave it.
        Bounds of y and x are soft: a plan breaks them where it must, rather than have none, and says so (violated).
        States are named as by the system's x_names, else x1, x2, ...; the target rests within bounds, else the
        reference is not reachable
    rest: {input: where it is to rest}: at rest, inputs that references leave free go there, as near as they can;
        outputs and bounds come first. Their weights["u"], which draw them to the target, then default as "du"
    moves: how many steps each move lasts, [1, 1, 2, 4, ...] with sum N; default: one step each
    terminal: "cost_to_go" (see CostToGo), None, a matrix P (nx, nx) for |x_N - x_s|_P^2, or a
        certificate with rate and metric (see certified_terminal)
    y_range: {name: change that counts as large}, in its unit; default: simulated from the box
    soft_penalty: price of violating a bound by one range (of a state: by all that it was simulated to do), in units
        of an error of one range; or one for each, {output or state: }, 100 where left out. The larger, the less a
        bound gives way to errors and moves; from some value on it gives way only where no plan keeps it
    solver: "condensed" (see CondensedSolver; IPOPT steps in where it does not converge), "condensed alone"
        (nothing steps in, as in the C code that export_c writes), "fatrop" (for few states and long horizons;
        IPOPT steps in) or "ipopt"; default: condensed, but IPOPT where f is a long list of scalar operations
    iterations: of the condensed solver in a step, 1 for real-time iteration; None: to convergence
    measured: names of the system's last inputs, if it does not move but reads them: measured disturbances
    measured_preview: samples ahead of now for which step takes values of them; each makes the state larger
    max_time: s of wall time a solve may take, the best plan so far is applied; None is no limit; fatrop has none
    tol: of the solvers, on the scaled problem
    price: price(x, u, y) of a sample, an expression of CasADi in physical units that is added to the cost: prices of
        inputs and products, inputs that should rest somewhere. u are all of the system's inputs in its order, those
        that are measured as they act (a tariff is an input that f leaves alone); x and y are what they lead to. What
        is aimed for is the rest point of the least cost, measured inputs held as their preview ends.
        weights["y"] default to 0, solver to "ipopt", terminal to None: take a horizon so long that its end hardly
        matters to the first move

    Raises: ValueError for unknown names, contradictory bounds, wrong shapes. Warns of bounds of y and x that no rest
    point in the inputs' box keeps (see warn_of_bounds).
    """

    takes_measurement = False

    def __init__(
        self,
        system: System,
        horizon: int,
        weights: Mapping[str, Any] | None = None,
        bounds: Mapping[str, Any] | None = None,
        *,
        moves: Sequence[int] | None = None,
        terminal: Any = "cost_to_go",
        y_range: Any = None,
        soft_penalty: float | Mapping[str, float] = DEFAULT_SOFT_PENALTY,
        solver: Name | None = None,
        iterations: int | None = None,
        max_time: float | None = None,
        tol: float = 1e-8,
        measured: Sequence[str] = (),
        measured_preview: int = 0,
        rest: Mapping[str, float] | None = None,
        price: Price | None = None,
    ):
        check_system(system)
        if price is not None and solver not in (None, "ipopt", "fatrop"):
            raise ValueError(f"a price takes solver='ipopt' or 'fatrop', not {solver!r}")
        if price is not None and rest:
            raise ValueError(
                "a price says itself where inputs rest: add 0.01 * (u[0] - 3) ** 2 to it, and leave rest out"
            )
        moves = check_moves(horizon, moves)
        self.system, self.horizon = system, int(horizon)
        self._measured = m = Measured(system, measured, measured_preview, past=int(price is not None))
        self.scales, around = m.scales(y_range)
        self.bounds = b = parse_bounds(m.system, bounds, state_names(system))
        self._watched = seen = Watched(system, b)
        wide, nx, ny = seen.scales(self.scales), system.nx, system.ny
        economy = None
        if price is not None:
            w_at = range(nx, nx + len(m.names))
            economy = Economy(lambda z, u, y: price(*m.priced(z, u), y[:ny]), seen.system(m.system), wide, w_at)
        resting = parse_rest(rest, m.system.u_names, b)
        unit, drawn = economy.unit if economy else 0.0, np.isfinite(resting)
        self.weights = parse_weights(m.system, weights, self.scales, unit, drawn)
        self.u_names, self.y_names, self.dt = m.system.u_names, system.y_names, system.dt
        w, limits, penalty = seen.weights(self.weights), seen.bounds(b), parse_soft_penalty(soft_penalty, seen.names)
        self._problem = q = HorizonProblem(seen.system(m.system), w, limits, wide, penalty, moves, economy)
        self._solvers = Solvers(q, solver or ("ipopt" if economy else None), iterations, max_time, tol)
        tracked = w.y if w.y.any() else seen.pad(1 / self.scales.y_range**2, 0.0)
        self.target = SteadyTarget(
            seen.system(system),
            {"y": tracked},
            u_min=b.u_min,
            u_max=b.u_max,
            scales=seen.scales(around),
            y_bounds=(limits.y_min, limits.y_max),
            rest=resting,
            library=None if measured else self._solvers.library,
        )
        if self._solvers.are_slow:
            self.target.build()
        self.aim = EconomicTarget(q, m, nx) if economy else self.target
        warn_of_bounds(self.target, seen.names)
        self._end = End(system, self.weights, None if economy and isinstance(terminal, str) else terminal)
        self._memory = PlanMemory(q)
        self._intake = Intake(system, self.horizon, self.weights.y > 0, m)
        self.reset()

    @property
    def has_certified_terminal(self) -> bool:
        """Whether the terminal cost is a certificate's, with which the cost falls from step to step."""
        return bool(self._end.hold)

    def reset(self, u_prev: np.ndarray | None = None) -> None:
        """Forget plan, target and references; u_prev (nu,) is the input applied until now."""
        self._memory.reset()
        self._drop_preparation()
        self._intake.reset(u_prev)
        self.target.reset()
        self.aim.reset()

    def follow(self, u: np.ndarray) -> None:
        """Manual operation: u (nu,) is applied by somebody else. The next step starts from it, without a bump."""
        self._memory.reset()
        self._drop_preparation()
        self._intake.u_prev = check_size("u", u, len(self.u_names))

    def state(self) -> dict[str, np.ndarray]:
        """All that step remembers, as arrays by name, for np.savez; after restore the run goes on as it would."""
        warm = {**self._memory.state(), **self._solvers.state()}
        return {**self._intake.state(), **warm, "target": self.aim.state()}

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        """Go on from what state returned, in this or another process."""
        state = dict(state)
        self._drop_preparation()
        self._intake.restore(state)
        self._memory.restore(state)
        self._solvers.restore(state)
        self.aim.restore(state["target"])

    def step(
        self,
        x_hat: np.ndarray,
        d_hat: np.ndarray | None,
        reference: Any,
        u_prev: np.ndarray | None = None,
        v_hat: np.ndarray | None = None,
        measured: Any = None,
    ) -> StepResult:
        """Input for now, from state x_hat (nx,), output disturbance d_hat (ny,) and reference.

        reference: units of y; scalar, (ny,), a preview (N + 1, ny) from now, or a dict by name of numbers or (N + 1,).
        u_prev (nu,): input applied during the last sample; default: what step returned last, and at
        first the input that holds the present output.
        v_hat: disturbance added to the system's inputs, one for each, if the observer estimates any.
        measured: the measured disturbances now, (nw,) or by name, or rows from now on; see Measured.take.

        A solve that fails or a NaN is a status with ok False. The input then is that of the best
        plan found, else of the previous plan, else the steady-state target, else u_prev; within
        box and rates.

        Raises: ValueError for wrong shapes.
        """
        started = time.perf_counter()
        now = self._intake.take(x_hat, d_hat, reference, u_prev, v_hat, measured)
        acting = self._measured.acting(now.v, now.w)
        u_prev = self._last_input(now, acting)
        target = self._aimed(now, acting)
        solved = self._solve(now, u_prev, target, acting)
        u, rung = self._memory.choose(solved.plan, solved.rung, target, u_prev)
        troubles = [*now.troubles, solved.reason] if solved.reason else now.troubles
        self._intake.u_prev = u
        self._planned = solved.plan
        self._memory.advance(solved.plan, target)
        return StepResult(
            u=u,
            status="; ".join([rung, *troubles, *now.notes]),
            ok=not troubles,
            reachable=target.reachable,
            cost=solved.cost,
            solve_time=time.perf_counter() - started,
            violated=self._violated(solved.plan),
            predicted=_predict(now, solved.plan),
            target=target.y if target.ok else None,
        )

    def _aimed(self, now: Taken, acting: np.ndarray) -> Target:
        """The target for the last reference, brought back into the bounds of outputs: beyond, it is not reachable."""
        wanted = now.r[-1]
        held = np.minimum(np.maximum(wanted, self.bounds.y_min), self.bounds.y_max)
        target = self.aim.solve(*self._widened(held, now.d), acting)
        reachable = target.reachable
        if held.tobytes() != wanted.tobytes():
            beyond = (np.abs(held - wanted) > REACHED * self.scales.y_range) & (self.weights.y > 0)
            reachable = reachable and not bool(beyond.any())
        return Target(target.x, target.u, target.y[: len(held)], reachable, target.ok)

    def _widened(self, y: np.ndarray, d: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Outputs (..., ny) wanted and their disturbances with those of watched states, which nobody asks for."""
        return self._watched.pad(y, self._problem.scales.y_mid[len(d) :]), self._watched.pad(d, 0.0)

    def prepare(self) -> None:
        """With iterations=1, for after the input is applied: most of the next step's work, before its measurement.

        The step that follows only simulates the plan from the state that was found and solves the QP, with the
        derivatives along the forecast: a fraction of an iteration. Where it would do harm (a state far from the
        forecast) the step makes its iteration as without. Otherwise, and before the first plan, nothing happens. state
        does not keep it.
        """
        if self._planned is not None and self._memory.guess is not None:
            self._solvers.prepare(self._now._replace(x=self._planned.x[0]), self._memory.guess)

    def _drop_preparation(self) -> None:
        self._planned: Plan | None = None
        self._solvers.forget()

    def _last_input(self, now: Taken, acting: np.ndarray) -> np.ndarray:
        if self._intake.u_prev is None:
            held = None if now.y is None else self.target.solve(*self._widened(now.y, now.d), acting)
            self._intake.u_prev = self.scales.u_mid if held is None else held.u
        return np.minimum(np.maximum(self._intake.u_prev, self.bounds.u_min), self.bounds.u_max)

    def _solve(self, taken: Taken, u_prev: np.ndarray, target: Target, acting: np.ndarray) -> Solved:
        if taken.y is None:
            return Solved(None, np.inf, "", "NaN state estimate")
        m, nu = self._measured, len(u_prev)
        P, hold = self._end(target, acting)
        w, v = taken.w + taken.v[nu:], taken.v[:nu]
        x, x_s = m.state(taken.x, w), m.rest(target.x, w[-1])
        r, d = self._widened(taken.r[1:], taken.d)
        self._now = now = Situation(x, u_prev + v, d, r, x_s, target.u + v, m.pad(P), hold, v)
        return self._solvers.solve(now, self._memory.guess)

    def _violated(self, plan: Plan | None) -> tuple[str, ...]:
        if plan is None or not self._problem.soft.size:
            return ()
        broken = (self._problem.excess(plan.y) > VIOLATED * self._problem.scales.y_range).any(0)
        return tuple(self._watched.names[i] for i in np.flatnonzero(broken))


def _predict(now: Taken, plan: Plan | None) -> Prediction | None:
    if plan is None or now.y is None:
        return None
    return Prediction(plan.u.copy(), np.concatenate((now.y[None], plan.y[:, : len(now.y)])))
