"""GRU index by index, as in Bonassi, Farina, Scattolini (2021): plain Python, no matrix in sight."""

from math import exp, tanh

import numpy as np
import torch
from numpy.testing import assert_allclose
from zoo import randomised

from rnn_control import GRU
from rnn_control.simulate import simulate


def sigma(a):
    return 1 / (1 + exp(-a))


def gate(W, U, b, u, x, j):
    return sum(W[j][i] * u[i] for i in range(len(u))) + sum(U[j][i] * x[i] for i in range(len(x))) + b[j][0]


def gru(p, x, u):
    """x_j+ = z_j x_j + (1 - z_j) tanh(W_r u + U_r (f o x) + b_r)_j."""
    n = range(len(x))
    z = [sigma(gate(p["Wz"], p["Uz"], p["bz"], u, x, j)) for j in n]
    f = [sigma(gate(p["Wf"], p["Uf"], p["bf"], u, x, j)) for j in n]
    forgotten = [f[j] * x[j] for j in n]
    r = [tanh(gate(p["Wr"], p["Ur"], p["br"], u, forgotten, j)) for j in n]
    return [z[j] * x[j] + (1 - z[j]) * r[j] for j in n]


def test_gru_equals_a_loop_over_indices():
    model = randomised(GRU(2, 1, 4), 0, 0.7)
    p = {k: v.tolist() for k, v in model.theta().items()}
    u = np.random.default_rng(0).uniform(-1, 1, (40, 2))
    states = [[0.9, -0.3, 0.1, -1.0]]
    for u_k in u:
        states.append(gru(p, states[-1], u_k))
    x, y = simulate(model, model.theta(), torch.tensor(states[0], dtype=torch.float64), torch.from_numpy(u))
    outputs = [[sum(c * s for c, s in zip(p["C"][0], state, strict=True)) + p["b_y"][0][0]] for state in states[:-1]]
    assert_allclose(x.detach(), states, rtol=0, atol=1e-12)
    assert_allclose(y.detach(), outputs, rtol=0, atol=1e-12)
