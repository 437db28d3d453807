"""Two stirred reactors and a flash separator with recycle: A -> B -> C.

References:
    Stewart, Venkat, Rawlings, Wright, Pannocchia (2010), Cooperative distributed model predictive control, Systems and
    Control Letters 59, 460-469.
    Krupa, Limon, Alamo (2021), Implementation of model predictive control in programmable logic controllers, IEEE
    Trans. Control Systems Technology 29, 1117-1130; parameters as in its toolbox, https://github.com/GepocUS.
"""

from dataclasses import dataclass
from typing import ClassVar

from .records import OperatingPoint, Signal, constant
from .vessels import VesselsWithLevels, vessel

KRUPA = "Krupa et al. (2021)"
STEWART = "Stewart et al. (2010)"


@dataclass(frozen=True)
class ReactorsSeparator(VesselsWithLevels):
    """Stewart's process, Krupa's parameters: x = y = (H, x_A, x_B, T) of each vessel; balances: `VesselsWithLevels`.

    Open-loop stable, 9 to 50 s, not stiff. With these E < 0 the rates fall as T rises: as published. `region`, the
    actuator limits of the feeds and the sensor noise are this package's choice. Sample at 3 s.

    Reference: Krupa et al. (2021); equations of Stewart et al. (2010).
    """

    S: float = constant(1.0, "m2", "cross-section of each vessel", KRUPA)
    rho: float = constant(1100.0, "kg/m3", "density", KRUPA)
    Cp: float = constant(4.0, "kJ/(kg K)", "heat capacity", KRUPA)
    k_v1: float = constant(50.0, "kg/(s m)", "outlet valve of reactor 1", KRUPA)
    k_v2: float = constant(50.0, "kg/(s m)", "outlet valve of reactor 2", KRUPA)
    k_v3: float = constant(30.0, "kg/(s m)", "outlet valve of the separator", KRUPA)
    k_A0: float = constant(1e-5, "1/s", "A -> B, frequency factor", KRUPA)
    k_B0: float = constant(0.5e-5, "1/s", "B -> C, frequency factor", KRUPA)
    E_A: float = constant(-2840.0, "K", "A -> B, activation energy / R", KRUPA)
    E_B: float = constant(-2077.0, "K", "B -> C, activation energy / R", KRUPA)
    H_A: float = constant(-100.0, "kJ/kg", "A -> B, enthalpy per kg A", KRUPA)
    H_B: float = constant(-39.0, "kJ/kg", "B -> C, enthalpy per kg B", KRUPA)
    a_A: float = constant(3.5, "1", "volatility of A", STEWART)
    a_B: float = constant(1.1, "1", "volatility of B", STEWART)
    a_C: float = constant(0.5, "1", "volatility of C", STEWART)
    a_D: float = constant(1e-3, "1", "purge / recycle", KRUPA)

    name: ClassVar = "reactors_separator"
    substep: ClassVar = 0.5  # s; the fastest mode, 9 s at the nominal point, is 2 s where reactor 2 is cold
    sampling_time: ClassVar = 3.0
    states: ClassVar = vessel(1, "reactor 1") + vessel(2, "reactor 2") + vessel(3, "the separator")
    inputs: ClassVar = (
        Signal("Q1", "kJ/s", "heat to reactor 1", -5000.0, 5000.0, region=(-200.0, 200.0)),
        Signal("Q2", "kJ/s", "heat to reactor 2", -5000.0, 5000.0, region=(-200.0, 200.0)),
        Signal("Q3", "kJ/s", "heat to the separator", -5000.0, 5000.0, region=(-200.0, 200.0)),
        Signal("F_f1", "kg/s", "feed to reactor 1", 0.0, 50.0, region=(27.0, 33.0)),
        Signal("F_f2", "kg/s", "feed to reactor 2", 0.0, 50.0, region=(9.0, 11.0)),
        Signal("F_R", "kg/s", "recycle", 0.0, 50.0, region=(4.0, 6.0)),
    )
    outputs: ClassVar = tuple(
        Signal(s.name, s.unit, s.about, noise={"H": 0.002, "x": 0.001, "T": 0.05}[s.name[0]]) for s in states
    )
    disturbances: ClassVar = (
        Signal("x_A0", "1", "mass fraction of A in the feeds", 0.0, 1.0, nominal=1.0),
        Signal("T0", "K", "temperature of the feeds", nominal=313.0),
    )
    operating_points: ClassVar = {
        "nominal": OperatingPoint(
            x=(0.700, 0.4155, 0.5480, 329.00, 0.900, 0.2581, 0.6755, 333.00, 1.333, 0.2282, 0.7000, 333.00),
            u=(0.0, 0.0, 0.0, 30.0, 10.0, 5.0),
            residual=(
                0.0,
                -6.59e-07,
                2.71e-06,
                2.5e-05,
                0.0,
                6.47e-06,
                -6.09e-06,
                -0.000289,
                4.55e-06,
                -2.48e-06,
                -5.12e-07,
                0.0,
            ),
            d={"x_A0": 1.0, "T0": 313.0},
            source="inputs: Krupa et al. (2021); state: solved here, not printed there",
        ),
    }

    areas = property(lambda self: (self.S, self.S, self.S))
    valves = property(lambda self: (self.k_v1, self.k_v2, self.k_v3))
