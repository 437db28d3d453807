"""Magnitudes of inputs, states and outputs: what makes the solvers' numbers of order one."""

from typing import Any, NamedTuple

import casadi as ca
import numpy as np

from .fast_call import FastCall
from .names import channel_vector
from .system import System

# Long enough to see most of a response, short enough that an unstable mode stays representable.
HOLD_STEPS = 60


class Scales(NamedTuple):
    """x = x_mid + x_half x_n, u = u_mid + u_half u_n, y = y_mid + y_range y_n."""

    x_mid: np.ndarray
    x_half: np.ndarray
    u_mid: np.ndarray
    u_half: np.ndarray
    y_mid: np.ndarray
    y_range: np.ndarray


def find_scales(system: System, y_range: Any = None) -> Scales:
    """Scales seen when every input in turn is held at the ends of its box for HOLD_STEPS from x0.

    y_range: what counts as a large change of each output, by name, in its unit; replaces the
    simulated one for the channels given.
    """
    u_mid, u_half = (system.u_max + system.u_min) / 2, (system.u_max - system.u_min) / 2
    f, g = FastCall(system.f), FastCall(system.g)
    visited = [np.asarray(system.x0, float)]
    for level in (np.zeros(system.nu), *np.eye(system.nu), *-np.eye(system.nu)):
        x = visited[0]
        for _ in range(HOLD_STEPS):
            x = f(x, u_mid + u_half * level)[0].copy()
            if not np.isfinite(x).all():
                break
            visited.append(x)
    xs = np.array(visited)
    ys = np.array([g(x)[0].copy() for x in visited])
    y_span = _positive(np.ptp(ys, axis=0), ys)
    chosen = channel_vector("y_range", y_range, system.y_names, y_span)
    if (chosen <= 0).any():
        raise ValueError(f"y_range is {chosen}, ranges must be positive")
    return Scales(
        x_mid=(xs.max(0) + xs.min(0)) / 2,
        x_half=_positive(np.ptp(xs, axis=0) / 2, xs),
        u_mid=u_mid,
        u_half=u_half,
        y_mid=(ys.max(0) + ys.min(0)) / 2,
        y_range=chosen,
    )


def _positive(span: np.ndarray, values: np.ndarray) -> np.ndarray:
    """A quantity that did not move is scaled by its size, or by one."""
    size = np.abs(values).max(0)
    return np.where(span > 1e-9 * size, span, np.where(size > 0, size, 1.0))


def scaled_expressions(system: System, s: Scales, x: Any, u: Any) -> tuple[Any, Any]:
    """f(x, u) and g(x) between scaled quantities, with the system's own matrix operations laid open.

    A function of scalar operations (SX, as the plants' are) stays one call: laid open it would be ten times slower.
    """
    x_phys = s.x_mid + s.x_half * x
    arguments = ((system.f, [x_phys, s.u_mid + s.u_half * u]), (system.g, [x_phys]))
    f, g = (fn.call(a, fn.is_a("MXFunction"), False)[0] for fn, a in arguments)
    return (f - s.x_mid) / s.x_half, (g - s.y_mid) / s.y_range


def scaled_functions(system: System, s: Scales) -> tuple[ca.Function, ca.Function]:
    """f and g between scaled quantities."""
    x, u = ca.MX.sym("x", system.nx), ca.MX.sym("u", system.nu)
    f, g = scaled_expressions(system, s, x, u)
    return ca.Function("f_n", [x, u], [f]), ca.Function("g_n", [x], [g])
