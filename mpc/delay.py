"""Dead time of inputs: the system with what is still on its way as further states."""

from collections.abc import Mapping
from typing import Any

import casadi as ca
import numpy as np

from .names import check_names
from .system import DiscreteSystem, System, check_system


def with_delay(system: System, steps: Mapping[str, int]) -> DiscreteSystem:
    """The system with inputs that act later by whole samples; channels left out act at once.

    x+ = f(x, v),  v_i = u_i(k - d_i):  d_i past values of u_i become states, in units of u, the oldest first.
    They start at the middle of the box.

    steps: {input: d_i}, dead time in samples

    Raises: ValueError for an unknown input, or a delay that is not a whole number >= 0.
    """
    check_system(system)
    check_names("with_delay's input", steps, system.u_names)
    delays = [steps.get(name, 0) for name in system.u_names]
    for name, d in zip(system.u_names, delays, strict=True):
        if d != int(d) or d < 0:
            raise ValueError(f"delay of {name!r} is {d} samples; give a whole number >= 0 (dead time / dt)")
    nx, ends = system.nx, system.nx + np.cumsum([0, *map(int, delays)])
    z, u = ca.MX.sym("z", int(ends[-1])), ca.MX.sym("u", system.nu)
    acting, waiting = [], []
    for i, (first, last) in enumerate(zip(ends[:-1].tolist(), ends[1:].tolist(), strict=True)):
        line = [*(z[j] for j in range(first, last)), u[i]]
        acting.append(line[0])
        waiting += line[1:]
    x_next: Any = system.f.call([z[:nx], ca.vertcat(*acting)], True, False)[0]
    (y,) = system.g.call([z[:nx]], True, False)
    middle = (system.u_min + system.u_max) / 2
    return DiscreteSystem(
        f=ca.Function("f_delay", [z, u], [ca.vertcat(x_next, *waiting)], ["x", "u"], ["x_next"]),
        g=ca.Function("g_delay", [z], [y], ["x"], ["y"]),
        dt=system.dt,
        x0=np.concatenate([system.x0, np.repeat(middle, [int(d) for d in delays])]),
        u_names=system.u_names,
        y_names=system.y_names,
        u_units=system.u_units,
        y_units=system.y_units,
        u_min=system.u_min,
        u_max=system.u_max,
    )
