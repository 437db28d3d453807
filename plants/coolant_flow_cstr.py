"""Exothermic reaction A -> B in a stirred tank cooled by a coil of given flow: the reactor behind DaISy's record.

References:
    Morningred, Paden, Seborg, Mellichamp (1992), An adaptive nonlinear predictive controller, Chemical Engineering
    Science 47, 755-762.
    Lightbody, Irwin (1997), Nonlinear control structures based on embedded neural system models, IEEE Trans. Neural
    Networks 8, 553-567.
"""

from dataclasses import dataclass
from typing import ClassVar

import casadi as ca

from .plant import Plant
from .records import OperatingPoint, Signal, constant

MORNINGRED = "Morningred et al. (1992)"
LIGHTBODY = "Lightbody and Irwin (1997)"
SECONDS_PER_MINUTE = 60.0


@dataclass(frozen=True)
class CoolantFlowCSTR(Plant):
    """Morningred's reactor: x = y = (C_A, T), u = q_c, d = (C_Af, T_f).

    C_A' = q / V (C_Af - C_A) - k C_A,                      k = k0 exp(-E / T),   per minute
    T'   = q / V (T_f - T) + H / rhoCp k C_A + q_c / V (1 - exp(-hA / (rhoCp_c q_c))) (T_cf - T)

    Three equilibria for each q_c: hot and stable, the nominal one (438.5 K); unstable (401.5 K); cold and stable
    (353.6 K). So it is not globally delta-ISS: start hot and keep q_c in `region`. Its oscillation loses damping as
    q_c grows, -1.3 +- 3.0i 1/min at 103.41 L/min, -0.1 +- 2.5i at 111, and is unstable from 112 on; at 85 the poles
    are -8.8, -3.0. Sample at 6 s, as DaISy. Actuator limits and sensor noise are this package's choice.

    Reference: Morningred et al. (1992); Lightbody and Irwin (1997).
    """

    q: float = constant(100.0, "L/min", "feed flow", MORNINGRED)
    V: float = constant(100.0, "L", "volume", MORNINGRED)
    rhoCp: float = constant(1e3, "cal/(L K)", "heat capacity of the liquid", MORNINGRED)
    rhoCp_c: float = constant(1e3, "cal/(L K)", "heat capacity of the coolant", MORNINGRED)
    H: float = constant(2e5, "cal/mol", "heat of reaction per mol A", MORNINGRED)
    E: float = constant(1e4, "K", "activation energy / R", MORNINGRED)
    k0: float = constant(7.2e10, "1/min", "frequency factor", MORNINGRED)
    hA: float = constant(7e5, "cal/(min K)", "heat transfer to the coil", MORNINGRED)
    T_cf: float = constant(350.0, "K", "temperature of the coolant feed", MORNINGRED)

    name: ClassVar = "coolant_flow_cstr"
    substep: ClassVar = 0.25  # s; the fastest mode of the hot state is 1.6 s at the least coolant
    sampling_time: ClassVar = 6.0
    states: ClassVar = (
        Signal("C_A", "mol/L", "concentration of A", low=0.0),
        Signal("T", "K", "temperature", low=1.0),  # the rate divides by it
    )
    inputs: ClassVar = (Signal("q_c", "L/min", "flow of coolant", 60.0, 120.0, region=(85.0, 108.0)),)
    outputs: ClassVar = (
        Signal("C_A", "mol/L", "concentration of A", noise=0.001),
        Signal("T", "K", "temperature", noise=0.1),
    )
    disturbances: ClassVar = (
        Signal("C_Af", "mol/L", "A in the feed", nominal=1.0),
        Signal("T_f", "K", "temperature of the feed", nominal=350.0),
    )
    operating_points: ClassVar = {
        "hot": OperatingPoint(
            x=(0.1, 438.5),
            u=(103.41,),
            residual=(3.46e-05, -0.00547),
            d={"C_Af": 1.0, "T_f": 350.0},
            source=LIGHTBODY,
        ),
    }

    def ode(self, x: ca.SX, u: ca.SX, d: ca.SX) -> ca.SX:
        C_A, T = x[0], x[1]
        C_Af, T_f = d[0], d[1]
        dilution = self.q / self.V
        r = self.k0 * ca.exp(-self.E / T) * C_A
        heat = self.H * r + self.cooling(u[0], T) / self.V  # cal/(L min)
        per_minute = ca.vertcat(dilution * (C_Af - C_A) - r, dilution * (T_f - T) + heat / self.rhoCp)
        return per_minute / SECONDS_PER_MINUTE

    def cooling(self, q_c: ca.SX, T: ca.SX) -> ca.SX:
        """Heat from the coil, cal/min: the coolant leaves at T + (T_cf - T) exp(-hA / (rhoCp_c q_c))."""
        capacity = self.rhoCp_c * q_c
        return capacity * (1 - ca.exp(-self.hA / capacity)) * (self.T_cf - T)

    def output(self, x: ca.SX) -> ca.SX:
        return x
