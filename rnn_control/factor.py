"""The largest factor that a condition allows: found in few evaluations, and what it needs of them compiled."""

import math
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.func import vjp
from torch.fx import Graph, Node

from .library import Places, native
from .loops import Loops
from .printed import compiled, dependent, traced

TOLERANCE = 1e-9
"""Of a factor, relative."""
LEAST = 1e-300
"""Factors below it are zero."""
GUESS = 1e-2
"""How far from a guess the factor is sought first, relative."""
Point = tuple[float, float]
"""A factor, and the excess there."""


def largest(excess: Callable[[float], float], near: float = 1.0) -> float:
    """The largest s in [0, 1] with excess(s) <= 0, from that side; NaN if there is none. NaN counts as positive.

    near: a guess, to save evaluations.
    Reference: T. R. Chandrupatla (1997), Advances in Engineering Software 28(3): inverse quadratic interpolation where
    three points bear it, else the middle, here the geometric one.
    """
    for low, high in ((near * (1 - GUESS), min(near * (1 + GUESS), 1.0)), (0.0, 1.0)):
        old = (high, excess(high))
        if old[1] <= 0 and high == 1:
            return 1.0
        new = (low, excess(low))
        if not old[1] <= 0 and new[1] <= 0:
            return between(excess, new, old)
    return math.nan


def between(excess: Callable[[float], float], new: Point, old: Point) -> float:
    """The same between an s that is allowed and one that is not."""
    share = new[1] / (new[1] - old[1]) if math.isfinite(old[1]) else math.nan
    while True:
        low, high = sorted((new[0], old[0]))
        if not high - low > TOLERANCE * high or high < LEAST:
            return low
        least = 0.3 * TOLERANCE * high / (high - low)
        if not math.isnan(share):
            s = new[0] + min(max(share, least), 1 - least) * (old[0] - new[0])
        else:
            s = math.sqrt(low) * math.sqrt(high) if low else 0.1 * high
        last, new = new, (s, excess(s))
        if (new[1] <= 0) != (last[1] <= 0):
            last, old = old, last
        share = interpolated(new, old, last)


def interpolated(new: Point, old: Point, last: Point) -> float:
    """Where between new and old the root is, as a share of their distance; NaN where that is not to be trusted."""
    (a, fa), (b, fb), (c, fc) = new, old, last
    xi, phi = (a - b) / (c - b), (fa - fb) / (fc - fb)
    if not (phi * phi < xi and (1 - phi) * (1 - phi) < 1 - xi):
        return math.nan
    return fa / (fb - fa) * fc / (fb - fc) + (c - a) / (b - a) * fa / (fc - fa) * fb / (fc - fb)


class Excess(Protocol):
    """excess(s, *parameters) and its slopes, at parameters that are given once."""

    def at(self, *parameters: Tensor) -> "Excess": ...

    def __call__(self, s: float) -> float: ...

    def slopes(self) -> np.ndarray:
        """At the s of the last call: in s, then in the parameters, flat."""
        ...


class TracedExcess:
    """By torch."""

    def __init__(self, excess: Callable[..., Tensor]):
        self.excess, self.values = excess, [torch.zeros(())]

    def at(self, *parameters: Tensor) -> "TracedExcess":
        self.values[1:] = [a.detach() for a in parameters]
        return self

    @torch.no_grad()
    def __call__(self, s: float) -> float:
        self.values[0] = torch.tensor(s, dtype=torch.float64)
        return self.excess(*self.values).item()

    @torch.enable_grad()
    def slopes(self) -> np.ndarray:
        leaves = [a.clone().requires_grad_(True) for a in self.values]
        found = torch.autograd.grad(self.excess(*leaves), leaves, materialize_grads=True)
        return torch.cat([slope.flatten() for slope in found]).numpy()


class CompiledExcess:
    """By C loops; what does not depend on s is computed once."""

    def __init__(self, excess: Callable[..., Tensor], *parameters: Tensor):
        """Traced at these parameters. Raises `Untraceable` and what compiling raises."""

        def joint(s, *parameters):
            value, back, *_ = vjp(excess, s, *parameters)
            return value, *back(torch.ones_like(value))

        values = [torch.full((), 0.5, dtype=torch.float64), *(a.detach() for a in parameters)]
        graph = traced(joint, *values)
        varying, wanted = dependent(graph), needed(graph)
        loops = Loops(graph, varying)
        self.functions, self.places = compiled(
            prepare=loops.text(lambda key: isinstance(key, Node) and key not in varying),
            excess=loops.text(lambda key: key == 0 or key in varying & wanted),
            slopes=loops.text(lambda key: key not in (0, *wanted) and (key in varying or isinstance(key, int))),
        ), Places()  # fmt: skip
        self.memory, self.out = np.zeros(loops.memory), np.zeros(sum(loops.sizes))
        self.cell = torch.zeros((), dtype=torch.float64)  # where the compiled code reads s
        self.number, self.ends = self.cell.numpy(), (native(self.memory), native(self.out))
        self.at(*parameters)

    def at(self, *parameters: Tensor) -> "CompiledExcess":
        (memory, out), self.s = self.ends, math.nan
        self.arguments = memory, self.places([self.cell, *parameters]), out
        self.functions.prepare(*self.arguments)
        return self

    def __call__(self, s: float) -> float:
        if s != self.s:
            self.s, self.number[...] = s, s
            self.functions.excess(*self.arguments)
        return float(self.out[0])

    def slopes(self) -> np.ndarray:
        self.functions.slopes(*self.arguments)
        return self.out[1:].copy()


class Implicit(torch.autograd.Function):
    """s(parameters), whose slopes are known, flat."""

    @staticmethod
    def forward(ctx, s: float, slopes: np.ndarray | None, *parameters: Tensor) -> Tensor:
        ctx.slopes, ctx.shapes = slopes, [v.shape for v in parameters]
        return torch.tensor(s, dtype=torch.float64)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor):
        parts = torch.from_numpy(ctx.slopes).split([shape.numel() for shape in ctx.shapes])
        return None, None, *(grads[0] * part.view(shape) for part, shape in zip(parts, ctx.shapes, strict=True))


def needed(graph: Graph) -> set[Any]:
    """Nodes that the first result needs."""
    found: set[Any] = set()
    todo = [next(node for node in graph.nodes if node.op == "output").args[0][0]]
    while todo:
        node = todo.pop()
        found.add(node)
        todo += [n for n in node.all_input_nodes if n not in found]
    return found
