"""What the violation of a condition costs a training, and its gradient: by torch, and compiled once that pays."""

from itertools import accumulate, pairwise
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.func import vjp

from .conditions import condition
from .library import Places, native
from .loops import Loops
from .model import Model, Params
from .printed import compiled, traced, where_possible

PAYS = 300
"""Evaluations by torch before one compiles: about what tracing and compiling take."""


class Cost(NamedTuple):
    """A penalty, and its gradient in the explicit parameters that are trained and in the logarithms of the scale."""

    value: float
    p: dict[str, np.ndarray]
    log_scale: np.ndarray


class Penalty:
    """sum_i e_i^2 of the positive excesses e of a condition (see Bound.excess), 2 e_i - 1 where e_i > 1.

    Linear from there on: far outside the set the slope alone has to lead back. log scale: logarithms of the weights of
    a weighted condition, empty for any other.
    """

    def __init__(self, model: Model, property: str, method: str, margin: float):
        self.model, self.property, self.method, self.margin = model, property, method, margin
        self.box, self.calls, self.compiled = model.input_box(), 0, None

    def excess(self, p: Params, log_scale: Tensor, box: Tensor | None = None, margin: Tensor | None = None) -> Tensor:
        """By how much the condition, and the rate 1 - margin, are missed: all <= 0 if they are not."""
        w = log_scale.clamp(-20, 20).exp() if len(log_scale) else None  # denormal weights would prove nothing
        bound = condition(self.model, p, self.box if box is None else box, self.property, self.method, w)
        return bound.excess(self.margin if margin is None else margin)

    def __call__(self, p: Params, log_scale: np.ndarray) -> Cost:
        self.calls += 1
        if self.calls == PAYS:
            self.compiled = where_possible(lambda: CompiledPenalty(self, p, torch.from_numpy(log_scale)))
        return (self.compiled or self.by_torch)(p, log_scale)

    def by_torch(self, p: Params, log_scale: np.ndarray) -> Cost:
        q = Params({k: v.detach().requires_grad_(v.requires_grad) for k, v in p.items()})
        leaf = torch.from_numpy(log_scale.copy()).requires_grad_(True)
        wrt = {k: v for k, v in q.items() if v.requires_grad}
        value = summed(self.excess(q, leaf))
        *grads, slope = torch.autograd.grad(value, [*wrt.values(), leaf], materialize_grads=True)
        return Cost(value.item(), {k: g.numpy() for k, g in zip(wrt, grads, strict=True)}, slope.numpy())


def summed(excess: Tensor) -> Tensor:
    e = excess.clamp(min=0)
    return torch.where(e < 1, e**2, 2 * e - 1).sum()


class CompiledPenalty:
    """The same by C loops: value and gradient as torch writes them down for the parameters p."""

    def __init__(self, penalty: Penalty, p: Params, log_scale: Tensor):
        wrt = [k for k, v in p.items() if v.requires_grad]
        self.fixed = [penalty.box, torch.tensor(float(penalty.margin), dtype=torch.float64)]
        names = list(p)

        def joint(box, margin, *values):
            given = dict(zip(names, values, strict=False))

            def value(log_scale, *free):
                q = Params({**given, **dict(zip(wrt, free, strict=True))})
                return summed(penalty.excess(q, log_scale, box, margin))

            cost, back, *_ = vjp(value, values[-1], *(given[k] for k in wrt))
            return cost, *back(torch.ones_like(cost))

        values = [*self.fixed, *(v.detach() for v in p.values()), log_scale]
        loops = Loops(traced(joint, *values))
        ends = pairwise(accumulate(loops.sizes, initial=0))
        self.memory, self.out = np.zeros(loops.memory), np.zeros(sum(loops.sizes))
        self.value, slope, *parts = (self.out[a:b] for a, b in ends)
        slopes = {name: part.reshape(p[name].shape) for name, part in zip(wrt, parts, strict=True)}
        self.slopes = slopes, slope
        self.log_scale, self.places = torch.zeros_like(log_scale), Places()
        self.scale, self.ends = self.log_scale.numpy(), (native(self.memory), native(self.out))
        self.evaluate = compiled(evaluate=loops.text()).evaluate

    def __call__(self, p: Params, log_scale: np.ndarray) -> Cost:
        """The gradient holds until the next call."""
        self.scale[:] = log_scale
        memory, out = self.ends
        self.evaluate(memory, self.places([*self.fixed, *p.values(), self.log_scale]), out)
        return Cost(self.value.item(), *self.slopes)
