"""Two reactors and a separator against their sources: steady state, limits, balances."""

from dataclasses import replace

import casadi as ca
import numpy as np
import pytest
from balance import crossing

from plants import ReactorsSeparator, ReactorsSeparatorLiu, ReactorsSeparatorStewart

# the equations of Krupa et al. (2021) solved at their inputs, H in m, T in K: vessels 1, 2, 3
STEADY = (0.700, 0.4155, 0.5480, 329.00, 0.900, 0.2581, 0.6755, 333.00, 1.333, 0.2282, 0.7000, 333.00)
HALF_A_DIGIT = 3 * (5e-4, 5.5e-5, 5.5e-5, 5e-3)
STEPS = {
    ReactorsSeparator: ((500.0, -500.0, 300.0, 35.0, 8.0, 8.0), 120.0),
    ReactorsSeparatorStewart: ((15.0, 5.0, 10.0, 9.0, 0.6, 65.0), 6.0),
}
# the equations of Stewart et al. (2010) with this package's k_A0, k_B0 and of Liu et al. (2009), solved independently
STEWART = (29.812, 0.5437, 0.3929, 314.58, 30.012, 0.5048, 0.4214, 314.67, 3.2672, 0.2399, 0.5726, 314.67)
LIU = (0.2628, 0.3968, 337.04, 0.1049, 0.4043, 344.45, 0.0569, 0.4755, 346.53)


@pytest.fixture(scope="module")
def plant():
    return ReactorsSeparator()


@pytest.fixture(params=range(64), scope="module")
def corner(request):
    """A corner of the region of good behaviour: its input."""
    bits = [request.param >> i & 1 for i in range(6)]
    plant = ReactorsSeparator()
    return np.where(bits, plant.u_region_max, plant.u_region_min)


def test_steady_state(plant):
    assert np.all(np.abs(plant.equilibrium(plant.nominal.u) - STEADY) <= HALF_A_DIGIT)


def test_poles_are_of_nine_to_fifty_seconds(plant):
    poles = plant.linearise(plant.equilibrium(plant.nominal.u), plant.nominal.u).poles()
    assert abs(poles.real.min() + 0.111) < 5e-4 and abs(poles.real.max() + 0.020) < 5e-4  # 1/s


def test_steady_states_of_the_region_keep_the_published_limits(plant, corner):
    H, _, _, T = plant.equilibrium(corner).reshape(3, 4).T
    assert np.all(H < 2.0) and np.all((320.0 < T) & (T < 348.0)) and T[2] < 338.0


def test_every_corner_of_the_region_is_stable(plant, corner):
    assert np.all(plant.linearise(plant.equilibrium(corner), corner).poles().real < -0.015)


def test_with_activation_energies_of_the_usual_sign_nothing_reacts(plant):
    inert = replace(plant, E_A=-plant.E_A, E_B=-plant.E_B)
    assert inert.equilibrium(plant.nominal.u)[9] > 0.999  # mass fraction of A in the separator


def test_vapour_is_richer_in_the_more_volatile(plant):
    x_A, x_B = np.array(plant.vapour(ca.DM([0.2282, 0.7000, 333.0]))).ravel()
    assert x_A > 0.2282 and x_A / x_B > 0.2282 / 0.7000 and x_A + x_B < 1


@pytest.mark.parametrize("plant, printed", [(ReactorsSeparatorStewart(), STEWART), (ReactorsSeparatorLiu(), LIU)])
def test_steady_states_of_the_other_sets(plant, printed):
    np.testing.assert_allclose(plant.equilibrium(plant.nominal.u), printed, rtol=1e-3)


def test_stewarts_set_is_stiff():
    plant = ReactorsSeparatorStewart()
    poles = plant.linearise(plant.equilibrium(plant.nominal.u), plant.nominal.u).poles()
    assert abs(poles.real.min() + 207.0) < 0.1 and abs(poles.real.max() + 0.3317) < 1e-4  # 1/s


def test_a_step_that_no_explicit_step_of_its_length_would_survive():
    plant = ReactorsSeparatorStewart()
    u = np.array(plant.nominal.u) * (1, 1, 1, 1.1, 1, 1)
    f, x = plant.discretise(30.0).f, plant.equilibrium(plant.nominal.u)  # 1500 steps, most of them 4 / 207 s
    np.testing.assert_allclose(np.array(f(x, u)).ravel(), plant.equilibrium(u), rtol=1e-4)


@pytest.fixture(params=STEPS, ids=lambda plant: plant.name, scope="module")
def run(request):
    """Contents before and after a step: mass, A, B (kg), enthalpy (kJ); what came in and what reacted."""
    p, (u, seconds) = request.param(), STEPS[request.param]
    k_v3, areas = p.valves[2], np.array(p.areas)

    def flows(x, u, d):
        (H1, z1), (H2, z2), (H3, z3) = ((x[i], x[i + 1 : i + 4]) for i in (0, 4, 8))
        feed, purge, F_3 = u[3] + u[4], p.a_D * u[5], k_v3 * H3
        feeds = feed * ca.vertcat(1, d[0], 0, p.Cp * d[1])
        tops = purge * ca.vertcat(1, p.vapour(z3), p.Cp * z3[2])
        bottoms = F_3 * ca.vertcat(1, z3[0], z3[1], p.Cp * z3[2])
        heat = ca.vertcat(0, 0, 0, u[0] + u[1] + u[2])
        made = p.rho * (areas[0] * H1 * p.reactions(z1) + areas[1] * H2 * p.reactions(z2))
        return ca.vertcat(feeds - tops - bottoms + heat, made[0], made[0] + made[1])

    def content(x):
        H, x_A, x_B, T = x.reshape(3, 4).T
        mass = p.rho * areas * H
        return np.array([mass.sum(), mass @ x_A, mass @ x_B, p.Cp * (mass @ T)])

    x0 = p.equilibrium(p.nominal.u)
    x1, passed = crossing(p, x0, u, seconds, flows)
    return p, content(x0), content(x1), passed


def test_total_mass_is_conserved(run):
    _, before, after, passed = run
    assert abs(after[0] - before[0] - passed[0]) < 1e-9 * before[0]


def test_components_are_conserved(run):
    _, before, after, (_, A_in, B_in, _, A_made, AB_made) = run
    expected = before[1:3] + [A_in + A_made, B_in + AB_made - A_made]
    np.testing.assert_allclose(after[1:3], expected, rtol=1e-9, atol=1e-9 * before[0])


def test_energy_is_conserved(run):
    """kg A -> kg B releases -H_A, kg B -> kg C releases -H_B."""
    p, before, after, passed = run
    to_B, to_C = -passed[4], -passed[5]
    released = -p.H_A * to_B - p.H_B * to_C
    assert abs(after[3] - before[3] - passed[3] - released) < 1e-9 * before[3]


def test_liu_conserves_components_and_energy():
    """Volumes of A, B and of enthalpy / (rho Cp); what leaves the bottom is F_2 - F_R - F_p."""
    p = ReactorsSeparatorLiu()
    V, x0 = np.array([p.V1, p.V2, p.V3]), p.equilibrium(p.nominal.u)

    def flows(x, u, d):
        z1, z2, z3 = ca.vertsplit(x, 3)
        feed, F_3 = d[0] + u[3], d[0] + u[3] - p.F_p
        made = p.V1 * p.reactions(z1) + p.V2 * p.reactions(z2)
        heat = ca.vertcat(0, 0, (u[0] + u[1] + u[2]) / (p.rho * p.Cp))
        return feed * ca.vertcat(1, 0, d[1]) - p.F_p * p.overhead(z3) - F_3 * z3 + made + heat

    x1, passed = crossing(p, x0, (15.0, 6.0, 12.0, 0.7), 30.0, flows)
    change = V @ (x1 - x0).reshape(3, 3)
    np.testing.assert_allclose(change, passed, atol=1e-9 * V.sum() * x0[8])
