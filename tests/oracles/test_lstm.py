"""LSTM against torch.nn.LSTM, which was written by other people."""

import numpy as np
import torch
from numpy.testing import assert_allclose
from zoo import randomised

from rnn_control import LSTM
from rnn_control.simulate import simulate


def test_lstm_equals_torch_nn_lstm():
    model, theirs = randomised(LSTM(2, 3, 5), 0, 0.7), torch.nn.LSTM(2, 5, dtype=torch.float64)
    p = {k: v.detach() for k, v in model.theta().items()}
    with torch.no_grad():
        theirs.weight_ih_l0.copy_(torch.cat([p["W" + k] for k in "ifco"]))
        theirs.weight_hh_l0.copy_(torch.cat([p["U" + k] for k in "ifco"]))
        theirs.bias_ih_l0.copy_(torch.cat([p["b" + k] for k in "ifco"])[:, 0])
        theirs.bias_hh_l0.zero_()
    rng = np.random.default_rng(0)
    u, x0 = torch.from_numpy(rng.uniform(-1, 1, (50, 2))), torch.from_numpy(rng.uniform(-1, 1, 10))
    x, y = simulate(model, model.theta(), x0, u)
    h, (h_end, c_end) = theirs(u, (x0[None, 5:], x0[None, :5]))
    # their output k is h(k + 1); ours is y(k) = C h(k) + b_y
    assert_allclose(x[1:, 5:].detach(), h.detach(), rtol=0, atol=1e-12)
    assert_allclose(x[-1].detach(), torch.cat([c_end, h_end], 1)[0].detach(), rtol=0, atol=1e-12)
    expected = torch.cat([x0[None, 5:], h[:-1]]) @ p["C"].T + p["b_y"].T
    assert_allclose(y.detach(), expected.detach(), rtol=0, atol=1e-12)
