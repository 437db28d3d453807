"""Observer of models that take their own innovation as an input: gated networks with certified gains, or any other."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from .measured import Measured
from .names import channel_vector
from .observers import AT_REST, REST_STEPS, Estimate, check_input, check_measurement, warm_up
from .system import System, check_system, evaluate
from .target import SteadyTarget


class CertifiedObserver:
    """x(k+1) = f(x(k), [u(k); e(k)]),   e(k) = y(k) - g(x(k)),   for a system whose last ny inputs are e.

    rnn_control's design_observer makes such a system of a GRU or an LSTM and states the rate of |x - x^|. The
    disturbance is the innovation, filtered for the controller: d+ = d + gain (e - d). Controlled by
    NMPC(system, measured=innovations), whose prediction holds e, it leaves no offset: at rest the observer rests where
    the prediction does, and y = g(x) + d.

    gain: scalar, array (ny,) or dict by name, 0 < gain <= 1
    x_max: (nx,) box |x_i| <= x_max_i to which x is clipped, as the certificate of an LSTM asks; default: the system's
        own x_max, if it has one

    Reference: Morari and Maeder (2012), with the disturbance acting as the correction does.
    """

    def __init__(self, system: System, gain: Any = 0.5, *, x_max: Any = None):
        check_system(system)
        if system.nu <= system.ny:
            raise ValueError(f"the system has {system.nu} inputs; its last {system.ny} must be the innovation of y")
        self.system, self.nu = system, system.nu - system.ny
        self._u_names = system.u_names[: self.nu]
        self.gain = channel_vector("gain", gain, system.y_names, 0.5)
        if not ((self.gain > 0) & (self.gain <= 1)).all():
            raise ValueError(f"gain is {self.gain}; the innovation is filtered with 0 < gain <= 1")
        box = getattr(system, "x_max", None) if x_max is None else x_max
        self.x_max = np.full(system.nx, np.inf) if box is None else np.asarray(box, float).reshape(system.nx)
        self.x, self.e, self.d = np.array(system.x0, float), np.zeros(system.ny), np.zeros(system.ny)

    def reset(self, y0: np.ndarray, u0: np.ndarray | None = None) -> None:
        """See Observer.reset; u0 (nu,) without the innovation. At rest e = y0 - g(x), if such a rest is found."""
        y0, s = check_measurement(self.system, y0), self.system
        self.e, self.x = np.zeros(s.ny), np.array(s.x0, float)
        if u0 is None:
            y_rest = np.where(np.isfinite(y0), y0, evaluate(s.g, self.x))
            target = self.rest_search().solve(y_rest)
            self.x = target.x if target.ok else self.x
        else:
            self._settle(y0, check_input(u0, self._u_names))
        self.e = np.nan_to_num(y0 - evaluate(s.g, self.x), nan=0.0)
        self.d = self.e.copy()

    def rest_search(self) -> SteadyTarget:
        """The search for the rest that explains an output without any innovation."""
        s, nu = self.system, self.nu
        _, scales = Measured(s, s.u_names[nu:], 0).scales(None)
        return SteadyTarget(s, u_min=s.u_min[:nu], u_max=s.u_max[:nu], scales=scales)

    def _settle(self, y0: np.ndarray, u0: np.ndarray) -> None:
        """Where the observer itself leads under u0 and y0: at the certified rate if there is one."""
        for _ in range(REST_STEPS):
            before = self.x
            self.e = np.nan_to_num(y0 - evaluate(self.system.g, self.x), nan=0.0)
            self._advance(u0)
            if (np.abs(self.x - before) <= AT_REST * (1 + np.abs(before))).all():
                return

    def update(self, u_prev: np.ndarray | None, y: np.ndarray) -> Estimate:
        """See Observer.update; u_prev (nu,) without the innovation."""
        y = check_measurement(self.system, y)
        if u_prev is not None:
            self._advance(check_input(u_prev, self._u_names))
        e = y - evaluate(self.system.g, self.x)
        seen = np.isfinite(e)
        self.d = self.d + self.gain * np.where(seen, np.nan_to_num(e) - self.d, 0.0)
        self.e = np.where(seen, e, self.d)
        return Estimate(self.x.copy(), self.d.copy(), e - self.d, w=self.d.copy())

    def _advance(self, u: np.ndarray) -> None:
        x = evaluate(self.system.f, self.x, np.concatenate([u, self.e]))
        self.x = np.clip(x, -self.x_max, self.x_max) if np.isfinite(x).all() else self.x

    def warm_up(self, u_past: np.ndarray, y_past: np.ndarray) -> Estimate:
        """See observers.warm_up."""
        return warm_up(self, u_past, y_past)

    def state(self) -> dict[str, np.ndarray]:
        """See Observer.state."""
        return {"x": self.x.copy(), "e": self.e.copy(), "d": self.d.copy()}

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        """See Observer.restore."""
        self.x, self.e, self.d = (np.array(state[name], float) for name in ("x", "e", "d"))
