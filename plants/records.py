"""The records a plant is described with, and the record an experiment on it returns."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Signal:
    """A state, input, output or disturbance: its name, unit, and the range it can have.

    low, high: physical limits of a state, actuator limits of an input, published range of a
    disturbance. nominal: usual value (disturbances). noise: standard deviation of the sensor
    (outputs). region: range of an input in which the plant is well behaved. All in `unit`.
    """

    name: str
    unit: str
    about: str = ""
    low: float = -math.inf
    high: float = math.inf
    nominal: float = math.nan
    noise: float = 0.0
    region: tuple[float, float] = (math.nan, math.nan)


@dataclass(frozen=True)
class OperatingPoint:
    """A published steady state: x as printed in the source (rounded), u, disturbances d.

    residual: ode(x, u, d) at these printed numbers, per second, to three digits: what rounding and printing left.
    tolerance: largest relative distance between x and the steady state of the equations nearby.
    """

    x: tuple[float, ...]
    u: tuple[float, ...]
    residual: tuple[float, ...]
    d: Mapping[str, float]
    source: str
    tolerance: float = 1e-3


@dataclass(frozen=True)
class Constant:
    """A physical constant of a plant, as it stands in that plant."""

    name: str
    value: float
    unit: str
    about: str
    source: str


def constant(value: float, unit: str, about: str, source: str) -> Any:
    """Dataclass field of a physical constant; unit, meaning and source travel with it."""
    metadata = {"unit": unit, "about": about, "source": source}
    return field(default=value, metadata=MappingProxyType(metadata))


@dataclass(frozen=True)
class Run:
    """What an experiment on a plant recorded: y(k) = g(x(k)) + noise, x(k+1) = f(x(k), u(k)).

    u (T, nu), y (T, ny) measured, y_true (T, ny) noise-free, x (T, nx), d (T, nd): one array
    each, or a list of arrays where the experiment was given a list of input records. dt in s.
    """

    u: np.ndarray | list[np.ndarray]
    y: np.ndarray | list[np.ndarray]
    y_true: np.ndarray | list[np.ndarray]
    x: np.ndarray | list[np.ndarray]
    d: np.ndarray | list[np.ndarray]
    dt: float
    u_names: tuple[str, ...]
    y_names: tuple[str, ...]
    u_units: tuple[str, ...]
    y_units: tuple[str, ...]

    @property
    def sampling_time(self) -> float:
        """dt in s, under the name that other packages use."""
        return self.dt
