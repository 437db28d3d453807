"""The named signals of a plant, and the checks of vectors given by a user."""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import ClassVar

import numpy as np

from .records import Signal

# an integrator may leave a state this far below its limit: 100 times its own tolerance
PHYSICAL_SLACK = 1e-8
# relative to the span of an actuator: solvers return their bounds to about 1e-8 of it
ACTUATOR_SLACK = 1e-6


class Ports:
    """States, inputs, outputs and disturbances of a plant: names, units, limits."""

    name: ClassVar[str]
    states: ClassVar[tuple[Signal, ...]]
    inputs: ClassVar[tuple[Signal, ...]]
    outputs: ClassVar[tuple[Signal, ...]]
    disturbances: ClassVar[tuple[Signal, ...]]

    nx = property(lambda self: len(self.states))
    nu = property(lambda self: len(self.inputs))
    ny = property(lambda self: len(self.outputs))
    nd = property(lambda self: len(self.disturbances))
    x_names = property(lambda self: tuple(s.name for s in self.states))
    u_names = property(lambda self: tuple(s.name for s in self.inputs))
    y_names = property(lambda self: tuple(s.name for s in self.outputs))
    disturbance_names = property(lambda self: tuple(s.name for s in self.disturbances))
    x_units = property(lambda self: tuple(s.unit for s in self.states))
    u_units = property(lambda self: tuple(s.unit for s in self.inputs))
    y_units = property(lambda self: tuple(s.unit for s in self.outputs))
    disturbance_units = property(lambda self: tuple(s.unit for s in self.disturbances))
    u_min = property(lambda self: np.array([s.low for s in self.inputs]))
    u_max = property(lambda self: np.array([s.high for s in self.inputs]))
    u_region_min = property(lambda self: np.array([s.region[0] for s in self.inputs]))
    u_region_max = property(lambda self: np.array([s.region[1] for s in self.inputs]))
    y_noise = property(lambda self: np.array([s.noise for s in self.outputs]))

    def disturbance_vector(self, d: Mapping[str, float] | None = None) -> np.ndarray:
        """d (nd,): the nominal disturbances, those named in `d` replaced."""
        given = {} if d is None else dict(d)
        for name in given:
            if name not in self.disturbance_names:
                near = get_close_matches(name, self.disturbance_names, cutoff=0.3)
                raise ValueError(
                    f"{self.name} has no disturbance {name!r}; it has {', '.join(near or self.disturbance_names)}"
                )
        values = [given.get(s.name, s.nominal) for s in self.disturbances]
        return vector(values, self.disturbance_names, "d")

    def check_state(self, x: Sequence[float] | np.ndarray) -> np.ndarray:
        """x (nx,) as floats; ValueError where its size is wrong or it is physically impossible."""
        x = vector(x, self.x_names, "x")
        fault = self.impossible(x)
        if fault:
            raise ValueError(f"physically impossible state of {self.name}: {fault}")
        return x

    def implied(self, x: np.ndarray) -> Mapping[Signal, float]:
        """Quantities that have limits and follow from the state x (nx,), e.g. the last of several mass fractions."""
        return {}

    def impossible(self, x: np.ndarray) -> str:
        """What is physically impossible about x (nx,), e.g. a negative concentration, or ''."""
        return "; ".join(
            f"{s.name} = {value:.6g} {s.unit} is outside [{s.low:g}, {s.high:g}] {s.unit}"
            for s, value in [*zip(self.states, x, strict=True), *self.implied(x).items()]
            if not s.low - PHYSICAL_SLACK <= value <= s.high + PHYSICAL_SLACK
        )

    def check_input(self, u: Sequence[float] | np.ndarray) -> np.ndarray:
        """u (nu,) inside the actuator limits; ValueError where it is beyond them."""
        u = vector(u, self.u_names, "u")
        slack = ACTUATOR_SLACK * (self.u_max - self.u_min)
        beyond = np.flatnonzero((u < self.u_min - slack) | (u > self.u_max + slack))
        if beyond.size:
            s = self.inputs[beyond[0]]
            raise ValueError(
                f"input {s.name} = {u[beyond[0]]:.6g} {s.unit} is outside the actuator limits "
                f"[{s.low:g}, {s.high:g}] of {self.name}; clip it, or bound the controller"
            )
        return np.clip(u, self.u_min, self.u_max)


def vector(values: Sequence[float] | np.ndarray, names: tuple[str, ...], label: str) -> np.ndarray:
    """`values` as a finite float array with one entry a name; ValueError otherwise."""
    array = np.asarray(values, dtype=float).reshape(-1)
    if array.size != len(names):
        raise ValueError(f"{label} has {array.size} entries, it needs {len(names)}: {names}")
    if not np.all(np.isfinite(array)):
        raise ValueError(f"{label} = {array.tolist()} must be finite, in the order {names}")
    return array
