"""Systems for do-mpc, which need not be installed to import this file: the caller brings the empty model."""

from typing import Any

import casadi as ca

from ..export import CasadiModel
from .program import identifier


def to_do_mpc(system: CasadiModel, empty: Any) -> Any:
    """Fill do_mpc.model.Model("discrete", "MX") and set it up.

    States "x" (nx, 1) without unit; every input under its name; every output as an expression and as a measurement
    under its name, in physical units. Characters that no identifier has become "_".
    """
    x = empty.set_variable("_x", "x", shape=(system.nx, 1))
    u = [empty.set_variable("_u", identifier(name)) for name in system.u_names]
    y = system.g(x)
    for j, name in enumerate(system.y_names):
        empty.set_expression(identifier(name), y[j])
        empty.set_meas(f"{identifier(name)}_measured", y[j], meas_noise=False)
    empty.set_rhs("x", system.f(x, ca.vertcat(*u)))
    empty.setup()
    return empty
