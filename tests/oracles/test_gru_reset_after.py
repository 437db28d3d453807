"""Reset-after GRU against torch.nn.GRU, which was written by other people."""

import numpy as np
import torch
from numpy.testing import assert_allclose
from zoo import randomised

from rnn_control import GRUResetAfter
from rnn_control.simulate import simulate


def test_gru_reset_after_equals_torch_nn_gru():
    model, theirs = randomised(GRUResetAfter(2, 3, 5), 0, 0.7), torch.nn.GRU(2, 5, dtype=torch.float64)
    p = {k: v.detach() for k, v in model.theta().items()}
    with torch.no_grad():
        theirs.weight_ih_l0.copy_(torch.cat([p["W" + k] for k in "rzn"]))
        theirs.weight_hh_l0.copy_(torch.cat([p["U" + k] for k in "rzn"]))
        # their gates have two biases that add up; n has one outside and one inside the reset
        theirs.bias_ih_l0.copy_(torch.cat([0.3 * p["br"], 0.6 * p["bz"], p["bn"]])[:, 0])
        theirs.bias_hh_l0.copy_(torch.cat([0.7 * p["br"], 0.4 * p["bz"], p["bhn"]])[:, 0])
    rng = np.random.default_rng(0)
    u, x0 = torch.from_numpy(rng.uniform(-1, 1, (50, 2))), torch.from_numpy(rng.uniform(-1, 1, 5))
    x, y = simulate(model, model.theta(), x0, u)
    h, _ = theirs(u, x0[None])
    # their output k is h(k + 1); ours is y(k) = C h(k) + b_y
    assert_allclose(x.detach(), torch.cat([x0[None], h]).detach(), rtol=0, atol=1e-12)
    expected = torch.cat([x0[None], h[:-1]]) @ p["C"].T + p["b_y"].T
    assert_allclose(y.detach(), expected.detach(), rtol=0, atol=1e-12)
