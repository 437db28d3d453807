"""The horizon problem in its moves alone, for models with many states and few inputs: roll-out, dense QP, search."""

import ctypes
from math import isfinite
from typing import Any

import numpy as np

from .c_numbers import FREE
from .cell import build_cell
from .compiled import load, sources
from .ocp import HorizonProblem
from .plan import Plan, Situation
from .sqp import MARGIN, SOLVED, STOPPED, Found, Limits, NumpySQP

MAX_ITER = 60
REASONS = ("solved", "iteration limit", "Time limit reached", "no step lowers the cost", "NaN in the model or its QP")


class CondensedSolver:
    """Solves a HorizonProblem by sequential quadratic programming on its moves, to the same optimum as IPOPT.

    States and slacks are eliminated: what is left is a dense QP in moves x nu unknowns, whatever nx. Compiled where
    there is a C compiler, and in NumPy around CasADi's virtual machine where there is none.

    iterations: how many a call may make, 1 for a real-time iteration; None: until converged
    """

    def __init__(self, problem: HorizonProblem, tol: float, max_time: float | None, iterations: int | None = None):
        self._problem, self.tol, self.iterations = problem, tol / MARGIN, iterations
        self.max_time = np.inf if max_time is None else max_time
        limits = Limits(MAX_ITER if iterations is None else iterations, self.tol, self.max_time)
        p, settings = problem, scaled_settings(problem)
        key = (p.system.f.serialize(), p.system.g.serialize(), *(v.tobytes().hex() for v in p.scales), str(p.blocks))
        self.library = load(key, lambda: sources(build_cell(p.system, p.scales), p.blocks))
        self.is_compiled = self.library is not None
        if self.is_compiled:
            self._solve = CompiledSQP(self.library, p, settings, limits)
        else:
            self._solve = NumpySQP(build_cell(p.system, p.scales), p, settings, limits)
        self._prepared = False

    def prepare(self, situation: Situation, guess: Plan) -> None:
        """The part of an iteration from guess that needs no more than a forecast of x and d; solve does the rest."""
        self._prepared = self._solve.prepare(situation, guess)

    def forget(self) -> None:
        """The next solve starts from the guess that it is given."""
        self._prepared = False

    def solve(self, situation: Situation, guess: Plan) -> tuple[Plan, float, str, bool]:
        """The optimal plan, its cost, how it ended, and whether it converged or made the iterations it was allowed."""
        found = self._solve.finish(situation) if self._prepared else self._solve(situation, guess)
        status, plan, cost = found
        self._prepared = False
        done = status == SOLVED or (status == STOPPED and self.iterations is not None)
        return plan, cost * self._problem.cost_unit, REASONS[status], done and isfinite(cost)

    def rows(self) -> np.ndarray:
        """Rows (n, 2) at work in the last QP, index and side, where the next one starts."""
        return self._solve.rows()

    def start_from(self, rows: np.ndarray) -> None:
        self._solve.start_from(rows)


class CompiledSQP:
    """One controller's memory, and the compiled solver working in it; call and result as NumpySQP's."""

    def __init__(self, library: Any, problem: HorizonProblem, settings: np.ndarray, limits: Limits):
        self._library, self._problem, self._P = library, problem, None
        memory, known = np.zeros(library.task_size() // 8), np.concatenate([settings, *problem.scales, limits])
        # of struct Task, in its order
        sizes = len(known), 2, *problem.sizes, problem.P_unit.size, 1
        first, self._report, found, self._given, P, self._hold, _ = np.split(memory, np.cumsum(sizes))
        first[:], self._scaled_P, self._move_of_stage = known, P.reshape(problem.P_unit.shape), np.array(problem.blocks)
        self._moves, self._x, self._y = problem.parts(found)
        self._task = ctypes.c_void_p(memory.ctypes.data)
        # row, side (and two more) of every row, then how many are at work: the end of struct QP
        row, end = (library.rows_offset() // 4, library.rows_end() // 4)
        self._rows = memory.view(np.int32)[row:end]

    def __call__(self, now: Situation, guess: Plan) -> Found:
        guess.u.take(self._problem.first_stage, axis=0, out=self._moves)
        return self._run(self._library.solve, now)

    def prepare(self, now: Situation, guess: Plan) -> bool:
        """See NumpySQP.prepare."""
        guess.u.take(self._problem.first_stage, axis=0, out=self._moves)
        return bool(self._run(self._library.prepare, now)[0])

    def finish(self, now: Situation) -> Found:
        """See NumpySQP.finish."""
        return self._run(self._library.finish, now)

    def _run(self, call: Any, now: Situation) -> Found:
        # all in one function: where others have worked since the last sample, every further one is a wait for memory
        parts = now.x, now.u_prev, now.d, now.reference.ravel(), now.x_s, now.u_s, now.shift
        np.concatenate(parts, out=self._given)
        if now.P is not self._P:  # which is large, and mostly the last one
            np.divide(now.P, self._problem.P_unit, out=self._scaled_P)
            self._P = now.P
        self._hold[0] = now.hold
        status = call(self._task)
        u = self._moves.take(self._move_of_stage, axis=0)
        return status, Plan(u, self._x.copy(), self._y.copy()), self._report.item(0)

    def rows(self) -> np.ndarray:
        """See CondensedSolver.rows."""
        per_kind = len(self._rows) // 4
        return self._rows[: 2 * per_kind].reshape(2, -1)[:, : self._rows[4 * per_kind]].T.copy()

    def start_from(self, rows: np.ndarray) -> None:
        per_kind = len(self._rows) // 4
        self._rows[4 * per_kind] = len(rows)
        self._rows[: 2 * per_kind].reshape(2, -1)[:, : len(rows)] = rows.T


def scaled_settings(problem: HorizonProblem) -> np.ndarray:
    """Weights and bounds in scaled numbers, in the order of C's struct Settings."""
    s, b = problem.scales, problem.bounds
    parts = [*problem.stage_weights(), problem.soft_penalty]
    parts += [(b.u_min - s.u_mid) / s.u_half, (b.u_max - s.u_mid) / s.u_half, b.du_min / s.u_half]
    parts += [b.du_max / s.u_half]
    parts += [(b.y_min - s.y_mid) / s.y_range, (b.y_max - s.y_mid) / s.y_range]
    return np.clip(np.concatenate(parts), -FREE, FREE)
