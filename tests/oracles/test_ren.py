"""Recurrent equilibrium network against its implicit equation, which a root finder solves without knowing any order."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from scipy.optimize import root
from zoo import randomised

from rnn_control import REN, LipschitzREN
from rnn_control.simulate import simulate


@pytest.mark.parametrize("cell", [REN, LipschitzREN])
def test_ren_solves_its_implicit_equation(cell):
    model = randomised(cell(2, 1, 3), 0, 2.0)
    p = {k: v.detach().numpy() for k, v in model.theta().items()}
    D11, q = model.lure(model.theta()).D11.detach().numpy(), model.neurons
    assert abs(np.tril(D11)).max() > 0.1 and not np.triu(D11).any()
    u = np.random.default_rng(0).uniform(-1, 1, (20, 2))
    states = [np.array([0.9, -0.3, 0.1])]
    for u_k in u:
        v = p["C1"] @ states[-1] + p["D12"] @ u_k + p["b_v"][:, 0]
        w = root(lambda w, v=v: w - np.tanh(v + D11 @ w), np.zeros(q), tol=1e-13).x
        states.append(p["A"] @ states[-1] + p["B1"] @ w + p["B2"] @ u_k + p["b_x"][:, 0])
    x, y = simulate(model, model.theta(), torch.from_numpy(states[0]), torch.from_numpy(u))
    assert_allclose(x.detach(), states, rtol=0, atol=1e-9)
    assert_allclose(y.detach(), np.array(states[:-1]) @ p["C"].T + p["b_y"].T, rtol=0, atol=1e-9)
