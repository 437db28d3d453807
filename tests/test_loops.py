"""What the printed loops compute is what torch computes, gradients included."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from rnn_control.library import native
from rnn_control.loops import Loops
from rnn_control.printed import compiled, traced

FUNCTIONS = {
    "exponentials": lambda A, B: (A.exp(), (40 * A).sigmoid(), (3 * B).tanh()),
    "far exponentials": lambda A, B: ((300 * A).exp(), (1000 * B).sigmoid()),
    "product": lambda A, B: (A @ B, B.T @ A.T, A.T @ A),
    "product of what is computed": lambda A, B: ((-A).abs() @ (2 * B), (A.abs() + 1).T @ A),
    "solution": lambda A, B: (torch.linalg.solve_ex(A[:, : len(A)], A).result,),
    "of the transposed": lambda A, B: (torch.linalg.solve_ex(A[:, : len(A)].T, A + 1).result,),
    "triangle": lambda A, B: A[tuple(torch.tril_indices(*A.shape, -1))].split([3, 7]),
    "diagonals": lambda A, B: (A.trace(), A[0].diag(), A.diagonal(), (A @ B).trace()),
    "sums": lambda A, B: (A.sum(0), A.sum(1), A.sum(), A.abs().sum(1, keepdim=True), A.amax(), B.amax(0)),
}


def evaluated(function, *values):
    """By loops; the results one after the other."""
    loops = Loops(traced(function, *values))
    memory, out = np.zeros(loops.memory), np.zeros(sum(loops.sizes))
    compiled(evaluate=loops.text()).evaluate(native(memory), native(list(values)), native(out))
    return out


def matrices(rows=5, columns=6):
    generator = torch.Generator().manual_seed(0)
    return (torch.randn(*n, dtype=torch.float64, generator=generator) for n in ((rows, columns), (columns, rows)))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_loops_compute_what_torch_does(name):
    A, B = matrices()
    expected = torch.cat([a.flatten() for a in FUNCTIONS[name](A, B)])
    assert_allclose(evaluated(FUNCTIONS[name], A, B), expected, rtol=1e-13, atol=1e-14 * min(1, expected.abs().max()))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_loops_compute_the_gradient_that_torch_does(name):
    def gradient(A, B):
        results, back, *_ = torch.func.vjp(FUNCTIONS[name], A, B)
        return back(tuple(map(torch.ones_like, results)))

    A, B = matrices()
    expected = torch.cat([g.flatten() for g in gradient(A, B)])
    assert_allclose(evaluated(gradient, A, B), expected, rtol=1e-12, atol=1e-14 * expected.abs().max())


@pytest.mark.parametrize("m, k, n", [(1, 1, 1), (8, 3, 16), (9, 20, 33), (32, 32, 32), (17, 1, 16)])
def test_product_of_any_size_is_that_of_torch(m, k, n):
    (A, _), (B, _) = matrices(m, k), matrices(k, n)
    assert_allclose(evaluated(lambda A, B: (A @ B,), A, B), (A @ B).flatten(), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("a", [0.0, -0.0, 1e-300, 700.0, -700.0, -1e4, float("inf"), -float("inf"), float("nan")])
def test_what_is_no_number_stays_none_and_nothing_else_becomes_it(a):
    found = evaluated(lambda a: (a.exp(), a.sigmoid(), a.tanh()), torch.full((3,), a, dtype=torch.float64))
    assert np.isnan(found).all() == np.isnan(a) and (np.isnan(a) or np.isfinite(found).all())
