"""FIT, RMSE and Score: the conventions, pooling and washout."""

import dataclasses

import numpy as np
import pytest

from rnn_control import metrics
from rnn_control.metrics import score

K = np.arange(200)
Y = np.stack([3 + np.sin(0.1 * K), 100 * np.cos(0.07 * K)], axis=1)
Y_HAT = Y + np.stack([0.1 * np.cos(K), 5 * np.sin(3 * K)], axis=1)


def test_perfect_simulation_has_fit_100():
    assert np.array_equal(metrics.fit(Y, Y), [100, 100])


def test_mean_of_y_has_fit_0():
    assert np.allclose(metrics.fit(Y, np.broadcast_to(Y.mean(0), Y.shape)), 0, atol=1e-9)


def test_fit_by_hand():
    # errors 1, 1, 1, -1 have RMSE 1; 0, 4, 0, 4 has std 2
    y = np.array([0.0, 4.0, 0.0, 4.0])
    assert metrics.fit(y, y + [1, 1, 1, -1]) == 50


def test_nrmse_is_the_complement_of_fit():
    assert np.allclose(100 * (1 - metrics.nrmse(Y, Y_HAT)), metrics.fit(Y, Y_HAT))


def test_rmse_is_in_the_unit_of_each_channel():
    assert np.allclose(metrics.rmse(Y, Y + [0.5, 20.0]), [0.5, 20.0])


def test_polimi_fit_is_a_ratio_of_absolute_sums():
    # sum |e| = 4, sum |y - mean| = 8, whereas RMSE / std = sqrt(4) / 2
    y, y_hat = np.array([0.0, 4.0, 0.0, 4.0]), np.array([4.0, 4.0, 0.0, 4.0])
    assert (metrics.fit_polimi(y, y_hat), metrics.fit(y, y_hat)[0]) == (50.0, 0.0)


def test_washout_is_not_scored():
    y_hat = np.where(K[:, None] < 20, 0.0, Y)
    assert np.array_equal(metrics.rmse(Y, y_hat, washout=20), [0, 0])


def test_records_are_pooled():
    cut = [slice(0, 130), slice(130, 200)]
    pooled = metrics.fit([Y[c] for c in cut], [Y_HAT[c] for c in cut])
    assert np.allclose(pooled, metrics.fit(Y, Y_HAT))


def test_washout_is_taken_from_every_record():
    halves, zeroed = [Y[:100], Y[100:]], [Y[:100].copy(), Y[100:].copy()]
    for record in zeroed:
        record[:9] = 0
    assert np.array_equal(metrics.rmse(halves, zeroed, washout=9), [0, 0])


def test_an_output_that_moves_by_rounding_alone_has_no_fit():
    y = np.column_stack([np.where(np.arange(20) % 2, 0.3, 0.1 + 0.2), np.arange(20.0)])
    found = score(y, y + 0.5)
    assert np.isnan(found.fit[0]) and "undefined" in str(found)
    assert found.mean_error(np.array([0.25, 1.0])) == pytest.approx((2 + 0.5 / y[:, 1].std()) / 2)


@pytest.mark.parametrize("wild", [np.nan, np.inf, -np.inf])
def test_diverged_simulation_scores_minus_infinity(wild):
    y_hat = Y.copy()
    y_hat[150:, 1] = wild
    assert metrics.fit(Y, y_hat)[1] == -np.inf and metrics.rmse(Y, y_hat)[1] == np.inf


def test_nearly_diverged_simulation_does_not_overflow():
    assert np.allclose(metrics.rmse(Y, Y + 1e200), 1e200)


def test_fit_of_a_constant_output_is_undefined():
    assert np.isnan(metrics.fit(np.ones(20), np.zeros(20))[0])


FAULTS = {
    "shape": (dict(y_hat=Y[:-1]), "must be equal"),
    "washout": (dict(washout=200), "washout = 200; it is 0 to 199"),
    "inf": (dict(y=np.where(Y > 3.5, np.inf, Y)), "y holds inf"),
    "silent": (dict(y=np.where(Y > 3.5, np.nan, np.nan)), "without a measurement"),
    "records": (dict(y=[Y, Y]), "must be equal"),
}


@pytest.mark.parametrize("case", FAULTS)
def test_faults_are_named(case):
    changed, message = FAULTS[case]
    with pytest.raises(ValueError, match=message):
        metrics.rmse(**{"y": Y, "y_hat": Y_HAT, **changed})


def test_score_is_a_table_with_names_and_units():
    text = str(score(Y, Y_HAT, ["Ca", "T"], ["mol/l", "K"], washout=10))
    assert "T         94.91 %       3.5516 K" in text and "190 samples in 1 record," in text


def test_score_holds_the_metrics():
    s = score([Y, Y[:50]], [Y_HAT, Y_HAT[:50]])
    assert s.fit == tuple(metrics.fit([Y, Y[:50]], [Y_HAT, Y_HAT[:50]])) and s.n_samples == 250


def test_score_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        score(Y, Y_HAT).washout = 3


def test_score_of_a_constant_output_says_so():
    assert "undefined" in str(score(np.ones(20), np.zeros(20)))
