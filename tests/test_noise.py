"""Noise on the states while training: its mean effect is the closed form, and models learn to bear it."""

from typing import Any

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from rnn_control import GRU, NNARX, Experiment, StateNoise, fit
from rnn_control.kernel import Batch, make_kernel
from rnn_control.noise import excess
from rnn_control.prediction import predictor

QUICK: dict[str, Any] = dict(epochs=40, polish=400, progress=False)


def batch(model, samples=20, seed=0):
    rng = np.random.default_rng(seed)
    u, y, w = rng.uniform(-1, 1, (samples, model.nu)), *rng.uniform(0, 1, (2, samples, model.ny))
    return Batch([u], [y], [w]), np.full((1, model.nx), 0.2)


@pytest.mark.parametrize("noise", [StateNoise(0.05), StateNoise(0.02, 0.05)], ids=["absolute", "relative"])
@pytest.mark.parametrize("model", [GRU(1, 1, 4, seed=1), NNARX(1, 2, 6, lags=2, seed=1)], ids=lambda m: m.kind)
def test_mean_over_many_draws_is_the_explicit_regulariser(model, noise):
    """Theorem 22."""
    data, x0 = batch(model)
    draws = 20_000
    many = Batch(*(part * draws for part in data))
    kernel, p = noise.kernel(model), model.theta()
    mean = kernel.loss_grad(p, np.repeat(x0, draws, 0), many)[0] / draws
    without = make_kernel(model).loss_grad(p, x0, data)[0]
    assert_allclose(mean - without, excess(model, noise, x0, data), rtol=0.02)


def test_gradient_is_that_of_the_loss_with_noise():
    model = GRU(1, 1, 3, seed=0)
    data, x0 = batch(model)
    kernel = StateNoise(0.1, 0.1).kernel(model)
    _, grads, x_grad = kernel.loss_grad(model.theta(), x0, data)
    step, p = 1e-6, model.theta()

    def loss(change):
        return kernel.loss_grad({**p, "br": p["br"] + torch.from_numpy(change)}, x0, data)[0]

    slopes = [(loss(step * e[:, None]) - loss(-step * e[:, None])) / (2 * step) for e in np.eye(3)]
    assert_allclose(grads["br"].ravel(), slopes, rtol=1e-6)
    _, half, _ = kernel.gauss_newton(p, x0, data)
    assert_allclose(2 * half[-3:], x_grad[0], rtol=1e-9)


def tanks(samples, seed):
    """Level of the second of two tanks in series, a sample each 0.4 time constants, 1.6 % noise."""
    rng = np.random.default_rng(seed)
    u, h, y = np.repeat(rng.uniform(0.1, 1, samples // 8 + 1), 8)[:samples], np.full(2, 0.5), []
    for flow in u:
        y.append(h[1])
        for _ in range(4):
            out = np.sqrt(h)
            h = np.maximum(h + 0.1 * (np.array([1.2 * flow, out[0]]) - out), 0)
    level = np.array(y)[:, None]
    return Experiment(u[:, None], level + 0.016 * level.std() * rng.normal(size=level.shape), 1.0)


def error_of_disturbed_lags(identified, test):
    """Root mean square of the one-step error where the lags are wrong by a tenth of a deviation."""
    model, scaler = predictor(identified.model, 1), identified.scaler
    data = model.batch(Batch([scaler.u_in(test.u)], [scaler.y_in(test.y)], [np.ones_like(test.y)]))
    return np.sqrt(StateNoise(0.1, seed=7).kernel(model).loss_grad(model.theta(), np.zeros((1, model.nx)), data)[0])


def test_predictor_trained_with_noise_bears_wrong_lags():
    train, test = tanks(1000, 0), tanks(500, 100)
    found = {}
    for noise in (None, StateNoise(0.1)):
        model = NNARX(1, 1, 16, lags=4, seed=0)
        found[noise] = fit(model, train, certificate=None, horizon=1, noise=noise, **QUICK).model
    plain, bearing = found.values()
    assert error_of_disturbed_lags(bearing, test) < 0.9 * error_of_disturbed_lags(plain, test)
    assert bearing.score(test).mean_fit > plain.score(test).mean_fit - 6  # what it costs in the free run


def test_training_with_noise_keeps_the_certificate_and_repeats_itself():
    train, valid = tanks(400, 0), tanks(200, 1)
    once, again = (
        fit(GRU(1, 1, 2), train, valid, noise=StateNoise(0.05), epochs=20, polish=60, progress=False) for _ in range(2)
    )
    assert once.certificate.holds and once.model.score(valid).mean_fit > 80
    assert_allclose(once.history["loss"], again.history["loss"], rtol=0)
    assert once.model.model.kind == "gru"


@pytest.mark.parametrize(
    "std, relative, says", [(-1.0, 0.0, "std is -1"), (0.1, np.nan, "relative is nan"), (0, 0, "noise=None")]
)
def test_noise_that_is_none_is_refused(std, relative, says):
    with pytest.raises(ValueError, match=says):
        StateNoise(std, relative)
