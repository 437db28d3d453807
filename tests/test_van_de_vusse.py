"""The van de Vusse reactor against its sources: steady states, gains, balances."""

import casadi as ca
import numpy as np
import pytest

from plants import VanDeVusse

# an independent solution of the equations of Klatt and Engell (1998) at the inputs of point B, and
# of point A of Chen et al. (1995); and what their equations leave at the printed, rounded state
STEADY = {"A": (2.1402, 1.0903, 114.191, 112.907), "B": (1.2348, 0.9000, 134.140, 128.954)}
RESIDUAL_A = (-0.015, 0.015, -0.56, 1.34)  # per hour


@pytest.fixture(params=range(4))
def corner(request):
    """A corner of the region of good behaviour: its input."""
    plant = VanDeVusse()
    bits = np.array([request.param >> i & 1 for i in range(plant.nu)])
    return np.where(bits, plant.u_region_max, plant.u_region_min)


@pytest.mark.parametrize("label", STEADY)
def test_van_de_vusse_steady_states(label):
    plant = VanDeVusse()
    point = plant.operating_points[label]
    x = plant.equilibrium(point.u, point.d)
    assert np.all(np.abs(x - STEADY[label]) <= [5e-5, 5e-5, 5e-4, 5e-4])  # half a last digit


def test_van_de_vusse_residual_at_the_printed_point_a():
    plant = VanDeVusse()
    a = plant.operating_points["A"]
    rate = 3600 * np.array(plant.ode_function()(a.x, a.u, list(a.d.values()))).ravel()
    assert np.all(np.abs(rate - RESIDUAL_A) <= [5e-4, 5e-4, 5e-3, 5e-3])


def test_van_de_vusse_residual_at_the_printed_point_b_is_below_half_a_unit_an_hour():
    plant = VanDeVusse()
    b = plant.operating_points["B"]
    rate = 3600 * np.array(plant.ode_function()(b.x, b.u, list(b.d.values()))).ravel()
    assert np.max(np.abs(rate)) < 0.345


def test_van_de_vusse_gains_keep_their_signs_over_the_region(corner):
    plant = VanDeVusse()
    gain = plant.linearise(plant.equilibrium(corner), corner).dcgain()
    np.testing.assert_array_equal(np.sign(gain), [[1, -1], [1, 1]])


@pytest.mark.parametrize("u", [(5.0, -6000.0), (90.0, -3000.0)], ids=["starved", "flooded"])
def test_van_de_vusse_gain_from_feed_to_product_is_negative_outside_the_region(u):
    plant = VanDeVusse()
    assert plant.linearise(plant.equilibrium(u), u).dcgain()[0, 0] < 0


def test_van_de_vusse_answers_feed_steps_the_wrong_way_first():
    plant = VanDeVusse()
    more_feed = np.tile(plant.nominal.u, (40, 1)) * [1.2, 1.0]
    product = plant.experiment(more_feed, 30.0, noise=False).y[:, 0]
    assert product[1] < product[0] < product[-1]


def balances(plant, z, u, d):
    """z = (x, C_C, C_D, heat): the plant with its by-products, and the heat that crossed its walls.

    Per second: C_C' = r2 - F C_C, C_D' = r3 / 2 - F C_D; heat in kJ. Also the molar inventory of
    A equivalents (mol/L) and the enthalpy (kJ), counted from the elements of A at 0 degC.
    """
    p, x, (C_C, C_D), F = plant, z[:4], (z[4], z[5]), u[0]
    _, r2, r3 = plant.rates(x)
    h_B, h_C, h_D = p.H1, p.H1 + p.H2, 2 * p.H3  # kJ/mol; D is made of two A
    content = p.rho * p.Cp * x[2] + h_B * x[1] + h_C * C_C + h_D * C_D  # kJ/L
    heat = F * p.VR * (p.rho * p.Cp * d[1] - content) + u[1]
    hourly = ca.vertcat(r2 - F * C_C, r3 / 2 - F * C_D, heat)
    rate = ca.vertcat(p.ode(x, u, d), hourly / 3600)
    return rate, x[0] + x[1] + C_C + 2 * C_D, p.VR * content + p.mK * p.CpK * x[3]


@pytest.fixture(scope="module")
def balanced():
    """Van de Vusse with its by-products through one hour after a jump: t, before and after."""
    plant, u = VanDeVusse(), np.array([25.0, -2000.0])
    d = plant.disturbance_vector()
    z = ca.SX.sym("z", 7)
    rate, moles, enthalpy = balances(plant, z, ca.DM(u), ca.DM(d))
    f = ca.Function("balances", [z], [rate, moles, enthalpy])
    z0 = np.concatenate([plant.operating_points["A"].x, [0.7, 0.4, 0.0]])
    through = ca.integrator("through", "cvodes", {"x": z, "ode": rate}, 0, 3600.0)
    z1 = np.array(through(x0=z0)["xf"]).ravel()
    return u, d, [float(v) for v in f(z0)[1:]], [float(v) for v in f(z1)[1:]], z1[6]


def test_van_de_vusse_conserves_moles(balanced):
    u, d, (before, _), (after, _), _ = balanced
    # mixing alone: dM/dt = F (C_A0 - M), whatever reacts
    expected = d[0] + (before - d[0]) * np.exp(-u[0])
    assert abs(after - expected) < 1e-9 * before


def test_van_de_vusse_conserves_energy(balanced):
    _, _, (_, before), (_, after), heat = balanced
    assert abs(after - before - heat) < 1e-9 * abs(before)
