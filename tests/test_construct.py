"""By construction: no optimiser step leads out of the certified set, and certified models are their own pre-images."""

import math

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from zoo import ZOO, quick_gru

from rnn_control import GRU, LSTM, REN, Cascade, Contracting, Experiment, LipschitzREN, certify, fit
from rnn_control.bounds import Comparison, weighted_bound
from rnn_control.certificate import rate_of
from rnn_control.conditions import condition, is_proved
from rnn_control.model import Params
from rnn_control.models import build
from rnn_control.perron import level_weights, perron_weights
from rnn_control.simulate import simulate

RATE = 0.98


def families(kind, seed=0):
    if kind == "cascade":
        return Cascade(GRU(2, 2, 2, seed=seed), LSTM(2, 1, 2, seed=seed))
    return ZOO[kind](2, 1, 3, seed=seed)


def constructed(kind, seed=0):
    """The family's own construction where it has one."""
    model = families(kind, seed)
    return model if model.by_construction("delta_iss") else Contracting(model, rate=RATE)


def is_certified(model):
    p = Params({k: v.detach().double() for k, v in model.theta().items()})
    methods = [model.method] if isinstance(model, Contracting) else ["published"]
    bounds = [condition(model, p, model.input_box(), "delta_iss", m) for m in methods]
    return any(is_proved(b) and float(b.rate) <= model.rate + 1e-9 for b in bounds)


def ascend(model, step):
    """One step of gradient ascent on the size of the explicit parameters."""
    sum((v**2).sum() for v in model.theta().values()).backward()
    with torch.no_grad():
        for value in model.parameters():
            if value.grad is not None:
                value.add_(step * value.grad.sign())
                value.grad = None


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
@pytest.mark.parametrize("step", [1e3, 1e6])
@pytest.mark.parametrize("kind", ZOO)
def test_no_step_leaves_the_certified_set(kind, step, dtype):
    """Theorem 17 (a)."""
    model = constructed(kind).to(dtype)
    ascend(model, step)
    assert is_certified(model)


@pytest.mark.parametrize("property", ["delta_iss", "iss"])
@pytest.mark.parametrize("kind", ["cascade", "network"])
def test_large_readouts_between_blocks_are_proved_in_exact_arithmetic(kind, property):
    model = Contracting(families(kind), rate=RATE, property=property)
    ascend(model, 1e6)
    proved = certify(model.plain(), property, model.method, rigorous=True)
    assert proved.holds and proved.rate <= RATE


def test_level_of_a_series_is_reached_however_large_its_coupling():
    """Theorem 1 (c), where the weights are ten orders of magnitude apart."""
    A = torch.tensor([[0.5, 0.0], [1e10, 0.7]], dtype=torch.float64)
    series = Comparison(lambda v: A @ v, torch.ones(2, 1, dtype=torch.float64))
    w = level_weights(series, 0.8)
    assert (A @ w < 0.8 * w).all() and float(weighted_bound(series, perron_weights(series)).rate) < 1


@pytest.mark.parametrize("options", [dict(method="lmi"), dict(method="typo"), dict(property="iss", method="lmi")])
def test_method_without_a_construction_is_refused(options):
    with pytest.raises(ValueError, match="choose from delta_iss and iss, by auto, published, weighted"):
        Contracting(quick_gru(1, 1, 2), **options)


@pytest.mark.parametrize("kind", ["gru", "lstm", "nnarx"])
def test_random_parameters_of_any_size_are_certified(kind):
    generator, model = torch.Generator().manual_seed(0), constructed(kind)
    for size in (0.3, 3.0, 100.0):
        with torch.no_grad():
            for value in model.parameters():
                value.copy_(size * torch.randn(value.shape, generator=generator, dtype=value.dtype))
        assert is_certified(model)


def test_certified_model_is_its_own_image():
    """Theorem 17 (b)."""
    model = Contracting(quick_gru(2, 1, 3), rate=0.999)
    assert model.factor().item() == 1
    assert all(torch.equal(v, model.inner.theta()[k]) for k, v in model.theta().items())


def unstable():
    model = GRU(2, 1, 3)
    with torch.no_grad():
        model.Ur.mul_(8)
    return Contracting(model, rate=RATE)


def test_model_outside_is_projected_onto_the_border():
    model = unstable()
    assert 0.1 < model.factor().item() < 1
    p = Params({k: v.detach() for k, v in model.theta().items()})
    bound = condition(model, p, model.input_box(), "delta_iss", "weighted", model.log_scale.detach().exp())
    assert RATE - 0.2 * (1 - RATE) < float(bound.rate) < RATE


def test_gradient_is_that_of_the_implicit_function():
    """Theorem 17 (c)."""
    model, h = unstable(), 1e-5
    value = lambda: sum((v**2).sum() for v in model.theta().values())  # noqa: E731
    value().backward()
    for parameter in (model.inner.Ur, model.log_scale):
        found, flat = parameter.grad.flatten()[0], parameter.data.view(-1)
        ends = []
        for sign in (1, -1):
            flat[0] += sign * h
            ends.append(float(value().detach()))
            flat[0] -= sign * h
        assert_allclose(float(found), (ends[0] - ends[1]) / (2 * h), rtol=1e-2, atol=1e-3)


def test_plain_model_has_the_certified_parameters():
    model = unstable()
    expected = {k: v.detach().clone() for k, v in model.theta().items()}
    plain = model.plain()
    assert all(torch.allclose(v, expected[k]) for k, v in plain.theta().items())
    assert certify(plain, method="weighted").rate <= RATE + 1e-9


def test_training_with_it_gives_a_plain_certified_model():
    truth = quick_gru(1, 1, 2, seed=5)
    u = torch.rand(160, 1, generator=torch.Generator().manual_seed(1), dtype=torch.float64).numpy() * 2 - 1
    y = simulate(truth, truth.theta(), torch.zeros(2, dtype=torch.float64), torch.from_numpy(u))[1].detach().numpy()
    result = fit(Contracting(GRU(1, 1, 2), rate=0.97), Experiment(u, y, 1.0), epochs=3, polish=30, progress=False)
    assert isinstance(result.model.model, GRU)
    assert result.certificate.holds and result.certificate.rate <= 0.97 + 1e-9


def test_settling_time_is_a_rate():
    assert_allclose(rate_of(100.0, 1.0) ** 100, 0.02)
    assert Contracting(quick_gru(1, 1, 2), settling=3600.0, dt=60.0).rate == math.exp(math.log(0.02) / 60)
    for network in (REN, LipschitzREN):
        model = network(1, 1, 2, settling=3600.0, dt=60.0)
        assert model.rate == math.exp(math.log(0.02) / 60) == build(model.spec()).rate
        with pytest.raises(ValueError, match="give both"):
            network(1, 1, 2, settling=3600.0)


@pytest.mark.parametrize("options", [dict(rate=1.0), dict(settling=10.0), dict(settling=-1.0, dt=1.0)])
def test_impossible_rates_are_refused(options):
    with pytest.raises(ValueError, match="rate|settling"):
        Contracting(quick_gru(1, 1, 2), **options)


def test_rate_below_what_the_family_can_have_is_refused():
    with pytest.raises(ValueError, match="even|without recurrence"):
        Contracting(GRU(1, 1, 2), rate=0.3)


def test_a_property_that_the_model_was_not_built_for_is_refused_before_training():
    u = np.random.default_rng(0).uniform(-1, 1, (100, 1))
    model = Contracting(GRU(1, 1, 2), rate=RATE)
    with pytest.raises(ValueError, match="delta_iss by construction, not iss"):
        fit(model, Experiment(u, np.cumsum(u, 0) % 1, 1.0), certificate="iss", progress=False)


@pytest.mark.parametrize("property", ["delta_iss", "iss"])
def test_a_model_by_construction_is_judged_by_the_condition_it_was_built_for(property):
    u = np.random.default_rng(0).uniform(-1, 1, (100, 1))
    record = Experiment(u, np.tanh(u + np.roll(u, 1)), 1.0)
    result = fit(ZOO["ren"](1, 1, 2, neurons=2), record, certificate=property, epochs=5, polish=20, progress=False)
    assert result.certificate is not None and result.certificate.method == "published"
