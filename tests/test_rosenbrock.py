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


def test_f_of_a_stiff_plant_can_be_written_as_c(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    f = ReactorsSeparatorStewart().discretise(0.3).f
    f.generate("f.c")
    assert "#error" not in (tmp_path / "f.c").read_text()
