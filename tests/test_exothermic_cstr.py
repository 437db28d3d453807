"""The exothermic reactor against its sources: its three equilibria, why no delta-ISS model can hold it, balances."""

import casadi as ca
import numpy as np
import pytest
from balance import crossing

from plants import ExothermicCSTR

# T_c = 300 K: (C_A, T), poles in 1/min, solved independently of this package
EQUILIBRIA = {
    "cold": ((0.87725, 324.475), (-1.05 + 0.54j, -1.05 - 0.54j)),
    "saddle": ((0.49992, 350.006), (-0.45, 2.83)),
    "hot": ((0.20876, 369.705), (1.36 + 1.54j, 1.36 - 1.54j)),
}
SECONDS_PER_MINUTE = 60.0


@pytest.fixture(scope="module")
def plant():
    return ExothermicCSTR()


def settled(plant, start, T_c):
    """T (K) over the last ten minutes of two hours at T_c from `start`."""
    process = plant.process(6.0, x0=start)
    trajectory = []
    for _ in range(1200):
        process.apply([T_c])
        trajectory.append(process.x[1])
    return np.array(trajectory[-100:])


@pytest.mark.parametrize("label", EQUILIBRIA)
def test_three_equilibria_for_one_input(plant, label):
    printed, _ = EQUILIBRIA[label]
    assert np.all(np.abs(plant.equilibrium([300.0], guess=printed) - printed) <= [5e-6, 5e-4])


@pytest.mark.parametrize("label", EQUILIBRIA)
def test_poles_of_the_three_equilibria(plant, label):
    printed, expected = EQUILIBRIA[label]
    poles = SECONDS_PER_MINUTE * plant.linearise(plant.equilibrium([300.0], guess=printed), [300.0]).poles()
    np.testing.assert_allclose(np.sort_complex(poles), np.sort_complex(expected), atol=6e-3)


def test_residual_at_the_printed_unstable_point(plant):
    point = plant.operating_points["unstable"]
    rate = SECONDS_PER_MINUTE * np.array(plant.ode_function()(point.x, point.u, list(point.d.values()))).ravel()
    np.testing.assert_allclose(rate, (3.4e-5, -7.1e-3), rtol=2e-2)


def test_published_cold_state_is_steady_to_all_its_digits(plant):
    np.testing.assert_allclose(plant.equilibrium([300.0]), plant.nominal.x, rtol=1e-12)


def test_at_305_kelvin_every_start_ends_in_a_limit_cycle(plant):
    only = plant.equilibrium([305.0], guess=[0.14, 378.0])
    assert np.all(plant.linearise(only, [305.0]).poles().real > 0)
    assert np.ptp(settled(plant, plant.nominal.x, 305.0)) > 40.0  # K


def test_at_305_kelvin_two_starts_never_meet(plant):
    """The contrary of delta-ISS: the same input, and trajectories that stay apart."""
    first, second = settled(plant, plant.nominal.x, 305.0), settled(plant, [0.2, 370.0], 305.0)
    assert np.max(np.abs(first - second)) > 10.0  # K


@pytest.mark.parametrize("T_c", [310.0, 320.0])
def test_hot_branch_is_stable_from_310_kelvin_on(plant, T_c):
    x = plant.equilibrium([T_c], guess=[0.08, 388.0])
    assert x[1] > 380.0 and np.all(plant.linearise(x, [T_c]).poles().real < 0)


def test_moles_and_energy_are_conserved(plant):
    """B is made of A, A comes with the feed; enthalpy, B lower than A by H, changes by feed and jacket only."""
    p, x0 = plant, np.array([0.8, 330.0])

    def flows(x, u, d):
        B_made = p.k0 * ca.exp(-p.E / x[1]) * x[0]  # mol/(L min)
        heat = p.q * p.rhoCp * (d[1] - x[1]) + p.UA * (u[0] - x[1])  # J/min
        return ca.vertcat(p.q * (d[0] - x[0]) / p.V, B_made, heat) / SECONDS_PER_MINUTE

    x1, (A_fed, B_made, heat) = crossing(p, x0, [295.0], 600.0, flows)
    warmed = p.V * p.rhoCp * (x1[1] - x0[1])
    assert abs(x1[0] - x0[0] - A_fed + B_made) < 1e-9
    assert abs(warmed - heat - p.V * p.H * B_made) < 1e-9 * p.V * p.rhoCp * x0[1]
