"""What every plant of the zoo owes: equations, steady states, two integrators, one truth."""

from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import casadi as ca
import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.linalg import expm

from plants import PLANTS, OperatingPoint, Plant, Signal
from plants.__main__ import main

POINTS = [(name, point) for name, plant in PLANTS.items() for point in plant.operating_points]
DISTURBANCES = [(name, signal.name) for name, plant in PLANTS.items() for signal in plant.disturbances]


@pytest.fixture(params=PLANTS, scope="module")
def plant(request):
    return PLANTS[request.param]()


@pytest.fixture(params=POINTS, ids="-".join, scope="module")
def point(request):
    name, label = request.param
    plant = PLANTS[name]()
    return plant, plant.operating_points[label]


@pytest.fixture(params=range(5))
def jump(plant, request):
    """A state in steady operation, and an input anywhere between the actuator limits."""
    random = np.random.default_rng(request.param)
    x = plant.equilibrium(random.uniform(plant.u_region_min, plant.u_region_max))
    return x, random.uniform(plant.u_min, plant.u_max)


@pytest.fixture(params=range(4))
def corner(plant, request):
    """A corner of the region of good behaviour: its input. Beyond two inputs, every other one moves together."""
    bits = np.array([request.param >> i % 2 & 1 for i in range(plant.nu)])
    return np.where(bits, plant.u_region_max, plant.u_region_min)


@lru_cache
def simulator(plant, dt):
    return plant.simulator(dt)


@lru_cache
def discretised(plant, dt):
    return plant.discretise(dt)


def simulated(plant, x, u, dt):
    d = plant.disturbance_vector()
    return np.array(simulator(plant, dt)(x0=x, p=np.concatenate([u, d]))["xf"]).ravel()


def excite(plant, samples, seed=0):
    random = np.random.default_rng(seed)
    return random.uniform(plant.u_region_min, plant.u_region_max, (samples, plant.nu))


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


def test_every_constant_has_a_unit_and_a_source(plant):
    assert plant.constants
    assert all(c.unit and c.source and np.isfinite(c.value) for c in plant.constants)


def test_every_plant_documents_itself(plant):
    assert plant.disturbances and type(plant).__doc__ and all(s.about and s.unit for s in plant.inputs + plant.states)
    assert all(np.isfinite(s.nominal) and s.about and s.unit for s in plant.disturbances)
    assert np.all(np.isfinite(plant.u_min)) and np.all(np.isfinite(plant.u_max)) and np.all(plant.y_noise > 0)


def test_the_region_lies_between_the_actuator_limits(plant):
    assert np.all(plant.u_min <= plant.u_region_min) and np.all(plant.u_region_max <= plant.u_max)
    assert np.all(plant.u_region_min < plant.u_region_max)


def test_experiment_begins_at_x0_and_input_acts_one_sample_later(plant):
    low, high = plant.u_region_min, plant.u_region_max
    one = plant.experiment(np.array([low, high, low]), plant.sampling_time, noise=False)
    other = plant.experiment(np.array([low, low, low]), plant.sampling_time, noise=False)
    np.testing.assert_array_equal(one.y[:2], other.y[:2])
    assert np.all(one.y[2] != other.y[2])


def test_experiment_equals_the_sampled_system(plant):
    u, system = excite(plant, 50), discretised(plant, plant.sampling_time)
    run = plant.experiment(u, plant.sampling_time, noise=False)
    x = system.f.mapaccum(len(u))(run.x[0], u.T)
    y = np.array(system.g.map(len(u))(x)).T
    np.testing.assert_allclose(run.y[1:], y[:-1], rtol=1e-6)


def test_closed_loop_process_equals_experiment(plant):
    u, process = excite(plant, 10), plant.process(plant.sampling_time, seed=4)
    rows = []
    for u_k in u:
        rows.append(process.measure())
        process.apply(u_k)
    np.testing.assert_array_equal(rows, plant.experiment(u, plant.sampling_time, seed=4).y)


def test_noise_is_reproducible_by_its_seed(plant):
    u = excite(plant, 20)
    first, again, other = (plant.experiment(u, plant.sampling_time, seed=s).y for s in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert np.all(first != other)


def test_noise_has_the_documented_deviation(plant):
    run = plant.experiment(np.tile(plant.nominal.u, (1000, 1)), 1.0)
    deviation = np.std(run.y - run.y_true, axis=0)
    np.testing.assert_allclose(deviation, plant.y_noise, rtol=0.1)  # 4 sigma of 1000 samples


def test_measurement_is_one_number_an_instant(plant):
    process = plant.process(plant.sampling_time)
    np.testing.assert_array_equal(process.measure(), process.measure())


def test_reset_repeats_history(plant):
    process, u = plant.process(plant.sampling_time), plant.u_region_max
    history = []
    for _ in range(2):
        process.reset(seed=3)
        process.apply(u)
        history.append(process.measure())
    np.testing.assert_array_equal(*history)


def test_list_of_inputs_gives_list_of_records(plant):
    run = plant.experiment([excite(plant, 5), excite(plant, 8)], plant.sampling_time)
    assert [len(y) for y in run.y] == [5, 8] and run.sampling_time == plant.sampling_time


@pytest.fixture(params=DISTURBANCES, ids="-".join, scope="module")
def disturbance(request):
    """A plant, and one of its disturbances five per cent off."""
    plant = PLANTS[request.param[0]]()
    column = plant.disturbance_names.index(request.param[1])
    return plant, {request.param[1]: 0.95 * plant.disturbance_vector()[column]}


def test_every_disturbance_moves_an_output(disturbance):
    plant, d = disturbance
    process = plant.process(600.0, noise=False, d=d)
    before = process.output()
    process.apply(plant.nominal.u)
    assert np.any(np.abs(process.output() - before) > plant.y_noise)


def test_disturbance_held_is_the_disturbance_recorded(disturbance):
    plant, d = disturbance
    dt, u = plant.sampling_time, np.tile(plant.nominal.u, (2, 1))
    recorded = plant.experiment(u, dt, noise=False, disturbances={name: np.full(2, v) for name, v in d.items()})
    process = plant.process(dt, noise=False, d=d)
    process.apply(u[0])
    np.testing.assert_array_equal(process.output(), recorded.y[1])


def test_unknown_disturbance_is_refused_with_the_nearest_name(plant):
    name = plant.disturbance_names[0]
    with pytest.raises(ValueError, match=name):
        plant.process(plant.sampling_time).apply(plant.nominal.u, **{name + "x": 1.0})


def test_input_beyond_the_actuators_is_refused(plant):
    with pytest.raises(ValueError, match="actuator limits"):
        plant.process(plant.sampling_time).apply(plant.u_max * 1.1 + 1.0)


def test_input_within_rounding_of_a_limit_is_clipped(plant):
    process = plant.process(plant.sampling_time)
    process.apply(plant.u_max + 1e-8 * (plant.u_max - plant.u_min))
    exact = plant.process(plant.sampling_time)
    exact.apply(plant.u_max)
    np.testing.assert_array_equal(process.x, exact.x)


def test_nan_input_is_refused(plant):
    with pytest.raises(ValueError, match="finite"):
        plant.process(plant.sampling_time).apply(np.full(plant.nu, np.nan))


def test_input_record_of_wrong_width_is_refused(plant):
    with pytest.raises(ValueError, match=r"must be \(T,"):
        plant.experiment(np.zeros((5, plant.nu + 1)), plant.sampling_time)


def test_disturbance_record_of_wrong_length_is_refused(plant):
    with pytest.raises(ValueError, match="one a sample"):
        wrong = {plant.disturbance_names[0]: np.ones(4)}
        plant.experiment(excite(plant, 5), plant.sampling_time, disturbances=wrong)


def test_no_input_record_at_all_is_refused(plant):
    with pytest.raises(ValueError, match="no input record"):
        plant.experiment([], plant.sampling_time)


def test_command_line_lists_the_plant(plant, capsys):
    main(["list"])
    assert plant.name in capsys.readouterr().out


def test_command_line_shows_every_constant(plant, capsys):
    main(["show", plant.name])
    shown = capsys.readouterr().out
    assert all(c.name in shown and c.unit in shown for c in plant.constants)


@pytest.mark.parametrize("dt", [0.0, -1.0, np.nan, np.inf])
def test_impossible_sampling_time_is_refused(plant, dt):
    with pytest.raises(ValueError, match="dt ="):
        plant.discretise(dt)


def test_physically_impossible_initial_state_is_refused(plant):
    with pytest.raises(ValueError, match="physically impossible"):
        plant.process(plant.sampling_time, x0=np.full(plant.nx, -300.0))


@dataclass(frozen=True)
class Toy(Plant):
    """x' = u + x^2: with u < 0 it drains below zero, with x > 0 it escapes in finite time."""

    name: ClassVar = "toy"
    substep: ClassVar = 1.0
    states: ClassVar = (Signal("level", "m", low=0.0),)
    inputs: ClassVar = (Signal("flow", "m/s", low=-1.0, high=1.0),)
    outputs: ClassVar = (Signal("level", "m"),)
    disturbances: ClassVar = ()
    operating_points: ClassVar = {"empty": OperatingPoint((0.0,), (0.0,), (0.0,), {}, "none")}

    def ode(self, x, u, d):
        return u + x**2

    def output(self, x):
        return x


def test_state_that_becomes_impossible_is_named():
    with pytest.raises(RuntimeError, match="level = -0.0996"):
        Toy().process(0.1, x0=[0.0]).apply([-1.0])


def test_integrator_failure_is_reported_with_its_place():
    with pytest.raises(RuntimeError, match="integrator failed: toy from t = 0 s"):
        Toy().process(10.0, x0=[1.0]).apply([0.0])


def test_absence_of_an_equilibrium_is_an_error():
    with pytest.raises(ValueError, match="no equilibrium of toy"):
        Toy().equilibrium([1.0])
