"""The user is told before training why a model that forgets cannot represent a record; and not told without cause."""

import time

import numpy as np
import pytest
from scipy.signal import lfilter

from plants import PLANTS, CoolantFlowCSTR, ExothermicCSTR, VanDeVusse, random_steps
from rnn_control import Experiment, diagnose

SAMPLES = 1500


def kinds(experiment):
    return [finding.kind for finding in diagnose(experiment)]


def excited(samples=SAMPLES, hold=10, seed=0):
    return random_steps(-1.0, 1.0, samples, hold=(hold, 4 * hold), seed=seed)


def filtered(b, a, u, noise=0.0, seed=1):
    """Experiment of the linear system b / a, its output with noise of that share of its deviation."""
    y = lfilter(b, a, u[:, 0])
    y = y + noise * y.std() * np.random.default_rng(seed).standard_normal(len(y))
    return Experiment(u, y, 1.0)


def emps(samples=3000, noise=1e-3):
    """Position of a drive x'' = u - 0.2 x', under a proportional controller that follows a wandering reference."""
    rng, x, v, us, ys = np.random.default_rng(0), 0.0, 0.0, [], []
    r = np.repeat(rng.uniform(-1, 1, samples // 300 + 1), 300)
    for k in range(samples):
        us.append(0.02 * (r[k] - x) - 0.15 * v)
        ys.append(x)
        x, v = x + v, 0.8 * v + us[-1]
    return Experiment(np.array(us), np.array(ys) + noise * rng.standard_normal(samples), 0.001)


@pytest.mark.parametrize("name", PLANTS)
@pytest.mark.parametrize("hold", [(10, 40), (60, 120)], ids=["short", "long"])
def test_no_alarm_on_the_plants_of_the_library_in_their_region(name, hold):
    plant = PLANTS[name]()
    u = random_steps(plant.u_region_min, plant.u_region_max, 900, hold=hold, levels=3, seed=1)
    assert kinds(Experiment.from_object(plant.experiment(u, plant.sampling_time, seed=1))) == []


@pytest.mark.parametrize("seed", range(10))
def test_no_alarm_on_stable_filters_under_noise(seed):
    poles = np.random.default_rng(seed).uniform(0.3, 0.97, 3)
    assert kinds(filtered([0, 0.1], np.poly(poles), excited(seed=seed), noise=0.1)) == []


@pytest.mark.parametrize("noise", [0.0, 0.02])
def test_integrator_is_named(noise):
    assert kinds(filtered([0, 1.0], [1, -1.0], excited(), noise)) == ["integrator"]


def test_drive_under_position_control_integrates():
    findings = diagnose(emps())
    assert [f.kind for f in findings] == ["integrator"] and "initial state" in findings[0].text


@pytest.mark.parametrize("noise", [0.0, 0.05])
def test_oversampled_record_is_told_how_many_samples_to_skip(noise):
    (finding,) = diagnose(filtered([0, 0.002], [1, -0.998], excited(3000, hold=100), noise))
    assert finding.kind == "too fast" and "every 5" in finding.text  # ln 0.9 / ln 0.998 = 52.6


@pytest.mark.parametrize("name", PLANTS)
def test_plants_sampled_thirty_times_too_fast_are_named(name):
    plant = PLANTS[name]()
    slowest = -1 / np.max(np.real(plant.linearise(plant.nominal.x, plant.nominal.u).poles()))
    u = random_steps(plant.u_region_min, plant.u_region_max, 1500, hold=(100, 500), levels=5, seed=2)
    found = kinds(Experiment.from_object(plant.experiment(u, slowest / 500, seed=1)))
    assert found and {*found} <= {"too fast", "integrator"}  # an integrator: slower than the record is long


def test_thinned_record_is_not_too_fast_any_more():
    whole = filtered([0, 0.002], [1, -0.998], excited(30000, hold=100))
    assert kinds(Experiment(whole.u[::53], whole.y[::53], 53.0)) == []


def test_lightly_damped_record_rings():
    assert kinds(filtered([0, 1.0], np.poly(0.999 * np.exp([0.1j, -0.1j])), excited())) == ["rings"]


def test_undersampled_record_is_too_slow():
    plant = VanDeVusse()
    u = random_steps(plant.u_region_min, plant.u_region_max, 300, hold=(1, 3), seed=1)
    assert "too slow" in kinds(Experiment.from_object(plant.experiment(u, 1800.0)))


def test_limit_cycle_of_seborg_s_reactor():
    u = np.r_[np.full(50, 303.0), np.full(550, 305.0)][:, None]
    (finding,) = diagnose(Experiment.from_object(ExothermicCSTR().experiment(u, 6.0, x0=(0.5, 350.0))))
    assert finding.kind == "limit cycle" and "T_c = 305 K" in finding.text


def test_seborg_s_reactor_held_at_its_unstable_point_is_unstable():
    process, dither = ExothermicCSTR().process(6.0, x0=(0.5, 350.0)), np.random.default_rng(0).uniform(-1, 1, 60)
    us, ys = [], []
    for k in range(600):
        ys.append(process.measure())
        us.append([300.0 - 5.0 * (ys[-1][1] - 350.0) + dither[k // 10]])
        process.apply(us[-1])
    assert kinds(Experiment(np.array(us), np.array(ys), 6.0)) == ["unstable"]


@pytest.mark.parametrize("seed", range(3))
def test_a_valve_that_bends_is_not_taken_for_memory(seed):
    rng = np.random.default_rng(seed)
    busy, held = np.repeat(rng.uniform(-1, 1, (6, 20)), 8, 1), np.repeat(rng.uniform(-1, 1, (6, 1)), 400, 1)
    u = np.hstack([busy, held]).ravel()[:, None]
    flow = u + 0.4 * u**2 - 0.3 * u**3
    assert kinds(Experiment(u, filtered([0, 0.03], [1, -0.97], flow, noise=0.01).y, 1.0)) == []


def test_two_branches_of_the_coolant_flow_reactor():
    plant, u = CoolantFlowCSTR(), random_steps(85.0, 108.0, 1000, hold=(60, 90), levels=4)
    hot, cold = (plant.experiment(u, 6.0, x0=x0) for x0 in (None, (1.0, 350.0)))
    assert kinds(Experiment([u, u], [hot.y, cold.y], 6.0)) == ["several rests"]
    assert kinds(Experiment(u, hot.y, 6.0)) == []


def test_it_costs_nothing_beside_training():
    record, seconds = filtered([0, 0.1], [1, -0.9], excited(2000), 0.05), []
    for _ in range(5):
        start = time.process_time()
        diagnose(record)
        seconds.append(time.process_time() - start)
    assert min(seconds) < 0.05


@pytest.mark.parametrize("y", [np.r_[np.zeros(20), np.ones(20)], np.linspace(0, 1, 40)], ids=["step", "ramp"])
def test_short_and_odd_records_are_no_error(y):
    u = np.r_[np.zeros(15), np.ones(25)]
    assert isinstance(diagnose(Experiment(u, y, 1.0)), list)
