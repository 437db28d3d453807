"""The reference that every kernel must equal: torch steps through f and g, and differentiates what it did."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch

from .model import Model, Params
from .simulate import simulate


class Batch(NamedTuple):
    """Records in normalised units: lists of u (T, nu), y (T, ny) and weights w (T, ny) of the squared errors."""

    u: list[np.ndarray]
    y: list[np.ndarray]
    w: list[np.ndarray]


class LiteralKernel:
    """Simulation, gradient and Gauss-Newton matrix over records, by torch's own differentiation."""

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

    def gauss_newton(self, p: Params, x0: np.ndarray, data: Batch) -> tuple[float, np.ndarray, np.ndarray]:
        """r'r, J'r and J'J of the residuals r = sqrt(w) (yhat - y), J = dr/dv.

        v is every parameter in wrt, in that order and flattened, then x0 (S, nx) flattened. The gradient of the loss is
        2 J'r; J'J is half the Gauss-Newton approximation of its Hessian.
        """
        fixed = {k: v.detach() for k, v in p.items()}
        free = [fixed[name] for name in self.wrt]

        def residuals(starts, *free):
            q = Params({**fixed, **dict(zip(self.wrt, free, strict=True))})
            runs = (simulate(self.model, q, starts[i], torch.from_numpy(u))[1] for i, u in enumerate(data.u))
            errors = (
                torch.from_numpy(w).sqrt() * (yhat - torch.from_numpy(y))
                for yhat, y, w in zip(runs, data.y, data.w, strict=True)
            )
            return torch.cat([e.flatten() for e in errors])

        arguments = (torch.from_numpy(x0), *free)
        r = residuals(*arguments).numpy()
        by_start, *parts = torch.func.jacrev(residuals, argnums=tuple(range(len(arguments))))(*arguments)
        J = np.hstack([a.reshape(len(r), -1).numpy() for a in (*parts, by_start)])
        return float(r @ r), J.T @ r, J.T @ J
