"""A plant in discrete time: the model a controller sees, and the simulator it is tested on."""

import math
from dataclasses import dataclass

import casadi as ca
import numpy as np

# CVODES local error; two decades below the 1e-8 that the tests ask of the simulator
CVODES_TOLERANCE = 1e-10


@dataclass(frozen=True)
class SampledSystem:
    """y(k) = g(x(k)), x(k+1) = f(x(k), u(k)), in physical units, disturbances held constant.

    f, g: smooth CasADi functions, (x[nx], u[nu]) -> x_next[nx] and (x[nx]) -> y[ny]. dt in s.
    x0 (nx,): a steady state. u_min, u_max (nu,): actuator limits.
    """

    f: ca.Function
    g: ca.Function
    dt: float
    x0: np.ndarray
    x_names: tuple[str, ...]
    u_names: tuple[str, ...]
    y_names: tuple[str, ...]
    x_units: tuple[str, ...]
    u_units: tuple[str, ...]
    y_units: tuple[str, ...]
    u_min: np.ndarray
    u_max: np.ndarray

    @property
    def nx(self) -> int:
        return len(self.x_names)

    @property
    def nu(self) -> int:
        return len(self.u_names)

    @property
    def ny(self) -> int:
        return len(self.y_names)


def check_dt(dt: float, name: str = "dt") -> float:
    """dt as a float, s; ValueError unless it is finite and positive."""
    if not (math.isfinite(dt) and dt > 0.0):
        what = {"dt": "the sampling time", "substep": "the longest step of the integrator"}[name]
        raise ValueError(f"{name} = {dt!r} s must be positive and finite; give {what} in s")
    return float(dt)


def rk4_step(ode: ca.Function, dt: float, substep: float) -> ca.Function:
    """(x, u, d) -> x_next after dt by classical Runge-Kutta in equal steps of at most `substep` s.

    An explicit expression, so first and second derivatives are exact and cheap: for use in NLPs.
    """
    x, u, d = (ca.SX.sym(ode.name_in(i), ode.size1_in(i)) for i in range(3))
    n = math.ceil(dt / substep)
    h = dt / n
    x_next = x
    for _ in range(n):
        k1 = ode(x_next, u, d)
        k2 = ode(x_next + h / 2 * k1, u, d)
        k3 = ode(x_next + h / 2 * k2, u, d)
        k4 = ode(x_next + h * k3, u, d)
        x_next = x_next + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
    return ca.Function("f", [x, u, d], [x_next], ["x", "u", "d"], ["x_next"])


def cvodes_integrator(ode: ca.Function, dt: float) -> ca.Function:
    """CasADi integrator over dt by CVODES, error controlled: the simulator's truth.

    Call as integrator(x0=x, p=[u; d])["xf"]. Not wrapped in another function, for CasADi prints
    the arguments of an inner one that fails.
    """
    x, p = ca.SX.sym("x", ode.size1_in(0)), ca.SX.sym("p", ode.size1_in(1) + ode.size1_in(2))
    nu = ode.size1_in(1)
    problem = {"x": x, "p": p, "ode": ode(x, p[:nu], p[nu:])}
    options = {
        "abstol": CVODES_TOLERANCE,
        "reltol": CVODES_TOLERANCE,
        "disable_internal_warnings": True,
        "show_eval_warnings": False,
    }
    return ca.integrator("simulator", "cvodes", problem, 0.0, dt, options)
