"""Compiled simulation and its fallbacks; that it equals the literal loop for every model is in test_zoo_models."""

import os
import subprocess

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from zoo import randomised

from rnn_control import GRU, LSTM, REN
from rnn_control.codegen import c_source
from rnn_control.compile import cache_folder
from rnn_control.curvature import normal_equations
from rnn_control.kernel import Batch, CompiledKernel, LiteralKernel, make_kernel
from rnn_control.models.ren import LipschitzREN
from rnn_control.ops import relu, sigmoid, tanh, vcat
from rnn_control.trace import Untraceable, operation, trace


class ExpGRU(GRU):
    """A cell with an operation that has no C form here."""

    def g(self, p, x):
        return torch.sin(p.C @ x) + p.b_y


class RowByRow(GRU):
    """A triangular implicit layer solved row by row, as in a REN, from slices of parameters and many small pieces."""

    def f(self, p, x, u):
        w = [tanh(p.Uz[:1] @ x + p.Wz[:1] @ u + p.bz[:1])]
        for i in range(1, self.nx):
            w.append(tanh(p.Uz[i : i + 1] @ x + p.Wz[i : i + 1] @ u + p.Uf[i : i + 1, :i] @ vcat(*w) + p.bz[i : i + 1]))
        return 0.5 * x + 0.1 * p.Ur @ vcat(*w) + p.Wr @ u


class Odds(GRU):
    """The operations that no registered cell uses: powers, relu, products of states, constants worked out, numbers."""

    def f(self, p, x, u):
        slope, last = sigmoid(p.bf) * p.br, x[self.nx - 1 :]
        bent = relu(p.Uz @ x + p.Wz @ u) - 0.1 * x**2 * last + p.bz[:1] * x
        return 0.3 * slope * bent * (p.Uf @ vcat(x[1:], last)) + p.Wr @ u / 2 - 0.1 * p.Ur.T @ (p.Wf @ u)


class Offsets(GRU):
    """Products of constants: one of them a row for a single output, one an operand of another's gradient."""

    def f(self, p, x, u):
        return 0.5 * tanh(p.Uz @ x + p.Wz @ u) + 0.1 * p.Uf @ p.bz

    def g(self, p, x):
        return p.C @ x + p.C @ p.bz


def batch(model, lengths, seed=0):
    rng = np.random.default_rng(seed)
    u, y, w = ([rng.normal(size=(T, n)) for T in lengths] for n in (model.nu, model.ny, model.ny))
    return Batch(u, y, [abs(v) for v in w]), rng.uniform(-1, 1, (len(lengths), model.nx))


def gradient(kernel, model, data, x0):
    loss, named, x_bar = kernel.loss_grad(model.theta(), x0, data)
    return np.concatenate([[loss], *(g.ravel() for g in named.values()), x_bar.ravel()])


def pair(model, dtype="float64"):
    wrt = tuple(name for name, value in model.theta().items() if value.requires_grad)
    return CompiledKernel(model, wrt, dtype), LiteralKernel(model, wrt)


def assert_alike(a, b, tolerance=1e-12):
    assert_allclose(a, b, rtol=tolerance, atol=tolerance * abs(b).max())


@pytest.mark.parametrize("cell", [RowByRow, Odds, Offsets], ids=lambda c: c.__name__)
@pytest.mark.parametrize("sizes", [(1, 1, 1), (2, 3, 5), (1, 2, 10)], ids=str)
def test_cells_out_of_slices_and_odd_operations_equal_the_literal_loop(cell, sizes):
    model = randomised(cell(*sizes), 1)
    data, x0 = batch(model, (40, 3))
    fast, slow = (gradient(kernel, model, data, x0) for kernel in pair(model))
    assert_alike(fast, slow)


# one more than fills the lanes, a group with empty lanes, unequal lengths, half the lanes, a record alone
@pytest.mark.parametrize("size", [3, 9])
@pytest.mark.parametrize(
    "lengths", [[9] * 17, [40, 1] * 5, [33] * 6 + [7], [21] * 4, [70]], ids=lambda a: f"{len(a)} records"
)
def test_records_side_by_side_equal_the_literal_loop(size, lengths):
    model = randomised(LSTM(2, 2, size) if size == 3 else GRU(2, 2, size), 2)
    data, x0 = batch(model, lengths)
    fast, slow = (gradient(kernel, model, data, x0) for kernel in pair(model))
    assert_alike(fast, slow)


@pytest.mark.parametrize("samples", [1, 63, 64, 65, 100])
def test_a_record_in_segments_equals_it_in_one_piece(samples, monkeypatch):
    model = randomised(LSTM(2, 2, 3), 0)
    data, x0 = batch(model, [samples] * 9)
    kernel = pair(model)[0]
    whole = gradient(kernel, model, data, x0)
    monkeypatch.setattr("rnn_control.kernel.TAPE_BYTES", 100)
    assert kernel.segment(100, 1) == 10
    assert_alike(gradient(kernel, model, data, x0), whole)


@pytest.mark.parametrize("records", [20, 4])
def test_single_precision_is_near(records):
    model = randomised(GRU(2, 2, 9), 0)
    data, x0 = batch(model, [50] * records + [30])
    fast, slow = (gradient(kernel, model, data, x0) for kernel in pair(model, "float32"))
    assert_alike(fast, slow, 2e-5)
    with pytest.raises(ValueError, match="float64"):
        CompiledKernel(model, (), "half")


@pytest.mark.parametrize("model", [GRU(2, 2, 5), LSTM(1, 2, 3), RowByRow(1, 1, 3)], ids=lambda m: type(m).__name__)
@pytest.mark.parametrize(("lengths", "block"), [((30, 12), 2**22), ((700, 1), 1)], ids=str)
def test_gauss_newton_matrix_equals_the_literal_one(model, lengths, block, monkeypatch):
    monkeypatch.setattr("rnn_control.curvature.BLOCK_BYTES", block)  # of a long record several blocks, one not full
    randomised(model, 3)
    data, x0 = batch(model, lengths)
    for i, w in enumerate(data.w):
        w[3 + i : 9] = 0
        w[::7, 0] = 0
    data.y[0][0, 0] = np.nan  # missing: of no weight
    fast = pair(model)[0].gauss_newton(model.theta(), x0, data)
    data.y[0][0, 0] = 0
    for a, b in zip(fast, pair(model)[1].gauss_newton(model.theta(), x0, data), strict=True):
        assert_alike(a, np.asarray(b), 1e-10)
    loss, named, x_bar = pair(model)[0].loss_grad(model.theta(), x0, data)
    assert_alike(2 * fast[1], np.concatenate([*(g.ravel() for g in named.values()), x_bar.ravel()]), 1e-10)
    single = pair(model, "float32")[0].gauss_newton(model.theta(), x0, data)
    for a, b in zip(single, fast, strict=True):
        assert_alike(a, np.asarray(b), 2e-4)


@pytest.mark.parametrize("threads", [2, 5])
def test_a_gauss_newton_matrix_in_threads_is_the_same_to_the_last_bit(threads, monkeypatch):
    monkeypatch.setattr("rnn_control.curvature.THREADS_PAY", 0)
    model = randomised(GRU(2, 2, 12), 3)
    kernel, (data, x0) = pair(model)[0], batch(model, (500,))
    call = kernel.one, kernel.parameters(model.theta()), x0[0], data.u[0], data.y[0], data.w[0]
    for a, b in zip(*(normal_equations(*call, threads=n) for n in (1, threads)), strict=True):
        assert_array_equal(a, b)


class Deaf(GRU):
    """Reads none of its parameters."""

    def f(self, p, x, u):
        return 0.5 * x

    def g(self, p, x):
        return x[:1]


def test_a_kernel_leaves_out_what_the_equations_do_not_read():
    of = lambda model: make_kernel(model, compiled=False).wrt  # noqa: E731
    assert set(REN(1, 1, 2).theta()) - set(of(REN(1, 1, 2))) == {"P", "lam"}
    assert set(LipschitzREN(1, 1, 2).theta()) - set(of(LipschitzREN(1, 1, 2))) == {"P", "lam"}
    with torch.no_grad():  # as in a simulation
        assert of(GRU(1, 1, 2)) == tuple(GRU(1, 1, 2).theta())
    assert of(Deaf(1, 1, 2)) == of(GRU(1, 1, 2).requires_grad_(False)) == ()


@pytest.mark.parametrize("cell", [GRU, LSTM], ids=lambda c: c.__name__)
def test_the_adjoint_repeats_no_activation(cell):
    """What it costs is on the tape: two or three gates, the new content, and for the LSTM the squashed cell state."""
    traced = trace(cell(1, 1, 4), tuple(cell(1, 1, 4).theta()))
    assert [operation(node) for node in traced.tape].count("tanh.default") == (1 if cell is GRU else 2)
    assert {operation(node) for node in traced.tape} == {"sigmoid.default", "tanh.default"}
    text = c_source(cell(1, 1, 4), tuple(cell(1, 1, 4).theta()))
    back = text[text.index("static void back") : text.index("static void collect")]
    assert "sigmoid_(" not in back and "tanh_(" not in back


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


@pytest.mark.parametrize("many, few", [(0, 3), (80, 0), (70, 3)])
def test_runs_side_by_side_and_in_threads_are_those_of_each_record(many, few):
    model = randomised(REN(2, 1, 3), 0, 0.5)
    data, x0 = batch(model, [99] * many + [5000, 1, 77][:few])
    kernel, literal = pair(model)
    assert len(kernel.jobs(np.array([len(u) for u in data.u]))[0]) > 1
    together, p = kernel.simulate(model.theta(), x0, data.u), model.theta()
    for i, (x, y) in enumerate(together):
        [(own_x, own_y)] = kernel.simulate(p, x0[i : i + 1], [data.u[i]])
        assert_allclose(x, own_x, atol=1e-12)
        assert_allclose(y, own_y, atol=1e-12)
    [(x, y)] = literal.simulate(p, x0[:1], data.u[:1])
    assert_allclose(together[0][0], x, atol=1e-12)
    assert_allclose(together[0][1], y, atol=1e-12)
    assert kernel.simulate(p, x0[:0], []) == []
    for start, u in ((x0[:1], data.u), (x0, [a[:, :1] for a in data.u])):
        with pytest.raises(ValueError, match="records of the ren"):
            kernel.simulate(p, start, u)


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
    assert [path.suffix for path in tmp_path.iterdir()] == [".c"]  # the printed source, which is whole


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
