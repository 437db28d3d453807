"""pH neutralisation: acid, buffer and base mixed in a stirred tank.

References:
    Hall, Seborg (1989), Modelling and self-tuning control of a multivariable pH neutralization process,
    Proc. American Control Conference, Pittsburgh, 1822-1827.
    Henson, Seborg (1994), Adaptive nonlinear control of a pH neutralization process, IEEE Trans. Control
    Systems Technology 2, 169-182.
"""

from dataclasses import dataclass
from typing import ClassVar

import casadi as ca

from .plant import Plant
from .records import OperatingPoint, Signal, constant

HENSON = "Henson and Seborg (1994)"
WATER = 14.0  # -log10 of the ionic product of water, (mol/L)^2, at 25 degC
MILLI = 1e-3  # mol in a mmol
# The charge balance rises with pH, and its slope F' obeys |F''| <= 2 ln(10) F' wherever Wb >= 0. So 11 halvings of
# [0, 14] leave an error of 0.0034, and Newton squares it: 2e-5, 1e-9, rounding; two more for the two derivatives.
HALVINGS = 11
NEWTON_STEPS = 5


@dataclass(frozen=True)
class PHNeutralisation(Plant):
    """Hall-Seborg tank: x = (Wa, Wb, h), u = q3 (base), y = pH, d = (q1, q2) (acid, buffer).

    A h Wa' = q1 (Wa1 - Wa) + q2 (Wa2 - Wa) + q3 (Wa3 - Wa),       A h Wb' alike
    A h'    = q1 + q2 + q3 - Cv (h + z)^n
    0       = Wa + 10^(pH - 14) - 10^(-pH) + Wb (1 + 2 10^(pH - pK2)) / (1 + 10^(pK1 - pH) + 10^(pH - pK2)),  mol/L

    Wa: reaction invariant of charge, Wb: of carbonate; here in mmol/L. Open-loop stable, time constants 88 s and 265 s
    at the nominal point; the gain from q3 to pH varies eightfold. Sample at 15 s. With q3 below 3.1 mL/s the tank runs
    empty. The actuator limits and the sensor noise are this package's choice; q3 in `region` gives pH 5.9 to 9.0.

    Reference: Henson and Seborg (1994), with their constants.
    """

    A: float = constant(207.0, "cm2", "cross-section of the tank", HENSON)
    Cv: float = constant(4.59, "mL/(s cm^n)", "outlet valve coefficient", HENSON)
    n: float = constant(0.607, "1", "outlet valve exponent", HENSON)
    z: float = constant(11.5, "cm", "outlet below the tank bottom", HENSON)
    Wa1: float = constant(3.0, "mmol/L", "charge invariant of the acid", HENSON)
    Wa2: float = constant(-30.0, "mmol/L", "charge invariant of the buffer", HENSON)
    Wa3: float = constant(-3.05, "mmol/L", "charge invariant of the base", HENSON)
    Wb1: float = constant(0.0, "mmol/L", "carbonate in the acid", HENSON)
    Wb2: float = constant(30.0, "mmol/L", "carbonate in the buffer", HENSON)
    Wb3: float = constant(0.05, "mmol/L", "carbonate in the base", HENSON)
    pK1: float = constant(6.35, "1", "first dissociation of H2CO3", HENSON)
    pK2: float = constant(10.25, "1", "second dissociation of H2CO3", HENSON)

    name: ClassVar = "ph_neutralisation"
    substep: ClassVar = 5.0  # s; the fastest mode, total flow / volume, is 64 s at full flow
    sampling_time: ClassVar = 15.0
    states: ClassVar = (
        Signal("Wa", "mmol/L", "charge invariant", low=-1000.0, high=1000.0),  # outside, pH is beyond 0..14
        Signal("Wb", "mmol/L", "carbonate invariant", low=0.0),
        Signal("h", "cm", "level", low=0.0),
    )
    inputs: ClassVar = (Signal("q3", "mL/s", "flow of base", 5.0, 25.0, region=(12.5, 17.0)),)
    outputs: ClassVar = (Signal("pH", "1", "pH of the effluent", noise=0.01),)
    disturbances: ClassVar = (
        Signal("q1", "mL/s", "flow of acid", nominal=16.6),
        Signal("q2", "mL/s", "flow of buffer", nominal=0.55),
    )
    operating_points: ClassVar = {
        "nominal": OperatingPoint(
            x=(-0.432, 0.528, 14.0),
            u=(15.6,),
            residual=(-4.55e-05, -4.14e-06, -0.000135),
            d={"q1": 16.6, "q2": 0.55},
            source=HENSON,
            tolerance=0.01,  # Wa is a difference of two flows of charge, twenty times itself
        ),
    }

    def ode(self, x: ca.SX, u: ca.SX, d: ca.SX) -> ca.SX:
        Wa, Wb, h = ca.vertsplit(x)
        q1, q2, q3 = d[0], d[1], u[0]
        volume = self.A * h  # mL
        return ca.vertcat(
            (q1 * (self.Wa1 - Wa) + q2 * (self.Wa2 - Wa) + q3 * (self.Wa3 - Wa)) / volume,
            (q1 * (self.Wb1 - Wb) + q2 * (self.Wb2 - Wb) + q3 * (self.Wb3 - Wb)) / volume,
            (q1 + q2 + q3 - self.outflow(h)) / self.A,
        )

    def outflow(self, h: ca.SX) -> ca.SX:
        """Flow through the outlet valve, mL/s, at level h, cm."""
        return self.Cv * (h + self.z) ** self.n

    def output(self, x: ca.SX) -> ca.SX:
        return self.pH(x[0], x[1])

    def charge(self, Wa: ca.SX, Wb: ca.SX, pH: ca.SX) -> ca.SX:
        """Left-hand side of the charge balance, mol/L: zero at the pH of the solution, rising with pH."""
        up, down = 10 ** (pH - self.pK2), 10 ** (self.pK1 - pH)
        return MILLI * Wa + 10 ** (pH - WATER) - 10**-pH + MILLI * Wb * (1 + 2 * up) / (1 + down + up)

    def pH(self, Wa: ca.SX, Wb: ca.SX) -> ca.SX:
        """pH of a solution with invariants Wa (-1000..1000) and Wb (>= 0), mmol/L: bisection, then Newton.

        A fixed number of steps, so a smooth explicit expression: the pieces of the bisection are constants, and its
        error is squared away by Newton's steps together with the jumps between them.
        """
        guess, Wa_, Wb_ = (ca.SX.sym(name) for name in ("pH", "Wa", "Wb"))
        F = self.charge(Wa_, Wb_, guess)
        slope = ca.gradient(F, guess)
        charge = ca.Function("charge", [Wa_, Wb_, guess], [F])
        newton = ca.Function("newton", [Wa_, Wb_, guess], [guess - F / slope])
        pH, width = ca.SX(WATER / 2), WATER / 2
        for _ in range(HALVINGS):
            width = width / 2
            pH = pH + ca.if_else(charge(Wa, Wb, pH) > 0, -width, width)
        for _ in range(NEWTON_STEPS):
            pH = newton(Wa, Wb, pH)
        return pH
