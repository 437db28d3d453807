"""Steady states of every plant of the zoo: as published, where it settles, stable over its region."""

import numpy as np
import pytest
from plant_runs import discretised, simulated

from plants import PLANTS

POINTS = [(name, point) for name, plant in PLANTS.items() for point in plant.operating_points]


@pytest.fixture(params=POINTS, ids="-".join, scope="module")
def point(request):
    name, label = request.param
    plant = PLANTS[name]()
    return plant, plant.operating_points[label]


@pytest.fixture(params=range(4))
def corner(plant, request):
    """A corner of the region of good behaviour: its input. Beyond two inputs, every other one moves together."""
    bits = np.array([request.param >> i % 2 & 1 for i in range(plant.nu)])
    return np.where(bits, plant.u_region_max, plant.u_region_min)


def test_published_operating_points_are_steady_to_their_printed_digits(point):
    plant, op = point
    np.testing.assert_allclose(plant.equilibrium(op.u, op.d, guess=op.x), op.x, rtol=op.tolerance)


def test_published_operating_points_leave_the_residual_typed_in(point):
    plant, op = point
    rate = np.array(plant.ode_function()(op.x, op.u, plant.disturbance_vector(op.d))).ravel()
    np.testing.assert_allclose(rate, op.residual, rtol=5e-3, atol=1e-13)  # three digits; rounding of a sum


def test_published_operating_points_lie_within_the_declared_limits(point):
    plant, op = point
    np.testing.assert_array_equal(plant.check_input(op.u), op.u)
    assert plant.impossible(np.array(op.x)) == "" and set(op.d) == set(plant.disturbance_names) and op.source


def test_equilibria_are_fixed_points_of_f(plant):
    system = discretised(plant, plant.sampling_time)
    np.testing.assert_allclose(np.array(system.f(system.x0, plant.nominal.u)).ravel(), system.x0, rtol=1e-10)


def test_equilibrium_is_where_the_plant_settles(plant, corner):
    settled = simulated(plant, plant.nominal.x, corner, 1e5)
    np.testing.assert_allclose(plant.equilibrium(corner), settled, rtol=1e-7)


def test_open_loop_is_stable_over_the_region(plant, corner):
    poles = plant.linearise(plant.equilibrium(corner), corner).poles()
    assert np.max(poles.real) < 0
