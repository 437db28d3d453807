"""A compiled kernel as Python calls it: arrays by their addresses, and working memory that outlives the calls."""

import ctypes

import numpy as np
from torch import Tensor

from .compile import load_library

ALIGNED = 64
"""Bytes that the working memory starts at a multiple of: the widest vectors."""


class Library:
    """The functions of records.c and squares.c around one generated step."""

    def __init__(self, source: str, *defines: str):
        self.functions, self.spare = load_library(source, *defines), []

    def size(self, name: str, *arguments: int) -> int:
        """A number that the compiled code knows about itself."""
        function = getattr(self.functions, name)
        function.restype = ctypes.c_long
        return function(*map(ctypes.c_long, arguments))

    def call(self, name: str, memory: int, *arguments) -> None:
        """Run a function with so many bytes of working memory; lists become arrays of addresses."""
        try:
            work, start = self.spare.pop()
        except IndexError:
            work, start = b"", None
        if len(work) < memory + ALIGNED:
            work = np.zeros(memory + ALIGNED, np.uint8)
            start = ctypes.c_void_p(-(-address(work) // ALIGNED) * ALIGNED)
        getattr(self.functions, name)(start, *map(native, arguments))
        self.spare.append((work, start))


class Places:
    """Addresses of tensors for compiled code, looked up again only where one of them has moved."""

    def __init__(self):
        self.addresses, self.values, self.native = list[int](), list[Tensor](), native([])

    def __call__(self, values: list[Tensor]):
        addresses = [v.data_ptr() for v in values]
        if addresses != self.addresses:
            self.values = [v.detach().contiguous() for v in values]  # kept, so that the memory is nobody else's
            self.native = native(self.values)
            self.addresses = addresses if all(v.is_contiguous() for v in values) else []
        return self.native


def native(a):
    if isinstance(a, list):
        return (ctypes.c_void_p * len(a))(*map(address, a))
    return ctypes.c_long(a) if isinstance(a, int) else ctypes.c_void_p(address(a))


def address(a: np.ndarray | Tensor) -> int:
    return a.data_ptr() if isinstance(a, Tensor) else a.__array_interface__["data"][0]


def places(a: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Addresses of rows of a contiguous array: as good as a list of the arrays that begin there, and faster."""
    return np.uintp(address(a)) + np.uintp(a.strides[0]) * rows.astype(np.uintp)
