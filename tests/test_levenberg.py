"""Levenberg-Marquardt: its curvature is that of the objective, and it arrives where it should."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.signal import lfilter
from zoo import identified, inputs, quick_gru

import rnn_control.finish as module
from rnn_control import GRU, MODELS, REN, Contracting, Experiment, fit
from rnn_control.kernel import make_kernel
from rnn_control.objective import Objective
from rnn_control.scaler import Scaler
from rnn_control.starts import at_rest, encoded, estimated
from rnn_control.windows import hold_out, windows


def record(samples, seed):
    truth = identified(quick_gru(1, 1, 2, seed=5))
    u = truth.scaler.u_out(inputs(np.random.default_rng(seed), samples, 1))
    return Experiment(u, truth.simulate(u), 2.0)


def objective(model, starts=estimated, window=None, compiled=False, **options):
    train = record(60, 0)
    data = windows(Scaler.fit(train), train, window, 10)
    options = dict(property=None, method="weighted", margin=0.01, starts=starts(data, model.nx)) | options
    return Objective(model, make_kernel(model, compiled), data, **options)


CASES = [*MODELS, "contracting", "penalty", "encoder"]


def case(kind):
    if kind == "encoder":
        return objective(GRU(1, 1, 2), encoded, 8)
    if kind == "penalty":
        return objective(GRU(1, 1, 2), property="delta_iss", margin=0.5)
    model = Contracting(GRU(1, 1, 2), rate=0.7) if kind == "contracting" else MODELS[kind](1, 1, 2)
    return objective(model)


@pytest.mark.parametrize("kind", CASES)
def test_gauss_newton_gradient_and_curvature_belong_together(kind):
    J = case(kind)
    v = J.start()
    value, g, H = J.gauss_newton(v)
    assert_allclose(value, J(v)[0], rtol=1e-9)  # a construction's factor is searched for
    assert_allclose(g, J(v)[1])
    assert_allclose(H, H.T, atol=1e-9 * abs(H).max())
    assert np.linalg.eigvalsh(H)[0] > -1e-9 * abs(H).max()


def test_curvature_is_the_hessian_where_the_residuals_vanish():
    J = objective(quick_gru(1, 1, 2, seed=5), starts=at_rest, prior=0.0)
    v = J.start()
    yhat = J.kernel.simulate(J.model.theta(), J.initial_states(v), J.data.u)[0][1]
    J.data.y[0][:] = yhat
    H, h = J.gauss_newton(v)[2], 1e-5
    for i in (0, len(v) // 2, len(v) - 1):
        e = h * np.eye(len(v))[i]
        assert_allclose(H[i], (J(v + e)[1] - J(v - e)[1]) / (2 * h), rtol=1e-4, atol=1e-6 * abs(H).max())


@pytest.mark.parametrize("model, certificate", [(GRU(1, 1, 3), None), (REN(1, 1, 3, neurons=3), "delta_iss")])
def test_search_goes_deep_without_a_penalty(model, certificate):
    options = dict(certificate=certificate, epochs=20, polish=400, washout=20, progress=False)
    result = fit(model, record(300, 0), record(120, 1), **options)
    assert result.model.score(record(200, 2)).fit[0] > 98
    assert certificate is None or result.certificate.holds


def test_held_out_ends_judge_and_do_not_train():
    train = record(300, 0)
    data = windows(Scaler.fit(train), train, None, 10)
    held = hold_out(data)
    assert 0.15 < held[0].mean() < 0.25
    assert not (data.w[0] * held[0]).any()
    assert (data.w[0] + held[0])[10:].all()


def test_a_record_whose_output_is_missing_at_its_end_is_judged_before():
    train = record(300, 0)
    y = train.y.copy()
    y[200:] = np.nan
    train = Experiment(train.u, y, 2.0, gaps="mask")
    result = fit(GRU(1, 1, 2), train, certificate=None, epochs=5, polish=50, progress=False)
    assert np.isfinite(result.history["valid"]).all() and result.model.score(record(200, 2)).fit[0] > 50


def test_last_steps_train_on_the_end_that_judged(monkeypatch):
    options = dict(certificate=None, epochs=20, polish=400, washout=20, drift=None, progress=False)
    truth, u = identified(quick_gru(1, 1, 2, seed=5)), inputs(np.random.default_rng(0), 300, 1)
    u[:240] *= 0.1  # only the end shows where the plant bends
    u = truth.scaler.u_out(u)
    train = Experiment(u, truth.simulate(u), 2.0)
    finished = fit(GRU(1, 1, 3), train, **options)
    monkeypatch.setattr(module, "STEPS", 0)
    judged = fit(GRU(1, 1, 3), train, **options)
    assert finished.best_iteration == judged.best_iteration
    assert finished.model.score(record(200, 2)).rmse[0] < 0.8 * judged.model.score(record(200, 2)).rmse[0]


def test_last_steps_end_before_one_that_explains_the_records_less_well(monkeypatch):
    rng = np.random.default_rng(0)
    u = np.repeat(rng.choice([-1.0, 1.0], 200), 3)
    y = lfilter([0, 0, 0, 0.06, 0.05], [1, -1.27, 0.40], u)
    train = Experiment(u, y + 0.05 * y.std() * rng.standard_normal(len(u)), 1.0)
    options = dict(certificate=None, epochs=0, polish=100, drift=None, progress=False)
    finished = fit(GRU(1, 1, 8), train, **options)  # ends as a linear model, whose parameters are large
    monkeypatch.setattr(module, "STEPS", 0)
    judged = fit(GRU(1, 1, 8), train, **options)
    assert finished.model.score(train).rmse[0] < 1.02 * judged.model.score(train).rmse[0]


def test_a_linear_model_that_is_kept_takes_no_last_steps():
    rng = np.random.default_rng(0)
    u = np.repeat(rng.choice([-1.0, 1.0], 200), 3)
    y = lfilter([0, 0, 0, 0.06, 0.05], [1, -1.27, 0.40], u)
    train = Experiment(u, y + 0.05 * y.std() * rng.standard_normal(len(u)), 1.0)
    result = fit(GRU(1, 1, 8), train, certificate=None, epochs=0, polish=100, prior=0.0, drift=None, progress=False)
    assert_allclose(result.model.score(train).rmse, result.linear.score(train).rmse, rtol=1e-3)


def test_patience_counts_from_where_the_deep_search_starts():
    kept_early = dict(certificate=None, epochs=60, polish=300, patience=100, washout=20, progress=False)
    result = fit(GRU(1, 1, 2, seed=1), record(200, 0), record(100, 1), rate=3.0, **kept_early)
    assert len(result.history["loss"]) > 1 + 60 + 100 // 10
