"""Explicit parameters from free ones, and the transpose of that map's derivative: by torch, and compiled if it pays."""

from collections.abc import Callable, Sequence
from itertools import accumulate, pairwise

import numpy as np
import torch
from torch import Tensor
from torch.func import functional_call, vjp
from torch.fx import Node

from .library import Places, native
from .loops import Loops
from .model import Model, Params, PullBack
from .printed import compiled, dependent, traced, where_possible

PAYS = 1000
"""Evaluations by torch before one compiles: about what tracing and compiling take."""


class Linearised:
    """`linearised` of a model; by C loops once that pays, where torch would have to compute explicit parameters."""

    def __init__(self, model: Model):
        self.model, self.calls, self.compiled = model, 0, None

    def __call__(self) -> tuple[Params, PullBack]:
        """The parameters hold until the next call."""
        self.calls += 1
        if self.calls == PAYS and type(self.model).linearised is Model.linearised:
            self.compiled = where_possible(lambda: compiled_theta(self.model))
        return self.compiled() if self.compiled else self.model.linearised()


def compiled_theta(model: Model) -> Callable[[], tuple[Params, PullBack]] | None:
    """theta() and its pull-back by C loops; None where explicit parameters are free ones, or not all in float64."""
    values = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    is_double = all(v.dtype == torch.float64 for v in values.values())
    if not is_double or all(v.is_leaf for v in model.theta().values()):
        return None
    free = list(values.values())
    theta = CompiledMap(
        lambda *v: functional_call(model, dict(zip(values, v, strict=True)), ()), free,
        [k for k, v in enumerate(free) if v.requires_grad],
    )  # fmt: skip
    return lambda: theta(free)


class CompiledMap:
    """p = function(*values) by C loops, and the slopes of given gradients in p, flat, in some of the values."""

    def __init__(self, function: Callable[..., Params], values: Sequence[Tensor], trained: Sequence[int]):
        """Traced at these values. Raises `Untraceable` and what compiling raises."""
        p = function(*values)
        sizes = [v.numel() for v in p.values()]

        def joint(bars, *values):
            given = list(values)

            def explicit(*free):
                for k, v in zip(trained, free, strict=True):
                    given[k] = v
                return list(function(*given).values())

            made, back, *_ = vjp(explicit, *(values[k] for k in trained))
            shaped = zip(bars.split(sizes), p.values(), strict=True)
            return *made, *back([part.view(v.shape) for part, v in shaped])

        self.size, self.bars = sum(sizes), torch.zeros(sum(sizes), dtype=torch.float64)
        graph = traced(joint, self.bars, *(v.detach() for v in values))
        late = dependent(graph)
        loops = Loops(graph, late)
        is_made = lambda key: key not in late if isinstance(key, Node) else key < len(p)  # noqa: E731
        self.functions = compiled(make=loops.text(is_made), back=loops.text(lambda key: not is_made(key)))
        self.memory, self.out, self.places = np.zeros(loops.memory), np.zeros(sum(loops.sizes)), Places()
        self.ends = native(self.memory), native(self.out)
        parts = pairwise(accumulate(sizes, initial=0))
        flat = torch.from_numpy(self.out)
        self.p = Params({k: flat[a:b].view(v.shape).requires_grad_(v.requires_grad)
                         for (k, v), (a, b) in zip(p.items(), parts, strict=True)})  # fmt: skip
        self.none = {k: np.zeros(v.shape) for k, v in p.items()}

    def __call__(self, values: Sequence[Tensor]) -> tuple[Params, PullBack]:
        """p, which the next call overwrites."""
        memory, out = self.ends
        arguments = memory, self.places([self.bars, *values]), out
        self.functions.make(*arguments)

        def back(grads: dict[str, np.ndarray]) -> np.ndarray:
            given = [grads.get(k, zero) for k, zero in self.none.items()]
            np.concatenate(given, axis=None, out=self.bars.numpy())
            self.functions.back(*arguments)
            return self.out[self.size :].copy()

        return self.p, back
