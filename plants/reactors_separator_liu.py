"""Two stirred reactors and a flash separator with recycle, A -> B -> C, of constant volumes: the set of Liu et al.

Reference:
    Liu, Munoz de la Pena, Christofides (2009), Distributed model predictive control of nonlinear process systems, AIChE
    Journal 55, 1171-1184.
"""

from dataclasses import dataclass
from typing import ClassVar

import casadi as ca

from .records import OperatingPoint, Signal, constant
from .vessels import Vessels, fractions

LIU = "Liu et al. (2009)"
FITTED = "this package: fitted to the printed steady state"
GAS = 8.314  # J/(mol K)


@dataclass(frozen=True)
class ReactorsSeparatorLiu(Vessels):
    """Liu's process: x = y = (x_A, x_B, T) of vessels 1, 2, 3; u = (Q1, Q2, Q3, F_20); d = (F_10, T0) of the feeds.

    F_1 = F_10 + F_R,   F_2 = F_1 + F_20;   with z = (x_A, x_B, T) of a vessel, r its reactions, q = Q / (rho Cp),
    V1 z1' = F_10 (z0 - z1) + F_R (z_R - z1) + V1 r1 + (0, 0, q1),       z0 = (1, 0, T0): feeds of pure A
    V2 z2' = F_20 (z0 - z2) + F_1 (z1 - z2)  + V2 r2 + (0, 0, q2)
    V3 z3' = F_2 (z2 - z3) - (F_R + F_p) (z_R - z3)  + (0, 0, q3),       T_R = T3

    Open-loop stable, 0.6 to 17 s. With rho = 915 and F_p = 0.5, as in a public copy, reactor 1 settles at 332 K and not
    at the printed 337 K; rho and F_p below reproduce the print to its digits. Sample at 2 s; the model of a
    controller or an observer can do with substep = 0.5 s, a hundredth of the sensor noise from the simulator. Limits of
    the actuators, `region` and the sensor noise are this package's choice.

    Reference: Liu et al. (2009).
    """

    V1: float = constant(89.4, "m3", "volume of reactor 1", LIU)
    V2: float = constant(90.0, "m3", "volume of reactor 2", LIU)
    V3: float = constant(13.27, "m3", "volume of the separator", LIU)
    F_R: float = constant(4.0, "m3/s", "recycle", LIU)
    F_p: float = constant(0.04, "m3/s", "purge", FITTED)
    rho: float = constant(0.15, "kg/m3", "density", FITTED)
    Cp: float = constant(2.5, "kJ/(kg K)", "heat capacity", LIU)
    k_A0: float = constant(0.336, "1/s", "A -> B, frequency factor", LIU)
    k_B0: float = constant(0.089, "1/s", "B -> C, frequency factor", LIU)
    E_A: float = constant(813.4 / GAS, "K", "A -> B, activation energy / R", LIU)
    E_B: float = constant(1247.1 / GAS, "K", "B -> C, activation energy / R", LIU)
    H_A: float = constant(-40.0, "kJ/kg", "A -> B, enthalpy per kg A", LIU)
    H_B: float = constant(-50.0, "kJ/kg", "B -> C, enthalpy per kg B", LIU)
    a_A: float = constant(3.5, "1", "volatility of A", LIU)
    a_B: float = constant(0.5, "1", "volatility of B", LIU)
    a_C: float = constant(1.1, "1", "volatility of C", LIU)

    name: ClassVar = "reactors_separator_liu"
    substep: ClassVar = 0.1  # s; the fastest mode is 0.6 s
    sampling_time: ClassVar = 2.0
    states: ClassVar = fractions(1, "reactor 1") + fractions(2, "reactor 2") + fractions(3, "the separator")
    inputs: ClassVar = (
        Signal("Q1", "kJ/s", "heat to reactor 1", 0.0, 50.0, region=(5.0, 15.0)),
        Signal("Q2", "kJ/s", "heat to reactor 2", 0.0, 50.0, region=(5.0, 15.0)),
        Signal("Q3", "kJ/s", "heat to the separator", 0.0, 50.0, region=(5.0, 15.0)),
        Signal("F_20", "m3/s", "feed to reactor 2", 0.0, 5.0, region=(0.3, 0.7)),
    )
    outputs: ClassVar = tuple(Signal(s.name, s.unit, s.about, noise={"x": 0.001, "T": 0.05}[s.name[0]]) for s in states)
    disturbances: ClassVar = (
        Signal("F_10", "m3/s", "feed to reactor 1", low=0.0, nominal=8.3),
        Signal("T0", "K", "temperature of the feeds", nominal=313.0),
    )
    operating_points: ClassVar = {
        "nominal": OperatingPoint(
            x=(0.264, 0.396, 337.02, 0.106, 0.404, 344.43, 0.057, 0.475, 346.51),
            u=(10.0, 10.0, 10.0, 0.5),
            residual=(-0.000457, 0.000452, 0.00619, -0.000249, 0.00021, 0.00316, 0.000805, 0.000159, 0.00322),
            d={"F_10": 8.3, "T0": 313.0},
            source=LIU,
            tolerance=0.012,  # three digits printed, and two constants fitted to them
        ),
    }

    def ode(self, x: ca.SX, u: ca.SX, d: ca.SX) -> ca.SX:
        Q1, Q2, Q3, F_20 = ca.vertsplit(u)
        F_10, z0 = d[0], ca.vertcat(1, 0, d[1])
        z1, z2, z3 = ca.vertsplit(x, 3)
        z_R = self.overhead(z3)
        F_1 = F_10 + self.F_R
        F_2 = F_1 + F_20
        tops = self.F_R + self.F_p
        return ca.vertcat(
            (F_10 * (z0 - z1) + self.F_R * (z_R - z1) + self.heating(Q1)) / self.V1 + self.reactions(z1),
            (F_20 * (z0 - z2) + F_1 * (z1 - z2) + self.heating(Q2)) / self.V2 + self.reactions(z2),
            (F_2 * (z2 - z3) - tops * (z_R - z3) + self.heating(Q3)) / self.V3,
        )

    def heating(self, Q: ca.SX) -> ca.SX:
        """V z' by heat Q, kJ/s."""
        return ca.vertcat(0, 0, Q / (self.rho * self.Cp))
