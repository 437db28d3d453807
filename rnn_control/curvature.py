"""The Gauss-Newton matrix of one record by compiled code: rows of the Jacobian block by block, and their squares."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from torch import Tensor

from .library import Library

BLOCK_BYTES = 2**22
"""Memory for rows of the Jacobian: they are squared while they are in the cache."""
THREADS_PAY = 1e8
"""Multiplications below which starting threads costs more than it saves."""


def normal_equations(
    library: Library, values: list[Tensor], x0: np.ndarray, u: np.ndarray, y: np.ndarray, w: np.ndarray, threads: int
) -> tuple[float, np.ndarray, np.ndarray]:
    """r'r, J'r and J'J of r = sqrt(w) (yhat - y), over the trained parameters and x0 (nx,); values: all parameters.

    u (T, nu), y and w (T, ny), contiguous. Samples of weight zero are left out. threads: as many as may be used.
    """
    memory, n, columns, panel, depth = map(library.size, ("jacobian_memory", "variables", "columns", "panel", "depth"))
    (T, ny), nx = y.shape, len(x0)
    step = max(1, min(T, max(1, BLOCK_BYTES // (8 * columns * depth)) * depth // ny))
    J, rows = np.empty((-(-step * ny // depth) * depth, columns)), np.zeros(1, "l")
    x, S, H = x0.copy(), np.eye(nx, columns, n - nx), np.zeros((columns, columns))
    loss, g = np.zeros(1), np.zeros(columns)
    threads = threads if T * ny * columns**2 > THREADS_PAY else 1
    # of the upper triangle each thread takes columns of the same area
    ends = [panel * round(columns / panel * (i / threads) ** 0.5) for i in range(threads + 1)]
    with ThreadPoolExecutor(threads) as pool:
        for k in range(0, T, step):
            part = [a[k : k + step] for a in (u, y, w)]
            library.call("jacobian", memory, values, len(part[0]), x, S, *part, loss, g, rows, J)

            def square(start, end, count=int(rows[0])):
                library.call("squares", 0, count, J, start, end, H)

            list((map if threads == 1 else pool.map)(square, ends, ends[1:]))
    upper = np.triu(H[:n, :n])
    return float(loss[0]), g[:n], upper + np.triu(upper, 1).T
