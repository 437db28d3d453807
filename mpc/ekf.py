"""Extended Kalman filter for state and disturbances, and its variant with a constant gain."""

from collections.abc import Mapping
from typing import Any

import casadi as ca
import numpy as np
from scipy.linalg import solve_discrete_are

from .filters import DisturbanceFilter
from .system import System, evaluate


class EKF(DisturbanceFilter):
    """Extended Kalman filter on [x; v; d]; arguments as DisturbanceFilter.

    Reference: Anderson and Moore (1979), chapter 8; update in Joseph's form.
    """

    def __init__(self, *args: Any, **settings: Any):
        super().__init__(*args, **settings)
        self.P = self.initial.copy()

    def absorb(self, y: np.ndarray, u: np.ndarray) -> None:
        """Take y (ny,), measured now, and then u (nu,), held from now on: what is left is the prediction."""
        self._correct(y - evaluate(self.model.H, self.z))
        self._predict(u)

    def state(self) -> dict[str, np.ndarray]:
        """See Observer.state."""
        return {**super().state(), "P": self.P.copy()}

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        """See Observer.restore."""
        super().restore(state)
        self.P = np.array(state["P"], float).reshape(self.P.shape)

    def _forget(self) -> None:
        self.P = self.initial.copy()

    def _predict(self, u: np.ndarray) -> None:
        A = self.model.A(self.z, u)
        self._advance(u)
        self._accept(A @ self.P @ A.T + self.Q)

    def _correct(self, e: np.ndarray) -> None:
        seen = np.isfinite(e)
        C, R = self.model.C(self.z)[seen], self.R[np.ix_(seen, seen)]
        K = np.linalg.solve(C @ self.P @ C.T + R, C @ self.P).T
        z = self.z + K @ e[seen]
        if not np.isfinite(z).all():
            return
        self.z = z
        J = np.eye(len(z)) - K @ C
        self._accept(J @ self.P @ J.T + K @ R @ K.T)

    def _accept(self, P: np.ndarray) -> None:
        """A covariance that overflowed says nothing any more: start it again."""
        self.P = (P + P.T) / 2 if np.isfinite(P).all() else self.initial.copy()


class DisturbanceObserver(DisturbanceFilter):
    """z(k) = z'(k) + K (y(k) - H(z'(k))),  z'(k) = F(z(k-1), u(k-1)),  with one gain K; arguments as DisturbanceFilter.

    K is that of the Kalman filter at rest in the middle of the input box; `rate` is the spectral radius of the
    error's linearisation (I - K C) A there. For a stable or mildly nonlinear process a hundredth of an EKF's work.

    Reference: Pannocchia and Rawlings (2003), section 2.
    Raises: also ValueError where no gain makes the error converge.
    """

    def __init__(self, *args: Any, **settings: Any):
        super().__init__(*args, **settings)
        x, u = self.points[0]
        z = np.concatenate([x, np.zeros(len(self.z) - len(x))])
        A, C = self.model.A(z, u), self.model.C(z)
        try:
            P = solve_discrete_are(A.T, C.T, self.Q, self.R)
        except (np.linalg.LinAlgError, ValueError) as failure:
            raise ValueError(
                f"no constant gain makes this observer converge at rest in the middle of the input box ({failure}); "
                "give every unstable state a process_std, or use EKF"
            ) from failure
        self.K = np.linalg.solve(C @ P @ C.T + self.R, C @ P).T
        self.rate = float(np.abs(np.linalg.eigvals((np.eye(len(z)) - self.K @ C) @ A)).max())

    def _forget(self) -> None:
        """Nothing: the gain is constant."""

    def _predict(self, u: np.ndarray) -> None:
        self._advance(u)

    def _correct(self, e: np.ndarray) -> None:
        z = self.z + self.K @ np.nan_to_num(e, nan=0.0)
        self.z = z if np.isfinite(z).all() else self.z


def is_disturbance_detectable(system: System, x: np.ndarray, u: np.ndarray) -> bool:
    """Whether output disturbances can be told from the state near (x, u): no integrating mode seen.

    rank [A - I, 0; C, I] = nx + ny, that is det(A - I) != 0

    Reference: Pannocchia and Rawlings (2003), proposition 1.
    """
    x_sym, u_sym = ca.MX.sym("x", system.nx), ca.MX.sym("u", system.nu)
    f: Any = system.f(x_sym, u_sym)
    slope: Any = ca.Function("A", [x_sym, u_sym], [ca.jacobian(f, x_sym)])(x, u)
    A = slope.full()
    smallest = np.linalg.svd(A - np.eye(system.nx), compute_uv=False)[-1]
    return bool(smallest > 1e-9 * max(1.0, float(np.abs(A).max())))
