"""The compiled solver's own products and tanh are NumPy's, with and without the machine's vectors."""

import ctypes
import subprocess

import numpy as np
import pytest

from mpc.compiled import FLAGS, HEADERS, NOINLINE, find_compiler, template

CALLS = """
void product(int m, int n, int cols, const double *A, const double *b, int ldb, double *c, int ldc) {
  add_product(m, n, cols, A, b, ldb, c, ldc);
}
void all_tanh(int n, const double *from, double *to) { tanh_all(n, from, to); }
"""


@pytest.fixture(scope="module", params=[FLAGS, ("-std=c99", "-O2", "-fPIC")], ids=["machine", "plain"])
def library(request, tmp_path_factory):
    compiler = find_compiler()
    assert compiler is not None, "the suite needs a C compiler: cc, gcc or clang, or CC in the environment"
    folder = tmp_path_factory.mktemp("c")
    (folder / "a.c").write_text(HEADERS + NOINLINE + template("product.c", "tanh.c") + CALLS)
    subprocess.run([compiler, *request.param, "-shared", "a.c", "-o", "a.so", "-lm"], cwd=folder, check=True)
    return ctypes.CDLL(str(folder / "a.so"))


def at(a):
    return ctypes.c_void_p(a.ctypes.data)


@pytest.mark.parametrize("m", [1, 7, 8, 9, 16, 31, 32, 33, 40, 67])
@pytest.mark.parametrize("n", [1, 2, 5, 34])
@pytest.mark.parametrize("cols", [1, 2, 7])
def test_products_are_numpys_and_touch_nothing_else(library, m, n, cols):
    rng = np.random.default_rng(m + n + cols)
    A, b, c = rng.normal(size=(n, m)), rng.normal(size=(cols, n + 3)), rng.normal(size=(cols, m + 2))
    expected = c.copy()
    expected[:, :m] += b[:, :n] @ A  # columns are stored one after the other
    library.product(m, n, cols, at(A), at(b), n + 3, at(c), m + 2)
    assert c == pytest.approx(expected, abs=1e-13)


@pytest.mark.parametrize("n", [1, 15, 16, 17, 48, 50])
def test_tanh_of_many_is_numpys_and_touches_nothing_else(library, n):
    x = np.linspace(-25, 25, 51) ** 3 / 500
    x[:3] = np.nan, np.inf, -np.inf
    y = np.full(51, 7.0)
    library.all_tanh(n, at(x), at(y))
    assert np.allclose(y[:n], np.tanh(x[:n]), rtol=0, atol=4e-16, equal_nan=True)
    assert (y[n:] == 7.0).all()
