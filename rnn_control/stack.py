"""Many models of one architecture as one: their parameters stand in a stack, and every operation does all of them."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.func import functional_call, vmap

from .literal import Batch
from .model import Model, Params
from .penalty import Penalty, summed
from .perron import perron_weights
from .simulate import simulate

PRIOR_X0 = 1e-4
"""Weight of the initial states' squares, as in `Objective`."""
SCALE, STATES = "log scale", "initial states"
"""What is trained beside the parameters, under names that no parameter has."""


class Windows(NamedTuple):
    """Normalised records side by side: u (W, T, nu), y (W, T, ny), weights w (W, T, ny), zero after a record's end."""

    u: Tensor
    y: Tensor
    w: Tensor


Values = dict[str, Tensor]
"""By name, those of S models one under another: (S, ..)."""


class Stack:
    """J of S models, each of which knows nothing of the others:

        J = mean w (yhat - y)^2 + sum_i e_i^2 + PRIOR_X0 mean x0^2

    with the excesses e_i > 0 of a condition as in `Penalty`: what `Objective` minimises before its first `settle`. The
    states go from sample to sample by `simulate`, all models and all windows at once; the condition is evaluated in
    float64. v: parameters by name, logarithms of the weights of a weighted condition, initial states (S, W, nx).
    """

    def __init__(self, models: Sequence[Model], violation: Penalty | None, device: str, dtype: torch.dtype):
        self.model, self.models, self.violation = models[0], models, violation
        self.device, self.dtype = device, dtype
        self.names = [k for k, p in self.model.named_parameters() if p.requires_grad]
        states = [m.state_dict() for m in models]
        self.values = {k: torch.stack([s[k] for s in states]).to(device, dtype) for k in states[0]}
        self.box = self.model.input_box().to(device)

    def start(self, windows: int) -> Values:
        """v of the models as they are: weights from the power iteration, windows at rest."""
        v = {k: self.values[k].clone() for k in self.names}
        scales = [torch.zeros(0)] * len(self.models)
        if self.violation is not None and self.violation.method == "weighted":
            scales = [perron_weights(m.comparison(m.theta(), m.input_box())).log() for m in self.models]
        v[SCALE] = torch.stack(scales).to(self.device, self.dtype)
        v[STATES] = torch.zeros(len(self.models), windows, self.model.nx, device=self.device, dtype=self.dtype)
        return v

    def windows(self, data: Batch) -> Windows:
        longest = max(map(len, data.u))
        parts = ([np.pad(a, ((0, longest - len(a)), (0, 0))) for a in part] for part in data)
        return Windows(*(torch.from_numpy(np.stack(part)).to(self.device, self.dtype) for part in parts))

    @torch.no_grad()
    def load(self, v: Values) -> None:
        """Put the parameters of v into the models."""
        for name in self.names:
            for model, value in zip(self.models, v[name], strict=True):
                model.get_parameter(name).copy_(value)

    def explicit(self, values: Values) -> Params:
        """p of one model."""
        with torch.device(self.device):
            return functional_call(self.model, values, ())

    def excess(self, p: Params, log_scale: Tensor, margin: float | None = None) -> Tensor:
        assert self.violation is not None
        with torch.device(self.device):
            at = None if margin is None else torch.tensor(margin, dtype=torch.float64)
            return self.violation.excess(
                Params({k: a.double() for k, a in p.items()}), log_scale.double(), self.box, at
            )

    def each(self, one: Callable[..., Tensor], v: Values, x0: Tensor, data: Windows) -> Tensor:
        """one(squares, p, log_scale, x0) of every model, (S,); squares: w (yhat - y)^2, (W, T, ny)."""
        fixed = {k: a for k, a in self.values.items() if k not in v}

        def at(trained, fixed, log_scale, x0):
            p = self.explicit({**trained, **fixed})
            return one(data.w * (simulate(self.model, p, x0, data.u)[1] - data.y) ** 2, p, log_scale, x0)

        return vmap(at)({k: v[k] for k in self.names}, fixed, v[SCALE], x0)

    def costs(self, v: Values, data: Windows, rows: Tensor | None = None) -> Tensor:
        """J, (S,); rows picks windows."""
        some = data if rows is None else Windows(*(a[rows] for a in data))

        def cost(squares, p, log_scale, x0):
            total = squares.sum() / some.w.sum() + PRIOR_X0 * (x0**2).mean()
            return total if self.violation is None else total + summed(self.excess(p, log_scale)).to(total.dtype)

        return self.each(cost, v, v[STATES] if rows is None else v[STATES][:, rows], some)

    def slopes(self, v: Values, data: Windows, rows: Tensor | None = None) -> tuple[Tensor, Values]:
        """J (S,), and its gradient in v."""
        leaves = {k: a.detach().requires_grad_(True) for k, a in v.items()}
        costs = self.costs(leaves, data, rows)
        found = torch.autograd.grad(costs.sum(), list(leaves.values()), materialize_grads=True)
        return costs.detach(), dict(zip(v, found, strict=True))

    @torch.no_grad()
    def errors(self, v: Values, data: Windows, std: Tensor) -> Tensor:
        """Mean over the outputs of RMSE / std, (S,); infinite where it is not finite, or the condition is not met."""

        def error(squares, p, log_scale, x0):
            found = ((squares.sum((0, 1)) / data.w.sum((0, 1)).clamp(min=1)).sqrt() / std).mean()
            if self.violation is not None:
                found = torch.where((self.excess(p, log_scale, 0.0) < 0).all(), found, torch.inf)
            return found.nan_to_num(torch.inf, torch.inf)

        return self.each(error, v, v[STATES], data)
