"""ESN index by index, as in Armenio et al. (2019), with leak: plain Python."""

from math import tanh

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from zoo import randomised

from rnn_control import ESN
from rnn_control.simulate import simulate


def dot(row, values):
    return sum(a * b for a, b in zip(row, values, strict=True))


@pytest.mark.parametrize("leak", [1.0, 0.3])
def test_esn_equals_a_loop_over_indices(leak):
    model = randomised(ESN(2, 1, 4, leak=leak, feedback=1.0), 0, 0.6)
    p = {k: v.tolist() for k, v in model.theta().items()}
    u = np.random.default_rng(0).uniform(-1, 1, (40, 2))
    state, delayed, outputs = [0.5, -0.2, 0.0, 1.0], [0.1, -0.7], []
    start = torch.tensor(state + delayed, dtype=torch.float64)
    for u_k in u:
        y = dot(p["C"][0][:4], state) + dot(p["C"][0][4:], delayed) + p["b_y"][0][0]
        drive = [dot(p["Wx"][j], state) + dot(p["Wu"][j], u_k) + p["Wy"][j][0] * y + p["b"][j][0] for j in range(4)]
        state = [(1 - leak) * state[j] + leak * tanh(drive[j]) for j in range(4)]
        delayed = list(u_k)
        outputs.append([y])
    x, y = simulate(model, model.theta(), start, torch.from_numpy(u))
    assert_allclose(x[-1].detach(), state + delayed, rtol=0, atol=1e-12)
    assert_allclose(y.detach(), outputs, rtol=0, atol=1e-12)
