"""A System played as the process of a closed-loop run."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from .measured import Measured
from .names import channel_vector, check_names
from .system import System, check_system, evaluate


class SystemProcess:
    """Simulates a System, with measurement noise and disturbances that are added where named.

    x+ = f(x, u + d_u),  y = g(x) + d_y,  measured y + noise_std N(0, 1)

    Disturbances: "d_<input>" and "d_<output>", constant from the moment they are sent until they
    are sent anew. The input is clipped to the box before d_u is added, as an actuator would.

    measured: the system's last inputs, in its order, if nobody moves them: disturbances by their own names, at the
        middle of their box until they are sent
    noise_std: units of y; scalar, array (ny,) or dict by name
    x0: (nx,) initial state; default the system's
    """

    def __init__(
        self, system: System, noise_std: Any = 0.0, x0: np.ndarray | None = None, measured: Sequence[str] = ()
    ):
        check_system(system)
        self.system, self.dt = system, system.dt
        moved = Measured(system, measured, 0).system
        self.u_names, self.y_names = moved.u_names, system.y_names
        self.u_units, self.y_units = moved.u_units, system.y_units
        self.u_min, self.u_max = moved.u_min, moved.u_max
        self.disturbance_names = (*(f"d_{n}" for n in self.u_names), *measured, *(f"d_{n}" for n in self.y_names))
        self._d0 = np.concatenate([0 * self.u_min, moved.x0[system.nx :], np.zeros(system.ny)])
        self._noise = channel_vector("noise_std", noise_std, self.y_names, 0.0)
        self._x0 = np.array(system.x0 if x0 is None else x0, float)
        if self._x0.shape != (system.nx,):
            raise ValueError(f"x0 has shape {self._x0.shape}, the system has nx = {system.nx}")
        self.reset()

    def reset(self, seed: int = 0) -> None:
        """Back to x0, without disturbances, the noise from seed."""
        self.x = self._x0.copy()
        self._d = self._d0.copy()
        self._random = np.random.default_rng(seed)
        self._error = self._draw()

    def output(self) -> np.ndarray:
        """y (ny,) without noise."""
        return evaluate(self.system.g, self.x) + self._d[self.system.nu :]

    def measure(self) -> np.ndarray:
        """y (ny,) with noise; the same number however often it is read."""
        return self.output() + self._error

    def apply(self, u: np.ndarray, **disturbance: float) -> None:
        """Hold u (nu,) for dt."""
        check_names("disturbance", disturbance, self.disturbance_names)
        for name, value in disturbance.items():
            self._d[self.disturbance_names.index(name)] = value
        u = np.clip(np.asarray(u, float), self.u_min, self.u_max)
        more = np.zeros(self.system.nu - len(u))
        self.x = evaluate(self.system.f, self.x, np.concatenate([u, more]) + self._d[: self.system.nu])
        self._error = self._draw()

    def _draw(self) -> np.ndarray:
        return self._noise * self._random.standard_normal(self.system.ny)
