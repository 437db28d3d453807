"""Identified models as CasADi functions in physical units: what an observer or a controller needs, and no torch."""

from dataclasses import dataclass

import casadi as ca
import numpy as np

from .model import Model, map_arrays
from .scaler import Scaler


@dataclass(frozen=True)
class CasadiModel:
    """x(k+1) = f(x, u), y(k) = g(x): inputs and outputs in physical units, the state normalised (it has no unit).

    f (nx, nu) -> nx and g (nx,) -> ny are CasADi functions, dt in s; x0 is a state to start from; u_min, u_max is the
    box of inputs on which the model was trained and certified, x_max an invariant box of the state (inf: none known).
    """

    f: ca.Function
    g: ca.Function
    dt: float
    x0: np.ndarray
    u_names: tuple[str, ...]
    y_names: tuple[str, ...]
    u_units: tuple[str, ...]
    y_units: tuple[str, ...]
    u_min: np.ndarray
    u_max: np.ndarray
    x_max: np.ndarray

    @property
    def nx(self) -> int:
        return len(self.x0)

    @property
    def nu(self) -> int:
        return len(self.u_names)

    @property
    def ny(self) -> int:
        return len(self.y_names)


def casadi_functions(model: Model, scaler: Scaler) -> tuple[ca.Function, ca.Function]:
    """f and g around the scaling; matrix operations (MX), never expanded to scalars, which is slower (do measure)."""
    p = map_arrays(model.theta())
    x, u = ca.MX.sym("x", model.nx), ca.MX.sym("u", model.nu)
    x_next = model.f(p, x, (u - ca.DM(scaler.u_mid)) / ca.DM(scaler.u_half))
    y = ca.DM(scaler.y_mean) + ca.DM(scaler.y_std) * model.g(p, x)
    return ca.Function("f", [x, u], [x_next], ["x", "u"], ["x_next"]), ca.Function("g", [x], [y], ["x"], ["y"])
