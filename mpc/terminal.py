"""Terminal weight of the horizon problem: the cost that is still to come after the horizon."""

from typing import Any

import casadi as ca
import numpy as np
from scipy.linalg import solve_discrete_are

from .fast_call import FastCall
from .jacobian import jacobian
from .settings import Weights
from .system import System

# 2^DOUBLINGS steps: slower modes than that are treated as not stable.
DOUBLINGS = 20


class CostToGo:
    """P with |x - x_s|_P^2 = sum of the outputs' cost on the way to the target, to first order.

    A, B, C are linearised at the target. If A is stable the input is held at u_s, the auxiliary law
    that needs no terminal set:  P = A' P A + C' Q C.  Otherwise P is the LQR's (Riccati equation).

    Reference: Bonassi et al., terminal cost for incrementally stable networks (deltaISS: u = u_s is
    an admissible terminal law); Rawlings, Mayne, Diehl (2017), section 2.5.
    """

    def __init__(self, system: System, weights: Weights):
        x, u = ca.MX.sym("x", system.nx), ca.MX.sym("u", system.nu)
        (f,), (g,) = system.f.call([x, u], True, False), system.g.call([x], True, False)
        slopes: Any = [ca.densify(jacobian(f, x, u)), ca.densify(jacobian(g, x))]
        self._linearise = FastCall(ca.Function("linearise", [x, u], slopes, {"cse": True}))
        self._weights = weights
        self._last: tuple[bytes, Any] = (b"", None)

    def __call__(self, x: np.ndarray, u: np.ndarray) -> tuple[np.ndarray, float] | None:
        """P (nx, nx), and 1.0 if it belongs to holding u, else 0.0; None if there is none.

        x: target; u: all inputs as they act there, disturbances included
        """
        key = x.tobytes() + u.tobytes()
        if key != self._last[0]:
            self._last = key, self._at(x, u)
        return self._last[1]

    def _at(self, x: np.ndarray, u: np.ndarray) -> tuple[np.ndarray, float] | None:
        AB, C = self._linearise(x, u)
        AB, C = AB.reshape(-1, len(x)).T, C.reshape(len(x), -1).T
        if not (np.isfinite(AB).all() and np.isfinite(C).all()):
            return None
        A, B = AB[:, : len(x)], AB[:, len(x) : len(x) + len(self._weights.u)]
        Q = C.T @ (self._weights.y[:, None] * C)
        P = _sum_of_powers(A, Q)
        if P is not None:
            return P, 1.0
        return _riccati(A, B, Q, np.diag(self._weights.u + self._weights.du))


def _sum_of_powers(A: np.ndarray, Q: np.ndarray) -> np.ndarray | None:
    """sum_k A'^k Q A^k by doubling, or None if A is not stable."""
    P = Q
    for _ in range(DOUBLINGS):
        size = np.abs(A).max()
        if size < 1e-9:
            return (P + P.T) / 2
        if size > 1e9:
            return None
        P = P + A.T @ P @ A
        A = A @ A
    return None


def _riccati(A: np.ndarray, B: np.ndarray, Q: np.ndarray, R: np.ndarray) -> tuple[np.ndarray, float] | None:
    try:
        P = solve_discrete_are(A, B, Q, R)
    except (np.linalg.LinAlgError, ValueError):
        return None
    return ((P + P.T) / 2, 0.0) if np.isfinite(P).all() else None
