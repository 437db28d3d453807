"""Extended Kalman filter for state and output disturbance."""

from typing import Any

import casadi as ca
import numpy as np

from .names import channel_vector
from .observers import Estimate, advance, check_measurement, rest_state, warm_up
from .system import System, check_system, evaluate


class EKF:
    """Extended Kalman filter on z = [x; d], with d a random walk on every output.

    x+ = f(x, u) + w,   d+ = d + w_d,   y = g(x) + d + v

    measurement_std: v, in units of y; scalar, array (ny,) or dict by name
    disturbance_std: w_d per step, in units of y; 0 leaves d out
    process_std: w per step, in the state's own scale (a learned state has no unit): scalar or (nx,)
    x0_std, d0_std: uncertainty at reset; default 10 steps of process_std, disturbance_std

    Reference: Anderson and Moore (1979), chapter 8; update in Joseph's form.
    Raises: ValueError for negative deviations, a measurement_std of zero or unknown names.
    """

    def __init__(
        self,
        system: System,
        measurement_std: Any,
        disturbance_std: Any,
        process_std: Any,
        *,
        x0_std: Any = None,
        d0_std: Any = None,
    ):
        check_system(system)
        self.system = system
        states = tuple(f"x{i + 1}" for i in range(system.nx))
        v = channel_vector("measurement_std", measurement_std, system.y_names, np.nan)
        w_d = channel_vector("disturbance_std", disturbance_std, system.y_names, 0.0)
        w = channel_vector("process_std", process_std, states, 0.0)
        x0 = channel_vector("x0_std", x0_std, states, 10 * w)
        d0 = channel_vector("d0_std", d0_std, system.y_names, 10 * w_d)
        if not (v > 0).all():
            raise ValueError(f"measurement_std is {v}; every output needs a positive one")
        if min(w.min(), w_d.min(), x0.min(), d0.min()) < 0:
            raise ValueError("standard deviations must not be negative")
        self._R = np.diag(v**2)
        self._Q = np.diag(np.concatenate([w, w_d]) ** 2)
        self._P0 = np.diag(np.concatenate([x0, d0]) ** 2)
        x, u = ca.MX.sym("x", system.nx), ca.MX.sym("u", system.nu)
        f: Any = system.f(x, u)
        g: Any = system.g(x)
        self._A = ca.Function("A", [x, u], [ca.jacobian(f, x)])
        self._C = ca.Function("C", [x], [ca.jacobian(g, x)])
        self.x, self.d = np.array(system.x0, float), np.zeros(system.ny)
        self.P = self._P0.copy()

    def reset(self, y0: np.ndarray, u0: np.ndarray | None = None) -> None:
        """See Observer.reset."""
        y0 = check_measurement(self.system, y0)
        self.x = rest_state(self.system, y0, u0)
        known = np.isfinite(y0) & (np.diag(self._Q)[self.system.nx :] > 0)
        self.d = np.where(known, np.nan_to_num(y0 - evaluate(self.system.g, self.x)), 0.0)
        self.P = self._P0.copy()

    def start(self, x: np.ndarray, d: np.ndarray | None = None) -> None:
        """Start from a known state x (nx,) and disturbance d (ny,), as uncertain as at reset."""
        self.x = np.array(x, float).reshape(self.system.nx)
        self.d = np.zeros(self.system.ny) if d is None else np.array(d, float)
        self.P = self._P0.copy()

    def update(self, u_prev: np.ndarray | None, y: np.ndarray) -> Estimate:
        """See Observer.update."""
        y = check_measurement(self.system, y)
        if u_prev is not None:
            self._predict(u_prev)
        e = y - evaluate(self.system.g, self.x) - self.d
        self._correct(e)
        return Estimate(self.x, self.d, e)

    def _predict(self, u_prev: np.ndarray) -> None:
        nx = self.system.nx
        A = np.eye(len(self.P))
        A[:nx, :nx] = _matrix(self._A, self.x, u_prev)
        self.x = advance(self.system, self.x, u_prev)
        self._accept(A @ self.P @ A.T + self._Q)

    def _correct(self, e: np.ndarray) -> None:
        seen = np.isfinite(e)
        C = np.hstack([_matrix(self._C, self.x), np.eye(self.system.ny)])[seen]
        R = self._R[np.ix_(seen, seen)]
        K = np.linalg.solve(C @ self.P @ C.T + R, C @ self.P).T
        z = np.concatenate([self.x, self.d]) + K @ e[seen]
        if not np.isfinite(z).all():
            return
        self.x, self.d = z[: self.system.nx], z[self.system.nx :]
        J = np.eye(len(z)) - K @ C
        self._accept(J @ self.P @ J.T + K @ R @ K.T)

    def _accept(self, P: np.ndarray) -> None:
        """A covariance that overflowed says nothing any more: start it again."""
        self.P = (P + P.T) / 2 if np.isfinite(P).all() else self._P0.copy()

    def warm_up(self, u_past: np.ndarray, y_past: np.ndarray) -> Estimate:
        """See observers.warm_up."""
        return warm_up(self, u_past, y_past)


def _matrix(function: ca.Function, *args: np.ndarray) -> np.ndarray:
    result: Any = function(*args)
    return result.full()


def is_disturbance_detectable(system: System, x: np.ndarray, u: np.ndarray) -> bool:
    """Whether output disturbances can be told from the state near (x, u): no integrating mode seen.

    rank [A - I, 0; C, I] = nx + ny, that is det(A - I) != 0

    Reference: Pannocchia and Rawlings (2003), proposition 1.
    """
    x_sym, u_sym = ca.MX.sym("x", system.nx), ca.MX.sym("u", system.nu)
    f: Any = system.f(x_sym, u_sym)
    A = _matrix(ca.Function("A", [x_sym, u_sym], [ca.jacobian(f, x_sym)]), x, u)
    smallest = np.linalg.svd(A - np.eye(system.nx), compute_uv=False)[-1]
    return bool(smallest > 1e-9 * max(1.0, float(np.abs(A).max())))
