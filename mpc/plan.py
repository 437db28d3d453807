"""Unknowns and parameters of the horizon problem, in physical units."""

from typing import NamedTuple

import numpy as np


class Plan(NamedTuple):
    """Point of the horizon problem, in physical units, and its multipliers.

    u: (N, nu); x: (N, nx) and y: (N, ny) for k+1..k+N; lam_x, lam_g as CasADi's, where it solved.
    """

    u: np.ndarray
    x: np.ndarray
    y: np.ndarray
    lam_x: np.ndarray | None = None
    lam_g: np.ndarray | None = None


class Situation(NamedTuple):
    """What changes from step to step: the parameters of the horizon problem, in physical units.

    x (nx,), u_prev (nu,), d (ny,), reference (N, ny) for k+1..k+N, target x_s (nx,), u_s (nu,),
    P (nx, nx) terminal weight, hold 1.0 if the last move back to u_s is paid for, else 0.0.

    With an input disturbance v (nu,) = shift, every input here and in the plans around it is u + v, what acts: the
    problem is the same, but for the bounds of the inputs, which move by v.
    """

    x: np.ndarray
    u_prev: np.ndarray
    d: np.ndarray
    reference: np.ndarray
    x_s: np.ndarray
    u_s: np.ndarray
    P: np.ndarray
    hold: float
    shift: np.ndarray
