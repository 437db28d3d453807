"""Lipschitz RNN against its differential equation, which forward Euler reaches with order one."""

import numpy as np
import torch
from scipy.integrate import solve_ivp
from zoo import randomised

from rnn_control import LipschitzRNN
from rnn_control.simulate import simulate

STEPS = np.array([1 / 16, 1 / 32, 1 / 64, 1 / 128])


def euler_state(step, u, x0):
    """x(2) by the model, and its matrices."""
    model = randomised(LipschitzRNN(2, 1, 4, step=step), 0, 0.4)
    x, _ = simulate(model, model.theta(), torch.from_numpy(x0), torch.from_numpy(np.tile(u, (round(2 / step), 1))))
    return x[-1].detach().numpy(), {k: v.detach().numpy() for k, v in model.theta().items()}


def test_lipschitz_rnn_tends_to_its_ode_with_order_one():
    u, x0 = np.array([0.7, -0.4]), np.array([1.0, -0.5, 0.2, 0.8])
    _, p = euler_state(STEPS[0], u, x0)
    A = (p["L"] - np.eye(4)) / STEPS[0]
    ode = lambda t, h: A @ h + np.tanh(p["W"] @ h + p["U"] @ u + p["b"][:, 0])  # noqa: E731
    truth = solve_ivp(ode, (0, 2), x0, "DOP853", rtol=1e-11, atol=1e-12).y[:, -1]
    errors = [np.linalg.norm(euler_state(step, u, x0)[0] - truth) for step in STEPS]
    slope = np.polyfit(np.log(STEPS), np.log(errors), 1)[0]
    assert abs(slope - 1) < 0.1
