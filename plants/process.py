"""A plant running in steps of dt: what closed-loop simulations drive."""

from collections.abc import Sequence
from typing import Any

import numpy as np


class Process:
    """The plant at instant k: measure y(k), then apply u(k) for dt seconds, which leads to k+1.

    plant: the process. dt in s. x0 (nx,). d (nd,): disturbances held unless apply() says
    otherwise. noise: whether measure() adds the sensors' noise, reproducible by seed.
    """

    def __init__(
        self,
        plant: Any,
        dt: float,
        x0: np.ndarray,
        d: np.ndarray,
        noise: bool = True,
        seed: int = 0,
    ):
        self.plant = plant
        self.dt = dt
        self.u_names, self.y_names = plant.u_names, plant.y_names
        self.u_units, self.y_units = plant.u_units, plant.y_units
        self.u_min, self.u_max = plant.u_min, plant.u_max
        self.disturbance_names = plant.disturbance_names
        self._x0, self._d = x0, d
        self._simulate, self._g = plant.simulator(dt), plant.output_function()
        self._noise = plant.y_noise if noise else 0.0 * plant.y_noise
        self._x = x0
        self._k = 0
        self._random = np.random.default_rng(seed)
        self._error = self._draw()

    @property
    def x(self) -> np.ndarray:
        """True state x(k) (nx,)."""
        return self._x.copy()

    @property
    def time(self) -> float:
        """k dt, s."""
        return self._k * self.dt

    def reset(self, seed: int = 0) -> None:
        """Back to x0 at k = 0, with the sensor noise of `seed`."""
        self._x = self._x0
        self._k = 0
        self._random = np.random.default_rng(seed)
        self._error = self._draw()

    def output(self) -> np.ndarray:
        """y(k) (ny,), noise-free."""
        return np.asarray(self._g(self._x)).reshape(-1)

    def measure(self) -> np.ndarray:
        """y(k) (ny,) as the sensors show it; the same number however often it is read."""
        return self.output() + self._error

    def apply(self, u: Sequence[float] | np.ndarray, **disturbance: float) -> None:
        """Hold u (nu,), and the disturbances named, for dt seconds, then stand at k + 1.

        Raises ValueError for an unknown disturbance or u beyond the actuators, RuntimeError where
        the integration fails or leads to a physically impossible state.
        """
        held = dict(zip(self.disturbance_names, self._d, strict=True))
        d = self.plant.disturbance_vector(held | disturbance)
        self._x = self._integrate(self.plant.check_input(u), d)
        self._k += 1
        self._error = self._draw()

    def _integrate(self, u: np.ndarray, d: np.ndarray) -> np.ndarray:
        where = f"{self.plant.name} from t = {self.time:g} s, u = {u.tolist()}, d = {d.tolist()}"
        try:
            x = np.asarray(self._simulate(x0=self._x, p=np.concatenate([u, d]))["xf"]).reshape(-1)
        except RuntimeError as error:
            raise RuntimeError(f"the integrator failed: {where}, x = {self._x.tolist()}") from error
        fault = self.plant.impossible(x)
        if fault:
            raise RuntimeError(f"the state became physically impossible: {where}: {fault}")
        return x

    def _draw(self) -> np.ndarray:
        return self._noise * self._random.standard_normal(self._noise.size)
