"""Terminal cost and horizon from a certificate: the theorems along closed-loop runs."""

from types import SimpleNamespace

import casadi as ca
import numpy as np
import pytest

from mpc import NMPC, DiscreteSystem, certified_terminal, minimum_horizon

RATE = 0.9


def contracting(seed=0, nx=4):
    """x+ = tanh(A x + B u) with |A|_2 = RATE: tanh has slopes of at most one, so the metric is the identity."""
    rng = np.random.default_rng(seed)
    A = rng.normal(size=(nx, nx))
    A, B, C = RATE * A / np.linalg.norm(A, 2), rng.normal(size=(nx, 2)), rng.normal(size=(2, nx))
    x, u = ca.MX.sym("x", nx), ca.MX.sym("u", 2)
    f = ca.Function("f", [x, u], [ca.tanh(ca.DM(A) @ x + ca.DM(B) @ u)])
    names = dict(u_names=("a", "b"), y_names=("y", "z"), u_units=("-", "-"), y_units=("-", "-"))
    g = ca.Function("g", [x], [ca.DM(C) @ x])
    return DiscreteSystem(f, g, 1.0, np.zeros(nx), u_min=[-0.6, -0.6], u_max=[0.6, 0.6], **names)


def at(function, *arguments):
    return function(*arguments).full().ravel()


CERTIFICATE = {"rate": RATE, "scale": (1.0,) * 4, "metric": np.eye(4)}


@pytest.mark.parametrize("seed", range(5))
def test_terminal_cost_pays_for_holding_the_input_ever_after(seed):
    system, rng, Q = contracting(seed), np.random.default_rng(seed), np.array([2.0, 0.5])
    P = certified_terminal(system, SimpleNamespace(**CERTIFICATE), Q)
    u, rest = rng.uniform(-0.6, 0.6, 2), np.zeros(4)
    for _ in range(400):
        rest = at(system.f, rest, u)
    x, r = rng.uniform(-1, 1, 4), at(system.g, rest)
    for _ in range(30):
        x_next = at(system.f, x, u)
        stage = (Q * (at(system.g, x_next) - r) ** 2).sum()
        assert (x_next - rest) @ P @ (x_next - rest) + stage <= (x - rest) @ P @ (x - rest) + 1e-12
        x = x_next


@pytest.mark.parametrize("horizon", [1, 5])
@pytest.mark.parametrize("seed", range(3))
def test_cost_falls_by_the_cost_of_each_step(seed, horizon):
    system, rng = contracting(seed), np.random.default_rng(seed)
    weights = {"y": 1.0, "du": 0.2}
    c = NMPC(system, horizon, weights, terminal=CERTIFICATE)
    x, u = rng.uniform(-1, 1, 4), np.zeros(2)
    r = at(system.g, at(system.f, np.zeros(4), [0.1, -0.1]))
    before = np.inf
    for _ in range(25):
        result = c.step(x, None, r, u)
        assert result.ok and result.reachable and result.cost <= before + 1e-7
        x, move = at(system.f, x, result.u), result.u - u
        before = result.cost - ((at(system.g, x) - r) ** 2).sum() - 0.2 * (move**2).sum()
        u = result.u
    assert at(system.g, x) == pytest.approx(r, abs=2e-2)


@pytest.mark.parametrize(
    ("rate", "ratio", "stages"),
    [(0.5, 1, 2), (0.5, 4, 3), (0.5, 25, 21), (0.7, 4, 7), (0.7, 25, 79), (0.9, 1, 2), (0.9, 4, 43), (0.98, 1, 2)],
)
def test_minimum_horizons_are_those_of_the_formula(rate, ratio, stages):
    assert minimum_horizon(rate, ratio) == stages


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"metric": None}, "has no metric"),
        ({"rate": 1.0}, "rate is 1.0"),
        ({"metric": np.eye(3)}, "metric has shape"),
        ({"metric": -np.eye(4)}, "positive definite"),
    ],
)
def test_certificates_that_prove_too_little_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        NMPC(contracting(), 3, terminal={**CERTIFICATE, **change})


def test_a_slow_model_is_told_to_use_a_terminal_cost():
    with pytest.raises(ValueError, match="use a terminal cost"):
        minimum_horizon(0.99999, 1e4)


def test_terminal_cost_is_that_of_the_read_out_as_it_stands():
    system, Q = contracting(), np.array([2.0, 0.01])
    C = np.asarray(system.g.jacobian()(np.zeros(4), np.zeros(2)))
    q = np.linalg.norm(np.sqrt(Q)[:, None] * C, 2) ** 2
    assert certified_terminal(system, CERTIFICATE, Q) == pytest.approx(q * RATE**2 / (1 - RATE**2) * np.eye(4))
