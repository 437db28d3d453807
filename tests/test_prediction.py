"""Prediction errors: what is minimised is what the docstring says, and it helps where a free run cannot know."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from zoo import inputs, quick_gru, randomised

from rnn_control import GRU, NNARX, REN, Contracting, Experiment, fit
from rnn_control.kernel import Batch, make_kernel
from rnn_control.literal import LiteralKernel
from rnn_control.prediction import LagPredictor, ObserverPredictor, predictor

QUICK = dict(epochs=5, polish=30, washout=20, progress=False)


def batch(model, samples=23, seed=0):
    rng = np.random.default_rng(seed)
    u, y = rng.uniform(-1, 1, (samples, model.nu)), rng.normal(size=(samples, model.ny))
    return Batch([u], [y], [np.ones_like(y)])


def stepped(model, record, horizon, first, correct):
    """Outputs by the definition, one sample after the other."""
    p, x, outputs = model.theta(), torch.zeros(model.nx, 1, dtype=torch.float64), []
    for k, (u, _) in enumerate(zip(record.u[0], record.y[0], strict=True)):
        outputs.append(model.g(p, x))
        if k >= first and (k - first) % horizon == 0:
            x = correct(p, x, k)
        x = model.f(p, x, torch.from_numpy(u[:, None]))
    return torch.cat(outputs, 1).T.detach().numpy()


@pytest.mark.parametrize("horizon", [1, 3, 50])
def test_observer_corrects_every_kth_sample(horizon):
    model = randomised(GRU(2, 2, 3), 0)
    trained, record = ObserverPredictor(model, horizon), batch(model)
    with torch.no_grad():
        trained.observer_gain.copy_(torch.from_numpy(np.random.default_rng(1).normal(0, 0.3, (3, 2))))
    y = [torch.from_numpy(row[:, None]) for row in record.y[0]]
    expected = stepped(model, record, horizon, 0, lambda p, x, k: x + trained.observer_gain @ (y[k] - model.g(p, x)))
    found = make_kernel(trained).simulate(trained.theta(), np.zeros((1, 3)), trained.batch(record).u)[0][1]
    assert_allclose(found, expected, atol=1e-12)


@pytest.mark.parametrize("horizon", [1, 4])
def test_nnarx_restarts_from_its_measured_lags(horizon):
    model = randomised(NNARX(1, 2, 4, lags=3), 0)
    trained, record = LagPredictor(model, horizon), batch(model)
    u, y = record.u[0], record.y[0]
    lags = lambda p, x, k: torch.from_numpy(  # noqa: E731
        np.concatenate([np.r_[y[k - 3 + i], u[k - 3 + i - 1]] for i in (1, 2, 3)])[:, None]
    )
    found = make_kernel(trained).simulate(trained.theta(), np.zeros((1, model.nx)), trained.batch(record).u)[0][1]
    assert_allclose(found, stepped(model, record, horizon, 3, lags), atol=1e-12)


@pytest.mark.parametrize("make", [lambda: GRU(2, 2, 3), lambda: NNARX(2, 2, 4), lambda: Contracting(REN(2, 2, 3))])
def test_horizon_beyond_the_record_is_the_simulation_error(make):
    model = randomised(make(), 0) if not isinstance(make(), Contracting) else make()
    trained, record = predictor(model, 1000), batch(model)
    none = trained.batch(record)
    none.u[0][:, -1] = 0
    x0 = np.zeros((1, model.nx))
    found, expected = (
        make_kernel(m, compiled=False).loss_grad(m.theta(), x0, d)[0] for m, d in ((trained, none), (model, record))
    )
    assert_allclose(found, expected, rtol=1e-12)


def test_compiled_gradients_equal_the_literal_ones():
    model = randomised(GRU(2, 2, 3), 0)
    trained = predictor(model, 2)
    fast, wrt = make_kernel(trained, compiled=True), tuple(trained.theta())
    data, x0 = trained.batch(batch(model)), np.full((1, 3), 0.1)
    found, expected = (kernel.loss_grad(trained.theta(), x0, data)[1] for kernel in (fast, LiteralKernel(trained, wrt)))
    assert "observer_gain" in found
    for name, value in found.items():
        assert_allclose(value, expected[name], rtol=1e-10, atol=1e-12)


def test_missing_samples_correct_nothing():
    model, record = NNARX(1, 1, 4, lags=2), batch(NNARX(1, 1, 4), 12)
    record.w[0][6] = 0
    m = predictor(model, 1).batch(record).u[0][:, -1]
    assert_allclose(m, [0, 0, 1, 1, 1, 1, 0, 0, 0, 1, 1, 1])


def drifting(seed, samples=400):
    """First-order lag of the input, and a random walk of which the input knows nothing."""
    rng = np.random.default_rng(seed)
    u, drift, x, y = inputs(rng, samples, 1), np.cumsum(rng.normal(0, 0.15, samples)), 0.0, []
    for k in range(samples):
        y.append(x)
        x = 0.8 * x + 0.4 * np.tanh(2 * u[k, 0])
    return Experiment(u, np.array(y) + drift, 1.0), Experiment(u, np.array(y), 1.0)


@pytest.mark.filterwarnings("ignore")
def test_one_step_error_is_not_led_astray_by_a_drift():
    """The median over records: on one of them either may be lucky."""

    def error(seed, horizon):
        train, steps = drifting(seed)[0], np.arange(5)
        model = fit(GRU(1, 1, 3, seed=1), train, certificate=None, horizon=horizon, epochs=30, polish=300,
                    progress=False, linear=None).model  # fmt: skip
        response = model.simulate(np.repeat([-1.0, 1.0], 60)[:, None], np.zeros(3))[60:65, 0]
        return np.abs(response - response[0] - 4.0 * np.tanh(2) * (1 - 0.8**steps)).max()

    one_step, free_run = (np.median([error(seed, horizon) for seed in range(8)]) for horizon in (1, None))
    assert one_step < 0.7 * free_run


@pytest.mark.parametrize("make", [lambda: quick_gru(1, 1, 3), lambda: NNARX(1, 1, 5), lambda: REN(1, 1, 2)])
def test_fit_by_prediction_errors_gives_a_certified_model(make):
    _, train = drifting(0)
    _, valid = drifting(1, 200)
    result = fit(make(), train, valid, horizon=5, **QUICK)
    assert result.certificate.holds and result.model.score(valid).mean_fit > 70


@pytest.mark.filterwarnings("ignore:the outputs drift")
def test_words_stand_for_horizons():
    train, _ = drifting(0, 100)
    losses = {}
    for horizon in ("one-step", 1, "simulation", None):
        result = fit(quick_gru(1, 1, 3), train, certificate=None, horizon=horizon, **QUICK)
        losses[horizon] = result.history["loss"]
    assert_allclose(losses["one-step"], losses[1])
    assert_allclose(losses["simulation"], losses[None])
    with pytest.raises(ValueError, match='"simulation", "one-step" or a number'):
        fit(quick_gru(1, 1, 3), train, horizon="forever", **QUICK)


def test_horizon_of_nothing_is_refused():
    with pytest.raises(ValueError, match="horizon is 0"):
        predictor(GRU(1, 1, 2), 0)
