"""A load that nobody recorded and that drifts: found in the residuals, measured, and not part of the model."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

import rnn_control.drift as drift
from rnn_control import GRU, Experiment, fit
from rnn_control.drift import Drifting
from rnn_control.kernel import make_kernel
from rnn_control.simulate import simulate

SHORT = dict(certificate=None, epochs=60, polish=600, progress=False)
DRIFT = "drift as if the inputs had moved"


def record(T, load, seed):
    """u (T, 1) as the log shows it, y (T, 1) of x+ = 0.9 x + 0.1 tanh(2 (u + load)), small noise."""
    rng = np.random.default_rng(seed)
    u = np.repeat(rng.uniform(-1, 1, (T // 10 + 1, 1)), 10, axis=0)[:T]
    x, y = 0.0, np.zeros((T, 1))
    for k, v in enumerate(u[:, 0] + np.broadcast_to(load, T)):
        y[k], x = x, 0.9 * x + 0.1 * np.tanh(2 * v)
    return u, y + 0.002 * rng.normal(size=y.shape)


def experiment(*records):
    return Experiment([u for u, _ in records], [y for _, y in records], 1.0, ["flow"], ["level"], ["L/s"], ["m"])


def test_drift_is_measured_and_kept_out_of_the_model():
    train = experiment(record(800, np.linspace(-0.15, 0.15, 800), 0))
    middle = experiment(record(800, 0.0, 2))
    with pytest.warns(UserWarning, match=DRIFT):
        found = fit(GRU(1, 1, 2), train, **SHORT)
    assert_allclose(found.drift, [[0.3]], atol=0.03)
    assert not isinstance(found.model.model, Drifting)
    ignorant = fit(GRU(1, 1, 2), train, drift=None, **SHORT)
    assert ignorant.drift is None
    assert found.model.score(middle).rmse[0] < 0.004 < 0.05 < ignorant.model.score(middle).rmse[0]


def test_model_stands_for_the_load_that_the_rest_of_a_split_record_begins_with():
    train, test = experiment(record(1000, np.r_[np.linspace(-0.15, 0.15, 800), np.full(200, 0.15)], 0)).split(0.8)
    with pytest.warns(UserWarning, match="at the end of the record"):
        found = fit(GRU(1, 1, 2), train, **SHORT)
    assert_allclose(found.drift, [[0.3]], atol=0.03)
    assert found.model.score(test).rmse[0] < 0.006


def test_model_stands_for_the_load_of_the_validation_part():
    train = experiment(record(800, np.linspace(-0.15, 0.15, 800), 0))
    valid, test = experiment(record(400, 0.12, 1)), experiment(record(400, 0.12, 2))
    with pytest.warns(UserWarning, match=DRIFT):
        found = fit(GRU(1, 1, 2), train, valid, **SHORT)
    assert found.model.score(test).rmse[0] < 0.006
    assert len(found.history["valid"]) > found.best_iteration
    assert_allclose(found.history["valid"][found.best_iteration], np.nanmin(found.history["valid"]))


def test_a_model_that_is_lost_without_its_load_is_not_taken(monkeypatch):
    train, asked = experiment(record(800, np.linspace(-0.15, 0.15, 800), 0)), []
    monkeypatch.setattr(drift, "LARGEST_ERROR", 1e-3)
    monkeypatch.setattr(drift, "drifts", lambda *given: True)
    judged = drift.fails_alone
    monkeypatch.setattr(drift, "fails_alone", lambda *given: asked.append(judged(*given)) or asked[-1])
    with pytest.warns(UserWarning, match="seen without proof"):  # by the search with a load
        assert fit(GRU(1, 1, 2), train, **SHORT).drift is None
    assert asked == [True]


def test_every_record_has_its_own_drift():
    train = experiment(record(1500, np.linspace(-0.2, 0.2, 1500), 0), record(1500, np.linspace(0.1, -0.1, 1500), 1))
    with pytest.warns(UserWarning, match="flow by .* L/s; flow by .* L/s"):
        found = fit(GRU(1, 1, 2), train, **SHORT)
    assert_allclose(found.drift, [[0.4], [-0.2]], atol=0.03)


def test_certified_search_follows_a_drift_and_stays_certified():
    train = experiment(record(1000, np.linspace(-0.1, 0.1, 1000), 0))
    with pytest.warns(UserWarning, match=DRIFT):
        found = fit(GRU(1, 1, 3), train, epochs=60, polish=200, margin=0.02, progress=False)
    assert found.certificate is not None and found.certificate.holds
    assert_allclose(found.drift, [[0.2]], atol=0.02)


def test_steady_load_is_no_drift():
    assert fit(GRU(1, 1, 2), experiment(record(800, 0.1, 0)), **SHORT).drift is None


def test_interrupt_of_the_second_search_keeps_the_best(monkeypatch):
    monkeypatch.setattr("rnn_control.finish.STEPS", 0)  # an interrupted search has no last steps
    train = experiment(record(800, np.linspace(-0.15, 0.15, 800), 0))
    first = fit(GRU(1, 1, 2), train, drift=None, **SHORT)

    def stop(step):
        if step.iteration > len(first.history["loss"]):
            raise KeyboardInterrupt

    found = fit(GRU(1, 1, 2), train, log=stop, **SHORT)
    assert found.interrupted
    middle = experiment(record(800, 0.0, 2))
    assert found.model.score(middle).rmse[0] <= 1.01 * first.model.score(middle).rmse[0]


def test_loaded_cell_is_the_cell_with_the_load_on_its_inputs():
    inner = GRU(2, 1, 3, seed=1)
    model = Drifting(inner, 1)
    with torch.no_grad():
        model.S.copy_(torch.tensor([[0.3], [-0.2]]))
    rng = np.random.default_rng(0)
    u, d = rng.uniform(-1, 1, (50, 2)), np.linspace(-1, 1, 50)[:, None]
    _, expected = simulate(inner, inner.theta(), torch.zeros(3).double(), torch.from_numpy(u + d @ [[0.3, -0.2]]))
    ((_, y),) = make_kernel(model).simulate(model.theta(), np.zeros((1, 3)), [np.hstack([u, d])])
    assert_allclose(y, expected.detach().numpy(), atol=1e-12)
    assert model.plain() is inner


def test_unknown_word_is_refused():
    with pytest.raises(ValueError, match="drift is 'linear'"):
        fit(GRU(1, 1, 2), experiment(record(100, 0.0, 0)), drift="linear")
