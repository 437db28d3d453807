"""What the filters for state and disturbances share: their settings, their start, and what they remember."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np

from .augmented import Augmented, Rest, channels, check_detectable
from .names import channel_vector
from .observers import Estimate, check_input, check_measurement, rest_state, warm_up
from .system import System, check_system, evaluate, state_names


class DisturbanceFilter(ABC):
    """Estimates z = [x; v; d] of  x+ = f(x, u + v) + w,  v+ = v + w_v,  d+ = d + w_d,  y = g(x) + d + e.

    measurement_std: e, in units of y; scalar, array (ny,) or dict by name
    disturbance_std: w_d per step, in units of y; 0 leaves an output's disturbance out
    process_std: w per step, in the state's own scale (a learned state has no unit): scalar or (nx,)
    input_disturbance_std: w_v per step, in units of u; 0 leaves an input's disturbance out
        Large beside the disturbances' deviations it explains a lasting error by itself, and offsets go away slowly:
        DisturbanceObserver.rate tells how slowly
    x0_std, d0_std, v0_std: uncertainty at reset; default 10 steps of the three above

    Raises: ValueError for negative deviations, a measurement_std of zero, unknown names, and disturbances that the
    measurements cannot tell (see check_detectable).
    """

    def __init__(
        self,
        system: System,
        measurement_std: Any,
        disturbance_std: Any,
        process_std: Any,
        *,
        input_disturbance_std: Any = 0.0,
        x0_std: Any = None,
        d0_std: Any = None,
        v0_std: Any = None,
    ):
        check_system(system)
        self.system = system
        states = state_names(system)
        e = channel_vector("measurement_std", measurement_std, system.y_names, np.nan)
        w_d = channel_vector("disturbance_std", disturbance_std, system.y_names, 0.0)
        w_v = channel_vector("input_disturbance_std", input_disturbance_std, system.u_names, 0.0)
        w = channel_vector("process_std", process_std, states, 0.0)
        x0 = channel_vector("x0_std", x0_std, states, 10 * w)
        d0 = channel_vector("d0_std", d0_std, system.y_names, 10 * w_d)
        v0 = channel_vector("v0_std", v0_std, system.u_names, 10 * w_v)
        if not (e > 0).all():
            raise ValueError(f"measurement_std is {e}; every output needs a positive one")
        if min(part.min() for part in (w, w_d, w_v, x0, d0, v0)) < 0:
            raise ValueError("standard deviations must not be negative")
        self.model = Augmented(system, channels(w_v), channels(w_d))
        self.R = np.diag(e**2)
        self.Q = np.diag(self.model.join(w, w_v, w_d) ** 2)
        self.initial = np.diag(self.model.join(x0, v0, d0) ** 2)
        self.points = rest_points(system)
        check_detectable(self.model, self.points)
        self.z = np.concatenate([np.array(system.x0, float), np.zeros(len(self.Q) - system.nx)])

    @property
    def x(self) -> np.ndarray:
        """State (nx,) as estimated last."""
        return self.z[: self.system.nx].copy()

    @property
    def d(self) -> np.ndarray:
        """Output disturbance (ny,)."""
        return self.model.split(self.z)[2]

    @property
    def v(self) -> np.ndarray:
        """Input disturbance (nu,)."""
        return self.model.split(self.z)[1]

    def reset(self, y0: np.ndarray, u0: np.ndarray | None = None) -> None:
        """See Observer.reset."""
        y0 = check_measurement(self.system, y0)
        x = rest_state(self.system, y0, u0)
        self.start(x, np.nan_to_num(y0 - evaluate(self.system.g, x), nan=0.0))

    def start(self, x: np.ndarray, d: np.ndarray | None = None, v: np.ndarray | None = None) -> None:
        """Start from a known state x (nx,), disturbances d (ny,) and v (nu,), as uncertain as at reset."""
        x = np.array(x, float).reshape(self.system.nx)
        d = np.zeros(self.system.ny) if d is None else np.array(d, float)
        v = np.zeros(self.system.nu) if v is None else np.array(v, float)
        self.z = self.model.join(x, v, d)
        self._forget()

    def update(self, u_prev: np.ndarray | None, y: np.ndarray) -> Estimate:
        """See Observer.update."""
        y = check_measurement(self.system, y)
        if u_prev is not None:
            self._predict(check_input(u_prev, self.system.u_names))
        e = y - evaluate(self.model.H, self.z)
        self._correct(e)
        x, v, d = self.model.split(self.z)
        return Estimate(x, d, e, v)

    def warm_up(self, u_past: np.ndarray, y_past: np.ndarray) -> Estimate:
        """See observers.warm_up."""
        return warm_up(self, u_past, y_past)

    def state(self) -> dict[str, np.ndarray]:
        """See Observer.state."""
        return {"z": self.z.copy()}

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        """See Observer.restore."""
        self.z = np.array(state["z"], float).reshape(self.z.shape)

    def _advance(self, u: np.ndarray) -> None:
        """The model's step, unless it leads nowhere."""
        z = evaluate(self.model.F, self.z, u)
        self.z = z if np.isfinite(z).all() else self.z

    @abstractmethod
    def _forget(self) -> None:
        """Uncertainty back to that at reset."""

    @abstractmethod
    def _predict(self, u: np.ndarray) -> None:
        """One step of the model with u (nu,)."""

    @abstractmethod
    def _correct(self, e: np.ndarray) -> None:
        """Move z by what the measurement says; e = y - H(z) (ny,), NaN where nothing was measured."""


def rest_points(system: System) -> list[Rest]:
    """Where inputs at the middle, at a quarter and at three quarters of their box lead to."""
    low, high = np.asarray(system.u_min), np.asarray(system.u_max)
    levels = [low + share * (high - low) for share in (0.5, 0.25, 0.75)]
    return [Rest(rest_state(system, np.zeros(system.ny), u), u) for u in levels]
