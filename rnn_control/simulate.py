"""Roll f and g over time, literally: the reference that every faster route is tested against."""

import torch
from torch import Tensor

from .model import Model, Params


def simulate(model: Model, p: Params, x0: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
    """y(k) = g(x(k)), x(k+1) = f(x(k), u(k)) for k = 0 .. T-1.

    x0 is (nx,) or (B, nx), u is (T, nu) or (B, T, nu), normalised.
    Returns the states x(0) .. x(T), (T+1, nx), and the outputs y(0) .. y(T-1), (T, ny); with B in front for a batch.
    """
    batched = u.ndim == 3
    columns = u.permute(1, 2, 0) if batched else u[:, :, None]
    x = x0.T if batched else x0[:, None]
    states, outputs = [x], []
    for u_k in columns:
        outputs.append(model.g(p, x))
        x = model.f(p, x, u_k)
        states.append(x)
    X, Y = torch.stack(states), torch.stack(outputs)
    return (X.permute(2, 0, 1), Y.permute(2, 0, 1)) if batched else (X[:, :, 0], Y[:, :, 0])
