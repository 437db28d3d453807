"""Tests of residuals: honest about noise, and not deaf to what is left."""

import numpy as np
import pytest
from matplotlib import pyplot as plt
from scipy.signal import lfilter

from rnn_control.residuals import residuals


def coloured(rng, samples, pole):
    return lfilter([1.0], [1.0, -pole], rng.standard_normal((samples, 1)), axis=0)


@pytest.mark.parametrize("pole", [0.0, 0.6, 0.9])
def test_one_lag_in_a_hundred_of_independent_signals_is_outside(pole):
    rng, outside, n = np.random.default_rng(0), 0, 200
    for _ in range(n):
        u, e = coloured(rng, 1000, pole), coloured(rng, 1000, pole)
        outside += residuals(u, e, np.zeros_like(e), lags=60).outside()[1].sum()
    assert 0.003 < outside / (n * 61) < 0.025


def test_white_noise_is_called_white_and_coloured_noise_is_not():
    rng = np.random.default_rng(1)
    e = np.hstack([rng.standard_normal((2000, 1)), coloured(rng, 2000, 0.3)])
    found = residuals(rng.standard_normal((2000, 1)), e, np.zeros_like(e))
    assert found.p_white[0] > 0.01 > found.p_white[1] and found.outside()[0][1] > 0


def test_an_input_that_the_model_forgot_shows_at_its_lag():
    rng = np.random.default_rng(2)
    u, noise = rng.standard_normal((1500, 2)), rng.standard_normal((1500, 1))
    y = noise + 0.5 * np.roll(u[:, 1:], 3, axis=0)
    found = residuals([u[:700], u[700:]], [y[:700], y[700:]], [0 * y[:700], 0 * y[700:]])
    assert abs(found.cross[0, 1]).argmax() == 3 and found.cross[0, 1, 3] == pytest.approx(0.5 / np.sqrt(1.25), abs=0.05)
    assert abs(found.cross[0, 0]).max() < 0.15


def test_residuals_are_drawn_and_tabled_by_name():
    rng = np.random.default_rng(3)
    found = residuals(rng.standard_normal((90, 2)), rng.standard_normal((90, 1)), np.zeros((90, 1)), ["F", "Q"], ["T"])
    assert [row[0] for row in found.rows()] == ["T with its own past", "T with F", "T with Q"]
    assert len(found.plot().axes) == 3
    plt.close("all")


def test_a_record_shorter_than_the_lags_is_refused():
    with pytest.raises(ValueError, match="20 samples; 25 lags after 0 need more"):
        residuals(np.ones((20, 1)), np.ones((20, 1)), np.ones((20, 1)))
