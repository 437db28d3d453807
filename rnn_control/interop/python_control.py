"""Systems for python-control: the nonlinear one, and its linearisations."""

import control
import numpy as np

from ..export import CasadiModel

REST = 1e-12
"""States that move less than this in a step are at rest: they have no unit and are of order one."""


def to_control(system: CasadiModel, name: str = "identified") -> control.NonlinearIOSystem:
    """x(k+1) = f(x, u), y(k) = g(x) as a discrete-time I/O system, u and y in physical units, channels by name."""

    def update(t, x, u, params):
        return np.asarray(system.f(x, u)).ravel()

    def output(t, x, u, params):
        return np.asarray(system.g(x)).ravel()

    labels = dict(inputs=_labels(system.u_names), outputs=_labels(system.y_names), states=system.nx)
    return control.NonlinearIOSystem(update, output, dt=system.dt, name=name, **labels)


def linearise(system: CasadiModel, u: np.ndarray, x: np.ndarray | None = None) -> control.StateSpace:
    """Deviations about (x, u): A = df/dx, B = df/du, C = dg/dx, D = 0, in physical units, sampling time dt.

    u (nu,); x (nx,), by default the state at which u holds the system.
    """
    u = np.asarray(u, float).reshape(system.nu)
    x = rest(system, u) if x is None else np.asarray(x, float).reshape(system.nx)
    A, B = (np.asarray(M.full()) for M in system.f.jacobian()(x, u, 0))
    C = system.g.jacobian()(x, 0).full()
    labels = dict(inputs=_labels(system.u_names), outputs=_labels(system.y_names))
    return control.StateSpace(A, B, C, np.zeros((system.ny, system.nu)), system.dt, **labels)


def rest(system: CasadiModel, u: np.ndarray, steps: int = 100_000) -> np.ndarray:
    """The state (nx,) to which constant inputs u (nu,) bring the system from x0; ValueError if it does not settle."""
    many = system.f.mapaccum(100)
    x, held = system.x0, np.repeat(np.asarray(u, float).reshape(-1, 1), 100, axis=1)
    for _ in range(steps // 100):
        path = many(x, held).full()
        if abs(path[:, -1] - path[:, -2]).max() < REST:
            return path[:, -1]
        x = path[:, -1]
    raise ValueError(f"the state does not come to rest in {steps} steps under u = {u}; give x")


def _labels(names: tuple[str, ...]) -> list[str]:
    """python-control reads a dot as "system.signal"."""
    return [name.replace(".", "_") for name in names]
