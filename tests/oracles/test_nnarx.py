"""NNARX against regression: rows of past outputs and inputs, as every textbook builds them."""

import numpy as np
import torch
from numpy.testing import assert_allclose
from zoo import randomised

from rnn_control import NNARX
from rnn_control.simulate import simulate

LAGS = 3


def record(spread):
    model = randomised(NNARX(2, 1, 4, lags=LAGS), 0, spread)
    u = np.random.default_rng(0).uniform(-1, 1, (120, 2))
    _, y = simulate(model, model.theta(), torch.zeros(model.nx, dtype=torch.float64), torch.from_numpy(u))
    return {k: v.detach().numpy() for k, v in model.theta().items()}, u, y.detach().numpy()


def lag_matrix(u, y):
    """Rows y(k-2) u(k-3) y(k-1) u(k-2) y(k) u(k-1), for k = 3 .. T-2."""
    ks = range(LAGS, len(u) - 1)
    rows = [np.concatenate([np.r_[y[k - LAGS + i], u[k - LAGS + i - 1]] for i in range(1, LAGS + 1)]) for k in ks]
    return np.array(rows), u[LAGS:-1], y[LAGS + 1 :]


def test_nnarx_free_run_is_the_net_on_the_lag_matrix():
    p, u, y = record(0.5)
    rows, present, y_next = lag_matrix(u, y)
    hidden = np.tanh(rows @ p["U1"].T + present @ p["W1"].T + p["b1"].T)
    assert_allclose(hidden @ p["U0"].T + p["b0"].T, y_next, rtol=0, atol=1e-12)


def test_linear_regression_recovers_a_net_of_small_weights():
    p, u, y = record(1e-3)  # tanh(a) = a to 1e-6 relative here
    rows, present, y_next = lag_matrix(u, y)
    inputs = rows[:, [1, 2, 4, 5, 7, 8]]  # y is all but constant: its coefficients are not seen
    found, *_ = np.linalg.lstsq(np.hstack([inputs, present, np.ones((len(rows), 1))]), y_next, rcond=None)
    expected = np.hstack([p["U0"] @ p["U1"][:, [1, 2, 4, 5, 7, 8]], p["U0"] @ p["W1"]])[0]
    assert_allclose(found[:-1, 0], expected, rtol=0, atol=2e-4 * abs(expected).max())
