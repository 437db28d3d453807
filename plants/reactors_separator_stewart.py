"""Two stirred reactors and a flash separator with recycle, A -> B -> C: the fast, stiff set of Stewart et al.

Reference:
    Stewart, Venkat, Rawlings, Wright, Pannocchia (2010), Cooperative distributed model predictive control, Systems and
    Control Letters 59, 460-469.
"""

from dataclasses import dataclass
from typing import ClassVar

from .records import OperatingPoint, Signal, constant
from .rosenbrock import rosenbrock_step
from .vessels import VesselsWithLevels, vessel

STEWART = "Stewart et al. (2010)"
FITTED = "this package: fitted to the printed steady state"


@dataclass(frozen=True)
class ReactorsSeparatorStewart(VesselsWithLevels):
    """Stewart's process: x = y = (H, x_A, x_B, T) of vessels 1, 2, 3; balances: `VesselsWithLevels`.

    Open-loop stable and stiff, 5 ms to 3 s: the vessels hold little of a large recycle, so f is linearly implicit. The
    heats move T by hundredths of a kelvin only. k_A0 = 0.02, k_B0 = 0.018 1/s, as they are commonly quoted, leave
    x_A1 = 0.97 where 0.542 is printed; the two below reproduce the printed state. Sample at 0.3 s; the model of a
    controller can do with substep = 0.07 s, a tenth of the sensor noise from the simulator where inputs jump within the
    region, that of an observer, which stays in it, with 0.15 s: two thirds of it in the worst of 200 such jumps, a
    twentieth in half of them (towards the limits of the actuators that one diverges). The separator holds half a
    kilogram: a step of the recycle by 8 kg/s empties it before the reactors follow, which is an error. Limits of the
    actuators, `region` and the sensor noise are this package's choice.

    Reference: Stewart et al. (2010).
    """

    S1: float = constant(3.0, "m2", "cross-section of reactor 1", STEWART)
    S2: float = constant(3.0, "m2", "cross-section of reactor 2", STEWART)
    S3: float = constant(1.0, "m2", "cross-section of the separator", STEWART)
    rho: float = constant(0.15, "kg/m3", "density", STEWART)
    Cp: float = constant(25.0, "kJ/(kg K)", "heat capacity", STEWART)
    k_v: float = constant(2.5, "kg/(s m)", "outlet valve of each vessel", STEWART)
    k_A0: float = constant(0.336, "1/s", "A -> B, frequency factor", FITTED)
    k_B0: float = constant(0.089, "1/s", "B -> C, frequency factor", FITTED)
    E_A: float = constant(-100.0, "K", "A -> B, activation energy / R", STEWART)
    E_B: float = constant(-150.0, "K", "B -> C, activation energy / R", STEWART)
    H_A: float = constant(-40.0, "kJ/kg", "A -> B, enthalpy per kg A", STEWART)
    H_B: float = constant(-50.0, "kJ/kg", "B -> C, enthalpy per kg B", STEWART)
    a_A: float = constant(3.5, "1", "volatility of A", STEWART)
    a_B: float = constant(1.1, "1", "volatility of B", STEWART)
    a_C: float = constant(0.5, "1", "volatility of C", STEWART)
    a_D: float = constant(0.01, "1", "purge / recycle", STEWART)

    name: ClassVar = "reactors_separator_stewart"
    step: ClassVar = staticmethod(rosenbrock_step)
    substep: ClassVar = 0.002  # s; the first of steps that grow to 0.02 s, where the fastest mode is 0.005 s
    sampling_time: ClassVar = 0.3
    states: ClassVar = vessel(1, "reactor 1") + vessel(2, "reactor 2") + vessel(3, "the separator")
    inputs: ClassVar = (
        Signal("Q1", "kJ/s", "heat to reactor 1", 0.0, 50.0, region=(5.0, 15.0)),
        Signal("Q2", "kJ/s", "heat to reactor 2", 0.0, 50.0, region=(5.0, 15.0)),
        Signal("Q3", "kJ/s", "heat to the separator", 0.0, 50.0, region=(5.0, 15.0)),
        Signal("F_f1", "kg/s", "feed to reactor 1", 1.0, 10.0, region=(7.5, 9.2)),
        Signal("F_f2", "kg/s", "feed to reactor 2", 0.1, 10.0, region=(0.4, 0.6)),
        Signal("F_R", "kg/s", "recycle", 0.0, 75.0, region=(65.0, 67.5)),
    )
    outputs: ClassVar = tuple(
        Signal(s.name, s.unit, s.about, noise={"H": 0.02, "x": 0.001, "T": 0.005}[s.name[0]]) for s in states
    )
    disturbances: ClassVar = (
        Signal("x_A0", "1", "mass fraction of A in the feeds", 0.0, 1.0, nominal=1.0),
        Signal("T0", "K", "temperature of the feeds", nominal=313.0),
    )
    operating_points: ClassVar = {
        "nominal": OperatingPoint(
            x=(29.8, 0.542, 0.393, 315.0, 30.0, 0.503, 0.421, 315.0, 3.27, 0.238, 0.570, 315.0),
            u=(10.0, 10.0, 10.0, 8.33, 0.5, 66.2),
            residual=(0.0667, 0.0015, -0.00113, -0.7, 0.0, 0.00147, 0.00172, 0.448, -0.247, -0.0127, -0.0125, 0.815),
            d={"x_A0": 1.0, "T0": 313.0},
            source=STEWART,
            tolerance=0.01,  # three digits printed, and two constants fitted to them
        ),
    }

    areas = property(lambda self: (self.S1, self.S2, self.S3))
    valves = property(lambda self: (self.k_v, self.k_v, self.k_v))
