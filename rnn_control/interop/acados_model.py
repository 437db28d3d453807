"""Systems for acados, which need not be installed to import this file: the caller brings the empty model."""

from typing import Any

import casadi as ca

from ..export import CasadiModel
from .program import identifier


def to_acados(system: CasadiModel, empty: Any, name: str = "identified") -> Any:
    """Fill acados_template.AcadosModel() with x(k+1) = f(x, u), for integrator_type = "DISCRETE" and a grid of dt s.

    x (nx) has no unit, u (nu) is physical. Costs of type "NONLINEAR_LS" find the outputs, physical, and the inputs:
    cost_y_expr = (g(x), u) of ny + nu numbers, at the end cost_y_expr_e = g(x). The box u_min, u_max of the system is
    for ocp.constraints: lbu, ubu, idxbu.
    """
    x, u = ca.MX.sym("x", system.nx), ca.MX.sym("u", system.nu)
    [x_next], [y] = system.f.call([x, u], True), system.g.call([x], True)  # inlined: acados writes C of it
    empty.name, empty.x, empty.u = identifier(name), x, u
    empty.disc_dyn_expr = x_next
    empty.cost_y_expr = empty.cost_y_expr_0 = ca.vertcat(y, u)
    empty.cost_y_expr_e = y
    return empty
