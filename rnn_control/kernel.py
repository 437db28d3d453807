"""Simulation and its derivatives over whole records: compiled from the cell's equations, or the literal loop."""

import math
import os
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property, reduce
from itertools import accumulate, pairwise
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from .codegen import c_source
from .curvature import normal_equations
from .library import Library, places
from .literal import Batch, LiteralKernel
from .model import Model, Params
from .trace import Untraceable

TAPE_BYTES = 2**28
"""Memory for the tape of one record (or of one group side by side); beyond it, segments of it are run twice."""
THREADS_PAY = 5000
"""Samples below which starting threads costs more than it saves."""
PARTS = 16
"""Of many records that threads take at most: more than threads, or the longest records would hold up the others."""


class CompiledKernel:
    """The calls of the literal kernel on C code generated from the same equations.

    Records of one length run side by side in the lanes of vector instructions, groups of them in parallel threads; sums
    over records are taken in their order, so that results do not depend on the threads. dtype "float32" computes in
    single precision, which halves the work of large batches; arguments and results stay float64.
    """

    def __init__(self, model: Model, wrt: tuple[str, ...], dtype: str = "float64"):
        if dtype not in ("float64", "float32"):
            raise ValueError(f"dtype is {dtype!r}; it must be 'float64' or 'float32'")
        self.model, self.wrt = model, wrt
        self.names, shapes = list(model.theta()), [tuple(model.theta()[name].shape) for name in wrt]
        ends = list(accumulate(map(math.prod, shapes), initial=0))
        self.n_theta = ends[-1]
        self.parts = [(n, slice(*ab), s) for n, ab, s in zip(wrt, pairwise(ends), shapes, strict=True)]
        self.source, self.defines = c_source(model, wrt), ("SINGLE",) * (dtype == "float32")
        self.one = Library(self.source, *self.defines)
        self.lanes, self.row_bytes = self.one.size("lanes"), self.one.size("row_bytes")

    @cached_property
    def wide(self) -> Library:
        """The same text for many records at once, compiled when there are some."""
        return Library(self.source, *self.defines, "BATCH")

    @cached_property
    def narrow(self) -> Library:
        """The same for half as many."""
        return Library(self.source, *self.defines, "BATCH", "NARROW")

    def parameters(self, p: Params) -> list[Tensor]:
        """The explicit parameters, as the C code reads them."""
        return [p[name].contiguous() for name in self.names]

    def simulate(self, p: Params, x0: np.ndarray, u: Sequence[np.ndarray]) -> list[tuple[np.ndarray, np.ndarray]]:
        """States (T+1, nx) and outputs (T, ny) of each record from its own x0 (S, nx)."""
        if not len(u):
            return []
        values, lengths, own = self.parameters(p), np.array([len(a) for a in u], "l"), np.arange(len(u))
        ends = np.cumsum(lengths)
        first, total = ends - lengths, int(ends[-1])
        starts, inputs = contiguous(x0), contiguous(np.concatenate(u))
        if starts.shape != (len(u), self.model.nx) or inputs.shape[1:] != (self.model.nu,):
            raise ValueError(f"x0 {starts.shape}, u {inputs.shape}: not {len(u)} records of the {self.model.kind}")
        x, y = np.empty((total + len(u), self.model.nx)), np.empty((total, self.model.ny))
        tables = [places(a, rows) for a, rows in ((starts, own), (inputs, first), (x, first + own), (y, first))]

        def some(job):
            library, rows = job
            records = (table[rows] for table in tables)
            library.call("simulate", library.size("memory", 1, 1), values, len(rows), lengths[rows], *records)

        spread(some, *self.jobs(lengths))
        return [(x[a + i : b + i + 1], y[a:b]) for i, (a, b) in enumerate(pairwise([0, *ends.tolist()]))]

    def jobs(self, lengths: np.ndarray) -> tuple[list[tuple[Library, list[int]]], int]:
        """(library, records) that run them all, and how many samples they do one after the other."""
        if lengths.sum() < THREADS_PAY:
            return [(self.one, [*range(len(lengths))])], 0
        groups = self.groups(lengths.tolist())
        full, rest = ([i for g in groups if (len(g) == self.lanes) == whole for i in g] for whole in (True, False))
        jobs = [(self.one, part) for part in parts(rest, 1)]
        jobs += [(self.wide, part) for part in parts(full, self.lanes)] if full else []
        return jobs, int(lengths[rest].sum() + lengths[full].sum() // self.lanes)

    def loss_grad(self, p: Params, x0: np.ndarray, data: Batch) -> tuple[float, dict[str, np.ndarray], np.ndarray]:
        """sum w (yhat - y)^2, its gradient per name in wrt, and in x0 (S, nx)."""
        values, starts = self.parameters(p), contiguous(x0)
        u, y, w = ([contiguous(a) for a in part] for part in data)
        x_bar, groups = np.empty_like(starts), self.groups([len(a) for a in u])
        halved = max(map(len, groups), default=1) <= self.lanes // 2

        def one(group):
            grad, loss, T = np.zeros(self.n_theta), np.zeros(1), len(u[group[0]])
            library = self.one if len(group) == 1 else self.narrow if halved else self.wide
            # empty lanes repeat the last record with weight zero
            empty = 0 if len(group) == 1 else self.lanes // (1 + halved) - len(group)
            rows = [*group, *group[-1:] * empty]
            weights = [*(w[i] for i in group), *[np.zeros((T, self.model.ny))] * empty]
            ends = [*(x_bar[i] for i in group), *[np.empty(self.model.nx)] * empty]
            inputs = [starts[i] for i in rows], [u[i] for i in rows], [y[i] for i in rows], weights
            segment = self.segment(T, len(rows))
            memory = library.size("memory", T, segment)
            library.call("loss_grad", memory, values, T, segment, *inputs, loss, grad, ends)
            return loss[0], grad

        losses, grads = zip(*spread(one, groups, sum(map(len, u))), strict=True)
        total = reduce(np.add, grads)
        return float(sum(losses)), {n: total[part].reshape(shape) for n, part, shape in self.parts}, x_bar

    def gauss_newton(self, p: Params, x0: np.ndarray, data: Batch) -> tuple[float, np.ndarray, np.ndarray]:
        """r'r, J'r and J'J of the residuals r = sqrt(w) (yhat - y), J = dr/dv.

        v is every parameter in wrt, in that order and flattened, then x0 (S, nx) flattened. The gradient of the loss is
        2 J'r; J'J is half the Gauss-Newton approximation of its Hessian. Time grows with (n_theta + nx)^2 per sample.
        """
        values, n, nx = self.parameters(p), self.n_theta, self.model.nx
        threads = torch.get_num_threads() if len(x0) == 1 else 1

        def one(i):
            start, u, y, w = (contiguous(part[i]) for part in (x0, *data))
            return normal_equations(self.one, values, start, u, y, w, threads)

        loss, g, H = 0.0, np.zeros(n + x0.size), np.zeros((n + x0.size,) * 2)
        for i, (part, rhs, matrix) in enumerate(spread(one, range(len(x0)), sum(map(len, data.u)))):
            own = slice(n + i * nx, n + (i + 1) * nx)
            loss, g[:n], g[own] = loss + part, g[:n] + rhs[:n], rhs[n:]
            H[:n, :n] += matrix[:n, :n]
            H[own, :n], H[:n, own], H[own, own] = matrix[n:, :n], matrix[:n, n:], matrix[n:, n:]
        return loss, g, H

    def segment(self, samples: int, records: int) -> int:
        """Steps on the tape: all of them if they fit, else sqrt(T)."""
        fits = samples * records * self.row_bytes <= TAPE_BYTES
        return max(1, samples if fits else math.isqrt(samples))

    def groups(self, lengths: list[int]) -> list[list[int]]:
        """Records to run side by side: of one length, and enough of them to fill a quarter of the lanes."""
        same: dict[int, list[int]] = {}
        for i, length in enumerate(lengths):
            same.setdefault(length, []).append(i)
        out = []
        for members in same.values():
            for k in range(0, len(members), self.lanes):
                group = members[k : k + self.lanes]
                out += [group] if len(group) >= max(2, self.lanes // 4) else [[i] for i in group]
        return out


def parts(rows: list[int], of: int) -> list[list[int]]:
    """At most PARTS of about as many rows, a multiple of `of`, one after the other."""
    blocks = len(rows) // of
    ends = np.linspace(0, blocks, min(blocks, PARTS) + 1).astype(int) * of
    return [rows[a:b] for a, b in pairwise(ends)]


def contiguous(a) -> np.ndarray:
    return np.ascontiguousarray(a, dtype=float)


def spread(job, items: Sequence, samples: int) -> list:
    """job(item) of each, in threads where it pays to start them (C code runs outside the interpreter's lock)."""
    if len(items) < 2 or samples < THREADS_PAY:
        return [job(item) for item in items]
    with ThreadPoolExecutor(min(len(items), 4, os.cpu_count() or 1)) as pool:
        return list(pool.map(job, items))


class Kernel(Protocol):
    """What a training needs of a model: runs, losses with their gradients, and Gauss-Newton matrices."""

    wrt: tuple[str, ...]

    def simulate(self, p: Params, x0: np.ndarray, u: Sequence[np.ndarray]) -> list[tuple[np.ndarray, np.ndarray]]:
        """States (T+1, nx) and outputs (T, ny) of each record from its own x0 (S, nx)."""
        ...

    def loss_grad(self, p: Params, x0: np.ndarray, data: Batch) -> tuple[float, dict[str, np.ndarray], np.ndarray]:
        """sum w (yhat - y)^2, its gradient per name in wrt, and in x0 (S, nx)."""
        ...

    def gauss_newton(self, p: Params, x0: np.ndarray, data: Batch) -> tuple[float, np.ndarray, np.ndarray]:
        """r'r, J'r and J'J of the residuals, over the parameters in wrt and x0."""
        ...


def make_kernel(model: Model, compiled: bool | None = None) -> Kernel:
    """The fastest kernel there is: compiled if a C compiler is found and the cell can be traced, else the literal loop.

    compiled = True insists (and raises what stands in the way), False asks for the literal loop.
    """
    wrt = matters(model)
    if compiled is False:
        return LiteralKernel(model, wrt)
    try:
        return CompiledKernel(model, wrt)
    except (Untraceable, OSError, subprocess.SubprocessError):
        if compiled:
            raise
        return LiteralKernel(model, wrt)


def matters(model: Model) -> tuple[str, ...]:
    """Names of the trained parameters that f or g reads; of a REN not the metric, a third of all its numbers."""
    p = Params({k: v.detach().requires_grad_(v.requires_grad) for k, v in model.theta().items()})
    trained = {k: v for k, v in p.items() if v.requires_grad}
    if not trained:
        return ()
    with torch.enable_grad():
        x, u = (torch.zeros(n, 1, dtype=next(iter(p.values())).dtype) for n in (model.nx, model.nu))
        read = model.f(p, x, u).sum() + model.g(p, x).sum()
    slopes = [None] * len(trained)
    if read.requires_grad:
        slopes = torch.autograd.grad(read, list(trained.values()), allow_unused=True)
    return tuple(name for name, slope in zip(trained, slopes, strict=True) if slope is not None)
