"""Van de Vusse reaction A -> B -> C, 2 A -> D in a cooled stirred tank.

References:
    Chen, Kremling, Allgoewer (1995), Nonlinear predictive control of a benchmark CSTR, Proc. 3rd
    European Control Conference, Rome, 3247-3252.
    Klatt, Engell (1998), Gain-scheduling trajectory control of a continuous stirred tank reactor,
    Computers and Chemical Engineering 22, 491-502.
"""

from dataclasses import dataclass
from typing import ClassVar

import casadi as ca

from .plant import Plant
from .records import OperatingPoint, Signal, constant

KLATT_ENGELL = "Klatt and Engell (1998)"
CHEN = "Chen, Kremling and Allgoewer (1995)"
SECONDS_PER_HOUR = 3600.0
CELSIUS = 273.15  # K at 0 degC
ABOVE_ABSOLUTE_ZERO = -CELSIUS + 1e-6  # degC; the rates divide by the absolute temperature


@dataclass(frozen=True)
class VanDeVusse(Plant):
    """Klatt-Engell reactor: x = (C_A, C_B, T, T_K), u = (F, Q), y = (C_B, T), d = (C_A0, T_in).

    C_A' = F (C_A0 - C_A) - k1 C_A - k3 C_A^2
    C_B' = -F C_B + k1 C_A - k2 C_B
    T'   = F (T_in - T) - (H1 k1 C_A + H2 k2 C_B + H3 k3 C_A^2) / (rho Cp)
           + Kw AR (T_K - T) / (rho Cp VR)
    T_K' = (Q + Kw AR (T - T_K)) / (mK CpK),       k_i = k_i0 exp(-E_i / (T + 273.15)),   per hour

    Open-loop stable over `region`, with time constants of 130 to 350 s; there C_B and T rise with
    F, C_B falls and T rises with Q. Outside it the gain from F to C_B changes sign: at low F with
    strong cooling, and at F = 54 to 72 1/h. The sensor noise is this package's choice.

    Reference: Klatt and Engell (1998); point A: Chen et al. (1995).
    """

    k10: float = constant(1.287e12, "1/h", "A -> B, frequency factor", KLATT_ENGELL)
    k20: float = constant(1.287e12, "1/h", "B -> C, frequency factor", KLATT_ENGELL)
    k30: float = constant(9.043e9, "L/(mol h)", "2 A -> D, frequency factor", KLATT_ENGELL)
    E1: float = constant(9758.3, "K", "A -> B, activation energy / R", KLATT_ENGELL)
    E2: float = constant(9758.3, "K", "B -> C, activation energy / R", KLATT_ENGELL)
    E3: float = constant(8560.0, "K", "2 A -> D, activation energy / R", KLATT_ENGELL)
    H1: float = constant(4.2, "kJ/mol", "A -> B, enthalpy per mol A", KLATT_ENGELL)
    H2: float = constant(-11.0, "kJ/mol", "B -> C, enthalpy per mol B", KLATT_ENGELL)
    H3: float = constant(-41.85, "kJ/mol", "2 A -> D, enthalpy per mol A", KLATT_ENGELL)
    rho: float = constant(0.9342, "kg/L", "density of the liquid", KLATT_ENGELL)
    Cp: float = constant(3.01, "kJ/(kg K)", "heat capacity of the liquid", KLATT_ENGELL)
    Kw: float = constant(4032.0, "kJ/(h m2 K)", "heat transfer coefficient", KLATT_ENGELL)
    AR: float = constant(0.215, "m2", "surface of the jacket", KLATT_ENGELL)
    VR: float = constant(10.0, "L", "volume of the reactor", KLATT_ENGELL)
    mK: float = constant(5.0, "kg", "mass of the coolant", KLATT_ENGELL)
    CpK: float = constant(2.0, "kJ/(kg K)", "heat capacity of the coolant", KLATT_ENGELL)

    name: ClassVar = "van_de_vusse"
    substep: ClassVar = 2.0  # s; the fastest time constant is 15 s, at full feed
    sampling_time: ClassVar = 30.0
    states: ClassVar = (
        Signal("C_A", "mol/L", "concentration of A", low=0.0),
        Signal("C_B", "mol/L", "concentration of B", low=0.0),
        Signal("T", "degC", "reactor temperature", low=ABOVE_ABSOLUTE_ZERO),
        Signal("T_K", "degC", "coolant temperature", low=ABOVE_ABSOLUTE_ZERO),
    )
    inputs: ClassVar = (
        Signal("F", "1/h", "feed flow / volume", 5.0, 100.0, region=(12.0, 35.0)),
        Signal("Q", "kJ/h", "heat to the coolant", -8500.0, 0.0, region=(-5500.0, -1500.0)),
    )
    outputs: ClassVar = (
        Signal("C_B", "mol/L", "concentration of B", noise=0.002),
        Signal("T", "degC", "reactor temperature", noise=0.05),
    )
    disturbances: ClassVar = (
        Signal("C_A0", "mol/L", "A in the feed, uncertain range", 4.5, 5.7, nominal=5.1),
        Signal("T_in", "degC", "temperature of the feed", nominal=130.0),
    )
    operating_points: ClassVar = {
        "B": OperatingPoint(
            x=(1.235, 0.9, 134.14, 128.95),
            u=(18.83, -4495.7),
            residual=(-3.73e-06, 2.47e-06, -2.51e-05, 9.46e-05),
            d={"C_A0": 5.1, "T_in": 130.0},
            source=KLATT_ENGELL,
        ),
        "A": OperatingPoint(
            x=(2.14, 1.09, 114.2, 112.9),
            u=(14.19, -1113.5),
            residual=(-4.3e-06, 4.08e-06, -0.000156, 0.000373),
            d={"C_A0": 5.1, "T_in": 104.9},
            source=CHEN,
        ),
    }

    def rates(self, x: ca.SX) -> tuple[ca.SX, ca.SX, ca.SX]:
        """k1 C_A, k2 C_B, k3 C_A^2 in mol/(L h): A lost to B, B lost to C, A lost to D."""
        C_A, C_B, T = x[0], x[1], x[2] + CELSIUS
        k1 = self.k10 * ca.exp(-self.E1 / T)
        k2 = self.k20 * ca.exp(-self.E2 / T)
        k3 = self.k30 * ca.exp(-self.E3 / T)
        return k1 * C_A, k2 * C_B, k3 * C_A**2

    def ode(self, x: ca.SX, u: ca.SX, d: ca.SX) -> ca.SX:
        C_A, C_B, T, T_K = ca.vertsplit(x)
        (F, Q), (C_A0, T_in) = ca.vertsplit(u), ca.vertsplit(d)
        r1, r2, r3 = self.rates(x)
        to_reactor = self.Kw * self.AR * (T_K - T)  # kJ/h
        of_reaction = self.H1 * r1 + self.H2 * r2 + self.H3 * r3  # kJ/(L h)
        heat = to_reactor / self.VR - of_reaction
        per_hour = ca.vertcat(
            F * (C_A0 - C_A) - r1 - r3,
            -F * C_B + r1 - r2,
            F * (T_in - T) + heat / (self.rho * self.Cp),
            (Q - to_reactor) / (self.mK * self.CpK),
        )
        return per_hour / SECONDS_PER_HOUR

    def output(self, x: ca.SX) -> ca.SX:
        return ca.vertcat(x[1], x[2])
