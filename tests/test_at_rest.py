"""Steady operating points beside a record: the model learns where the plant rests outside of what the record shows."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from zoo import identified, inputs, quick_gru

from rnn_control import GRU, Experiment, fit

TRUTH = identified(quick_gru(1, 2, 2, seed=5))


def rests(shares):
    u = TRUTH.scaler.u_out(np.array(shares)[:, None])
    return u, np.array([TRUTH.simulate(np.tile(row, (400, 1)))[-1] for row in u])


def test_a_record_of_half_the_range_and_points_of_the_other_half_give_the_whole_map():
    u = TRUTH.scaler.u_out(0.5 + 0.5 * inputs(np.random.default_rng(0), 400, 1))
    train, (u_rest, y_rest) = Experiment(u, TRUTH.simulate(u), 2.0), rests([-1.0, -0.7, -0.4, 0.0])
    box = dict(u_min=TRUTH.scaler.u_min, u_max=TRUTH.scaler.u_max)
    u_new, y_new = rests([-0.85, -0.55])
    missed = []
    for data in (train, train.join(train.at_rest(u_rest, y_rest, samples=60))):
        model = fit(GRU(1, 2, 3, seed=1), data, certificate=None, epochs=60, polish=300, progress=False, **box).model
        found = np.array([model.simulate(np.tile(row, (400, 1)))[-1] for row in u_new])
        missed.append(abs(found - y_new).max() / np.ptp(y_rest))
    assert missed[1] < 0.05 and missed[1] < missed[0] / 3


def test_points_are_records_that_hold_still():
    u, y = np.random.default_rng(0).normal(size=(2, 100, 2))
    train = Experiment(u, y, 1.0, u_names=["a", "b"])
    points = train.at_rest([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], [[0.0, 1.0], [np.nan, 2.0], [0.0, 3.0]], samples=30)
    assert len(points) == 3 and points.u_names == ("a", "b") and len(train.join(points)) == 4
    assert_array_equal(points.us[1], np.tile([3.0, 4.0], (30, 1)))
    assert np.isnan(points.ys[1][:, 0]).all()


@pytest.mark.parametrize(
    "u, y, named", [([[1.0]], [[1.0, 2.0]], "a row a point"), ([[np.nan, 1.0]], [[1.0, 2.0]], "known")]
)
def test_points_of_other_channels_or_unknown_inputs_are_refused(u, y, named):
    train = Experiment(*np.random.default_rng(0).normal(size=(2, 100, 2)), 1.0)
    with pytest.raises(ValueError, match=named):
        train.at_rest(u, y)
