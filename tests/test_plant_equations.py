"""Every plant of the zoo against a second integrator; its sampled and its linearised equations against each other."""

import casadi as ca
import numpy as np
import pytest
from plant_runs import discretised, simulated
from scipy.integrate import solve_ivp
from scipy.linalg import expm

from plants import PLANTS


@pytest.fixture(params=range(5))
def jump(plant, request):
    """A state in steady operation, and an input anywhere between the actuator limits."""
    random = np.random.default_rng(request.param)
    x = plant.equilibrium(random.uniform(plant.u_region_min, plant.u_region_max))
    return x, random.uniform(plant.u_min, plant.u_max)


def test_simulator_equals_dormand_prince_8(plant, jump):
    x, u = jump
    ode, d = plant.ode_function(), plant.disturbance_vector()
    seconds = 50 * plant.sampling_time
    truth = solve_ivp(lambda t, x: np.array(ode(x, u, d)).ravel(), (0, seconds), x, "DOP853", rtol=1e-10, atol=1e-12)
    # atol: the tolerance of CVODES is absolute also, in the unit of the state; a tank may be all but empty
    np.testing.assert_allclose(simulated(plant, x, u, seconds), truth.y[:, -1], rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("samples", [0.5, 1, 4])
def test_f_equals_the_simulator_to_one_in_a_million(plant, jump, samples):
    (x, u), dt = jump, samples * plant.sampling_time
    x_next = np.array(discretised(plant, dt).f(x, u)).ravel()
    np.testing.assert_allclose(x_next, simulated(plant, x, u, dt), rtol=1e-6)


LONGER = [("reactors_separator_liu", 0.5, 0.01), ("reactors_separator_stewart", 0.07, 0.1),
          ("reactors_separator_stewart", 0.15, 2 / 3)]  # fmt: skip


@pytest.mark.parametrize("name, substep, share", LONGER)
@pytest.mark.parametrize("seed", [0, 1, 64, 93, 154])  # of the first 200, the last three are the worst
def test_longer_substeps_stay_within_a_share_of_the_sensor_noise(name, substep, share, seed):
    plant, random = PLANTS[name](), np.random.default_rng(seed)
    x, u = (random.uniform(plant.u_region_min, plant.u_region_max) for _ in range(2))
    x = plant.equilibrium(x)
    x_next = np.array(plant.discretise(plant.sampling_time, substep=substep).f(x, u)).ravel()
    assert np.all(np.abs(x_next - simulated(plant, x, u, plant.sampling_time)) < share * plant.y_noise)


def test_linearisation_sampled_equals_the_jacobian_of_f(plant):
    u, system = plant.nominal.u, discretised(plant, plant.sampling_time)
    A = plant.linearise(system.x0, u).A
    dfdx = np.array(ca.densify(system.f.jacobian()(system.x0, u, 0)[0]))
    # Runge-Kutta keeps six digits of x; entries near zero are compared on the scale of the matrix
    np.testing.assert_allclose(dfdx, expm(A * system.dt), atol=1e-6 * np.abs(dfdx).max())


def test_linearisation_predicts_small_steps(plant):
    u = np.array(plant.nominal.u)
    step = 1e-4 * (plant.u_max - plant.u_min)
    x = plant.equilibrium(u)
    linear = plant.linearise(x, u)
    gain = plant.equilibrium(u + step, guess=x)
    dx = np.linalg.solve(linear.A, -linear.B @ step)
    np.testing.assert_allclose(gain - x, dx, rtol=1e-2)


def test_linearisation_carries_the_names(plant):
    linear = plant.linearise(plant.equilibrium(plant.nominal.u), plant.nominal.u)
    names = (linear.input_labels, linear.output_labels, linear.state_labels)
    assert names == (list(plant.u_names), list(plant.y_names), list(plant.x_names))


def test_f_has_second_derivatives(plant):
    system = discretised(plant, plant.sampling_time)
    x, u = ca.MX.sym("x", plant.nx), ca.MX.sym("u", plant.nu)
    hessian, _ = ca.hessian(ca.sum1(system.f(x, u)), ca.vertcat(x, u))
    values = ca.Function("H", [x, u], [hessian])(system.x0, plant.nominal.u)
    assert np.all(np.isfinite(np.array(values))) and np.any(np.array(values) != 0)


def test_sampled_plant_satisfies_the_system_protocol(plant):
    system = discretised(plant, plant.sampling_time)
    sizes = (system.f.size_in(0), system.f.size_in(1), system.f.size_out(0), system.g.size_out(0))
    assert sizes == ((system.nx, 1), (system.nu, 1), (system.nx, 1), (system.ny, 1))
    assert system.dt == plant.sampling_time and system.x0.shape == (system.nx,)
    assert len(system.u_units) == system.nu and len(system.y_units) == system.ny
    assert np.all(system.u_min < system.u_max) and system.u_min.shape == (system.nu,)
