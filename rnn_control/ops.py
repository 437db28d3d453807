"""One meaning of each named function for torch and CasADi: all that a cell may call besides @ + - * and slices."""

import casadi as ca
import torch
from torch import Tensor


def tanh(a):
    """Hyperbolic tangent."""
    return torch.tanh(a) if isinstance(a, Tensor) else ca.tanh(a)


def sigmoid(a):
    """Logistic function; through tanh in CasADi, so that no argument overflows into a NaN derivative."""
    return torch.sigmoid(a) if isinstance(a, Tensor) else 0.5 + 0.5 * ca.tanh(0.5 * a)


def relu(a):
    """max(a, 0)."""
    return torch.relu(a) if isinstance(a, Tensor) else ca.fmax(a, 0)


def mix(z, a, b):
    """z a + (1 - z) b: said by name, because for a gate z in [0, 1] this is a convex combination."""
    return z * a + (1 - z) * b


def vcat(*parts):
    """Stack columns on top of one another."""
    return torch.cat(parts, 0) if isinstance(parts[0], Tensor) else ca.vertcat(*parts)
