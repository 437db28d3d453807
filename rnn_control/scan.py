"""A linear recursion over a record without a step of Python for each sample: its blocks go side by side."""

from math import isqrt

import numpy as np


def scan(V: np.ndarray, A: np.ndarray, start: np.ndarray | float = 0.0) -> np.ndarray:
    """R(0) = start, R(k+1) = R(k) A + V(k): R(0) .. R(T-1), (T, .., n), for V (T, .., n), of which V(T-1) is not used.

    As many blocks as samples in each: they all run from zero, and what the one before hands over is added afterwards.
    """
    T, shape = len(V), V.shape[1:]
    length = isqrt(T - 1) + 1
    count = -(-T // length)
    V = np.concatenate([V, np.zeros((length * count - T, *shape))]).reshape(count, length, *shape)
    R = np.zeros((length + 1, count, *shape))
    for k in range(length):
        R[k + 1] = R[k] @ A + V[:, k]
    handed, power = np.broadcast_to(start, (count, *shape)).copy(), np.linalg.matrix_power(A, length)
    for i in range(1, count):
        handed[i] = handed[i - 1] @ power + R[length, i - 1]
    for k in range(length):
        R[k] += handed
        handed = handed @ A
    return R[:length].swapaxes(0, 1).reshape(-1, *shape)[:T]
