"""What controllers and observers see of a process model."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import casadi as ca
import numpy as np


class System(Protocol):
    """Discrete-time strictly proper system in physical units.

    x(k+1) = f(x(k), u(k)),   y(k) = g(x(k))

    f, g are ca.Function on columns; dt in s; x0 (nx,) a sensible state to start from; u_min, u_max
    (nu,) the input box on which the model is valid.
    """

    @property
    def f(self) -> ca.Function: ...
    @property
    def g(self) -> ca.Function: ...
    @property
    def dt(self) -> float: ...
    @property
    def x0(self) -> np.ndarray: ...
    @property
    def u_names(self) -> tuple[str, ...]: ...
    @property
    def y_names(self) -> tuple[str, ...]: ...
    @property
    def u_units(self) -> tuple[str, ...]: ...
    @property
    def y_units(self) -> tuple[str, ...]: ...
    @property
    def u_min(self) -> np.ndarray: ...
    @property
    def u_max(self) -> np.ndarray: ...
    @property
    def nx(self) -> int: ...
    @property
    def nu(self) -> int: ...
    @property
    def ny(self) -> int: ...


@dataclass(frozen=True, eq=False)
class DiscreteSystem:
    """A System made of two CasADi functions; see the System protocol for the fields, state_names for x_names.

    Raises: ValueError when a shape, a name or the box is inconsistent.
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
    x_names: tuple[str, ...] = ()

    def __post_init__(self):
        for name in ("x0", "u_min", "u_max"):
            vector = np.array(getattr(self, name), float).reshape(-1)
            vector.setflags(write=False)
            object.__setattr__(self, name, vector)
        for name in ("u_names", "y_names", "u_units", "y_units"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        check_system(self)
        object.__setattr__(self, "x_names", state_names(self))

    @property
    def nx(self) -> int:
        return len(self.x0)

    @property
    def nu(self) -> int:
        return len(self.u_names)

    @property
    def ny(self) -> int:
        return len(self.y_names)


def check_system(system: System) -> None:
    """Refuse a system whose parts do not fit together.

    Raises: ValueError naming the part, the value found and the one expected.
    """
    if not all(isinstance(getattr(system, name, None), ca.Function) for name in ("f", "g")):
        raise ValueError(
            f"{type(system).__name__} is no System: its f and g must be CasADi functions; an identified model gives "
            "one by model.to_casadi(), anything else by DiscreteSystem"
        )
    f, g, nx, nu = system.f, system.g, system.f.size_in(0)[0], system.f.size_in(1)[0]
    found = {
        "f's result": (f.size_out(0), (nx, 1)),
        "g's argument": (g.size_in(0), (nx, 1)),
        "x0": (np.shape(system.x0), (nx,)),
        "u_min": (np.shape(system.u_min), (nu,)),
        "u_max": (np.shape(system.u_max), (nu,)),
        "x_names": (len(state_names(system)), nx),
        "u_names": (len(system.u_names), nu),
        "u_units": (len(system.u_units), nu),
        "y_names": (len(system.y_names), g.size_out(0)[0]),
        "y_units": (len(system.y_units), g.size_out(0)[0]),
    }
    for name, (is_, must) in found.items():
        if is_ != must:
            raise ValueError(f"{name} has size {is_}, expected {must}; f maps (x, u) to x+, g x")
    if not system.dt > 0:
        raise ValueError(f"dt is {system.dt}, the sampling time must be positive (seconds)")
    names = (*system.u_names, *system.y_names)
    if len(set(names)) < len(names):
        raise ValueError(f"channel names {names} repeat; every input and output needs its own")
    for name, low, high in zip(system.u_names, system.u_min, system.u_max, strict=True):
        if not (np.isfinite(low) and np.isfinite(high) and low < high):
            raise ValueError(f"input box of {name!r} is [{low}, {high}]; need finite low < high")
    if not np.isfinite(system.x0).all():
        raise ValueError(f"x0 is {system.x0}, it must be finite")


def state_names(system: System) -> tuple[str, ...]:
    """x_names of a system that has them, else x1, x2, ..."""
    return tuple(getattr(system, "x_names", None) or (f"x{i + 1}" for i in range(system.f.size1_in(0))))


def evaluate(function: ca.Function, *args: Any) -> np.ndarray:
    """The first output of a CasADi function at numbers, as a flat array."""
    result: Any = function(*args)
    return result.full().ravel()


def linear_system(
    A: Any,
    B: Any,
    C: Any,
    dt: float,
    *,
    u_box: tuple[float, float] = (-1.0, 1.0),
    u_names: Sequence[str] | None = None,
    y_names: Sequence[str] | None = None,
    x0: Any = None,
) -> DiscreteSystem:
    """x+ = A x + B u, y = C x, with every input in u_box; units are "-"."""
    A, B, C = (np.atleast_2d(np.asarray(M, float)) for M in (A, B, C))
    nx, nu, ny = A.shape[0], B.shape[1], C.shape[0]
    if A.shape != (nx, nx) or B.shape[0] != nx or C.shape[1] != nx:
        raise ValueError(f"A {A.shape}, B {B.shape}, C {C.shape}: need (nx, nx) (nx, nu) (ny, nx)")
    x, u = ca.MX.sym("x", nx), ca.MX.sym("u", nu)
    return DiscreteSystem(
        f=ca.Function("f", [x, u], [ca.DM(A) @ x + ca.DM(B) @ u], ["x", "u"], ["x_next"]),
        g=ca.Function("g", [x], [ca.DM(C) @ x], ["x"], ["y"]),
        dt=dt,
        x0=np.zeros(nx) if x0 is None else x0,
        u_names=tuple(u_names or (f"u{i + 1}" for i in range(nu))),
        y_names=tuple(y_names or (f"y{i + 1}" for i in range(ny))),
        u_units=("-",) * nu,
        y_units=("-",) * ny,
        u_min=np.full(nu, float(u_box[0])),
        u_max=np.full(nu, float(u_box[1])),
    )


def with_output_disturbance(system: System) -> DiscreteSystem:
    """The system with a constant disturbance on every output, as ny further states.

    x+ = f(x, u),  d+ = d,  y = g(x) + d;  the states d are named "d_NAME"
    """
    nx, ny = system.nx, system.ny
    z, u = ca.MX.sym("z", nx + ny), ca.MX.sym("u", system.nu)
    x, d = z[:nx], z[nx:]
    f: Any = system.f(x, u)
    g: Any = system.g(x)
    return DiscreteSystem(
        f=ca.Function("f_d", [z, u], [ca.vertcat(f, d)], ["x", "u"], ["x_next"]),
        g=ca.Function("g_d", [z], [g + d], ["x"], ["y"]),
        dt=system.dt,
        x0=np.concatenate([system.x0, np.zeros(ny)]),
        u_names=system.u_names,
        y_names=system.y_names,
        u_units=system.u_units,
        y_units=system.y_units,
        u_min=system.u_min,
        u_max=system.u_max,
        x_names=(*state_names(system), *(f"d_{name}" for name in system.y_names)),
    )
