"""Exothermic reaction A -> B in a stirred tank cooled by a jacket of given temperature.

References:
    Seborg, Edgar, Mellichamp (1989), Process Dynamics and Control, Wiley.
    Henson, Seborg (1993), Theoretical analysis of unconstrained nonlinear model predictive control, International
    Journal of Control 58, 1053-1080.
    Hedengren (2016), Stirred reactor, https://apmonitor.com/pdc/index.php/Main/StirredReactor
"""

from dataclasses import dataclass
from typing import ClassVar

import casadi as ca

from .plant import Plant
from .records import OperatingPoint, Signal, constant

SEBORG = "Seborg, Edgar and Mellichamp (1989)"
HENSON = "Henson and Seborg (1993)"
HEDENGREN = "Hedengren (2016)"
SECONDS_PER_MINUTE = 60.0


@dataclass(frozen=True)
class ExothermicCSTR(Plant):
    """Seborg's reactor: x = y = (C_A, T), u = T_c, d = (C_Af, T_f).

    C_A' = q / V (C_Af - C_A) - k C_A,                      k = k0 exp(-E / T),   per minute
    T'   = q / V (T_f - T) + H k C_A / rhoCp + UA / (V rhoCp) (T_c - T)

    At T_c = 300 K there are three equilibria: 324.5 K, stable; 350.0 K, a saddle; 369.7 K, unstable. Three exist from
    298.1 to 303.2 K; then, up to 306.2 K, one, unstable, in a limit cycle; above, one that is hot and stable.
    A delta-ISS model settles at one equilibrium for each input, wherever it starts, so none can represent this plant
    over that range: identify it in `region`, or above 310 K, or in closed loop. Past 303.2 K it ignites, in seconds:
    f then needs its short steps. Sample at 6 s. Actuator limits, `region` and sensor noise are this package's choice.

    Reference: Henson and Seborg (1993); Seborg et al. (1989).
    """

    q: float = constant(100.0, "L/min", "feed flow", HENSON)
    V: float = constant(100.0, "L", "volume", HENSON)
    rhoCp: float = constant(239.0, "J/(L K)", "heat capacity of the liquid", HENSON)
    H: float = constant(5e4, "J/mol", "heat of reaction per mol A", HENSON)
    E: float = constant(8750.0, "K", "activation energy / R", HENSON)
    k0: float = constant(7.2e10, "1/min", "frequency factor", HENSON)
    UA: float = constant(5e4, "J/(min K)", "heat transfer to the jacket", HENSON)

    name: ClassVar = "exothermic_cstr"
    substep: ClassVar = 0.02  # s; while it ignites, T moves with a time constant of 0.034 s
    sampling_time: ClassVar = 6.0
    states: ClassVar = (
        Signal("C_A", "mol/L", "concentration of A", low=0.0),
        Signal("T", "K", "temperature", low=1.0),  # the rate divides by it
    )
    inputs: ClassVar = (Signal("T_c", "K", "temperature of the jacket", 280.0, 320.0, region=(285.0, 298.0)),)
    outputs: ClassVar = (
        Signal("C_A", "mol/L", "concentration of A", noise=0.002),
        Signal("T", "K", "temperature", noise=0.1),
    )
    disturbances: ClassVar = (
        Signal("C_Af", "mol/L", "A in the feed", nominal=1.0),
        Signal("T_f", "K", "temperature of the feed", nominal=350.0),
    )
    operating_points: ClassVar = {
        "cold": OperatingPoint(
            x=(0.87725294608097, 324.475443431599),
            u=(300.0,),
            residual=(0.0, 0.0),
            d={"C_Af": 1.0, "T_f": 350.0},
            source=HEDENGREN,
        ),
        "unstable": OperatingPoint(
            x=(0.5, 350.0),
            u=(300.0,),
            residual=(5.67e-07, -0.000119),
            d={"C_Af": 1.0, "T_f": 350.0},
            source=HENSON,
        ),
    }

    def ode(self, x: ca.SX, u: ca.SX, d: ca.SX) -> ca.SX:
        C_A, T = x[0], x[1]
        C_Af, T_f = d[0], d[1]
        dilution = self.q / self.V
        r = self.k0 * ca.exp(-self.E / T) * C_A
        heat = self.H * r + self.UA / self.V * (u[0] - T)  # J/(L min)
        per_minute = ca.vertcat(dilution * (C_Af - C_A) - r, dilution * (T_f - T) + heat / self.rhoCp)
        return per_minute / SECONDS_PER_MINUTE

    def output(self, x: ca.SX) -> ca.SX:
        return x
