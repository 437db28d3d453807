"""Two stirred reactors and a flash separator with recycle: A -> B -> C.

References:
    Stewart, Venkat, Rawlings, Wright, Pannocchia (2010), Cooperative distributed model predictive control, Systems and
    Control Letters 59, 460-469.
    Krupa, Limon, Alamo (2021), Implementation of model predictive control in programmable logic controllers, IEEE
    Trans. Control Systems Technology 29, 1117-1130; parameters as in its toolbox, https://github.com/GepocUS.
"""

from dataclasses import dataclass
from typing import ClassVar

import casadi as ca

from .plant import Plant
from .records import OperatingPoint, Signal, constant

KRUPA = "Krupa et al. (2021)"
STEWART = "Stewart et al. (2010)"


def _vessel(i: int, about: str) -> tuple[Signal, Signal, Signal, Signal]:
    return (
        Signal(f"H{i}", "m", f"level of {about}", low=0.0),
        Signal(f"x_A{i}", "1", f"mass fraction of A in {about}", 0.0, 1.0),
        Signal(f"x_B{i}", "1", f"mass fraction of B in {about}", 0.0, 1.0),
        Signal(f"T{i}", "K", f"temperature of {about}", low=1.0),  # the rates divide by it
    )


@dataclass(frozen=True)
class ReactorsSeparator(Plant):
    """Stewart's process, Krupa's parameters: x = y = (H, x_A, x_B, T) of vessels 1, 2, 3; d = (x_A0, T0) of the feeds.

    u = (Q1, Q2, Q3, F_f1, F_f2, F_R): heat to each vessel, feeds to the reactors, recycle from the separator.
    F_i = k_vi H_i,   m_i = rho S_i H_i,   F_D = a_D F_R,   k_A = k_A0 exp(-E_A / T),   k_B = k_B0 exp(-E_B / T)

    m' of each vessel is what flows in less what flows out; with z = (x_A, x_B, T) of a vessel and r its reactions,
    m1 z1' = F_f1 (z0 - z1) + F_R (z_R - z1) + m1 r1 + (0, 0, Q1 / Cp)
    m2 z2' = F_f2 (z0 - z2) + F_1 (z1 - z2)  + m2 r2 + (0, 0, Q2 / Cp)
    m3 z3' = F_2 (z2 - z3) - (F_D + F_R) (z_R - z3)  + (0, 0, Q3 / Cp),         T_R = T3
    x_AR   = a_A x_A3 / (a_A x_A3 + a_B x_B3 + a_C x_C3),   x_C = 1 - x_A - x_B,   x_BR alike
    r      = (-k_A x_A,  k_A x_A - k_B x_B,  -(H_A k_A x_A + H_B k_B x_B) / Cp)

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
    states: ClassVar = _vessel(1, "reactor 1") + _vessel(2, "reactor 2") + _vessel(3, "the separator")
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
            d={"x_A0": 1.0, "T0": 313.0},
            source="inputs: Krupa et al. (2021); state: solved here, not printed there",
        ),
    }

    def ode(self, x: ca.SX, u: ca.SX, d: ca.SX) -> ca.SX:
        Q1, Q2, Q3, F_f1, F_f2, F_R = ca.vertsplit(u)
        H1, H2, H3 = x[0], x[4], x[8]
        z0, z1, z2, z3 = ca.vertcat(d[0], 0, d[1]), x[1:4], x[5:8], x[9:12]
        z_R = ca.vertcat(self.vapour(z3), z3[2])
        F_1, F_2, F_3 = self.k_v1 * H1, self.k_v2 * H2, self.k_v3 * H3
        tops = (1 + self.a_D) * F_R
        mass = self.rho * self.S  # kg per m of level
        return ca.vertcat(
            (F_f1 + F_R - F_1) / mass,
            (F_f1 * (z0 - z1) + F_R * (z_R - z1) + self.heating(Q1)) / (mass * H1) + self.reactions(z1),
            (F_f2 + F_1 - F_2) / mass,
            (F_f2 * (z0 - z2) + F_1 * (z1 - z2) + self.heating(Q2)) / (mass * H2) + self.reactions(z2),
            (F_2 - tops - F_3) / mass,
            (F_2 * (z2 - z3) - tops * (z_R - z3) + self.heating(Q3)) / (mass * H3),
        )

    def heating(self, Q: ca.SX) -> ca.SX:
        """m z' by heat Q, kJ/s."""
        return ca.vertcat(0, 0, Q / self.Cp)

    def reactions(self, z: ca.SX) -> ca.SX:
        """z' (1/s, 1/s, K/s) by the two reactions in a vessel of contents z = (x_A, x_B, T)."""
        x_A, x_B, T = ca.vertsplit(z)
        r_A = self.k_A0 * ca.exp(-self.E_A / T) * x_A
        r_B = self.k_B0 * ca.exp(-self.E_B / T) * x_B
        return ca.vertcat(-r_A, r_A - r_B, -(self.H_A * r_A + self.H_B * r_B) / self.Cp)

    def vapour(self, z: ca.SX) -> ca.SX:
        """(x_AR, x_BR): mass fractions in the vapour above a liquid z = (x_A, x_B, T)."""
        A, B, C = self.a_A * z[0], self.a_B * z[1], self.a_C * (1 - z[0] - z[1])
        return ca.vertcat(A, B) / (A + B + C)

    def output(self, x: ca.SX) -> ca.SX:
        return x
