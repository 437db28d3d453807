"""The horizon problem in its moves alone, for models with many states and few inputs: roll-out, dense QP, search."""

import ctypes
from typing import Any

import numpy as np

from .c_numbers import FREE
from .cell import build_cell
from .compiled import load, sources
from .ocp import HorizonProblem
from .plan import Plan, Situation
from .sqp import MARGIN, SOLVED, STOPPED, Found, NumpySQP

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
        p, settings = problem, scaled_settings(problem)
        key = (p.system.f.serialize(), p.system.g.serialize(), *(v.tobytes().hex() for v in p.scales), str(p.blocks))
        self.library = load(key, lambda: sources(build_cell(p.system, p.scales), p.blocks))
        self.is_compiled = self.library is not None
        cell = None if self.is_compiled else build_cell(p.system, p.scales)
        self._solve = CompiledSQP(self.library, p, settings) if cell is None else NumpySQP(cell, p, settings)
        self._moves = np.array(p.blocks)
        self._prepared = False

    def prepare(self, situation: Situation, guess: Plan) -> None:
        """The part of an iteration from guess that needs no more than a forecast of x and d; solve does the rest."""
        self._prepared = self._solve.prepare(self._problem.pack(situation), self._first_guess(guess))

    def forget(self) -> None:
        """The next solve starts from the guess that it is given."""
        self._prepared = False

    def solve(self, situation: Situation, guess: Plan) -> tuple[Plan, float, str, bool]:
        """The optimal plan, its cost, how it ended, and whether it converged or made the iterations it was allowed."""
        p, s = self._problem, self._problem.scales
        max_iter = MAX_ITER if self.iterations is None else self.iterations
        now, by = p.pack(situation), situation.shift / s.u_half
        if self._prepared:
            found = self._solve.finish(now, by, self.tol)
        else:
            found = self._solve(now, self._first_guess(guess), by, max_iter, self.tol, self.max_time)
        self._prepared = False
        plan = Plan(
            u=(s.u_mid + s.u_half * found.u)[self._moves],
            x=s.x_mid + s.x_half * found.x,
            slack=p.excess(s.y_mid + s.y_range * found.y),
        )
        done = found.status == SOLVED or (found.status == STOPPED and self.iterations is not None)
        return plan, found.cost * p.cost_unit, REASONS[found.status], done and bool(np.isfinite(found.cost))

    def _first_guess(self, guess: Plan) -> np.ndarray:
        """Moves (moves, nu), scaled."""
        s = self._problem.scales
        return ((guess.u - s.u_mid) / s.u_half)[self._problem.first_stage]

    def rows(self) -> np.ndarray:
        """Rows (n, 2) at work in the last QP, index and side, where the next one starts."""
        return self._solve.rows()

    def start_from(self, rows: np.ndarray) -> None:
        self._solve.start_from(rows)


class CompiledSQP:
    """One controller's memory, and the compiled solver working in it; call and result as NumpySQP's."""

    def __init__(self, library: Any, problem: HorizonProblem, settings: np.ndarray):
        sys, N = problem.system, problem.N
        self._library = library
        self._settings, self._now = settings.copy(), np.zeros(problem.size_of_situation)
        shape = 2, sys.nu  # u_low, u_high
        self._given, self._box = (a[_box(problem)].reshape(shape) for a in (settings, self._settings))
        self._work = np.zeros(library.work_size() // 8 + 1)
        self._u, self._x = np.zeros((len(problem.first_stage), sys.nu)), np.zeros((N, sys.nx))
        self._y, self._report = np.zeros((N, sys.ny)), np.zeros(2)
        memory = (self._settings, self._now, self._work, self._u, self._x, self._y, self._report)
        self._pointers = tuple(ctypes.c_void_p(a.ctypes.data) for a in memory)
        # row, side (and two more) of every row, then how many are at work: the end of struct QP
        row, end = (library.rows_offset() // 4, library.rows_end() // 4)
        self._rows = self._work.view(np.int32)[row:end]

    def __call__(self, now: np.ndarray, u: np.ndarray, by: Any, max_iter: int, tol: float, max_time: float) -> Found:
        self._now[:], self._u[:] = now, u
        np.add(self._given, by, out=self._box)
        return self._found(self._library.solve(*self._pointers, max_iter, tol, max_time))

    def prepare(self, now: np.ndarray, u: np.ndarray) -> bool:
        """See NumpySQP.prepare."""
        self._now[:], self._u[:] = now, u
        return bool(self._library.prepare(*self._pointers[:4]))

    def finish(self, now: np.ndarray, by: Any, tol: float) -> Found:
        """See NumpySQP.finish."""
        self._now[:] = now
        np.add(self._given, by, out=self._box)
        return self._found(self._library.finish(*self._pointers, tol))

    def _found(self, status: int) -> Found:
        cost, iterations = self._report
        return Found(status, self._u, self._x, self._y, float(cost), int(iterations))

    def rows(self) -> np.ndarray:
        """See CondensedSolver.rows."""
        per_kind = len(self._rows) // 4
        return self._rows[: 2 * per_kind].reshape(2, -1)[:, : self._rows[4 * per_kind]].T.copy()

    def start_from(self, rows: np.ndarray) -> None:
        per_kind = len(self._rows) // 4
        self._rows[4 * per_kind] = len(rows)
        self._rows[: 2 * per_kind].reshape(2, -1)[:, : len(rows)] = rows.T


def _box(problem: HorizonProblem) -> slice:
    """Where u_low and u_high stand in the settings."""
    nu, ny = problem.system.nu, problem.system.ny
    first = ny + 2 * nu + 1
    return slice(first, first + 2 * nu)


def scaled_settings(problem: HorizonProblem) -> np.ndarray:
    """Weights and bounds in scaled numbers, in the order of C's struct Settings."""
    s, b = problem.scales, problem.bounds
    parts = [*problem.stage_weights(), [problem.soft_penalty]]
    parts += [(b.u_min - s.u_mid) / s.u_half, (b.u_max - s.u_mid) / s.u_half, b.du_max / s.u_half]
    parts += [(b.y_min - s.y_mid) / s.y_range, (b.y_max - s.y_mid) / s.y_range]
    return np.clip(np.concatenate(parts), -FREE, FREE)
