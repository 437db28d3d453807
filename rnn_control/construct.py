"""Certified by construction: a model of any family whose explicit parameters cannot leave the certified set."""

import math

import torch
from torch import Tensor, nn
from torch.func import functional_call

from .bounds import level_weights
from .certificate import rate_of
from .certify import TRAINABLE, condition
from .contract import roomiest_method
from .model import Model, Params
from .wrapped import Wrapped

SOFTNESS = 0.05
"""Temperature of the maximum over rows, in margins: smooth for an optimiser, and never below the true maximum."""
ROUNDING = 1e-6
"""Room, in margins and in the rate, for parameters that are rounded after they were made."""
WIDEST = 345.0
"""Of the logarithm of a scale: of a ratio of two scales the double is still finite."""


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
        if property not in TRAINABLE or method not in ("auto", *TRAINABLE[property]):
            known = "; ".join(f"{name}: auto, {', '.join(methods)}" for name, methods in TRAINABLE.items())
            raise ValueError(f"no construction for property {property!r} by method {method!r}; choose from {known}")
        super().__init__(model, model.nu, dict(rate=rate, property=property))
        self.recurrent = ()
        self.rate, self.property = float(rate), property
        self.method = roomiest_method(model, property, 1 - rate) if method == "auto" else method
        is_weighted = self.method == "weighted"
        scale = torch.zeros(model.nx if is_weighted else 0, dtype=torch.float64)
        self.log_scale = nn.Parameter(scale, requires_grad=is_weighted)
        self.start_scale()
        if self.excess(0.0, self.log_scale) > 0 and self.excess(0.0, self.safe_scale()) > 0:
            raise ValueError(f"{model.kind}: the {self.method} condition has no rate {rate} even without recurrence")

    def shrunk(self, s: float | Tensor) -> Params:
        """Explicit parameters with recurrent weights multiplied by s, in float64."""
        free = {k: v.double() for k, v in (*self.inner.named_parameters(), *self.inner.named_buffers())}
        return functional_call(
            self.inner, {k: s * v if k in self.inner.recurrent else v for k, v in free.items()}, ()
        )  # fmt: skip

    def excess(self, s: float | Tensor, log_scale: Tensor) -> Tensor:
        """By how much the rate is missed: a smooth maximum from above over the rows of the condition."""
        w = log_scale.double().clamp(-WIDEST, WIDEST).exp() if len(log_scale) else None
        margin = 1 - self.rate
        bound = condition(self.inner, self.shrunk(s), self.input_box(), self.property, self.method, w)
        temperature = SOFTNESS * margin
        return temperature * torch.logsumexp(bound.excess(margin * (1 + ROUNDING) + ROUNDING) / temperature, 0)

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
        return condition(self.inner, self.shrunk(s), self.input_box(), self.property, self.method).scale

    @torch.no_grad()
    def safe_scale(self) -> Tensor:
        """Logarithm of a scale that proves the rate without recurrence, whatever the size of read-outs, if one does."""
        scale = self.best_scale(0.0).log()
        if self.method != "weighted" or self.excess(0.0, scale) <= 0:
            return scale
        system = self.inner.comparison(self.shrunk(0.0), self.input_box())
        return level_weights(system, self.rate - min(self.rate, 1 - self.rate) / 2).log()

    def factor(self) -> Tensor:
        """s(theta): found by bisection from the certified side, differentiated by the implicit function theorem."""
        scale, one = self.log_scale, torch.ones((), dtype=torch.float64)
        with torch.no_grad():
            if self.excess(1.0, scale) <= 0:
                return one
            if not self.excess(0.0, scale) <= 0:
                scale = self.safe_scale()  # the trained one proves nothing, whatever the recurrence
            low, high = 0.0, 1.0
            while high - low > 1e-7 * high and high > 1e-300:
                middle = (low + high) / 2 if low > 0.1 * high else high * 0.1 if low == 0 else math.sqrt(low * high)
                low, high = (middle, high) if self.excess(middle, scale) <= 0 else (low, middle)
        s = torch.tensor(low, dtype=torch.float64, requires_grad=True)
        with torch.enable_grad():
            excess = self.excess(s, scale)
            (slope,) = torch.autograd.grad(excess, s, retain_graph=True)
        return s.detach() - (excess - excess.detach()) / slope.detach().clamp(min=1e-12)

    def theta(self) -> Params:
        dtype = next(self.inner.parameters()).dtype
        return Params({k: v.to(dtype) for k, v in self.shrunk(self.factor()).items()})

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
