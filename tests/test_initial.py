"""Initial states from the first samples of records: the best there are, of one record or of many at once."""

import dataclasses

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.optimize import least_squares
from zoo import ZOO, identified, inputs, quick_gru, randomised

from rnn_control.initial import PRIOR, Visited, initial_states
from rnn_control.kernel import make_kernel


@pytest.fixture
def model():
    return identified(quick_gru(2, 3, 5, seed=3))


def test_initial_state_is_the_least_squares_one_although_some_states_rest_on_the_box(model):
    rng = np.random.default_rng(2)
    for _ in range(5):
        x0, u = rng.choice([-1.0, 1.0], 5), inputs(rng, 50, 2)
        noise = 0.3 * model.scaler.y_std * rng.normal(size=(50, 3))
        u = model.scaler.u_out(u)
        y = model.simulate(u, x0) + noise

        def residuals(x, u=u, y=y):
            error = (model.simulate(u, x) - y) / model.scaler.y_std
            return np.concatenate([error.ravel() / np.sqrt(error.size), np.sqrt(PRIOR) * x])

        best = 2 * least_squares(residuals, np.zeros(5), bounds=(-1, 1)).cost
        assert (residuals(model.initial_state(u, y)) ** 2).sum() < 1.01 * best


@pytest.mark.parametrize("kind", ["gru", "ren", "nnarx"])
def test_initial_states_of_many_records_are_those_of_each_alone(kind):
    """Windows of different lengths, missing samples, states on the box, and a record of nothing."""
    model, rng = randomised(ZOO[kind](2, 2, 4), 0, 0.4), np.random.default_rng(0)
    kernel, us = make_kernel(model), [rng.uniform(-1, 1, (T, 2)) for T in (50, 20, 0, 50, 50, 1)]
    x0 = rng.uniform(-1.5, 1.5, (len(us), model.nx))
    ys = [y + 0.1 * rng.normal(size=y.shape) for _, y in kernel.simulate(model.theta(), x0, us)]
    ys[3][5:20, 0] = np.nan
    for knowing in ((None, None), (np.array([0.1, 0.2]), Visited(np.full(model.nx, 0.1), 0.5))):
        together = initial_states(kernel, model, us, ys, *knowing)
        alone = [initial_states(kernel, model, [u], [y], *knowing)[0] for u, y in zip(us, ys, strict=True)]
        assert_allclose(together, alone, atol=1e-7)


@pytest.mark.parametrize("seed", [15, 35, 45, 55])
def test_windows_that_say_too_much_are_no_singular_matrix(seed):
    """Weights so large that the curvature swallows the prior."""
    model, rng = identified(randomised(ZOO["lipschitz_rnn"](2, 2, 5), seed, 3.0)), np.random.default_rng(seed)
    y = model.scaler.y_out(1e3 * rng.normal(size=(50, 2)))
    assert np.isfinite(model.initial_state(model.scaler.u_out(rng.uniform(-1, 1, (50, 2))), y)).all()


def test_a_noisy_output_tells_less_of_the_initial_state(model):
    rng, std = np.random.default_rng(4), model.scaler.y_std
    noise = np.array([0.01, 1.0, 1.0]) * std
    informed, missed = dataclasses.replace(model, residual=noise), np.zeros(2)
    for _ in range(10):
        x0, u = rng.uniform(-0.5, 0.5, 5), model.scaler.u_out(inputs(rng, 50, 2))
        clean = model.simulate(u, x0)
        y = clean + noise * rng.normal(size=(50, 3))
        for i, one in enumerate((model, informed)):
            missed[i] += (((one.simulate(u, one.initial_state(u, y)) - clean) / std)[:, 0] ** 2).mean()
    assert missed[1] < 0.1 * missed[0]
