"""The recursion in blocks equals the loop over samples."""

import numpy as np
import pytest

from rnn_control.scan import scan


@pytest.mark.parametrize("T", [1, 2, 3, 8, 24, 25, 26])
@pytest.mark.parametrize("shape", [(2,), (3, 4, 2)])
def test_equals_the_loop(T, shape):
    rng = np.random.default_rng(T)
    V, A, R = rng.normal(size=(T, *shape)), 0.7 * rng.normal(size=(2, 2)), rng.normal(size=shape)
    found = scan(V, A, R)
    assert found.shape == V.shape
    for k in range(T):
        np.testing.assert_allclose(found[k], R, rtol=1e-10, atol=1e-12)
        R = R @ A + V[k]
