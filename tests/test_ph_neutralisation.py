"""pH neutralisation against its sources: steady state, static map, chemistry, balances."""

import casadi as ca
import numpy as np
import pytest
from balance import crossing
from scipy.optimize import brentq

from plants import PHNeutralisation

# what the equations of Henson and Seborg (1994) leave at their printed steady state, and its exact neighbour
RESIDUAL = (-4.55e-5, -4.14e-6, -1.353e-4)  # mmol/(L s), mmol/(L s), cm/s
STEADY = (-0.43603, 0.52763, 13.964)
POLES = (-0.0113, -0.0113, -0.0038)  # 1/s
STATIC_MAP = {12.5: 5.95, 14.0: 6.43, 15.6: 7.03, 16.5: 7.96, 17.0: 8.99}  # q3 in mL/s: pH
# pH of a strong acid, water, a strong base, of 1 mmol/L; carbonic acid, sodium hydrogen carbonate, sodium carbonate, of
# 10 mmol/L: textbook approximations sqrt(K1 c), (pK1 + pK2) / 2, sqrt(Kw c / K2), good to 0.05
CHEMISTRY = {
    "acid": (1, 0, 3.0),
    "water": (0, 0, 7.0),
    "base": (-1, 0, 11.0),
    "H2CO3": (0, 10, 4.175),
    "NaHCO3": (-10, 10, 8.3),
    "Na2CO3": (-20, 10, 11.125),
}


@pytest.fixture(scope="module")
def plant():
    return PHNeutralisation()


@pytest.fixture(scope="module")
def mixtures():
    """Wa, Wb, h of 200 mixtures of acid, buffer and base in any proportion."""
    plant, share = PHNeutralisation(), np.random.default_rng(0).dirichlet((0.5, 0.5, 0.5), 200)
    Wa, Wb = share @ [plant.Wa1, plant.Wa2, plant.Wa3], share @ [plant.Wb1, plant.Wb2, plant.Wb3]
    return np.column_stack([Wa, Wb, np.full(200, 14.0)])


def test_residual_at_the_printed_point(plant):
    point = plant.nominal
    rate = np.array(plant.ode_function()(point.x, point.u, list(point.d.values()))).ravel()
    assert np.all(np.abs(rate - RESIDUAL) <= [5e-8, 5e-9, 5e-8])


def test_steady_state(plant):
    x = plant.equilibrium(plant.nominal.u)
    assert np.all(np.abs(x - STEADY) <= [5e-6, 5e-6, 5e-4])


def test_poles(plant):
    poles = plant.linearise(plant.equilibrium(plant.nominal.u), plant.nominal.u).poles()
    np.testing.assert_allclose(np.sort(poles.real), POLES, atol=5e-5)


@pytest.mark.parametrize("q3", STATIC_MAP)
def test_static_map(plant, q3):
    assert abs(plant.output_function()(plant.equilibrium([q3])) - STATIC_MAP[q3]) < 5e-3


@pytest.mark.parametrize("solution", CHEMISTRY)
def test_known_solutions(plant, solution):
    Wa, Wb, pH = CHEMISTRY[solution]
    assert abs(plant.output_function()([Wa, Wb, 14.0]) - pH) < 0.05


def test_pH_is_the_root_of_the_charge_balance(plant, mixtures):
    def pH(Wa, Wb, _):
        return brentq(lambda guess: float(plant.charge(Wa, Wb, guess)), 0, 14, xtol=1e-14, rtol=1e-14)

    solved = np.array(plant.output_function().map(200)(mixtures.T)).ravel()
    np.testing.assert_allclose(solved, [pH(*x) for x in mixtures], atol=1e-11)


def test_pH_has_the_gradient_of_the_implicit_function(plant, mixtures):
    Wa, Wb, pH = (ca.SX.sym(name) for name in ("Wa", "Wb", "pH"))
    F = plant.charge(Wa, Wb, pH)
    implicit = ca.Function("dpH", [Wa, Wb, pH], [-ca.jacobian(F, ca.vertcat(Wa, Wb)) / ca.jacobian(F, pH)])
    g = plant.output_function()
    expected = np.array(implicit.map(200)(mixtures[:, 0].T, mixtures[:, 1].T, g.map(200)(mixtures.T)))
    found = np.array(g.jacobian().map(200)(mixtures.T, 0)).reshape(200, 3)[:, :2]
    np.testing.assert_allclose(found, expected.reshape(200, 2), rtol=1e-8)


def test_pH_has_a_hessian_that_agrees_with_differences_of_its_gradient(plant):
    x = ca.SX.sym("x", 3)
    hessian, gradient = ca.hessian(plant.output(x), x)
    f = ca.Function("f", [x], [hessian, gradient])
    x0, step = plant.equilibrium(plant.nominal.u), 1e-6
    difference = (f(x0 + [step, 0, 0])[1] - f(x0 - [step, 0, 0])[1]) / (2 * step)
    np.testing.assert_allclose(np.array(f(x0)[0])[0], np.array(difference).ravel(), rtol=1e-6)


def test_pH_falls_with_acid_over_the_whole_scale(plant):
    Wa = np.linspace(-1000, 1000, 2001)  # strong acid, the sign that a misprint of 10^-pH turns round
    pH = np.array(plant.output_function().map(2001)(np.vstack([Wa, 0.5 + 0 * Wa, 14 + 0 * Wa]))).ravel()
    assert np.all(np.diff(pH) < 0) and pH[0] < 14.0 and pH[-1] > -1e-9


def test_running_empty_is_an_error_that_names_the_level(plant):
    with pytest.raises(RuntimeError, match="h = -"):
        plant.process(300.0).apply([5.0], q1=0.0)


def test_volume_charge_and_carbonate_are_conserved(plant):
    p, x0, seconds = plant, plant.equilibrium([13.0]), 900.0

    def flows(x, u, d):
        each, out = (d[0], d[1], u[0]), p.outflow(x[2])
        a = sum(q * w for q, w in zip(each, (p.Wa1, p.Wa2, p.Wa3), strict=True))
        b = sum(q * w for q, w in zip(each, (p.Wb1, p.Wb2, p.Wb3), strict=True))
        return ca.vertcat(sum(each) - out, a - out * x[0], b - out * x[1])

    def content(x):
        return p.A * x[2] * np.array([1.0, x[0], x[1]])

    x1, passed = crossing(p, x0, [16.5], seconds, flows)
    np.testing.assert_allclose(content(x1) - content(x0), passed, atol=1e-9 * p.A * x0[2])
