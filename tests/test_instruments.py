"""Sensors and actuators do what they say, repeat by seed, and can stand between a plant and a controller."""

import numpy as np
import pytest

from mpc import NMPC, OffsetFreeObserver, run
from plants import (
    PLANTS,
    DeadTime,
    Drift,
    FourTanksAlvarado,
    Instrumented,
    Jittered,
    Missing,
    Noise,
    Quantisation,
    RateLimit,
    Saturation,
    experiment,
)
from rnn_control import Experiment

DT = 15.0
PLANT = FourTanksAlvarado()
U0 = PLANT.nominal.u


def clean(dt=DT, x0=None):
    return PLANT.process(dt, x0, noise=False)


def steps(samples=40):
    return np.tile(np.array(U0) * 1.1, (samples, 1))


def readings(*sensors, samples=400, seed=0):
    """What is read of the plant at rest, less its true outputs."""
    run = experiment(Instrumented(clean(), sensors), np.tile(U0, (samples, 1)), seed)
    return run.y - run.y_true


def driven(*actuators, u=None, dt=DT):
    return experiment(Instrumented(clean(dt), actuators=actuators, u0=U0), steps() if u is None else u)


def test_nothing_in_between_changes_nothing():
    np.testing.assert_array_equal(experiment(Instrumented(clean()), steps()).y, experiment(clean(), steps()).y)


def test_noise_has_its_deviation_and_no_memory():
    e = readings(Noise({"h1": 0.01, "h4": 0.02}))
    np.testing.assert_allclose(e.std(axis=0), [0.01, 0, 0, 0.02], rtol=0.15, atol=1e-12)
    assert abs(np.corrcoef(e[1:, 0], e[:-1, 0])[0, 1]) < 0.2


def test_drift_is_a_ramp_and_a_random_walk():
    ramp = readings(Drift(rate=1e-4))
    np.testing.assert_allclose(ramp[:, 0], 1e-4 * DT * np.arange(400), atol=1e-9)
    np.testing.assert_allclose(np.diff(readings(Drift(walk=0.01)), axis=0).std(axis=0), 0.01 * DT**0.5, rtol=0.15)


def test_quantised_readings_are_multiples_within_half_a_step():
    run = experiment(Instrumented(clean(), [Quantisation(0.01)]), steps())
    assert np.max(np.abs(run.y - run.y_true)) <= 0.005 + 1e-12 and np.ptp(run.y) > 0.01
    np.testing.assert_allclose(run.y / 0.01, np.round(run.y / 0.01), atol=1e-9)


def test_missing_samples_are_nan_in_their_share():
    assert np.mean(np.isnan(readings(Missing(0.2)))) == pytest.approx(0.2, abs=0.04)


def test_missing_samples_can_repeat_the_last_one():
    e = readings(Noise(0.01), Missing(0.3, hold=True))
    assert np.mean(e[1:] == e[:-1]) == pytest.approx(0.3, abs=0.05)


def test_a_sensor_can_be_late():
    late = experiment(Instrumented(clean(), [DeadTime(3 * DT)]), steps())
    np.testing.assert_array_equal(late.y[3:], late.y_true[:-3])
    np.testing.assert_array_equal(late.y[:3], late.y_true[[0, 0, 0]])


def test_dead_time_of_a_valve_delays_the_plant():
    late, prompt = driven(DeadTime(2 * DT)), experiment(clean(), steps())
    np.testing.assert_allclose(late.y_true[2:], prompt.y_true[:-2], rtol=1e-9)


def test_saturated_valve_stays_in_its_travel():
    beyond = driven(Saturation(low={"q_b": 0.5}, high={"q_a": 1.7}), u=steps() * (2.0, 0.1))
    at_the_stops = experiment(clean(), np.tile([1.7, 0.5], (40, 1)))
    np.testing.assert_array_equal(beyond.y, at_the_stops.y)


def test_slow_valve_ramps():
    ramped = driven(RateLimit(0.01 / DT))
    u = np.array(U0) + np.minimum(0.01 * np.arange(1, 41)[:, None], 0.1 * np.array(U0))
    np.testing.assert_allclose(ramped.y, experiment(clean(), u).y, rtol=1e-9)


def test_order_of_instruments_counts():
    u = np.array([[3.0, 2.0]] * 5)
    clip, follow = Saturation(high={"q_a": 1.7}), RateLimit({"q_a": 0.1 / DT})
    assert np.any(driven(clip, follow, u=u).y != driven(follow, DeadTime(DT), clip, u=u).y)


def test_jitter_moves_the_instants_and_not_the_plant():
    fine = experiment(clean(3.0), np.repeat(steps(1), 210, axis=0)).y_true
    run = experiment(Jittered(clean(3.0), every=5, most=2), steps())
    instants = np.array([np.argmin(np.abs(fine[:, 0] - y)) for y in run.y_true[:, 0]])
    np.testing.assert_allclose(fine[instants], run.y_true, rtol=1e-8)
    off = instants - 5 * np.arange(40)
    assert off[0] == 0 and set(off) == {-2, -1, 0, 1, 2}


def test_no_jitter_is_the_process_itself():
    whole, pieces = experiment(clean(), steps()), experiment(Jittered(clean(3.0), 5, 0), steps())
    np.testing.assert_allclose(pieces.y, whole.y, rtol=1e-7)


def test_everything_together_repeats_by_seed():
    sensors = (Noise(0.01), Drift(walk=1e-4), Quantisation(0.001), Missing(0.1))
    process = Instrumented(Jittered(clean(3.0), 5, 1), sensors, [RateLimit(0.001), DeadTime(DT)], U0)
    first, again, other = (experiment(process, steps(), seed).y for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert np.any(first != other)


@pytest.mark.parametrize("name", PLANTS)
def test_instruments_go_around_every_plant(name):
    plant = PLANTS[name]()
    process = plant.process(plant.sampling_time, noise=False)
    inside = Instrumented(
        process, [Noise(plant.y_noise), Missing(0.5)], [DeadTime(plant.sampling_time)], plant.nominal.u
    )
    run = experiment(inside, np.tile(plant.nominal.u, (20, 1)))
    assert np.any(np.isnan(run.y)) and np.all(np.isfinite(run.y_true))


def test_records_with_missing_samples_are_cut_at_them():
    u = np.random.default_rng(0).uniform(PLANT.u_region_min, PLANT.u_region_max, (200, 2))
    run = experiment(Instrumented(clean(), [Missing({"h1": 0.02})]), u)
    with pytest.warns(UserWarning, match="left out"):
        pieces = Experiment(run.u, run.y, DT, gaps="split")
    assert len(pieces) > 1 and all(np.all(np.isfinite(y)) for y in pieces.ys)


def test_closed_loop_reaches_its_reference_through_poor_instruments():
    sensors, actuators = (
        [Noise(0.002), Quantisation(0.001), Missing(0.1)],
        [Saturation(0.0, (3.26, 4.0)), RateLimit(0.02)],
    )
    process = Instrumented(clean(), sensors, actuators, U0)
    system = PLANT.discretise(DT)
    controller = NMPC(system, 5, weights={"y": {"h1": 10.0, "h2": 10.0, "h3": 0.0, "h4": 0.0}})
    reference = {"h1": 0.70, "h2": 0.68, "h3": 0.65, "h4": 0.66}
    record = run(process, controller, OffsetFreeObserver(system, 0.2), reference, 60, u0=U0)
    assert np.isnan(record.y).any() and np.isfinite(record.u).all()
    assert record.y_true[-20:, :2].mean(axis=0) == pytest.approx([0.70, 0.68], abs=0.005)


@pytest.mark.parametrize(
    "sensor, reason",
    [
        (Noise({"h9": 0.1}), "names"),
        (Noise((0.1, 0.2)), "one for each"),
        (Noise(-1.0), "negative"),
        (Drift(rate=np.nan), "NaN"),
        (Saturation(1.0, 0.0), "above"),
        (DeadTime(20.0), "whole number of samples"),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_silly_instruments_are_refused(sensor, reason):
    with pytest.raises(ValueError, match=reason):
        Instrumented(clean(), [sensor])


def test_actuators_must_know_where_they_stand():
    with pytest.raises(ValueError, match="u0"):
        Instrumented(clean(), actuators=[RateLimit(1.0)])


@pytest.mark.parametrize("most", [3, -1])
def test_samples_that_overtake_one_another_are_refused(most):
    with pytest.raises(ValueError, match="order"):
        Jittered(clean(3.0), 5, most)
