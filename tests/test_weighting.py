"""Records that are partly wrong are identified as if they were clean, and the wrong parts are named."""

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose
from zoo import identified, inputs, quick_gru

from rnn_control import GRU, REN, Experiment, Huber, MultiplicativeWeights, fit
from rnn_control.metrics import fit as fit_percent
from rnn_control.weighting import effective_share

BAD = (1, 4, 5, 11, 13)  # windows of 60 samples out of 15: a third
OPTIONS: dict[str, Any] = dict(epochs=80, polish=300, washout=20, progress=False)


def record(seed, samples=900):
    truth = identified(quick_gru(1, 1, 2, seed=5))
    rng = np.random.default_rng(seed)
    u = truth.scaler.u_out(inputs(rng, samples, 1))
    y = truth.simulate(u)
    return Experiment(u, y + 0.02 * y.std() * rng.normal(size=y.shape), 2.0)


def corrupted(clean):
    y, middle, spread = clean.y.copy(), clean.y.mean(), clean.y.std()
    for n, window in enumerate(BAD):
        part = slice(60 * window, 60 * window + 60)
        y[part] = (y[part][0], 2 * middle - y[part], y[part] + 3 * spread)[n % 3]
    return Experiment(clean.u, y, 2.0)


def lags(samples, seed):
    """A saturated lag with hardly any noise and what follows it under noise of half its range; and both without."""
    rng, x = np.random.default_rng(seed), np.zeros((samples + 1, 2))
    u = np.repeat(rng.uniform(-1, 1, (samples // 10, 1)), 10, 0)
    for k in range(samples):
        x[k + 1] = 0.95 * x[k, 0] + 0.05 * np.tanh(2 * u[k, 0]), 0.9 * x[k, 1] + 0.1 * x[k, 0]
    clean = x[:-1]
    return Experiment(u, clean + [0.01, 0.5] * np.ptp(clean, axis=0) * rng.normal(size=clean.shape), 1.0), clean


@pytest.mark.parametrize("certificate", [None, "delta_iss"])
def test_a_noisy_output_does_not_hide_what_a_clean_one_tells(certificate):
    train, (test, clean) = lags(600, 1)[0], lags(400, 9)
    model = fit(GRU(1, 2, 3, seed=1), train, certificate=certificate, epochs=50, polish=300, progress=False).model
    assert fit_percent(clean, model.predict(test)[0], 50)[0] > 95


@pytest.mark.parametrize("model, certificate", [(GRU, None), (GRU, "delta_iss"), (REN, "delta_iss")])
def test_stretches_that_are_wrong_are_found_and_do_not_count(model, certificate):
    test, windows = record(1, 300), MultiplicativeWeights(window=60)
    scores = {}
    for name, train, weighting in [("clean", record(0), None), ("bad", corrupted(record(0)), windows)]:
        result = fit(model(1, 1, 3, seed=0), train, certificate=certificate, weighting=weighting, **OPTIONS)
        scores[name] = result.model.score(test).fit[0]
    f = result.weights[0].reshape(15, 60).mean(1)
    assert f[list(BAD)].sum() < 0.02 * f.sum()
    assert scores["bad"] > scores["clean"] - 1.5


def test_on_a_clean_record_weights_stay_nearly_even():
    train, test = record(0), record(1, 300)
    plain = fit(GRU(1, 1, 3, seed=1), train, certificate=None, **OPTIONS)
    result = fit(GRU(1, 1, 3, seed=1), train, certificate=None, weighting=MultiplicativeWeights(window=60), **OPTIONS)
    assert result.model.score(test).fit[0] > plain.model.score(test).fit[0] - 0.5
    assert effective_share(result.weights) > 0.8 and effective_share(plain.weights) == 1


def test_wild_samples_do_not_count():
    clean, test = record(0), record(1, 300)
    wild = np.random.default_rng(2).random(clean.y.shape) < 0.05
    bad = Experiment(clean.u, np.where(wild, clean.y + 8 * clean.y.std(), clean.y), 2.0)
    scores = [
        fit(GRU(1, 1, 3, seed=1), train, certificate=None, weighting=w, **OPTIONS).model.score(test).fit[0]
        for train, w in ((clean, None), (bad, Huber()), (bad, None))
    ]
    assert scores[1] > scores[0] - 1.5 and scores[1] > scores[2] + 5


def test_huber_factors():
    e = np.array([[1.0], [-2.0], [0.5], [100.0], [-1.0], [1.5], [np.inf]])
    f = Huber(2.0)([e], [np.array([1, 1, 1, 1, 1, 1, 0.0])[:, None]])[0]
    assert_allclose(f[:, 0], np.minimum(1, 2 * 1.4826 * 1.25 / abs(e[:, 0])))


@pytest.mark.parametrize("cap", [1.0, 1.5, 3.0])
def test_weights_of_windows_sum_to_one_under_their_cap(cap):
    weighting = MultiplicativeWeights(eta=1.0, cap=cap)
    weighting.totals = np.array([0.0, 0.1, 5.0, 50.0])
    p = weighting.probabilities()
    assert_allclose(p.sum(), 1)
    assert p.max() <= cap / 4 * (1 + 1e-9) and (np.diff(p) <= 1e-12).all()


@pytest.mark.parametrize("numbers", [dict(eta=-1.0), dict(cap=0.5), dict(window=0), dict(delta=0.0)])
def test_senseless_numbers_are_refused(numbers):
    with pytest.raises(ValueError, match="must be positive|may be smaller"):
        (Huber if "delta" in numbers else MultiplicativeWeights)(**numbers)
