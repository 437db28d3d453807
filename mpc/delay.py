"""Dead time of inputs and outputs: the system with what is still on its way as further states."""

from collections.abc import Mapping
from typing import Any

import casadi as ca
import numpy as np

from .names import check_names
from .system import DiscreteSystem, System, check_system, evaluate, state_names


def with_delay(
    system: System, steps: Mapping[str, int] | None = None, *, seconds: Mapping[str, float] | None = None
) -> DiscreteSystem:
    """The system with inputs that act, and outputs that are measured, later by whole samples; others without delay.

    x+ = f(x, v),  v_i = u_i(k - d_i),  y_j(k) = g_j(x(k - d_j))

    The d past values of a channel become states in its units, the oldest first, by the names "F(k-2)", "F(k-1)". Those
    of inputs start at the middle of the box, those of outputs at g(x0). A late output (an analyser) is controlled,
    bounded and reported as it is measured: take a horizon that outlasts its delay. All observers work with it; samples
    between two readings of an analyser are NaN.

    steps: {input or output: d}, dead time in samples; seconds: the same in s, which must be whole samples

    Raises: ValueError for an unknown channel, one given twice, or a delay that is not a whole number of samples >= 0.
    """
    check_system(system)
    delays = _samples(system, steps or {}, seconds or {})
    nx, nu = system.nx, system.nu
    ends = nx + np.cumsum([0, *delays])
    z, u = ca.MX.sym("z", int(ends[-1])), ca.MX.sym("u", nu)
    (y,) = system.g.call([z[:nx]], True, False)
    now, leaving, staying = ca.vertcat(u, y), [], []
    for i, (first, last) in enumerate(zip(ends[:-1].tolist(), ends[1:].tolist(), strict=True)):
        line = [*(z[j] for j in range(first, last)), now[i]]
        leaving.append(line[0])
        staying += line[1:]
    x_next: Any = system.f.call([z[:nx], ca.vertcat(*leaving[:nu])], True, False)[0]
    before = np.concatenate([(system.u_min + system.u_max) / 2, evaluate(system.g, system.x0)])
    names = (*system.u_names, *system.y_names)
    return DiscreteSystem(
        f=ca.Function("f_delay", [z, u], [ca.vertcat(x_next, *staying)], ["x", "u"], ["x_next"]),
        g=ca.Function("g_delay", [z], [ca.vertcat(*leaving[nu:])], ["x"], ["y"]),
        dt=system.dt,
        x0=np.concatenate([system.x0, np.repeat(before, delays)]),
        u_names=system.u_names,
        y_names=system.y_names,
        u_units=system.u_units,
        y_units=system.y_units,
        u_min=system.u_min,
        u_max=system.u_max,
        x_names=(
            *state_names(system),
            *(f"{name}(k-{i})" for name, d in zip(names, delays, strict=True) for i in range(d, 0, -1)),
        ),
    )


def _samples(system: System, steps: Mapping[str, Any], seconds: Mapping[str, Any]) -> list[int]:
    """Delay of every input and output."""
    names = (*system.u_names, *system.y_names)
    check_names("with_delay's input or output", (*steps, *seconds), names)
    twice = [name for name in steps if name in seconds]
    if twice:
        raise ValueError(f"delay of {twice[0]!r} is given in samples and in seconds; give one")
    given = {**steps, **{name: round(s / system.dt, 9) for name, s in seconds.items()}}
    for name, d in given.items():
        if not (d >= 0 and d == int(d)):
            raise ValueError(f"delay of {name!r} is {d} samples; give whole samples >= 0, of dt = {system.dt:g} s")
    return [int(given.get(name, 0)) for name in names]
