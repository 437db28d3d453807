"""Integral action around a controller: offset-free without an observer of disturbances."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from .closed_loop import mark_missing
from .fast_call import FastCall
from .names import channel_vector
from .nmpc import NMPC
from .observers import advance, check_input, check_measurement, rest_state
from .reference import as_preview
from .step_result import StepResult


class IntegralNMPC:
    """x(k) = f(x(k-1), u(k-1)),   d(k) = d(k-1) + K (y(k) - a(k)),   u(k) = NMPC(x, d, r),   d on the model's outputs

    a(k) is what the controller aimed for at k - 1: the reference of k by its preview, or where that is out of reach
    the nearest outputs at rest, cut to the bounds of outputs, so that nothing winds up; it still may where bounds and
    the box of the inputs only together keep an output from a. At rest y = a: no offset, whatever the model, the
    disturbances and what the controller makes of them. An integrator needs K small, about dt / the loop's settling
    time; it answers to disturbances more slowly than an OffsetFreeObserver does, and overshoots after changes of the
    reference. The model must be stable, for x is never corrected. Runs without an observer:
    run(process, controller, None, reference).

    controller: an NMPC without measured disturbances; gain: K per step, scalar, (ny,) or dict by name, 0 < K < 2

    Reference: Pannocchia and Rawlings (2003), with the error of tracking in the place of the innovation.
    Raises: ValueError for measured disturbances, or another gain.
    """

    takes_measurement = True

    def __init__(self, controller: NMPC, gain: Any = 0.05):
        self.controller, self.system = controller, controller.system
        if tuple(controller.u_names) != tuple(self.system.u_names):
            raise ValueError("the controller has measured disturbances, which integral action does not read")
        self.u_names, self.y_names, self.dt = controller.u_names, controller.y_names, controller.dt
        self.horizon, self.bounds = controller.horizon, controller.bounds
        self.gain = channel_vector("gain", gain, self.y_names, 0.05)
        if not ((self.gain > 0) & (self.gain < 2)).all():
            raise ValueError(f"gain is {self.gain}; the integral of the error takes 0 < gain < 2 per step")
        self._f, self._g = FastCall(self.system.f), FastCall(self.system.g)
        self.reset()

    def reset(self, u_prev: np.ndarray | None = None) -> None:
        """Forget state and integral; u_prev (nu,) is the input applied until now."""
        self.controller.reset(u_prev)
        ny, nothing = self.system.ny, np.full(self.system.nu, np.nan)
        self._u = nothing if u_prev is None else check_input(u_prev, self.u_names)
        self._x, self.d = np.full(self.system.nx, np.nan), np.zeros(ny)
        self._aim = np.full(ny, np.nan)

    def follow(self, u: np.ndarray) -> None:
        """Manual operation: u (nu,) is applied by somebody else. The next step starts from its rest, without a bump."""
        self.reset(u)

    def state(self) -> dict[str, np.ndarray]:
        """See NMPC.state."""
        own = {"x": self._x, "d": self.d, "u": self._u, "aim": self._aim}
        return {**self.controller.state(), **{f"integral_{name}": value.copy() for name, value in own.items()}}

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        """See NMPC.restore."""
        own = (np.array(state[f"integral_{name}"], float) for name in ("x", "d", "u", "aim"))
        self._x, self.d, self._u, self._aim = own
        self.controller.restore({name: v for name, v in state.items() if not name.startswith("integral_")})

    def step(
        self,
        x_hat: np.ndarray,
        d_hat: np.ndarray | None,
        reference: Any,
        u_prev: np.ndarray | None = None,
        v_hat: np.ndarray | None = None,
        measured: Any = None,
    ) -> StepResult:
        """Input for y measured, given as x_hat (ny,), NaN where missing; reference and u_prev as in NMPC."""
        y, r = check_measurement(self.system, x_hat), as_preview(reference, self.y_names, self.horizon)
        self._u = self._u if u_prev is None or not np.isfinite(u_prev).all() else check_input(u_prev, self.u_names)
        if np.isnan(self._x).any():
            self._x = rest_state(self.system, y, self._u if np.isfinite(self._u).all() else None)
            self.d = np.nan_to_num(y - self._g(self._x)[0])
        else:
            self._x = advance(self._f, self._x, self._u)
            self.d = self.d + self.gain * np.nan_to_num(y - self._aim)
        result = mark_missing(self.controller.step(self._x, self.d, reference, u_prev), y, self.y_names)
        ahead = np.nan_to_num(r[1] - r[-1]) if result.reachable else 0.0
        target = np.full(len(y), np.nan) if result.target is None else result.target + ahead
        self._u, self._aim = result.u, np.clip(target, self.bounds.y_min, self.bounds.y_max)
        return result
