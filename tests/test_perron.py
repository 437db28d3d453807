"""Weights of comparison systems: the least rate, the floor, levels of their own."""

import numpy as np
import pytest
import torch

from rnn_control.bounds import Comparison
from rnn_control.perron import level_weights, perron_weights


def system(*matrices):
    """T(v) = max of M v."""
    pieces = [torch.as_tensor(np.array(M, float)) for M in matrices]
    n = len(pieces[0])
    return Comparison(lambda v: torch.stack([M @ v for M in pieces]).amax(0), torch.ones(n, 1, dtype=torch.float64))


def rate(found, w):
    return float((found.T(w) / w).max())


@pytest.mark.parametrize("n", [2, 5, 20])
def test_rate_of_a_matrix_is_its_spectral_radius(n):
    """Perron and Frobenius: the least of max_i (A w)_i / w_i over w > 0."""
    rng = np.random.default_rng(n)
    for _ in range(20):
        A = rng.uniform(0.01, 1, (n, n))
        A *= 0.97 / abs(np.linalg.eigvals(A)).max()
        assert rate(system(A), perron_weights(system(A))) == pytest.approx(0.97, abs=1e-6)


def test_modes_that_hardly_differ_are_told_apart():
    A = np.array([[0.99, 1e-4], [1e-4, 0.9895]])  # five thousand steps of a power iteration
    assert rate(system(A), perron_weights(system(A))) == pytest.approx(np.linalg.eigvalsh(A)[-1], abs=1e-8)


def test_weights_of_a_maximum_are_those_of_its_worst_choice_of_rows():
    rng = np.random.default_rng(0)
    for _ in range(20):
        L, H = rng.uniform(0.01, 0.4, (2, 3, 3))
        rows = np.array([[L[i], H[i]] for i in range(3)])
        choices = [[rows[i, choice >> i & 1] for i in range(3)] for choice in range(8)]
        worst = max(abs(np.linalg.eigvals(M)).max() for M in choices)
        assert rate(system(L, H), perron_weights(system(L, H))) == pytest.approx(worst, abs=1e-6)


def test_states_that_nothing_drives_keep_the_floor():
    found = perron_weights(system(np.diag([0.9, 0.1, 0.0])))
    assert found.min() >= 1e-3 * found.max() and rate(system(np.diag([0.9, 0.1, 0.0])), found) == pytest.approx(0.9)


def test_levels_lie_between_the_spectral_radius_and_one():
    """Theorem 1 (c): in a chain whose links are large no moderate weights do."""
    A = np.diag([0.9] * 4) + np.diag([1e5] * 3, -1)
    found = perron_weights(system(A))
    assert 0.9 < rate(system(A), found) < 0.92 and found.min() > 0


@pytest.mark.parametrize("size", [np.inf, np.nan, 1e300])
def test_what_has_no_weights_gets_some_that_prove_nothing(size):
    unbounded = system([[0.5, size], [0.5, 0.5]])
    for w in (perron_weights(unbounded), level_weights(unbounded, 0.9)):
        assert torch.isfinite(w).all() and (w > 0).all() and not rate(unbounded, w) < 1
