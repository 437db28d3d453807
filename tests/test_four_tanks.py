"""Four tanks against their sources: steady states, the zero that the valves move, balances."""

import casadi as ca
import numpy as np
import pytest
from balance import crossing

from plants import FourTanksAlvarado, FourTanksJohansson

# the equations solved at the published inputs, by hand: levels in the unit of the plant
STEADY = {
    "nominal": (FourTanksAlvarado(), (0.6538, 0.6498, 0.6590, 0.6582), 5e-5),
    "P-": (FourTanksJohansson(), (12.26, 12.78, 1.63, 1.41), 5e-3),
    "P+": (FourTanksJohansson(), (12.44, 13.17, 4.73, 4.99), 5e-3),
}
# largest rate that the equations leave at the printed levels, m/s, cm/s
RESIDUAL = {"nominal": 6.27e-5, "P-": 7.12e-3, "P+": 1.79e-3}
PHASE = {"P-": True, "P+": False}
VALVES = [(0.3, 0.4), (0.3, 0.6), (0.45, 0.6), (0.7, 0.4), (0.2, 0.2), (0.9, 0.9)]


@pytest.fixture(params=(FourTanksAlvarado, FourTanksJohansson), ids=lambda c: c.name, scope="module")
def plant(request):
    return request.param()


def zeros(plant, u, d):
    """Transmission zeros from the pumps to the lower tanks."""
    return plant.linearise(plant.equilibrium(u, d), u, d)[:2, :].zeros()


@pytest.mark.parametrize("label", STEADY)
def test_steady_states(label):
    plant, levels, half_a_digit = STEADY[label]
    point = plant.operating_points[label]
    assert np.all(np.abs(plant.equilibrium(point.u, point.d) - levels) <= half_a_digit)


@pytest.mark.parametrize("label", RESIDUAL)
def test_residual_at_the_printed_levels(label):
    plant = STEADY[label][0]
    point = plant.operating_points[label]
    rate = np.array(plant.ode_function()(point.x, point.u, list(point.d.values())))
    np.testing.assert_allclose(np.abs(rate).max(), RESIDUAL[label], rtol=1e-2)


def test_poles_of_the_benchmark_plant():
    plant = FourTanksAlvarado()
    poles = plant.linearise(plant.equilibrium(plant.nominal.u), plant.nominal.u).poles()
    np.testing.assert_allclose(np.sort(poles.real), (-0.0069, -0.0060, -0.0042, -0.0040), atol=5e-5)


@pytest.mark.parametrize("label", PHASE)
def test_laboratory_points_have_the_published_phase(label):
    plant = FourTanksJohansson()
    point = plant.operating_points[label]
    assert np.all(zeros(plant, point.u, point.d).real < 0) == PHASE[label]


@pytest.mark.parametrize("valves", VALVES, ids=str)
def test_non_minimum_phase_iff_less_than_half_the_water_goes_down_first(valves):
    g_a, g_b = valves
    # equal pumps in the laboratory plant: no level overflows at any valves
    found = zeros(FourTanksJohansson(), [2.0, 2.0], {"g_a": g_a, "g_b": g_b})
    assert np.any(found.real > 0) == (g_a + g_b < 1)


@pytest.mark.parametrize("label", PHASE)
def test_zeros_solve_the_published_equation(label):
    """(1 + T3 s) (1 + T4 s) = (1 - g_a) (1 - g_b) / (g_a g_b), T the time constants. Reference: Johansson (2000)."""
    plant = FourTanksJohansson()
    point = plant.operating_points[label]
    T = -1 / np.diag(plant.linearise(plant.equilibrium(point.u, point.d), point.u, point.d).A)
    g_a, g_b = point.d["g_a"], point.d["g_b"]
    s = np.roots([T[2] * T[3], T[2] + T[3], 1 - (1 - g_a) * (1 - g_b) / (g_a * g_b)])
    np.testing.assert_allclose(np.sort(zeros(plant, point.u, point.d).real), np.sort(s), rtol=1e-6)


def test_levels_do_not_become_negative(plant):
    process = plant.process(600.0)
    process.apply([0.0, 0.0])
    process.apply([0.0, 0.0])
    assert np.all(process.x > -1e-9)


def test_an_empty_tank_fills_again(plant):
    process = plant.process(1e4, x0=np.zeros(4), noise=False)
    process.apply(plant.nominal.u)
    np.testing.assert_allclose(process.x, plant.equilibrium(plant.nominal.u), rtol=1e-6)


def test_overflow_is_an_error_that_names_the_tank(plant):
    with pytest.raises(RuntimeError, match="h1 = "):
        plant.process(600.0).apply(plant.u_max)


def test_outflow_is_torricellis(plant):
    g = plant.gravity[0]
    h = np.array(plant.nominal.x)
    expected = np.array(plant.outlets) * np.sqrt(2 * g * h)
    np.testing.assert_allclose([float(q) for q in plant.outflows(ca.DM(h))], expected, rtol=2e-5)


def test_water_is_conserved(plant):
    def flows(x, u, d):
        out = plant.outflows(x)
        return sum(plant.pumped(u, d)) - out[0] - out[1]

    def content(x):
        return float(np.dot(plant.areas, x))

    x0 = np.array(plant.nominal.x)
    x1, passed = crossing(plant, x0, plant.u_region_max, 300.0, flows)
    assert abs(content(x1) - content(x0) - passed[0]) < 1e-9 * content(x0)
