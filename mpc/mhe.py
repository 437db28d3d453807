"""Moving horizon estimation: state and disturbances that explain the last measurements best, within bounds."""

from collections.abc import Mapping
from copy import copy
from typing import Any

import numpy as np

from .ekf import EKF
from .names import channel_intervals
from .observers import Estimate, check_input, check_measurement, warm_up
from .system import System, evaluate, state_names
from .window import Window


class MHE:
    """min  |zeta|^2 + sum_i |omega_i|^2 + sum_i |(y_i - H(z_i)) / sigma|^2   over the last `window` steps,

    z_0 = z' + S zeta,   z_{i+1} = F(z_i, u_i) + W omega_i,   z = [x; v; d] within bounds.

    z', S S' = P' summarise what came before the window: an EKF that runs `window` steps behind (exact for a linear
    system, where MHE is the Kalman filter). A missing measurement has no term. Solved by Gauss-Newton's method, a
    Kalman smoother iterated (see Smoother); where a bound is met or that fails, by IPOPT with the same steps: first
    derivatives of F, which is all that residuals as small as noise need. Where the problem is not solved, in max_time
    (s, half of it for either) or at all, the estimate goes on open loop, and `ok` is False. alone() is without IPOPT.

    Deviations as for EKF; bounds: {"x": {"x1": (low, high)}, "v": {input: }, "d": {output: }}, None leaves a side free

    Reference: Rao, Rawlings, Mayne (2003), IEEE TAC 48; Rawlings, Mayne, Diehl (2017), chapter 4.
    Raises: as DisturbanceFilter; ValueError for a window that is not a whole number >= 1, or bounds that contradict.
    """

    def __init__(
        self,
        system: System,
        measurement_std: Any,
        disturbance_std: Any,
        process_std: Any,
        *,
        window: int = 10,
        bounds: Mapping[str, Any] | None = None,
        max_time: float | None = None,
        **deviations: Any,
    ):
        if window != int(window) or window < 1:
            raise ValueError(f"window is {window}; give a whole number of steps, at least one")
        self._behind = EKF(system, measurement_std, disturbance_std, process_std, **deviations)
        self.system, self.window, self._model = system, int(window), self._behind.model
        self._problem = Window(self._behind, self.window, self._limits(bounds or {}), max_time)
        self.z, self.ok = self._behind.z.copy(), True
        self._clear()

    def _limits(self, bounds: Mapping[str, Any]) -> np.ndarray:
        """Lower and upper bound of z, (2, nz)."""
        s, m = self.system, self._model
        names = (state_names(s), s.u_names, s.y_names)
        sides = zip(*(channel_intervals(f"bounds[{k!r}]", bounds.get(k), n, -np.inf, np.inf)
                      for k, n in zip("xvd", names, strict=True)), strict=True)  # fmt: skip
        return np.array([m.join(*side) for side in sides])

    @property
    def x(self) -> np.ndarray:
        """State (nx,) as estimated last."""
        return self.z[: self.system.nx].copy()

    def reset(self, y0: np.ndarray, u0: np.ndarray | None = None) -> None:
        """See Observer.reset."""
        self._behind.reset(y0, u0)
        self.z = self._behind.z.copy()
        self._clear()

    def start(self, x: np.ndarray, d: np.ndarray | None = None, v: np.ndarray | None = None) -> None:
        """See DisturbanceFilter.start."""
        self._behind.start(x, d, v)
        self.z = self._behind.z.copy()
        self._clear()

    def _clear(self) -> None:
        self._us, self._ys = np.empty((0, self.system.nu)), np.empty((0, self.system.ny))

    def update(self, u_prev: np.ndarray | None, y: np.ndarray) -> Estimate:
        """See Observer.update."""
        y = check_measurement(self.system, y)
        if u_prev is not None:
            self._pass(check_input(u_prev, self.system.u_names))
        e = y - evaluate(self._model.H, self.z)
        # without time between them, the later of two measurements counts
        self._ys = np.vstack([self._ys[: len(self._us)], y])
        found = self._problem.solve(self._behind, self._us, self._ys)
        self.ok = found is not None
        self.z = self.z if found is None else found
        x, v, d = self._model.split(self.z)
        return Estimate(x, d, e, v)

    def _pass(self, u: np.ndarray) -> None:
        """Time passes with u (nu,): the estimate goes on open loop, and what is too old is summarised."""
        if len(self._ys) == 0:
            self._ys = np.full((1, self.system.ny), np.nan)
        self._us = np.vstack([self._us, u])
        z = evaluate(self._model.F, self.z, u)
        self.z = z if np.isfinite(z).all() else self.z
        if len(self._us) > self.window:
            self._behind.absorb(self._ys[0], self._us[0])
            self._us, self._ys = self._us[1:], self._ys[1:]

    def alone(self) -> "MHE":
        """A copy without IPOPT, as export_c writes it in C: where Gauss-Newton's method fails, or a bound is met, the
        estimate goes on open loop.
        """
        twin = copy(self)
        twin._behind, twin._problem = copy(self._behind), self._problem.alone()
        return twin

    def warm_up(self, u_past: np.ndarray, y_past: np.ndarray) -> Estimate:
        """See observers.warm_up."""
        return warm_up(self, u_past, y_past)

    def state(self) -> dict[str, np.ndarray]:
        """See Observer.state."""
        behind = {f"behind_{name}": v for name, v in self._behind.state().items()}
        return {**behind, "now": self.z.copy(), "us": self._us.copy(), "ys": self._ys.copy()}

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        """See Observer.restore."""
        self._behind.restore({name: state[f"behind_{name}"] for name in self._behind.state()})
        self.z, self._us, self._ys = (np.array(state[name], float) for name in ("now", "us", "ys"))
