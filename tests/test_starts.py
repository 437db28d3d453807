"""Initial states of the records while training: free, or read by an encoder that serves afterwards, too."""

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose
from zoo import identified, inputs, quick_gru

from rnn_control import GRU, Experiment, fit
from rnn_control.literal import Batch
from rnn_control.starts import SAMPLES, at_rest, encoded, estimated

SHORT: dict[str, Any] = dict(certificate=None, epochs=40, polish=300, washout=20, window=60, progress=False)


def record(samples, seed):
    truth, rng = identified(quick_gru(1, 1, 2, seed=5)), np.random.default_rng(seed)
    u = truth.scaler.u_out(inputs(rng, samples, 1))
    y = truth.simulate(u)
    return Experiment(u, y + 0.01 * y.std() * rng.normal(size=y.shape), 2.0)


def batch(count, samples=30):
    rng = np.random.default_rng(0)
    return Batch(*(list(rng.normal(size=(count, samples, n))) for n in (2, 1, 1)))


@pytest.mark.parametrize("make", [at_rest, estimated, encoded])
def test_states_are_linear_in_what_is_trained(make):
    starts, rng = make(batch(40), 3), np.random.default_rng(1)
    v, gradient = rng.uniform(-1, 1, starts.size), rng.normal(size=(40, 3))
    assert starts.states(v).shape == (40, 3)
    assert_allclose(starts.back(gradient) @ v, (gradient * starts.states(v)).sum())
    assert_allclose(starts.states(starts.nearest(starts.states(v))), starts.states(v), atol=1e-5)


def test_an_encoder_reads_fewer_numbers_than_there_are_records():
    assert encoded(batch(200), 3).size == 3 * (1 + 3 * SAMPLES)
    assert encoded(batch(20), 3).size == 3 * (1 + 3 * 3)
    with pytest.raises(ValueError, match="needs 8 windows or more to learn from, there are 7"):
        encoded(batch(7), 3)


def test_encoder_finds_the_state_that_explains_what_follows():
    train, test = record(2500, 0), record(600, 1)
    found = fit(GRU(1, 1, 2, seed=1), train, initial="encoder", **SHORT)
    model, encoder = found.model, found.encoder
    assert encoder is not None and model.score(test).mean_fit > 95
    errors = {"encoder": [], "at rest": []}
    for k in range(0, 480, 40):
        u, y = test.u[k : k + 100], test.y[k : k + 100]
        for name, x0 in (("encoder", encoder.initial_state(u, y)), ("at rest", None)):
            errors[name].append(np.abs(model.simulate(u, x0)[:20] - y[:20]).max())
        past = encoder.warm_up(u[:60], y[:60])
        assert np.abs(model.simulate(u[60:], past) - y[60:]).max() < 0.15 * test.y.std()
    assert np.median(errors["encoder"]) < 0.2 * np.median(errors["at rest"])


def test_certified_training_takes_an_encoder_as_well():
    train = record(1200, 0)
    found = fit(GRU(1, 1, 2), train, initial="encoder", **{**SHORT, "certificate": "delta_iss", "polish": 90})
    assert found.certificate.holds and found.encoder.samples > 1
    assert fit(GRU(1, 1, 2), train, **{**SHORT, "polish": 30}).encoder is None


def test_windows_an_encoder_cannot_read_are_refused():
    found = fit(GRU(1, 1, 2), record(1200, 0), initial="encoder", **{**SHORT, "polish": 30})
    u, y = np.zeros((30, 1)), np.zeros((30, 1))
    with pytest.raises(ValueError, match=r"they must be \(T, 1\) and \(T, 1\) with T from"):
        found.encoder.initial_state(u[:2], y[:2])
    y[1] = np.nan
    with pytest.raises(ValueError, match="some are missing"):
        found.encoder.warm_up(u, y)
    with pytest.raises(ValueError, match='initial="encoder" needs'):
        fit(GRU(1, 1, 2), record(300, 0), initial="encoder", **{**SHORT, "window": None})
