"""The compiled penalty of a violated condition is torch's, value and gradient, and takes its place where it pays."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from zoo import ZOO, randomised

from rnn_control import penalty
from rnn_control.bounds import two_norm
from rnn_control.model import Params
from rnn_control.penalty import CompiledPenalty, Penalty

TRACED = [(kind, "weighted") for kind in ("gru", "gru_reset_after", "lstm", "esn", "nnarx", "lipschitz_rnn")]
TRACED += [(kind, "published") for kind, _ in TRACED]
"""All conditions of a single cell that a penalty has to enforce; the RENs have theirs by construction."""


def violated(kind, method, spread=0.3):
    """(penalty, explicit parameters, log scale) far outside the certified set."""
    model = randomised(ZOO[kind](2, 2, 4), 0, spread)
    log_scale = np.random.default_rng(0).normal(size=model.nx if method == "weighted" else 0)
    return Penalty(model, "delta_iss", method, 0.5), model.theta(), log_scale


def compiled(cost, p, log_scale):
    return CompiledPenalty(cost, p, torch.from_numpy(log_scale))


@pytest.fixture(params=TRACED, ids="-".join, scope="module")
def both(request):
    """Costs by torch and by the loops, traced at other parameters than those they are asked for."""
    cost, p, log_scale = violated(*request.param)
    loops = compiled(cost, violated(*request.param, spread=0.01)[1], 0 * log_scale)
    return cost.by_torch(p, log_scale), loops(p, log_scale)


def test_compiled_penalty_has_the_value_of_torch(both):
    assert both[0].value > 0
    assert_allclose(both[1].value, both[0].value, rtol=1e-12)


def test_compiled_penalty_has_the_gradient_of_torch(both):
    assert both[1].p.keys() == both[0].p.keys() and any(g.any() for g in both[0].p.values())
    for name, g in both[0].p.items():
        assert_allclose(both[1].p[name], g, rtol=1e-12, atol=1e-12 * abs(g).max())


def test_compiled_penalty_has_the_slope_in_the_scale_of_torch(both):
    assert_allclose(both[1].log_scale, both[0].log_scale, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", ["Ur", "bz", "Wf"])
@pytest.mark.parametrize("method", ["published", "weighted"])
def test_what_is_no_number_stays_none(method, name):
    cost, p, log_scale = violated("gru", method)
    loops = compiled(cost, p, log_scale)
    p[name] = torch.full_like(p[name], torch.nan, requires_grad=True)
    assert np.isnan(loops(p, log_scale).value) and np.isnan(cost.by_torch(p, log_scale).value)


@pytest.mark.parametrize("kind, is_traced", [("gru", True), ("cascade", False)])
def test_penalty_is_compiled_once_it_pays_and_where_it_can_be(kind, is_traced, monkeypatch):
    monkeypatch.setattr(penalty, "PAYS", 3)
    cost, p, log_scale = violated(kind, "weighted")
    values = [cost(p, log_scale).value for _ in range(4)]
    assert (cost.compiled is not None) == is_traced
    assert_allclose(values, values[0], rtol=1e-12)


def test_fulfilled_condition_costs_nothing():
    cost, p, log_scale = violated("gru", "weighted", 1e-3)
    cost.margin, log_scale = 0.1, 0 * log_scale
    found = compiled(cost, p, log_scale)(p, log_scale)
    assert found.value == 0 and not any(g.any() for g in found.p.values())


ODD = {
    "nothing": torch.zeros(4, 4),
    "equal singular values": torch.eye(4),
    "two nearly equal ones": torch.diag(torch.tensor([1.0, 0.9999999, 0.5, 0.1])),
    "huge": 1e200 * torch.ones(4, 4),
    "tiny": 1e-200 * torch.ones(4, 4),
}


@pytest.mark.parametrize("W", [v.double() for v in ODD.values()], ids=ODD)
def test_largest_singular_value_of_an_odd_matrix_is_that_of_torch(W):
    cost, p, log_scale = violated("lipschitz_rnn", "published")
    loops = compiled(cost, p, log_scale)
    p["W"] = W.requires_grad_(True)
    assert_allclose(two_norm(W).item(), torch.linalg.matrix_norm(W.detach(), 2), rtol=1e-13)
    assert_allclose(loops(p, log_scale).value, cost.by_torch(p, log_scale).value, rtol=1e-12)


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_norm_of_what_is_no_number_proves_nothing(value):
    cost, p, log_scale = violated("lipschitz_rnn", "published")
    loops = compiled(cost, p, log_scale)
    p["W"] = torch.tensor([[1.0, value], [0.0, 1.0]], dtype=torch.float64).repeat(2, 2)
    assert two_norm(p["W"]).isnan() and np.isnan(loops(p, log_scale).value)


def test_gradient_of_the_largest_singular_value_is_that_of_torch():
    M = torch.randn(5, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_(True)
    ours, torchs = (torch.autograd.grad(f(M), M)[0] for f in (two_norm, lambda M: torch.linalg.matrix_norm(M, 2)))
    assert_allclose(ours, torchs, rtol=1e-12)


@pytest.mark.parametrize("kind", ["cascade", "network"])
def test_gradient_of_joined_conditions_is_the_slope_of_their_penalty(kind):
    model, rng = randomised(ZOO[kind](2, 1, 2), 1), np.random.default_rng(0)
    cost, none = Penalty(model, "delta_iss", "published", 0.5), np.zeros(0)
    p = model.theta()
    way = {k: torch.from_numpy(rng.normal(size=v.shape)) for k, v in p.items()}
    gradient = cost.by_torch(p, none).p
    ends = [cost.by_torch(Params({k: v + h * way[k] for k, v in p.items()}), none) for h in (1e-6, -1e-6)]
    slope = sum((gradient[k] * way[k].numpy()).sum() for k in way)
    assert_allclose((ends[0].value - ends[1].value) / 2e-6, slope, rtol=1e-5)
