"""One step of a System with its derivatives, in scaled numbers: what the condensed solver evaluates N times."""

from typing import Any, NamedTuple

import casadi as ca

from .jacobian import jacobian
from .scales import Scales, scaled_expressions
from .system import System


class Cell(NamedTuple):
    """roll: (x, u) -> x+, y+;  cell: (x, u) -> x+, y+, d x+ / d (x, u), d y+ / d x+;  y+ = g(x+);

    curve: (x, u, lam, mu) -> second derivatives of lam' f(x, u) + mu' g(f(x, u)) with respect to (x, u).
    """

    roll: ca.Function
    cell: ca.Function
    curve: ca.Function


def build_cell(system: System, scales: Scales) -> Cell:
    """The three functions, matrix operations throughout (a network expanded to scalars is slow to build and to run)."""
    x, u = ca.MX.sym("x", system.nx), ca.MX.sym("u", system.nu)
    lam, mu = ca.MX.sym("lam", system.nx), ca.MX.sym("mu", system.ny)
    f, _ = scaled_expressions(system, scales, x, u)
    x_next = ca.MX.sym("x_next", system.nx)
    _, g = scaled_expressions(system, scales, x_next, u)
    (y,) = ca.graph_substitute([g], [x_next], [f])
    C: Any = jacobian(g, x_next)
    (C,) = ca.graph_substitute([C], [x_next], [f])
    adjoint = ca.graph_substitute([ca.jtimes(g, x_next, mu, True)], [x_next], [f])[0] + lam
    a = ca.MX.sym("a", system.nx)
    gradient = ca.vertcat(ca.jtimes(f, x, a, True), ca.jtimes(f, u, a, True))
    (gradient,) = ca.graph_substitute([gradient], [a], [adjoint])
    options = {"cse": True}
    return Cell(
        ca.Function("model_roll", [x, u], [ca.densify(f), ca.densify(y)], options),
        ca.Function("model_cell", [x, u], [ca.densify(f), ca.densify(y), jacobian(f, x, u), ca.densify(C)], options),
        ca.Function("model_curve", [x, u, lam, mu], [jacobian(gradient, x, u)], options),
    )
