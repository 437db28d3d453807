"""A process behind its instruments: what a controller, or an experiment, really deals with."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from .instruments import Change, Instrument, Line


class Around:
    """What a process offers, passed on from the one inside."""

    def __init__(self, process: Any):
        self.process, self.plant, self.dt = process, process.plant, process.dt
        self.u_names, self.y_names = process.u_names, process.y_names
        self.u_units, self.y_units = process.u_units, process.y_units
        self.u_min, self.u_max = process.u_min, process.u_max
        self.disturbance_names = process.disturbance_names

    @property
    def x(self) -> np.ndarray:
        """True state x(k) (nx,)."""
        return self.process.x

    def output(self) -> np.ndarray:
        """y(k) (ny,) of the plant, without any sensor."""
        return self.process.output()


class Instrumented(Around):
    """A process seen through sensors and moved through actuators, each row applied in its order.

    y(k) = sensors(process.measure()),   process.apply(actuators(u(k)))

    process: of a plant (with noise=False where `sensors` hold the noise), or another composition. u0 (nu,): where the
    actuators stand before k = 0; it is needed where there are any. Give a Saturation the actuator limits of the plant:
    what reaches the process from beyond them is an error. Every run repeats by the seed of reset().
    """

    def __init__(
        self,
        process: Any,
        sensors: Sequence[Instrument] = (),
        actuators: Sequence[Instrument] = (),
        u0: Sequence[float] | np.ndarray | None = None,
        seed: int = 0,
    ):
        super().__init__(process)
        if actuators and u0 is None:
            raise ValueError(f"actuators need u0, where they stand before k = 0: one number for each of {self.u_names}")
        self.sensors, self.actuators = tuple(sensors), tuple(actuators)
        self._u0 = np.zeros(len(self.u_names)) if u0 is None else np.array(u0, dtype=float).reshape(-1)
        if self._u0.shape != (len(self.u_names),):
            raise ValueError(f"u0 has {self._u0.size} entries, it needs one for each of {self.u_names}")
        self.reset(seed)

    def reset(self, seed: int = 0) -> None:
        """Back to k = 0, the chance of every instrument from `seed`."""
        self.process.reset(seed)
        sensed = Line(tuple(self.y_names), self.dt, self.process.measure())
        moved = Line(tuple(self.u_names), self.dt, self._u0)
        self._sense = [s.start(sensed, np.random.default_rng([seed, 1, i])) for i, s in enumerate(self.sensors)]
        self._move = [a.start(moved, np.random.default_rng([seed, 2, i])) for i, a in enumerate(self.actuators)]
        self._reading = _through(self._sense, self.process.measure())

    def measure(self) -> np.ndarray:
        """y(k) (ny,) as the sensors show it, NaN where a sample is missing; the same however often it is read."""
        return self._reading.copy()

    def apply(self, u: Sequence[float] | np.ndarray, **disturbance: float) -> None:
        """Send u (nu,) to the actuators, hold what they make of it for dt, then stand at k + 1."""
        self.process.apply(_through(self._move, np.array(u, dtype=float).reshape(-1)), **disturbance)
        self._reading = _through(self._sense, self.process.measure())


class Jittered(Around):
    """A process whose samples come early or late: at k dt + e(k), e(k) uniform, up to `most` of the inner steps.

    dt = every process.dt: the sampling time that is believed. Measurement and actuation share the instant. The inner
    process runs in steps of its own dt, so nothing is interpolated; e(0) = 0.
    """

    def __init__(self, process: Any, every: int, most: int, seed: int = 0):
        super().__init__(process)
        if not 0 <= 2 * most < every:
            raise ValueError(f"most = {most}, every = {every}: samples keep their order only if 0 <= 2 most < every")
        self.dt, self._every, self._most = every * process.dt, every, most
        self.reset(seed)

    def reset(self, seed: int = 0) -> None:
        """Back to k = 0, the instants from `seed`."""
        self.process.reset(seed)
        self._random, self._late = np.random.default_rng([seed, 3]), 0

    def measure(self) -> np.ndarray:
        """y (ny,) at the instant k dt + e(k)."""
        return self.process.measure()

    def apply(self, u: Sequence[float] | np.ndarray, **disturbance: float) -> None:
        """Hold u (nu,) until the next instant, dt + e(k+1) - e(k) later."""
        late = int(self._random.integers(-self._most, self._most, endpoint=True))
        for _ in range(self._every + late - self._late):
            self.process.apply(u, **disturbance)
        self._late = late


def _through(changes: list[Change], signal: np.ndarray) -> np.ndarray:
    for change in changes:
        signal = change(signal)
    return signal
