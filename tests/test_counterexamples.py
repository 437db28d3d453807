"""Nets that a wrong version of a condition would accept, and that do not contract, are refused."""

import numpy as np
import pytest
import torch
from zoo import randomised

from rnn_control import ESN, GRU, LSTM, GRUResetAfter, certify
from rnn_control.bounds import inf_norm, two_norm

METHODS = ("published", "weighted")


def wrong_two_norm(model, p):
    """The GRU condition with 2-norms in place of infinity norms: false (docs/theory.md)."""
    one_z, _, fbar, phi = model.published_gates(p, model.input_box())
    return two_norm(p.Ur) * (fbar + two_norm(p.Uf) / 4) - 1 + (1 + phi) / 4 * two_norm(p.Uz) / one_z


@pytest.mark.parametrize("seed", range(5))
def test_gru_that_only_two_norms_would_accept_is_refused(seed):
    model = randomised(GRU(1, 1, 6), seed, 0.0)
    rotation, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(6, 6)))
    with torch.no_grad():
        model.Ur.copy_(torch.from_numpy(1.6 * rotation))
        model.Uz.copy_(torch.from_numpy(0.05 * rotation))
    assert wrong_two_norm(model, model.theta()) < 0 < inf_norm(model.Ur) - 2
    assert not certify(model, method="published").holds


def wrong_without_bhn(model, p):
    """The published condition carried over to torch's GRU with ||Un|| for H: false (docs/theory.md, Theorem 12)."""
    one_z, _, rbar, phi, _ = model.published_gates(p, model.input_box())
    eta = inf_norm(p.Un) * (rbar + inf_norm(p.Ur) / 4)
    return eta - 1 + (1 + phi) / 4 * inf_norm(p.Uz) / one_z


def test_bistable_gru_that_only_a_forgotten_bias_would_accept_is_refused():
    model = randomised(GRUResetAfter(1, 1, 1), 0, 0.0)
    with torch.no_grad():
        for value, number in ((model.bhn, 8.0), (model.bn, -4.0), (model.Ur, 4.0)):
            value.fill_(number)
    x, p = torch.tensor([[0.1, -0.1]], dtype=torch.float64), model.theta()
    for _ in range(100):
        x = model.f(p, x, torch.zeros(1, 2, dtype=torch.float64))
    assert float((x[:, 0] - x[:, 1]).detach()) > 1.99  # two equilibria
    assert float(wrong_without_bhn(model, p).detach()) <= -1 + 1e-12
    assert not any(certify(model, method=method).holds for method in METHODS)


def test_lstm_that_only_the_largest_entry_would_accept_is_refused():
    model = randomised(LSTM(1, 1, 10), 0, 0.0)
    with torch.no_grad():
        model.Uc.fill_(0.9)
    x = torch.full((20, 2), 0.5, dtype=torch.float64) * torch.tensor([1.0, -1.0])
    for _ in range(300):
        x = model.f(model.theta(), x, torch.zeros(1, 2, dtype=torch.float64))
    assert 0.5 + 0.5 * float(model.Uc.abs().max().detach()) < 1  # what a careless norm would say
    assert float((x[:, 0] - x[:, 1]).abs().max().detach()) > 1  # what is true: two equilibria
    assert not any(certify(model, property).holds for property in ("iss", "delta_iss"))


@pytest.mark.parametrize("seed", range(5))
def test_small_spectral_radius_is_no_small_norm(seed):
    model = randomised(ESN(1, 1, 6), seed)
    with torch.no_grad():
        model.Wx.mul_(0.95 / torch.linalg.eigvals(model.Wx).abs().max())
        model.Wy.zero_()
    assert two_norm(model.Wx) > 1
    assert not certify(model, method="published").holds
