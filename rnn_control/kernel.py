"""Simulation and its gradient over whole records: compiled from the cell's equations, or the literal loop."""

import os
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import torch

from .codegen import Untraceable, c_source
from .compile import load_library, pointer
from .model import Model, Params
from .simulate import simulate


class Batch(NamedTuple):
    """Records in normalised units: lists of u (T, nu), y (T, ny) and weights w (T, ny) of the squared errors."""

    u: list[np.ndarray]
    y: list[np.ndarray]
    w: list[np.ndarray]


class LiteralKernel:
    """The reference: torch steps through f and g, and differentiates what it did."""

    def __init__(self, model: Model, wrt: tuple[str, ...]):
        self.model, self.wrt = model, wrt

    def simulate(self, p: Params, x0: np.ndarray, u: Sequence[np.ndarray]) -> list[tuple[np.ndarray, np.ndarray]]:
        """States (T+1, nx) and outputs (T, ny) of each record from its own x0 (S, nx)."""
        p, out = Params({k: v.detach() for k, v in p.items()}), []
        for start, inputs in zip(x0, u, strict=True):
            x, y = simulate(self.model, p, torch.from_numpy(start), torch.from_numpy(inputs))
            out.append((x.numpy(), y.numpy()))
        return out

    def loss_grad(self, p: Params, x0: np.ndarray, data: Batch) -> tuple[float, dict[str, np.ndarray], np.ndarray]:
        """sum w (yhat - y)^2, its gradient per name in wrt, and in x0 (S, nx)."""
        q = Params({k: v.detach().clone().requires_grad_(k in self.wrt) for k, v in p.items()})
        starts = torch.from_numpy(x0).clone().requires_grad_(True)
        loss = torch.zeros((), dtype=torch.float64)
        for i, (u, y, w) in enumerate(zip(*data, strict=True)):
            _, yhat = simulate(self.model, q, starts[i], torch.from_numpy(u))
            loss = loss + (torch.from_numpy(w) * (yhat - torch.from_numpy(y)) ** 2).sum()
        inputs = [q[name] for name in self.wrt] + [starts]
        grads = torch.autograd.grad(loss, inputs, allow_unused=True)
        values = [np.zeros(i.shape) if g is None else g.numpy() for g, i in zip(grads, inputs, strict=True)]
        return loss.item(), dict(zip(self.wrt, values[:-1], strict=True)), values[-1]


class CompiledKernel:
    """The same two calls on C code generated from the same equations; records run in parallel threads."""

    def __init__(self, model: Model, wrt: tuple[str, ...]):
        self.model, self.wrt = model, wrt
        theta = model.theta()
        self.names, self.shapes = list(theta), [tuple(theta[name].shape) for name in wrt]
        self.library = load_library(c_source(model, wrt))

    def flat(self, p: Params) -> np.ndarray:
        return np.concatenate([p[name].detach().numpy().ravel() for name in self.names])

    def rollout(self, flat: np.ndarray, x0: np.ndarray, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        u = np.ascontiguousarray(u, float)
        x, y = np.empty((len(u) + 1, self.model.nx)), np.empty((len(u), self.model.ny))
        x[0] = x0
        self.library.rollout(*map(pointer, (flat, u)), len(u), *map(pointer, (x, y)))
        return x, y

    def simulate(self, p: Params, x0: np.ndarray, u: Sequence[np.ndarray]) -> list[tuple[np.ndarray, np.ndarray]]:
        """States (T+1, nx) and outputs (T, ny) of each record from its own x0 (S, nx)."""
        flat = self.flat(p)
        return self.spread(lambda i: self.rollout(flat, x0[i], u[i]), [len(a) for a in u])

    def loss_grad(self, p: Params, x0: np.ndarray, data: Batch) -> tuple[float, dict[str, np.ndarray], np.ndarray]:
        """sum w (yhat - y)^2, its gradient per name in wrt, and in x0 (S, nx)."""
        flat, size = self.flat(p), sum(int(np.prod(s)) for s in self.shapes)

        def one(i):
            u, y, w = (np.ascontiguousarray(part[i], float) for part in data)
            X, Y = self.rollout(flat, x0[i], u)
            grad, x_bar = np.zeros(size), np.empty(self.model.nx)
            loss = self.library.adjoint(pointer(flat), pointer(u), len(u), *map(pointer, (X, Y, y, w, grad, x_bar)))
            return loss, grad, x_bar

        losses, grads, x_bars = zip(*self.spread(one, [len(a) for a in data.u]), strict=True)
        ends = np.cumsum([int(np.prod(s)) for s in self.shapes])
        parts = np.split(np.sum(grads, 0), ends[:-1])
        named = {n: g.reshape(s) for n, g, s in zip(self.wrt, parts, self.shapes, strict=True)}
        return float(np.sum(losses)), named, np.stack(x_bars)

    def spread(self, job, lengths: list[int]) -> list:
        """job(0), job(1) ..: in threads where it pays to start them (C code runs outside the interpreter's lock)."""
        if len(lengths) == 1 or sum(lengths) < THREADS_PAY:
            return [job(i) for i in range(len(lengths))]
        with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
            return list(pool.map(job, range(len(lengths))))


THREADS_PAY = 5000
"""Samples below which starting threads costs more than it saves."""

Kernel = LiteralKernel | CompiledKernel


def make_kernel(model: Model, compiled: bool | None = None) -> Kernel:
    """The fastest kernel there is: compiled if a C compiler is found and the cell can be traced, else the literal loop.

    compiled = True insists (and raises what stands in the way), False asks for the literal loop.
    """
    wrt = tuple(name for name, value in model.theta().items() if value.requires_grad)
    if compiled is False:
        return LiteralKernel(model, wrt)
    try:
        return CompiledKernel(model, wrt)
    except (Untraceable, OSError, subprocess.SubprocessError):
        if compiled:
            raise
        return LiteralKernel(model, wrt)
