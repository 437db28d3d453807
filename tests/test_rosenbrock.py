"""The step of stiff plants: its order, its damping, and that C can be written of it."""

import casadi as ca
import numpy as np
import pytest

from plants import ReactorsSeparatorStewart
from plants.rosenbrock import rosenbrock_step

u, d = ca.SX.sym("u", 1), ca.SX.sym("d", 0)


def one_step(ode, x, h):
    """From x, with u = 1, in one step of h."""
    return rosenbrock_step(ode, h, h)(x, 1.0, []).full().ravel()


def test_a_halved_step_errs_a_thirty_second_or_less():
    x = ca.SX.sym("x", 1)
    logistic = ca.Function("ode", [x, u, d], [u * x * (1 - x)], ["x", "u", "d"], ["dxdt"])
    errors = [abs(one_step(logistic, 0.2, h)[0] - 1 / (1 + 4 * np.exp(-h))) for h in (0.1, 0.05)]
    assert errors[0] > 30 * errors[1]  # 16 of a method of order 3


def test_modes_much_faster_than_the_step_are_gone_after_it():
    x = ca.SX.sym("x", 2)
    stiff = ca.Function("ode", [x, u, d], [ca.vertcat(u - x[0], 1e8 * (x[0] - x[1]))], ["x", "u", "d"], ["dxdt"])
    x_next = one_step(stiff, [0.0, 5.0], 0.1)
    assert x_next == pytest.approx(1 - np.exp(-0.1), abs=1e-5)


def test_jacobian_of_the_stages_equals_the_derivative_along_a_direction():
    plant, rng = ReactorsSeparatorStewart(), np.random.default_rng(0)
    x, v = ca.MX.sym("x", plant.nx + plant.nu + plant.nd), rng.standard_normal(plant.nx + plant.nu + plant.nd)
    x_next = rosenbrock_step(plant.ode_function(), 0.3, 0.07)(*ca.vertsplit(x, [0, 12, 18, 20]))
    at = np.concatenate([plant.nominal.x, plant.nominal.u, plant.disturbance_vector(None)])
    # a single direction is derived from the equations themselves
    along, whole = (ca.Function("D", [x], [D])(at) for D in (ca.jtimes(x_next, x, v), ca.jacobian(x_next, x) @ v))
    assert whole.full() == pytest.approx(along.full(), rel=1e-10)


def test_second_derivatives_are_those_of_the_jacobian():
    x = ca.SX.sym("x", 1)
    ode = ca.Function("ode", [x, u, d], [u * x * (1 - x)], ["x", "u", "d"], ["dxdt"])
    z = ca.MX.sym("z", 2)
    slope = ca.gradient(rosenbrock_step(ode, 0.2, 0.1)(z[0], z[1], []), z)
    g, H = ca.Function("g", [z], [slope]), ca.Function("H", [z], [ca.jacobian(slope, z)])
    at, h = np.array([0.2, 1.0]), 1e-5 * np.eye(2)
    literal = np.hstack([(g(at + e) - g(at - e)).full() / 2e-5 for e in h])
    assert H(at).full() == pytest.approx(literal, abs=1e-8)


def test_f_of_a_stiff_plant_can_be_written_as_c(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    f = ReactorsSeparatorStewart().discretise(0.3).f
    f.generate("f.c")
    assert "#error" not in (tmp_path / "f.c").read_text()
