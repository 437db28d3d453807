"""Sequential quadratic programming on the moves, for where there is no compiler: the text of c/sqp.c in Python."""

import time
from typing import NamedTuple

import numpy as np

from .cell import Cell
from .horizon import Horizon
from .ocp import HorizonProblem
from .plan import Plan, Situation
from .qp import Row, solve_qp

SOLVED, STOPPED, TIMED_OUT, STUCK, BROKEN = range(5)
# Share of the promised decrease that a step must keep, rounding of the cost, and the factor by which
# the promised decrease must fall for Gauss-Newton not to count as slow.
SUFFICIENT, ROUNDING, SLOW = 1e-4, 1e-13, 0.1
# The tolerance is this much smaller than what was asked for, which will do where more costs too much: after so many
# iterations, or where no step lowers the cost any more.
MARGIN, PATIENCE = 100, 10
# Promised decreases beyond this are no ground to foresee the next.
SURE = 1e-6
# What the last step may cost: it promises less than the tolerance of the QP's rows, and is taken whole, so that no
# rounding decides how much of it.
LAST = 1e-6
SMALLEST_STEP = 1e-4
# Least curvature that is put in the place of none, as a share of the largest.
FLAT = 1e-6


# One of the numbers above; the plan; its cost, scaled.
Found = tuple[int, Plan, float]


class Limits(NamedTuple):
    """Of a solve: until a promised decrease is below tol (1 + cost), or iterations are max_iter, or s are max_time."""

    max_iter: int
    tol: float
    max_time: float


class NumpySQP:
    """One controller's solver around CasADi's virtual machine; arguments as Horizon's."""

    def __init__(self, cell: Cell, problem: HorizonProblem, settings: np.ndarray, limits: Limits):
        self._limits = limits
        self._problem, self._horizon = problem, (h := Horizon(cell, problem, settings))
        self._hard = 2 * h.nv
        self._A = np.vstack([np.eye(h.nv), h.D, np.zeros((h.N * h.ny, h.nv))])
        self._price = np.concatenate([np.full(self._hard, np.inf), np.tile(h.c, h.N)])
        self._box = h.u_low, h.u_high
        self._rows: list[Row] = []
        self._qp: tuple[np.ndarray, ...] = ()

    def __call__(self, now: Situation, guess: Plan) -> Found:
        """From the guess to one of the limits."""
        self._horizon.take(self._problem.pack(now))
        return self._optimise(self._scaled(guess), self._limits)

    def _optimise(self, u: np.ndarray, limits: Limits) -> Found:
        max_iter, tol, max_time = limits
        start, before, slow, E, i, h = time.perf_counter(), np.inf, False, None, 0, self._horizon
        self._set_bounds()
        U, status = self._limit(u), STOPPED
        while status == STOPPED and i < max_iter:
            h.linearise(U)
            cost = h.cost(U, h.x, h.y)
            E = self._curvature() if slow else E
            H = h.gauss_newton()
            H = H if E is None else H + E
            is_finite = np.isfinite(cost) and np.isfinite(H).all()
            d, slope, quadratic = self._solve_qp(U, _factor(H)) if is_finite else (None, 0.0, 0.0)
            if d is None:
                return self._found(BROKEN, U, h.x, h.y, np.inf)
            promised, unit = -slope - quadratic, 1 + abs(cost)
            last = promised <= (1 if i < PATIENCE else MARGIN) * tol * unit
            U, step = self._go(U, d, cost, slope, LAST if last else ROUNDING)
            i += 1
            # promises fall by the same factor from one whole step to the next, or faster: the next is known
            sure = step == 1 and i > 1 and promised <= SURE * unit and promised**2 <= tol * unit * before
            if last or sure:
                status = SOLVED
            elif step == 0:
                status = SOLVED if promised <= MARGIN * tol * unit else STUCK
            elif time.perf_counter() - start > max_time:
                status = TIMED_OUT
            slow, before = promised > SLOW * before, promised
        x, y = h.simulate(U)
        return self._found(status, U, x, y, h.cost(U, x, y))

    def prepare(self, now: Situation, guess: Plan) -> bool:
        """The part of an iteration that needs no more than a forecast of x and d; False if it fails.

        Reference: Diehl, Bock, Schloeder (2005), SIAM J. Control Optim. 43, 1714-1736.
        """
        self._horizon.take(self._problem.pack(now))
        self._prepared = self._scaled(guess)
        self._horizon.linearise(self._prepared)
        H = self._horizon.gauss_newton()
        self._ready = _factor(H) if np.isfinite(H).all() else None
        return self._ready is not None

    def finish(self, now: Situation) -> Found:
        """The rest of it: a whole step with those derivatives, from the x and d that were found.

        Where that costs more than the guess, they are too far from what was foreseen: an iteration from the guess.
        """
        h, U = self._horizon, self._prepared
        h.start_anew(self._problem.pack(now), U)
        self._set_bounds()
        cost = h.cost(U, h.x, h.y)
        d = self._solve_qp(U, self._ready)[0] if np.isfinite(cost) else None
        to, then = (U, np.inf) if d is None else self._at(U, d)
        if not then <= cost:
            return self._optimise(U, Limits(1, self._limits.tol, np.inf))
        x, y = h.simulate(to)
        return self._found(STOPPED, to, x, y, then)

    def rows(self) -> np.ndarray:
        """See CondensedSolver.rows."""
        return np.array([(r.index, r.side) for r in self._rows], int).reshape(-1, 2)

    def start_from(self, rows: np.ndarray) -> None:
        self._rows = [Row(int(index), int(side), False, 0.0) for index, side in rows]

    def _scaled(self, guess: Plan) -> np.ndarray:
        """Moves, one after the other."""
        s = self._problem.scales
        return ((guess.u[self._problem.first_stage] - s.u_mid) / s.u_half).ravel()

    def _found(self, status: int, U: np.ndarray, x: np.ndarray, y: np.ndarray, cost: float) -> Found:
        return status, self._problem.unpack(np.concatenate([U, x[1:].ravel(), y.ravel()])), cost

    def _set_bounds(self) -> None:
        """Of all rows, with the inputs' box moved by the disturbance."""
        h, moves = self._horizon, self._horizon.nv // self._horizon.nu
        h.u_low, h.u_high = (side + h.shift for side in self._box)
        sides = (h.u_low, h.fall, h.y_low), (h.u_high, h.rise, h.y_high)
        self._low, self._high = (
            np.concatenate([np.tile(side, n) for side, n in zip(s, (moves, moves, h.N), strict=True)]) for s in sides
        )

    def _limit(self, u: np.ndarray) -> np.ndarray:
        """The moves nearest to u, one after the other, that keep box and rates."""
        h, limited = self._horizon, []
        last, *bounds = (side.tolist() for side in (h.u_prev, h.fall, h.rise, h.u_low, h.u_high))
        for wanted in u.reshape(-1, h.nu).tolist():
            moved = zip(wanted, last, *bounds, strict=True)
            last = [min(max(min(max(w, v + fall), v + rise), low), high) for w, v, fall, rise, low, high in moved]
            limited += last
        return np.array(limited)

    def _solve_qp(self, U: np.ndarray, L: np.ndarray | None) -> tuple[np.ndarray | None, float, float]:
        """Step d, the change of the cost along it to first order (convex parts whole), and the rest of the QP's."""
        h = self._horizon
        if L is None:
            return None, 0.0, 0.0
        g = h.gradient(U)
        self._A[self._hard :] = h.JY
        at = np.concatenate([U, h.D @ U - h.first, h.y.ravel()])
        low, high = self._low - at, self._high - at
        self._qp = L, g, low, high
        found = solve_qp(L, g, self._A, low, high, self._price, self._rows)
        if found is None:
            return None, 0.0, 0.0
        d, self._rows = found
        slope = g @ d + h.price(h.y + (h.JY @ d).reshape(h.y.shape)) - h.price(h.y)
        return d, float(slope), float(0.5 * ((d @ L) ** 2).sum())

    def _curvature(self) -> np.ndarray:
        rows = [r._replace(index=r.index - self._hard) for r in self._rows if r.index >= self._hard]
        return self._horizon.curvature(rows)

    def _go(self, U: np.ndarray, d: np.ndarray, cost: float, slope: float, rise: float) -> tuple[np.ndarray, float]:
        """U + step d with the largest step that pays, and that step; U and 0 if none does."""
        allowed, step = cost + rise * (1 + abs(cost)), 1.0
        to, then = self._at(U, d)
        if then <= allowed + SUFFICIENT * slope:
            return to, step
        corrected = self._correct(to, d)
        if corrected is not None:
            to, then = self._at(U, corrected)
            if then <= allowed + SUFFICIENT * slope:
                return to, step
        while (step := step / 2) > SMALLEST_STEP:
            to, then = self._at(U, step * d)
            if then <= allowed + SUFFICIENT * step * slope:
                return to, step
        return U, 0.0

    def _at(self, U: np.ndarray, d: np.ndarray) -> tuple[np.ndarray, float]:
        """U + d in the box, and its cost."""
        h = self._horizon
        to = np.minimum(np.maximum(U + d, self._low[: h.nv]), self._high[: h.nv])
        return to, h.cost(to, *h.simulate(to))

    def _correct(self, to: np.ndarray, d: np.ndarray) -> np.ndarray | None:
        """Second-order correction, after a whole step: d from the QP whose soft rows are bent as the model bends.

        Outputs held at a bound leave it by the model's curvature, and its steep price then forbids the steps of
        Newton's method, however near the optimum. None if no soft row is at work, or none can be found.

        Reference: Maratos (1978); Fletcher (1982), Lecture Notes in Mathematics 912, 85-114.
        """
        h = self._horizon
        if not any(r.index >= self._hard for r in self._rows):
            return None
        bent = (h.simulate(to)[1] - h.y).ravel() - h.JY @ d
        L, g, low, high = self._qp
        low, high = (np.concatenate([side[: self._hard], side[self._hard :] - bent]) for side in (low, high))
        found = solve_qp(L, g, self._A, low, high, self._price, self._rows)
        if found is None:
            return None
        corrected, self._rows = found
        return corrected


def _factor(H: np.ndarray) -> np.ndarray | None:
    """Cholesky factor of H with the sign of its negative eigenvalues turned; None if it has no positive ones either.

    Where the cost bends down, a step is as short as it bends.
    """
    try:
        return np.linalg.cholesky(H)
    except np.linalg.LinAlgError:
        w, V = np.linalg.eigh(H)
    try:
        return np.linalg.cholesky(V * np.maximum(np.abs(w), FLAT * np.abs(w).max()) @ V.T)
    except np.linalg.LinAlgError:
        return None
