"""All samples at once: the same numbers as step by step, in a few iterations however long a certified record is."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from zoo import BY_CONSTRUCTION, DEVICES, ZOO, identified, inputs, quick_gru, randomised

from rnn_control import GRU, LSTM, NNARX, LipschitzRNN, certify
from rnn_control.contract import contract
from rnn_control.model import Params
from rnn_control.parallel import free_runs, newton, residual, scan, simulate_parallel
from rnn_control.simulate import simulate


def records(model, samples, count=3, seed=0):
    """Initial states (count, nx) and inputs (count, samples, nu)."""
    rng = np.random.default_rng(seed)
    us = np.stack([inputs(rng, samples, model.nu) for _ in range(count)])
    return torch.from_numpy(rng.uniform(-0.5, 0.5, (count, model.nx))), torch.from_numpy(us)


@pytest.mark.parametrize("samples", [1, 2, 7, 100])
def test_all_at_once_equals_sample_by_sample(model, samples):
    p, (x0, u) = model.theta(), records(model, samples)
    run, (x, y) = simulate_parallel(model, p, x0, u), simulate(model, p, x0, u)
    assert run.converged.all()
    assert_allclose(run.x.detach(), x.detach(), atol=1e-9)
    assert_allclose(run.y.detach(), y.detach(), atol=1e-9)


@pytest.mark.parametrize("name", ZOO)
def test_iterations_of_a_certified_model_do_not_grow_with_the_record(name):
    model = randomised(ZOO[name](2, 2, 4), 2, 0.5)
    if name not in BY_CONSTRUCTION:
        contract(model, "delta_iss", "weighted", 0.01)
    short, long = (simulate_parallel(model, model.theta(), *records(model, T)).iterations for T in (50, 1000))
    assert short.max() <= 6 and long.max() <= short.max() + 1


def test_single_record_needs_no_batch():
    model = quick_gru(2, 1, 3)
    x0, u = records(model, 20)
    one, all_of_them = (simulate_parallel(model, model.theta(), *a) for a in ((x0[1], u[1]), (x0, u)))
    assert one.x.shape == (21, 3) and one.y.shape == (20, 1)
    assert_allclose(one.y.detach(), all_of_them.y[1].detach(), atol=1e-12)


@pytest.mark.parametrize("make", [lambda: GRU(2, 2, 4), lambda: LSTM(2, 2, 3), lambda: NNARX(2, 2, 5)])
@pytest.mark.parametrize("iterations", [30, 0])
def test_gradients_equal_those_of_the_loop(make, iterations):
    model = randomised(make(), 0)
    p = Params({k: v.detach().requires_grad_() for k, v in model.theta().items()})
    x0, u = (a.requires_grad_() for a in records(model, 33))
    found, expected = (
        torch.autograd.grad((run[1] ** 2).sum() + run[0][:, -1].sum(), [*p.values(), x0, u])
        for run in (simulate_parallel(model, p, x0, u, iterations=iterations), simulate(model, p, x0, u))
    )
    for a, b in zip(found, expected, strict=True):
        assert_allclose(a, b, rtol=1e-9, atol=1e-10)


def test_single_precision_is_enough_of_it():
    model = quick_gru(2, 2, 5)
    x0, u = records(model, 300)
    run = simulate_parallel(model.float(), model.theta(), x0.float(), u.float())
    x, _ = simulate(model.double(), model.theta(), x0, u)
    assert run.converged.all() and run.x.dtype == torch.float32
    assert_allclose(run.x.detach(), x.detach(), atol=1e-5)


def unstable():
    model = randomised(LipschitzRNN(1, 1, 4, step=1.0), 1, 1.0)
    return model, model.theta(), records(model, 60)


def test_where_newton_fails_the_loop_answers():
    model, p, (x0, u) = unstable()
    run = simulate_parallel(model, p, x0, u, iterations=2)
    x, y = simulate(model, p, x0, u)
    assert not run.converged.any() and run.iterations.max() <= 2
    assert_allclose(run.x.detach(), x.detach(), rtol=1e-12)
    assert_allclose(run.y.detach(), y.detach(), rtol=1e-12)


@pytest.mark.parametrize("tolerance", [1e-1, 1e-2, 1e-3])
def test_certificate_bounds_the_error_by_the_residual(tolerance):
    """Theorem 21 (a), in the infinity norm."""
    model = randomised(GRU(2, 2, 6), 3, 1.0)
    contract(model, "delta_iss", "weighted", 0.05)
    certificate, p, (x0, u) = certify(identified(model)), model.theta(), records(model, 200)
    with torch.no_grad():
        x, _, _ = newton(model, p, x0, u, tolerance, 20)
        error = (x - simulate(model, p, x0, u)[0]).abs().max()
        left = residual(model, p, x, u).abs().max()
    assert 0 < error <= certificate.overshoot / (1 - certificate.rate) * left


@pytest.mark.parametrize("samples", range(1, 18))
def test_scan_solves_the_linear_recurrence(samples):
    rng = np.random.default_rng(samples)
    J, r, d = (torch.from_numpy(rng.normal(size=shape)) for shape in ((2, samples, 3, 3), (2, samples, 3), (2, 3)))
    found = scan(J, r, d)
    for k in range(samples):
        d = (J[:, k] @ d[:, :, None])[:, :, 0] + r[:, k]
        assert_allclose(found[:, k], d, rtol=1e-9)


def test_free_runs_in_physical_units_are_those_of_the_model():
    model = identified(quick_gru(2, 3, 4))
    us = np.stack([model.scaler.u_out(inputs(np.random.default_rng(i), 40, 2)) for i in range(2)])
    assert_allclose(free_runs(model, us), [model.simulate(u) for u in us], rtol=1e-9)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype, tolerance", [(torch.float64, 1e-9), (torch.float32, 1e-4)], ids=str)
def test_every_device_and_precision_gives_the_same_numbers(factory, dtype, tolerance, device):
    model = identified(randomised(factory(2, 3, 5, seed=1), seed=1))
    us = np.stack([model.scaler.u_out(inputs(np.random.default_rng(i), 200, 2)) for i in range(2)])
    found, expected = free_runs(model, us, device=device, dtype=dtype), np.stack([model.simulate(u) for u in us])
    assert_allclose(model.scaler.y_in(found), model.scaler.y_in(expected), atol=tolerance)


@pytest.mark.parametrize("x0, u", [((2, 3), (7, 2)), ((3,), (2, 7, 2)), ((2, 3), (2, 7, 1)), ((3, 3), (2, 7, 2))])
def test_impossible_shapes_are_refused(x0, u):
    model = quick_gru(2, 1, 3)
    with pytest.raises(ValueError, match="x0 has shape"):
        simulate_parallel(model, model.theta(), torch.zeros(x0), torch.zeros(u))
