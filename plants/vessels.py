"""Two stirred reactors and a flash separator with recycle, A -> B -> C: what every parameter set of it shares."""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

import casadi as ca
import numpy as np

from .plant import Plant
from .records import Signal


def fractions(i: int, about: str) -> tuple[Signal, Signal, Signal]:
    """x_A, x_B and T of vessel i."""
    return (
        Signal(f"x_A{i}", "1", f"mass fraction of A in {about}", 0.0, 1.0),
        Signal(f"x_B{i}", "1", f"mass fraction of B in {about}", 0.0, 1.0),
        Signal(f"T{i}", "K", f"temperature of {about}", low=1.0),  # the rates divide by it
    )


@dataclass(frozen=True)
class Vessels(Plant):
    """Reactions and flash of the process: contents z = (x_A, x_B, T) of a vessel, x_C = 1 - x_A - x_B.

    r    = (-k_A x_A,  k_A x_A - k_B x_B,  -(H_A k_A x_A + H_B k_B x_B) / Cp),   k_A = k_A0 exp(-E_A / T), k_B alike
    x_AR = a_A x_A / (a_A x_A + a_B x_B + a_C x_C),                              x_BR alike
    """

    rho: float
    Cp: float
    k_A0: float
    k_B0: float
    E_A: float
    E_B: float
    H_A: float
    H_B: float
    a_A: float
    a_B: float
    a_C: float

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

    def overhead(self, z: ca.SX) -> ca.SX:
        """z_R = (x_AR, x_BR, T): what the separator returns when it holds z."""
        return ca.vertcat(self.vapour(z), z[2])

    def output(self, x: ca.SX) -> ca.SX:
        return x

    def implied(self, x: np.ndarray) -> Mapping[Signal, float]:
        contents = dict(zip(self.x_names, x, strict=True))
        return {
            Signal(f"x_C{i}", "1", low=0.0, high=1.0): float(1 - contents[f"x_A{i}"] - contents[f"x_B{i}"])
            for i in (1, 2, 3)
        }


@dataclass(frozen=True)
class VesselsWithLevels(Vessels):
    """x = (H, x_A, x_B, T) of vessels 1, 2, 3; d = (x_A0, T0) of the feeds.

    u = (Q1, Q2, Q3, F_f1, F_f2, F_R): heat to each vessel, feeds to the reactors, recycle from the separator.
    F_i = k_vi H_i,   m_i = rho S_i H_i,   F_D = a_D F_R

    m' of each vessel is what flows in less what flows out; with z = (x_A, x_B, T) of a vessel and r its reactions,
    m1 z1' = F_f1 (z0 - z1) + F_R (z_R - z1) + m1 r1 + (0, 0, Q1 / Cp)
    m2 z2' = F_f2 (z0 - z2) + F_1 (z1 - z2)  + m2 r2 + (0, 0, Q2 / Cp)
    m3 z3' = F_2 (z2 - z3) - (F_D + F_R) (z_R - z3)  + (0, 0, Q3 / Cp),         T_R = T3
    """

    a_D: float

    @property
    @abstractmethod
    def areas(self) -> tuple[float, float, float]:
        """Cross-sections of the vessels, m2."""

    @property
    @abstractmethod
    def valves(self) -> tuple[float, float, float]:
        """Outflow of each vessel per level, kg/(s m)."""

    def ode(self, x: ca.SX, u: ca.SX, d: ca.SX) -> ca.SX:
        Q1, Q2, Q3, F_f1, F_f2, F_R = ca.vertsplit(u)
        H = (x[0], x[4], x[8])
        z0, z1, z2, z3 = ca.vertcat(d[0], 0, d[1]), x[1:4], x[5:8], x[9:12]
        z_R = self.overhead(z3)
        F_1, F_2, F_3 = (k_v * h for k_v, h in zip(self.valves, H, strict=True))
        s1, s2, s3 = (self.rho * S for S in self.areas)  # kg per m of level
        tops = (1 + self.a_D) * F_R
        return ca.vertcat(
            (F_f1 + F_R - F_1) / s1,
            (F_f1 * (z0 - z1) + F_R * (z_R - z1) + self.heating(Q1)) / (s1 * H[0]) + self.reactions(z1),
            (F_f2 + F_1 - F_2) / s2,
            (F_f2 * (z0 - z2) + F_1 * (z1 - z2) + self.heating(Q2)) / (s2 * H[1]) + self.reactions(z2),
            (F_2 - tops - F_3) / s3,
            (F_2 * (z2 - z3) - tops * (z_R - z3) + self.heating(Q3)) / (s3 * H[2]),
        )

    def heating(self, Q: ca.SX) -> ca.SX:
        """m z' by heat Q, kJ/s."""
        return ca.vertcat(0, 0, Q / self.Cp)


def vessel(i: int, about: str) -> tuple[Signal, ...]:
    """H, x_A, x_B and T of vessel i."""
    return Signal(f"H{i}", "m", f"level of {about}", low=0.0), *fractions(i, about)
