"""CasADi functions without the cost of conversions, which is most of a small function's call."""

from typing import Any

import casadi as ca
import numpy as np


class FastCall:
    """A CasADi function called on flat arrays without conversions; its outputs come flat, column by column.

    They are overwritten by the next call: copy what is to be kept."""

    def __init__(self, function: ca.Function):
        given: Any = function.buffer()
        self._buffer, self._run = given
        self._in = [np.zeros(function.nnz_in(i)) for i in range(function.n_in())]
        self._out = [np.zeros(function.nnz_out(i)) for i in range(function.n_out())]
        for i, a in enumerate(self._in):
            self._buffer.set_arg(i, a.data)
        for i, a in enumerate(self._out):
            self._buffer.set_res(i, a.data)

    def __call__(self, *args: np.ndarray) -> list[np.ndarray]:
        for mine, given in zip(self._in, args, strict=True):
            mine[:] = given
        self._run()
        return self._out
