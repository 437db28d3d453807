"""Compiled simulation and its fallbacks; that it equals the literal loop for every model is in test_zoo_models."""

import os
import subprocess

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from zoo import randomised

from rnn_control import GRU
from rnn_control.trace import Untraceable
from rnn_control.compile import cache_folder
from rnn_control.kernel import Batch, CompiledKernel, LiteralKernel, make_kernel


class ExpGRU(GRU):
    """A cell with an operation that has no C form here."""

    def g(self, p, x):
        return torch.sin(p.C @ x) + p.b_y


def batch(model, lengths, seed=0):
    rng = np.random.default_rng(seed)
    u, y, w = ([rng.normal(size=(T, n)) for T in lengths] for n in (model.nu, model.ny, model.ny))
    return Batch(u, y, [abs(v) for v in w]), rng.uniform(-1, 1, (len(lengths), model.nx))


def gradient(kernel, model, data, x0):
    loss, named, x_bar = kernel.loss_grad(model.theta(), x0, data)
    return np.concatenate([[loss], *(g.ravel() for g in named.values()), x_bar.ravel()])


def test_gradient_equals_central_differences():
    model = randomised(GRU(1, 1, 1), 0)
    data, x0 = batch(model, (20, 5))
    kernel = make_kernel(model, compiled=True)
    found = kernel.loss_grad(model.theta(), x0, data)[2]
    loss = lambda x: kernel.loss_grad(model.theta(), x, data)[0]  # noqa: E731
    h = 1e-6
    expected = [(loss(x0 + h * e) - loss(x0 - h * e)) / (2 * h) for e in np.eye(2)[:, :, None]]
    assert_allclose(found[:, 0], expected, rtol=1e-6)


def test_many_records_in_threads_equal_one_by_one():
    model = randomised(GRU(1, 1, 1), 0)
    data, x0 = batch(model, (4000, 3000, 1))
    kernel = make_kernel(model, compiled=True)
    parts = [kernel.loss_grad(model.theta(), x0[i : i + 1], Batch(*([v[i]] for v in data)))[0] for i in range(3)]
    assert_allclose(kernel.loss_grad(model.theta(), x0, data)[0], sum(parts), rtol=1e-12)


def test_saturated_gates_are_finite_and_equal():
    model = randomised(GRU(1, 1, 1), 0, 500.0)
    data, x0 = batch(model, (10,))
    fast, slow = (gradient(make_kernel(model, compiled=c), model, data, x0) for c in (True, False))
    assert_allclose(fast, slow, rtol=1e-9, atol=1e-9 * abs(slow).max())


def test_unknown_operation_falls_back_to_the_literal_loop():
    model = ExpGRU(1, 1, 2)
    assert isinstance(make_kernel(model), LiteralKernel)
    with pytest.raises(Untraceable, match="sin"):
        make_kernel(model, compiled=True)


def test_no_compiler_falls_back_to_the_literal_loop(monkeypatch, tmp_path):
    monkeypatch.setenv("RNN_CONTROL_CACHE", str(tmp_path))
    monkeypatch.setattr("shutil.which", lambda name: None)
    model = GRU(1, 1, 2)
    assert isinstance(make_kernel(model), LiteralKernel)
    with pytest.raises(OSError, match="no C compiler"):
        make_kernel(model, compiled=True)


def test_failing_compiler_falls_back_and_leaves_nothing_behind(monkeypatch, tmp_path):
    monkeypatch.setenv("RNN_CONTROL_CACHE", str(tmp_path))
    monkeypatch.setenv("CC", "false")
    with pytest.raises(subprocess.CalledProcessError):
        make_kernel(GRU(1, 1, 2), compiled=True)
    assert isinstance(make_kernel(GRU(1, 1, 2)), LiteralKernel)
    assert list(tmp_path.iterdir()) == []


def test_second_kernel_of_a_cell_is_not_compiled_again(monkeypatch):
    assert isinstance(make_kernel(GRU(1, 1, 1)), CompiledKernel)
    monkeypatch.setenv("CC", "false")
    assert isinstance(make_kernel(randomised(GRU(1, 1, 1), 3), compiled=True), CompiledKernel)


def test_cache_is_where_the_environment_says():
    assert str(cache_folder()) == os.environ["RNN_CONTROL_CACHE"]


def test_compiled_kernel_leaves_denormal_numbers_alone():
    """Libraries linked with -ffast-math may set flush-to-zero for the whole process."""
    make_kernel(GRU(1, 1, 1), compiled=True)
    assert np.float64(1e-310) / 2 > 0
