"""Records of every plant of the zoo: their timing, their noise, and the process that gives them sample by sample."""

import numpy as np
from plant_runs import discretised, excite


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


def test_input_within_rounding_of_a_limit_is_clipped(plant):
    process = plant.process(plant.sampling_time)
    process.apply(plant.u_max + 1e-8 * (plant.u_max - plant.u_min))
    exact = plant.process(plant.sampling_time)
    exact.apply(plant.u_max)
    np.testing.assert_array_equal(process.x, exact.x)
