"""One step of a System with its derivatives, in scaled numbers: what the condensed solver evaluates N times."""

from typing import Any, NamedTuple

import casadi as ca

from .jacobian import jacobian
from .programme import Programme
from .scales import Scales, scaled_expressions
from .system import System

OPTIONS = {"cse": True}


class Cell(NamedTuple):
    """roll: (x, u) -> x+, y+;  cell: (x, u) -> x+, y+, d x+ / d (x, u), d y+ / d x+;  y+ = g(x+);

    curve: (x, u, lam, mu) -> second derivatives of lam' f(x, u) + mu' g(f(x, u)) with respect to (x, u).
    """

    roll: ca.Function
    cell: Programme
    curve: Programme


def build_cell(system: System, scales: Scales, name: str = "model") -> Cell:
    """The three functions, by names that begin with `name`.

    Matrix operations throughout: a network expanded to scalars is slow to build and to run.
    """
    x, u = ca.MX.sym("x", system.nx), ca.MX.sym("u", system.nu)
    f, y, g, x_next = _next(system, scales, x, u)
    roll = ca.Function(f"{name}_roll", [x, u], [ca.densify(f), ca.densify(y)], OPTIONS)
    (C,) = ca.graph_substitute([jacobian(g, x_next)], [x_next], [f])
    cell = Programme(f"{name}_cell", [x, u], [f, y, C], f, [x, u], place=2)
    arguments, gradient = _gradient(system, scales)
    return Cell(roll, cell, Programme(f"{name}_curve", arguments, [], gradient, arguments[:2]))


def build_step(system: System, scales: Scales) -> ca.Function:
    """Cell's cell as one function of CasADi."""
    x, u = ca.MX.sym("x", system.nx), ca.MX.sym("u", system.nu)
    f, y, g, x_next = _next(system, scales, x, u)
    (C,) = ca.graph_substitute([jacobian(g, x_next)], [x_next], [f])
    results: Any = [ca.densify(f), ca.densify(y), jacobian(f, x, u), ca.densify(C)]
    return ca.Function("model_cell", [x, u], results, OPTIONS)


def build_curve(system: System, scales: Scales) -> ca.Function:
    """Cell's curve as one function of CasADi."""
    arguments, gradient = _gradient(system, scales)
    return ca.Function("model_curve", arguments, [jacobian(gradient, *arguments[:2])], OPTIONS)


def _gradient(system: System, scales: Scales) -> tuple[list[Any], Any]:
    """(x, u, lam, mu), and the derivative of lam' f + mu' g with respect to (x, u)."""
    x, u = ca.MX.sym("x", system.nx), ca.MX.sym("u", system.nu)
    lam, mu = ca.MX.sym("lam", system.nx), ca.MX.sym("mu", system.ny)
    f, _, g, x_next = _next(system, scales, x, u)
    adjoint = ca.graph_substitute([ca.jtimes(g, x_next, mu, True)], [x_next], [f])[0] + lam
    a = ca.MX.sym("a", system.nx)
    gradient = ca.vertcat(ca.jtimes(f, x, a, True), ca.jtimes(f, u, a, True))
    (gradient,) = ca.graph_substitute([gradient], [a], [adjoint])
    return [x, u, lam, mu], gradient


def _next(system: System, scales: Scales, x: Any, u: Any) -> tuple[Any, Any, Any, Any]:
    """f(x, u), g there, and g as an expression of its own argument, the last."""
    f, _ = scaled_expressions(system, scales, x, u)
    x_next = ca.MX.sym("x_next", system.nx)
    _, g = scaled_expressions(system, scales, x_next, u)
    (y,) = ca.graph_substitute([g], [x_next], [f])
    return f, y, g, x_next
