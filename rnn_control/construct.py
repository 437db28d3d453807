"""Certified by construction: a model of any family whose explicit parameters cannot leave the certified set."""

import math
from collections.abc import Callable
from itertools import accumulate, pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call

from .certificate import rate_of
from .conditions import PROPERTIES, TRAINABLE, condition
from .contract import roomiest_method
from .explicit import CompiledMap
from .factor import CompiledExcess, Excess, Implicit, TracedExcess, largest
from .model import Model, Params, PullBack
from .perron import level_weights
from .printed import where_possible
from .trace import Untraceable
from .wrapped import Wrapped

SOFTNESS = 0.05
"""Temperature of the maximum over rows, in margins: smooth for an optimiser, and never below the true maximum."""
ROUNDING = 1e-6
"""Room, in margins and in the rate, for parameters that are rounded after they were made."""
WIDEST = 345.0
"""Of the logarithm of a scale: of a ratio of two scales the double is still finite."""
PAYS = 300
"""Evaluations by torch before one compiles: about what tracing and compiling take."""


class Contracting(Wrapped):
    """The cell of `model`, with explicit parameters Phi(theta): recurrent weights multiplied by s(theta) in (0, 1].

    s is the largest factor for which the condition holds with the rate asked for, so Phi maps every theta into the
    certified set, and is the identity on it: a certified model is its own pre-image, any other is projected onto the
    set where training begins. The scales of a weighted condition are free parameters like the rest (`log_scale`); the
    derivative of s is that of the implicit function. `plain()` is the model itself, with Phi(theta) as its parameters.

    rate: decay per sample, or settling: seconds after which 98 % are forgotten, with dt in seconds.
    Raises ValueError for a rate outside (0, 1), or one that the family cannot have even without recurrence, and for a
    method that is not differentiable or not one of the property: "lmi" is for `certify`.
    """

    kind = "contracting"

    def __init__(
        self, model: Model, *, rate: float = 0.99, settling: float | None = None, dt: float | None = None,
        property: str = "delta_iss", method: str = "auto",
    ):  # fmt: skip
        if settling is not None:
            rate = rate_of(settling, dt)
        if not 0 < rate < 1:
            raise ValueError(f"rate is {rate}; it must lie between 0 and 1, e.g. 0.99")
        if property not in PROPERTIES or method not in ("auto", *TRAINABLE):
            known = f"{' and '.join(PROPERTIES)}, by auto, {', '.join(TRAINABLE)}"
            raise ValueError(f"no construction for property {property!r} by method {method!r}; choose from {known}")
        super().__init__(model, model.nu, dict(rate=rate, property=property))
        self.recurrent = ()
        self.rate, self.property = float(rate), property
        self.method = roomiest_method(model, property, 1 - rate) if method == "auto" else method
        is_weighted = self.method == "weighted"
        scale = torch.zeros(model.nx if is_weighted else 0, dtype=torch.float64)
        self.log_scale = nn.Parameter(scale, requires_grad=is_weighted)
        homes: list[dict[str, Any]] = [
            *(m._parameters for m in model.modules()),
            *(m._buffers for m in model.modules()),
        ]
        self.homes = [(home, k) for home in homes for k, v in home.items() if v is not None]
        self.names = [k for k, _ in (*model.named_parameters(), *model.named_buffers())]
        self.box = self.input_box()
        self.calls, self.compiled, self.last = 0, None, torch.ones((), dtype=torch.float64)
        self.sizes = [v.numel() for v in self.free().values()]
        self.ends = list(accumulate([len(self.log_scale), *self.sizes], initial=0))
        self.start_scale()
        if not self.is_met(0.0, self.log_scale) and not self.is_met(0.0, self.safe_scale()):
            raise ValueError(f"{model.kind}: the {self.method} condition has no rate {rate} even without recurrence")

    def free(self) -> dict[str, Tensor]:
        """Parameters of the inner model, fixed ones included, in float64."""
        return dict(zip(self.names, [home[k].double() for home, k in self.homes], strict=True))

    def shrunk(self, s: float | Tensor, free: dict[str, Tensor]) -> Params:
        """Explicit parameters with recurrent weights multiplied by s."""
        return functional_call(self.inner, {k: s * v if k in self.inner.recurrent else v for k, v in free.items()}, ())

    def excess(self, s: float | Tensor, box: Tensor, log_scale: Tensor, *free: Tensor) -> Tensor:
        """By how much the rate is missed: a smooth maximum from above over the rows of the condition."""
        w = log_scale.double().clamp(-WIDEST, WIDEST).exp() if len(log_scale) else None
        margin, p = 1 - self.rate, self.shrunk(s, dict(zip(self.names, free, strict=True)))
        rows = condition(self.inner, p, box, self.property, self.method, w).excess(margin * (1 + ROUNDING) + ROUNDING)
        most, temperature = rows.detach().max(), SOFTNESS * margin
        return most + temperature * ((rows - most) / temperature).exp().sum().log()

    @torch.no_grad()
    def is_met(self, s: float, log_scale: Tensor) -> bool:
        return bool(self.excess(s, self.box, log_scale, *self.free().values()) <= 0)

    @torch.no_grad()
    def start_scale(self) -> None:
        """Begin with the scale that suits the cell as it is."""
        if self.method == "weighted":
            self.log_scale.copy_(self.best_scale(1.0).log())

    @torch.no_grad()
    def best_scale(self, s: float) -> Tensor:
        """Scale of the weighted condition by the power iteration; empty for another condition."""
        if self.method != "weighted":
            return torch.ones(0, dtype=torch.float64)
        return condition(self.inner, self.shrunk(s, self.free()), self.box, self.property, self.method).scale

    @torch.no_grad()
    def safe_scale(self) -> Tensor:
        """Logarithm of a scale that proves the rate without recurrence, whatever the size of read-outs, if one does."""
        scale = self.best_scale(0.0).log()
        if self.method != "weighted" or self.is_met(0.0, scale):
            return scale
        system = self.inner.comparison(self.shrunk(0.0, self.free()), self.box)
        return level_weights(system, self.rate - min(self.rate, 1 - self.rate) / 2).log()

    def located(self, free: dict[str, Tensor], excess: Excess, near: float) -> tuple[float, Callable[[], np.ndarray]]:
        """s(theta), and its slopes in `log_scale` and the parameters, flat, by the implicit function theorem."""
        is_own = True
        excess.at(self.box, self.log_scale, *free.values())
        s = largest(excess, near)
        if math.isnan(s):  # the trained scale proves nothing, whatever the recurrence
            excess.at(self.box, self.safe_scale(), *free.values())
            s, is_own = max(0.0, largest(excess)), False

        def slopes() -> np.ndarray:
            if not 0 < s < 1:
                return np.zeros(self.ends[-1])
            excess(s)
            every = excess.slopes()
            found = every[1 + len(self.box) :] / -max(every[0], 1e-12)
            found[: len(self.log_scale)] *= is_own
            return found

        return s, slopes

    def implicit(self, free: dict[str, Tensor], s: float, slopes: Callable[[], np.ndarray]) -> Tensor:
        """s, for torch to differentiate; a number where nothing that is trained has any influence on it.

        As in an ESN without feedback: nobody needs the gradient in its reservoir then.
        """
        found = slopes() if torch.is_grad_enabled() else None
        is_trained = np.repeat([v.requires_grad for v in free.values()], self.sizes)
        if found is not None and 0 < s < 1 and not len(self.log_scale) and not found[is_trained].any():
            return torch.tensor(s, dtype=torch.float64)
        return Implicit.apply(s, found, self.log_scale, *free.values())

    def factor(self) -> Tensor:
        """s(theta), to the last bit the same whatever came before: hashes of weights depend on it."""
        free = self.free()
        return self.implicit(free, *self.located(free, TracedExcess(self.excess), 1.0))

    def loops(self) -> tuple[CompiledExcess, CompiledMap]:
        """The excess, and the explicit parameters for a factor, by compiled code, which computes in float64."""
        if next(self.inner.parameters()).dtype != torch.float64:
            raise Untraceable("parameters that are not in float64")
        explicit = lambda s, *values: self.shrunk(s, dict(zip(self.names, values, strict=True)))  # noqa: E731
        free = self.free().values()
        excess = CompiledExcess(self.excess, self.box, self.log_scale, *free)
        return excess, CompiledMap(explicit, [self.last, *free], range(1 + len(free)))

    def theta(self) -> Params:
        return self.explicit(self.factor())

    def explicit(self, s: Tensor) -> Params:
        """Phi(theta) for the factor s, in the precision of the cell."""
        dtype = next(self.inner.parameters()).dtype
        return Params({k: v.to(dtype) for k, v in self.shrunk(s, self.free()).items()})

    def linearised(self) -> tuple[Params, PullBack]:
        """The factor to TOLERANCE, from the last one on, by compiled code once that pays and where it can be.

        p holds until the next call.
        """
        if self.calls < PAYS:
            self.calls += 1
            if self.calls == PAYS:
                self.compiled = where_possible(self.loops)
        free, excess = self.free(), self.compiled[0] if self.compiled else TracedExcess(self.excess)
        s, slopes = self.located(free, excess, self.last.item())
        self.last.fill_(s)
        if self.compiled is None:
            return self.with_pull_back(self.explicit(self.implicit(free, s, slopes)))
        p, pull = self.compiled[1]([self.last, *free.values()])

        def back(grads: dict[str, np.ndarray]) -> np.ndarray:
            g = pull(grads)
            slope = float(g[0])
            found = slope * slopes() if slope else np.zeros(self.ends[-1])
            found[self.ends[1] :] += g[1:]
            trained = [v.requires_grad for v in (self.log_scale, *free.values())]
            parts = zip(pairwise(self.ends), trained, strict=True)
            return found if all(trained) else np.concatenate([found[a:b] for (a, b), counts in parts if counts])

        return p, back

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "calls": 0, "compiled": None}

    @torch.no_grad()
    def plain(self) -> Model:
        """The inner model, which from now on has the certified parameters."""
        s = self.factor().item()
        for name, value in (*self.inner.named_parameters(), *self.inner.named_buffers()):
            if name in self.inner.recurrent:
                value.mul_(s)
        return self.inner

    def by_construction(self, property: str) -> str | None:
        return self.method if property == self.property else None
