"""The rest point that was asked for, else the nearest one: in NumPy, and compiled."""

import ctypes
from collections.abc import Callable
from typing import Any

import casadi as ca
import numpy as np

from .fast_call import FastCall
from .nearest import Asked, NearestRest

NEWTON_STEPS, ROOT = 10, 1e-10
# An output so little out of its bounds is in them.
WITHIN = 1e-9


class RestSearch:
    """Newton's method on x = f(x, u), g(x) = wanted; where that leaves the box or the bounds of outputs, or outputs
    outnumber inputs, the nearest. Inputs that are to rest somewhere rest there, if the others do for the outputs. Call
    and result as NearestRest's.

    cell: as Cell's; counted: outputs that count, the first so many with points to be at; nu: inputs that are to be
    found, the further ones have their box shrunk to a point; nearest: makes what finds the nearest, when it is first
    needed
    """

    def __init__(
        self, cell: ca.Function, counted: np.ndarray, points: int, nu: int, nearest: Callable[[], NearestRest]
    ):
        self._evaluate, self._counted, self._points, self._nu = FastCall(cell), counted, points, nu
        self._nearest, self._ny = nearest, cell.size1_out(1)

    def solve(self, x: np.ndarray, asked: Asked) -> np.ndarray | None:
        z = self._root(x, asked)
        return self._nearest().solve(x, asked) if z is None else z

    def _root(self, x: np.ndarray, asked: Asked) -> np.ndarray | None:
        """A root of [f - x; g(f) - wanted] inside the box, or None."""
        n_y, nx, is_open = self._points, len(x), np.isnan(asked.rest)
        is_open[self._nu :] = False
        if n_y > is_open.sum():
            return None
        start = np.where(is_open, asked.u_last, np.where(np.isnan(asked.rest), asked.low, asked.rest))
        z, moving = np.concatenate([x, start]), np.flatnonzero(np.append(np.ones(nx, bool), is_open))
        for _ in range(NEWTON_STEPS):
            f, y, J, C = self._evaluate(z[:nx], z[nx:])
            J, C, y = J.reshape(-1, nx).T, C.reshape(nx, self._ny).T[self._counted[:n_y]], y[self._counted]
            residual = np.concatenate([f - z[:nx], y[:n_y] - asked.wanted[:n_y, 0]])
            J = np.vstack([J - np.eye(*J.shape), C @ J])
            if not (np.isfinite(residual).all() and np.isfinite(J).all()):
                return None
            if np.abs(residual).max() < ROOT:
                inside = (z[nx:] >= asked.low).all() and (z[nx:] <= asked.high).all()
                return z if inside and (np.abs(y - np.clip(y, *asked.wanted.T)) <= WITHIN).all() else None
            z = z.copy()
            z[moving] -= _least_norm(J[:, moving], residual)
        return None


class CompiledRest:
    """RestSearch by a compiled controller's library: the text of c/target.c. All inputs are to be found."""

    def __init__(self, library: Any, counted: np.ndarray, points: int, Q: np.ndarray, nu: int, ny: int):
        self._library, count = library, len(counted)
        kinds = [("count", "i4"), ("points", "i4"), ("counted", "i4", 2 * ny), ("found", "i4"), ("Q", "f8", 2 * ny)]
        kinds += [("low", "f8", nu), ("high", "f8", nu), ("rest", "f8", nu), ("share", "f8", ny)]
        self._settings = np.zeros((), np.dtype(kinds, align=True))  # struct TargetSettings
        self._settings["count"], self._settings["points"], self._settings["share"] = count, points, 1.0
        self._settings["found"] = nu
        self._settings["counted"][:count], self._settings["Q"][:count] = counted, Q
        self._low, self._high, self._rest = (self._settings[name] for name in ("low", "high", "rest"))
        self._memory = [np.zeros(size() // 8 + 1) for size in (library.rest_size, library.work_size)]

    def solve(self, x: np.ndarray, asked: Asked) -> np.ndarray | None:
        self._low[:], self._high[:], self._rest[:] = asked.low, asked.high, asked.rest
        z, wanted = np.concatenate([x, asked.u_last]), np.array(asked.wanted, float)
        arrays = (self._settings, *self._memory, wanted, z)
        return z if self._library.find_rest(*(ctypes.c_void_p(a.ctypes.data) for a in arrays)) else None


def _least_norm(J: np.ndarray, residual: np.ndarray) -> np.ndarray:
    if J.shape[0] == J.shape[1]:
        try:
            return np.linalg.solve(J, residual)
        except np.linalg.LinAlgError:
            pass  # singular: the least-squares step below still exists
    return np.linalg.lstsq(J, residual, rcond=None)[0]
