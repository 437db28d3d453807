"""What crosses the walls of a plant while it runs: the other side of a mass or energy balance."""

import casadi as ca
import numpy as np

# a product of two states is conserved only as well as the integrator solves the equations
EXACT = {"abstol": 1e-13, "reltol": 1e-13}


def crossing(plant, x0, u, seconds, flows):
    """x after `seconds` from x0 at u, and the time integrals of flows(x, u, d), rates of inflow per second."""
    x, d, u = ca.SX.sym("x", plant.nx), ca.DM(plant.disturbance_vector()), ca.DM(u)
    rates = flows(x, u, d)
    passed = ca.SX.sym("passed", rates.numel())
    problem = {"x": ca.vertcat(x, passed), "ode": ca.vertcat(plant.ode(x, u, d), rates)}
    run = ca.integrator("run", "cvodes", problem, 0.0, seconds, EXACT)
    z = np.array(run(x0=np.concatenate([x0, np.zeros(passed.numel())]))["xf"]).ravel()
    return z[: plant.nx], z[plant.nx :]
