"""One meaning of each named function for torch and CasADi: all that a cell may call besides @ + - * and slices."""

from abc import ABC, abstractmethod
from typing import Any

import casadi as ca
import torch
from torch import Tensor


class Value(ABC):
    """A third kind of number, which brings its own arithmetic and its own meaning of the functions below."""

    @abstractmethod
    def tanh(self) -> Any: ...

    @abstractmethod
    def sigmoid(self) -> Any: ...

    @abstractmethod
    def relu(self) -> Any: ...

    @abstractmethod
    def signal(self) -> Any: ...

    @abstractmethod
    def mix(self, a, b) -> Any: ...

    @abstractmethod
    def vcat(self, parts) -> Any: ...


def tanh(a) -> Any:
    """Hyperbolic tangent."""
    if isinstance(a, Value):
        return a.tanh()
    return torch.tanh(a) if isinstance(a, Tensor) else ca.tanh(a)


def sigmoid(a) -> Any:
    """Logistic function; through tanh in CasADi, so that no argument overflows into a NaN derivative."""
    if isinstance(a, Value):
        return a.sigmoid()
    return torch.sigmoid(a) if isinstance(a, Tensor) else 0.5 + 0.5 * ca.tanh(0.5 * a)


def relu(a) -> Any:
    """max(a, 0)."""
    if isinstance(a, Value):
        return a.relu()
    return torch.relu(a) if isinstance(a, Tensor) else ca.fmax(a, 0)


def signal(a) -> Any:
    """The column itself, said to be what one block of a network reads: a proof may bound it as a whole."""
    return a.signal() if isinstance(a, Value) else a


def mix(z, a, b) -> Any:
    """z a + (1 - z) b: said by name, because for a gate z in [0, 1] this is a convex combination."""
    return z.mix(a, b) if isinstance(z, Value) else z * a + (1 - z) * b


def vcat(*parts) -> Any:
    """Stack columns on top of one another."""
    for part in parts:
        if isinstance(part, Value):
            return part.vcat(parts)
    return torch.cat(parts, 0) if isinstance(parts[0], Tensor) else ca.vertcat(*parts)
