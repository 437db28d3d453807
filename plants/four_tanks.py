"""Four tanks: two pumps, each feeding a lower tank and, above the other lower tank, an upper one.

References:
    Johansson (2000), The quadruple-tank process: a multivariable laboratory process with an adjustable zero, IEEE
    Trans. Control Systems Technology 8, 456-465.
    Alvarado et al. (2011), A comparative analysis of distributed MPC techniques applied to the HD-MPC four-tank
    benchmark, Journal of Process Control 21, 800-815.
"""

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import casadi as ca

from .plant import Plant
from .records import OperatingPoint, Signal, constant

JOHANSSON = "Johansson (2000)"
ALVARADO = "Alvarado et al. (2011)"
SECONDS_PER_HOUR = 3600.0


@dataclass(frozen=True)
class FourTanks(Plant):
    """Johansson's process: x = y = (h1, h2, h3, h4), tanks 1 and 2 below 3 and 4; d holds the valves (g_a, g_b).

    A1 h1' = -a1 v1 + a3 v3 + g_a q_a         A2 h2' = -a2 v2 + a4 v4 + g_b q_b
    A3 h3' = -a3 v3 + (1 - g_b) q_b           A4 h4' = -a4 v4 + (1 - g_a) q_a
    v_i    = sqrt(2 g) h_i / (h_i^2 + h_0^2)^(1/4)

    v_i is Torricelli's sqrt(2 g h_i) but within h_0 of the bottom, where it vanishes smoothly with h_i: so no level
    becomes negative. A level above its tank is an error. From (q_a, q_b) to (h1, h2) there is a zero in the right half
    plane iff g_a + g_b < 1.
    """

    @property
    @abstractmethod
    def areas(self) -> tuple[float, float, float, float]:
        """Cross-sections of the tanks, level unit squared."""

    @property
    @abstractmethod
    def outlets(self) -> tuple[float, float, float, float]:
        """Cross-sections of the outlets, level unit squared."""

    @property
    @abstractmethod
    def gravity(self) -> tuple[float, float]:
        """Acceleration of gravity, level unit / s2, and h_0, level unit."""

    @abstractmethod
    def pumped(self, u: ca.SX, d: ca.SX) -> tuple[ca.SX, ca.SX]:
        """q_a, q_b: flow through the pumps, level unit cubed / s."""

    def outflows(self, x: ca.SX) -> list[ca.SX]:
        """a_i v_i: flow out of each tank, level unit cubed / s."""
        g, h_0 = self.gravity
        levels = zip(self.outlets, ca.vertsplit(x), strict=True)
        return [a * (2 * g) ** 0.5 * h / (h**2 + h_0**2) ** 0.25 for a, h in levels]

    def ode(self, x: ca.SX, u: ca.SX, d: ca.SX) -> ca.SX:
        out1, out2, out3, out4 = self.outflows(x)
        q_a, q_b = self.pumped(u, d)
        g_a, g_b = d[0], d[1]
        gain = ca.vertcat(
            g_a * q_a + out3 - out1,
            g_b * q_b + out4 - out2,
            (1 - g_b) * q_b - out3,
            (1 - g_a) * q_a - out4,
        )
        return gain / ca.DM(self.areas)

    def output(self, x: ca.SX) -> ca.SX:
        return x


@dataclass(frozen=True)
class FourTanksAlvarado(FourTanks):
    """The HD-MPC benchmark plant: q_a, q_b in m3/h, levels in m; non-minimum phase at its nominal valves.

    Sample at 15 s; time constants 145 to 250 s. The sensor noise and `region` are this package's choice: there every
    level stays between the 0.2 m below which eddies form and the rim. h_0 = 1 mm, also ours.

    Reference: Alvarado et al. (2011).
    """

    S: float = constant(0.06, "m2", "cross-section of each tank", ALVARADO)
    a1: float = constant(1.31e-4, "m2", "outlet of tank 1", ALVARADO)
    a2: float = constant(1.51e-4, "m2", "outlet of tank 2", ALVARADO)
    a3: float = constant(9.27e-5, "m2", "outlet of tank 3", ALVARADO)
    a4: float = constant(8.82e-5, "m2", "outlet of tank 4", ALVARADO)
    g: float = constant(9.81, "m/s2", "gravity", ALVARADO)
    h_0: float = constant(1e-3, "m", "level below which outflow is laminar", "this package")

    name: ClassVar = "four_tanks"
    substep: ClassVar = 1.0  # s; below h_0 a tank empties with a time constant of 3 s
    sampling_time: ClassVar = 15.0
    states: ClassVar = (
        Signal("h1", "m", "level of tank 1, below tank 3", 0.0, 1.36),
        Signal("h2", "m", "level of tank 2, below tank 4", 0.0, 1.36),
        Signal("h3", "m", "level of tank 3", 0.0, 1.30),
        Signal("h4", "m", "level of tank 4", 0.0, 1.30),
    )
    inputs: ClassVar = (
        Signal("q_a", "m3/h", "pump to tanks 1 and 4", 0.0, 3.26, region=(1.2, 2.1)),
        Signal("q_b", "m3/h", "pump to tanks 2 and 3", 0.0, 4.0, region=(1.5, 2.4)),
    )
    outputs: ClassVar = tuple(Signal(s.name, s.unit, s.about, noise=0.002) for s in states)
    disturbances: ClassVar = (
        Signal("g_a", "1", "share of q_a to tank 1", 0.0, 1.0, nominal=0.3),
        Signal("g_b", "1", "share of q_b to tank 2", 0.0, 1.0, nominal=0.4),
    )
    operating_points: ClassVar = {
        "nominal": OperatingPoint(
            x=(0.65, 0.66, 0.65, 0.66),
            u=(1.63, 2.0),
            residual=(-1.57e-05, -6.27e-05, 3.82e-05, -7.38e-06),
            d={"g_a": 0.3, "g_b": 0.4},
            source=ALVARADO,
            tolerance=0.016,  # levels of a real plant, the parameters fitted to it
        ),
    }

    areas = property(lambda self: (self.S, self.S, self.S, self.S))
    outlets = property(lambda self: (self.a1, self.a2, self.a3, self.a4))
    gravity = property(lambda self: (self.g, self.h_0))

    def pumped(self, u: ca.SX, d: ca.SX) -> tuple[ca.SX, ca.SX]:
        return u[0] / SECONDS_PER_HOUR, u[1] / SECONDS_PER_HOUR


@dataclass(frozen=True)
class FourTanksJohansson(FourTanks):
    """The laboratory process: q = k v, pump voltages v in V, levels in cm; the valves choose its phase.

    At the nominal point P- it is minimum phase, at P+ it is not: take u and d from `operating_points`. The pump gains
    k_a, k_b (cm3/(s V)) differ between the two and so are disturbances also. Sample at 5 s; time constants 23 to 90 s.
    The actuator limits, the sensor noise, `region` and h_0 are this package's choice.

    Reference: Johansson (2000).
    """

    A1: float = constant(28.0, "cm2", "cross-section of tanks 1 and 3", JOHANSSON)
    A2: float = constant(32.0, "cm2", "cross-section of tanks 2 and 4", JOHANSSON)
    a1: float = constant(0.071, "cm2", "outlet of tanks 1 and 3", JOHANSSON)
    a2: float = constant(0.057, "cm2", "outlet of tanks 2 and 4", JOHANSSON)
    g: float = constant(981.0, "cm/s2", "gravity", JOHANSSON)
    h_0: float = constant(0.01, "cm", "level below which outflow is laminar", "this package")

    name: ClassVar = "four_tanks_johansson"
    substep: ClassVar = 0.2  # s; below h_0 a tank empties with a time constant of 0.9 s
    sampling_time: ClassVar = 5.0
    states: ClassVar = (
        Signal("h1", "cm", "level of tank 1, below tank 3", 0.0, 20.0),
        Signal("h2", "cm", "level of tank 2, below tank 4", 0.0, 20.0),
        Signal("h3", "cm", "level of tank 3", 0.0, 20.0),
        Signal("h4", "cm", "level of tank 4", 0.0, 20.0),
    )
    inputs: ClassVar = (
        Signal("v_a", "V", "pump to tanks 1 and 4", 0.0, 10.0, region=(2.0, 3.5)),
        Signal("v_b", "V", "pump to tanks 2 and 3", 0.0, 10.0, region=(2.0, 3.5)),
    )
    outputs: ClassVar = tuple(Signal(s.name, s.unit, s.about, noise=0.05) for s in states)
    disturbances: ClassVar = (
        Signal("g_a", "1", "share of q_a to tank 1", 0.0, 1.0, nominal=0.70),
        Signal("g_b", "1", "share of q_b to tank 2", 0.0, 1.0, nominal=0.60),
        Signal("k_a", "cm3/(s V)", "gain of pump a", nominal=3.33),
        Signal("k_b", "cm3/(s V)", "gain of pump b", nominal=3.35),
    )
    operating_points: ClassVar = {
        "P-": OperatingPoint(
            x=(12.4, 12.7, 1.8, 1.4),
            u=(3.0, 3.0),
            residual=(0.00493, 0.000617, -0.00712, 0.000302),
            d={"g_a": 0.70, "g_b": 0.60, "k_a": 3.33, "k_b": 3.35},
            source=JOHANSSON,
            tolerance=0.11,  # measured levels; tank 3 is 1.63 cm by the equations
        ),
        "P+": OperatingPoint(
            x=(12.6, 13.0, 4.8, 4.9),
            u=(3.15, 3.15),
            residual=(-0.000716, 0.000287, -0.00179, 0.00153),
            d={"g_a": 0.43, "g_b": 0.34, "k_a": 3.14, "k_b": 3.29},
            source=JOHANSSON,
            tolerance=0.02,  # measured levels
        ),
    }

    areas = property(lambda self: (self.A1, self.A2, self.A1, self.A2))
    outlets = property(lambda self: (self.a1, self.a2, self.a1, self.a2))
    gravity = property(lambda self: (self.g, self.h_0))

    def pumped(self, u: ca.SX, d: ca.SX) -> tuple[ca.SX, ca.SX]:
        return d[2] * u[0], d[3] * u[1]
