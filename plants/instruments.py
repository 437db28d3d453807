"""What sensors and actuators do to a signal: each a frozen record, to be put in a row around any process.

Values are in the unit of the signal: a number for all channels, an array with one a channel, or a dict by name whose
other channels are left alone.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import ArrayLike

Value = ArrayLike | Mapping[str, float]
Change = Callable[[np.ndarray], np.ndarray]  # the signal (n,) at instant k, as it comes in and goes out


class Line(NamedTuple):
    """The signals an instrument is put into: their names, the sampling time (s), and their values before k = 0 (n,)."""

    names: tuple[str, ...]
    dt: float
    rest: np.ndarray

    def values(self, value: Value, otherwise: float, label: str) -> np.ndarray:
        """One number a channel (n,)."""
        if isinstance(value, Mapping):
            unknown = sorted(set(value) - set(self.names))
            if unknown:
                raise ValueError(f"{label} names {unknown}; the channels are {self.names}")
            value = [value.get(name, otherwise) for name in self.names]
        try:
            values = np.broadcast_to(np.asarray(value, dtype=float), len(self.names))
        except ValueError:
            raise ValueError(f"{label} = {value} must be one number, or one for each of {self.names}") from None
        if np.any(np.isnan(values)):
            raise ValueError(f"{label} = {values.tolist()} must not be NaN")
        return values

    def positive(self, value: Value, otherwise: float, label: str) -> np.ndarray:
        """The same, none of them negative."""
        values = self.values(value, otherwise, label)
        if np.any(values < 0):
            raise ValueError(f"{label} = {values.tolist()} must not be negative")
        return values


class Instrument(Protocol):
    """start() gives the change of one run: a function called once an instant, in order of time."""

    def start(self, line: Line, random: np.random.Generator) -> Change: ...


@dataclass(frozen=True)
class Noise:
    """y + std N(0, 1), white."""

    std: Value

    def start(self, line: Line, random: np.random.Generator) -> Change:
        std = line.positive(self.std, 0.0, "Noise.std")
        return lambda y: y + std * random.standard_normal(std.size)


@dataclass(frozen=True)
class Drift:
    """y + b,  b(k+1) = b(k) + rate dt + walk sqrt(dt) N(0, 1),  b(0) = 0; rate in unit/s, walk in unit/sqrt(s)."""

    rate: Value = 0.0
    walk: Value = 0.0

    def start(self, line: Line, random: np.random.Generator) -> Change:
        rate, walk = line.values(self.rate, 0.0, "Drift.rate"), line.positive(self.walk, 0.0, "Drift.walk")
        b = np.zeros(rate.size)

        def change(y: np.ndarray) -> np.ndarray:
            drifted = y + b
            b[:] += rate * line.dt + walk * line.dt**0.5 * random.standard_normal(b.size)
            return drifted

        return change


@dataclass(frozen=True)
class Quantisation:
    """The nearest multiple of `step`: of a converter, or of digits shown."""

    step: Value

    def start(self, line: Line, random: np.random.Generator) -> Change:
        step = line.positive(self.step, 0.0, "Quantisation.step")
        width = np.where(step > 0, step, 1.0)
        return lambda y: np.where(step > 0, width * np.round(y / width), y)


@dataclass(frozen=True)
class Saturation:
    """Clipped to low..high: the range of a sensor, or the travel of a valve."""

    low: Value = -np.inf
    high: Value = np.inf

    def start(self, line: Line, random: np.random.Generator) -> Change:
        low = line.values(self.low, -np.inf, "Saturation.low")
        high = line.values(self.high, np.inf, "Saturation.high")
        if np.any(low > high):
            raise ValueError(f"Saturation: low = {low.tolist()} is above high = {high.tolist()}")
        return lambda y: np.clip(y, low, high)


@dataclass(frozen=True)
class RateLimit:
    """Follows with at most `rate`, in unit/s, from where it rests."""

    rate: Value

    def start(self, line: Line, random: np.random.Generator) -> Change:
        most = line.dt * line.positive(self.rate, np.inf, "RateLimit.rate")
        held = line.rest.copy()

        def change(u: np.ndarray) -> np.ndarray:
            held[:] += np.clip(u - held, -most, most)
            return held.copy()

        return change


@dataclass(frozen=True)
class DeadTime:
    """What came in `seconds` ago, a whole number of samples; before that, the value at rest."""

    seconds: float

    def start(self, line: Line, random: np.random.Generator) -> Change:
        samples = round(self.seconds / line.dt)
        if self.seconds < 0 or abs(samples * line.dt - self.seconds) > 1e-9 * line.dt:
            raise ValueError(
                f"DeadTime of {self.seconds:g} s is not a whole number of samples of {line.dt:g} s; round it, or let "
                f"Jittered run a process of shorter samples"
            )
        pipe = [line.rest.copy() for _ in range(samples)]

        def change(u: np.ndarray) -> np.ndarray:
            pipe.append(u)
            return pipe.pop(0)

        return change


@dataclass(frozen=True)
class Missing:
    """Each value lost with probability `share`, on its own: NaN, or the last one that came through, if `hold`."""

    share: Value
    hold: bool = False

    def start(self, line: Line, random: np.random.Generator) -> Change:
        share, last = line.positive(self.share, 0.0, "Missing.share"), line.rest.copy()

        def change(y: np.ndarray) -> np.ndarray:
            is_lost = random.uniform(size=share.size) < share
            last[:] = np.where(is_lost, last, y)
            return last.copy() if self.hold else np.where(is_lost, np.nan, y)

        return change
