"""From a situation to a plan: the solver that was asked for, the one that steps in, and the best they left."""

from collections.abc import Iterator, Mapping
from copy import copy
from typing import Literal, NamedTuple, get_args

import numpy as np

from .condensed import CondensedSolver
from .fatrop import FatropSolver
from .ipopt import IpoptSolver
from .ocp import HorizonProblem
from .plan import Plan, Situation

# An f of more scalar operations than this (an integrator with many substeps) takes a C compiler minutes.
SCALAR_OPERATIONS = 300
Name = Literal["condensed", "condensed alone", "fatrop", "ipopt"]


class Solved(NamedTuple):
    """A plan, its cost, its rung of the ladder ("solved", ...), and why it is no better; no plan: None and inf."""

    plan: Plan | None
    cost: float
    rung: str
    reason: str


class Solvers:
    """Condensed, fatrop or IPOPT, each tried from the guess and from rest; IPOPT also stands in for the other two,
    unless the condensed one is to work alone.

    Where none converges, or max_time is over, the best of what they came to, if it beats the guess.

    Raises: ValueError for an unknown solver, or limits that are not positive.
    """

    def __init__(
        self,
        problem: HorizonProblem,
        solver: Name | None,
        iterations: int | None,
        max_time: float | None,
        tol: float,
    ):
        if solver is None:
            scalars = problem.system.f.is_a("SXFunction") and problem.system.f.n_instructions() > SCALAR_OPERATIONS
            solver = "ipopt" if scalars else "condensed"
        if solver not in get_args(Name):
            raise ValueError(f"solver is {solver!r}; choose 'condensed', 'condensed alone', 'fatrop' or 'ipopt'")
        if iterations is not None and (not solver.startswith("condensed") or iterations < 1):
            raise ValueError(f"iterations is {iterations}; at least 1, and of the condensed solver only")
        if max_time is not None and not max_time > 0:
            raise ValueError(f"max_time is {max_time}, it must be positive (seconds)")
        if max_time is not None and solver == "fatrop":
            raise ValueError("fatrop cannot keep a max_time; choose solver='condensed' or 'ipopt'")
        self._problem, self._tol, self._max_time = problem, tol, max_time
        self._rung = "solved" if iterations is None else "real-time iteration"
        self._ipopt, self._alone, self.library = None, solver in ("condensed alone", "ipopt"), None
        if solver == "ipopt":
            self._first = IpoptSolver(problem, tol, max_time)
        elif solver == "fatrop":
            self._first = FatropSolver(problem, tol)
        else:
            self._first = CondensedSolver(problem, tol, max_time, iterations)
            self.library = self._first.library
        self.are_slow = not isinstance(self._first, CondensedSolver)

    def alone(self) -> "Solvers":
        """The same, with nothing that stands in."""
        twin = copy(self)
        twin._alone = True
        return twin

    def solve(self, now: Situation, guess: Plan | None) -> Solved:
        """guess and the plan found hold inputs u, as they are applied; now and all inside hold u + v."""
        v = now.shift
        is_shifted = any(v.tolist())
        start = self._problem.cold_plan(now) if guess is None else guess
        if is_shifted and guess is not None:
            start = guess._replace(u=guess.u + v)
        plan, cost, reason, ok = self._first.solve(now, start)
        solved = Solved(plan, cost, self._rung, "") if ok else self._retry(now, start, guess is None, plan, reason)
        if is_shifted and solved.plan is not None:
            return solved._replace(plan=solved.plan._replace(u=solved.plan.u - v))
        return solved

    def prepare(self, now: Situation, guess: Plan) -> None:
        """What of a real-time iteration can be done before the state is known; no other solver does anything."""
        if isinstance(self._first, CondensedSolver) and self._first.iterations == 1:
            self._first.prepare(now, guess._replace(u=guess.u + now.shift))

    def forget(self) -> None:
        """What was prepared does not count any more."""
        if isinstance(self._first, CondensedSolver):
            self._first.forget()

    def state(self) -> dict[str, np.ndarray]:
        """What the solver starts the next call from, beside the guess."""
        return {"rows": self._first.rows()} if isinstance(self._first, CondensedSolver) else {}

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        if isinstance(self._first, CondensedSolver) and "rows" in state:
            self._first.start_from(np.asarray(state["rows"]))

    def _retry(self, now: Situation, start: Plan, is_cold: bool, plan: Plan, reason: str) -> Solved:
        tried = [plan]
        for solver, first in self._others(now, start, is_cold):
            if "Time" in reason:
                break
            plan, cost, reason, ok = solver.solve(now, first)
            if ok:
                return Solved(plan, cost, self._rung, "")
            tried.append(plan)
        best = self._problem.best(now, start, tried)
        return Solved(None, np.inf, "", reason) if best is None else Solved(*best, "best iterate", reason)

    def _others(
        self, now: Situation, start: Plan, is_cold: bool
    ) -> Iterator[tuple[CondensedSolver | FatropSolver | IpoptSolver, Plan]]:
        if not is_cold:
            yield self._first, self._problem.cold_plan(now)
        if not self._alone:
            if self._ipopt is None:
                self._ipopt = IpoptSolver(self._problem, self._tol, self._max_time)
            yield self._ipopt, start
