"""The coolant-flow reactor against its sources: the hot branch, its damping, balances."""

import casadi as ca
import numpy as np
import pytest
from balance import crossing

from plants import CoolantFlowCSTR

SECONDS_PER_MINUTE = 60.0
# q_c = 103.41 L/min: (C_A, T), and whether it is stable; solved independently of this package
EQUILIBRIA = {
    "hot": ((0.10001, 438.542), True),
    "middle": ((0.47622, 401.530), False),
    "cold": ((0.96389, 353.553), True),
}
# on the hot branch, q_c in L/min: poles in 1/min
POLES = {
    85.0: (-8.77, -2.99),
    103.41: (-1.336 + 3.030j, -1.336 - 3.030j),
    111.0: (-0.111 + 2.505j, -0.111 - 2.505j),
    112.0: (0.033 + 2.387j, 0.033 - 2.387j),
}


@pytest.fixture(scope="module")
def plant():
    return CoolantFlowCSTR()


@pytest.mark.parametrize("label", EQUILIBRIA)
def test_three_equilibria_for_one_input(plant, label):
    printed, stable = EQUILIBRIA[label]
    x = plant.equilibrium(plant.nominal.u, guess=printed)
    assert np.all(np.abs(x - printed) <= [6e-6, 5e-4])
    assert np.all(plant.linearise(x, plant.nominal.u).poles().real < 0) == stable


@pytest.mark.parametrize("q_c", POLES)
def test_damping_along_the_hot_branch(plant, q_c):
    x = plant.equilibrium([q_c])
    poles = SECONDS_PER_MINUTE * plant.linearise(x, [q_c]).poles()
    np.testing.assert_allclose(np.sort_complex(poles), np.sort_complex(POLES[q_c]), atol=5e-3)


def test_residual_at_the_printed_point(plant):
    point = plant.nominal
    rate = SECONDS_PER_MINUTE * np.array(plant.ode_function()(point.x, point.u, list(point.d.values()))).ravel()
    np.testing.assert_allclose(rate, (2.08e-3, -0.328), rtol=1e-2)


def test_started_cold_it_stays_cold(plant):
    process = plant.process(7200.0, x0=[1.0, 350.0])
    process.apply(plant.nominal.u)
    np.testing.assert_allclose(process.x, EQUILIBRIA["cold"][0], rtol=1e-5)


def test_coolant_cannot_leave_hotter_than_the_reactor(plant):
    T, q_c = 440.0, np.array([1e-3, 1.0, 60.0, 120.0])
    outlet = plant.T_cf - np.array([float(plant.cooling(q, T)) for q in q_c]) / (plant.rhoCp_c * q_c)
    assert np.all(outlet <= T) and np.all(np.diff(outlet[1:]) < 0)


def test_moles_and_energy_are_conserved(plant):
    """B is made of A, A comes with the feed; enthalpy, B lower than A by H, changes by feed and coil only."""
    p, x0 = plant, np.array([0.1, 438.5])

    def flows(x, u, d):
        B_made = p.k0 * ca.exp(-p.E / x[1]) * x[0]  # mol/(L min)
        heat = p.q * p.rhoCp * (d[1] - x[1]) + p.cooling(u[0], x[1])  # cal/min
        return ca.vertcat(p.q * (d[0] - x[0]) / p.V, B_made, heat) / SECONDS_PER_MINUTE

    x1, (A_fed, B_made, heat) = crossing(p, x0, [95.0], 600.0, flows)
    warmed = p.V * p.rhoCp * (x1[1] - x0[1])
    assert abs(x1[0] - x0[0] - A_fed + B_made) < 1e-9
    assert abs(warmed - heat - p.V * p.H * B_made) < 1e-9 * p.V * p.rhoCp * x0[1]
