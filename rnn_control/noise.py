"""Noise on the states while training: a model that has to bear it learns dynamics that disturbances do not upset.

    h(k) = x(k) + sigma(x(k)) o xi(k),   x(k+1) = f(h(k), u(k)),   y(k) = g(x(k)),   sigma(x) = std + relative x

xi is standard normal, everything in normalised coordinates; f and g are the model's own, and the model that is kept has
no noise. Where a prediction error is minimised, the noise is on the states that measurements have corrected: the lags
of a NNARX, for one.

Reference: S. H. Lim, N. B. Erichson, L. Hodgkinson, M. W. Mahoney (2021), "Noisy Recurrent Neural Networks", NeurIPS.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .kernel import make_kernel
from .literal import Batch
from .model import Model, Params
from .prediction import Predictor
from .wrapped import Wrapped


@dataclass(frozen=True)
class StateNoise:
    """std and relative as above; seed of the draws, which are made once, so that the loss stays a smooth function.

    Every record is run with its draws and with their negatives: what is odd in the noise cancels, and the loss is that
    without noise and a regulariser, see `excess`, up to the chance of the draws and terms of fourth order.
    """

    std: float = 0.05
    relative: float = 0.0
    seed: int = 0

    def __post_init__(self):
        for name, value in {"std": self.std, "relative": self.relative}.items():
            if not (np.isfinite(value) and value >= 0):
                raise ValueError(f"{name} is {value}; noise is a finite number from 0 on")
        if self.std + self.relative == 0:
            raise ValueError("std and relative are zero: for a training without noise give noise=None")

    def kernel(self, model: Model) -> "NoisyKernel":
        """The kernel to train a model with."""
        return NoisyKernel(model, self)


class Shaken(Wrapped):
    """The draws are further inputs, (u, xi)."""

    kind = "shaken"

    def __init__(self, model: Model, noise: StateNoise):
        super().__init__(model, model.nu + model.nx, dict(std=noise.std, relative=noise.relative))
        self.noise = noise

    def theta(self) -> Params:
        return self.inner.theta()

    def f(self, p: Params, x, u) -> Any:
        u, xi = u[: self.inner.nu], u[self.inner.nu :]
        cell = self.inner
        if isinstance(cell, Predictor):
            x, cell = cell.entered(p, x, u), cell.inner
        return cell.f(p, x + (self.noise.relative * x + self.noise.std) * xi, u[: cell.nu])


class NoisyKernel:
    """The calls of a kernel: simulations without noise, losses as the mean over the draws and their negatives.

    Record i of any batch has the draws i: minibatches share them.
    """

    def __init__(self, model: Model, noise: StateNoise):
        self.nx, self.seed = model.nx, noise.seed
        self.still, self.shaken = make_kernel(model), make_kernel(Shaken(model, noise))
        self.wrt, self.simulate = self.still.wrt, self.still.simulate

    def drawn(self, data: Batch) -> list[Batch]:
        """The records with their draws, and with the negatives."""
        xi = [np.random.default_rng([self.seed, i]).standard_normal((len(u), self.nx)) for i, u in enumerate(data.u)]
        pairs = [list(zip(data.u, (sign * z for z in xi), strict=True)) for sign in (1, -1)]
        return [data._replace(u=[np.hstack(pair) for pair in with_noise]) for with_noise in pairs]

    def loss_grad(self, p: Params, x0: np.ndarray, data: Batch) -> tuple[float, dict[str, np.ndarray], np.ndarray]:
        """Mean of sum w (yhat - y)^2, its gradient per name in wrt, and in x0 (S, nx)."""
        (a, g, x), (b, h, z) = (self.shaken.loss_grad(p, x0, batch) for batch in self.drawn(data))
        return (a + b) / 2, {name: (g[name] + h[name]) / 2 for name in g}, (x + z) / 2

    def gauss_newton(self, p: Params, x0: np.ndarray, data: Batch) -> tuple[float, np.ndarray, np.ndarray]:
        """Means of r'r, J'r and J'J, see CompiledKernel."""
        (a, g, G), (b, h, H) = (self.shaken.gauss_newton(p, x0, batch) for batch in self.drawn(data))
        return (a + b) / 2, (g + h) / 2, (G + H) / 2


def excess(model: Model, noise: StateNoise, x0: np.ndarray, data: Batch) -> float:
    """By how much noise raises the mean of sum w (yhat - y)^2: the explicit regulariser, without any draws.

        E loss = loss + sum w (2 (g(x) - y) G m + diag(G P G')) + O(sigma^4),
        P(k+1) = F Q F',   m(k+1) = F m + 1/2 sum_ij Q_ij d^2 f / dx_i dx_j,   Q = P + diag(sigma^2),   P(0) = m(0) = 0

    F, G: Jacobians of f and of the linear g along the noise-free run; P: the covariance a Kalman filter would predict;
    m: what the curvature of f shifts. x0 (S, nx).
    Reference: Lim et al. (2021); docs/theory.md, Theorem 22.
    """
    p = Params({name: value.detach() for name, value in model.theta().items()})
    runs, total = make_kernel(model).simulate(p, x0, data.u), 0.0
    for (x, yhat), u, y, w in zip(runs, *data, strict=True):
        F, curvature, G = derivatives(model, p, torch.from_numpy(x[:-1]), torch.from_numpy(u))
        P, m = np.zeros((model.nx, model.nx)), np.zeros(model.nx)
        for k in range(len(u)):
            total += w[k] @ (2 * (yhat[k] - y[k]) * (G[k] @ m) + ((G[k] @ P) * G[k]).sum(1))
            Q = P + np.diag((noise.std + noise.relative * x[k]) ** 2)
            P, m = F[k] @ Q @ F[k].T, F[k] @ m + 0.5 * np.tensordot(curvature[k], Q)
    return float(total)


def derivatives(model: Model, p: Params, x: Tensor, u: Tensor) -> Sequence[np.ndarray]:
    """df/dx (T, nx, nx), d2f/dx2 (T, nx, nx, nx) and dg/dx (T, ny, nx) at states x (T, nx) and inputs u (T, nu)."""

    def f(x, u):
        return model.f(p, x[:, None], u[:, None])[:, 0]

    def g(x):
        return model.g(p, x[:, None])[:, 0]

    slope = torch.func.jacrev(f)
    found = (torch.vmap(slope)(x, u), torch.vmap(torch.func.jacrev(slope))(x, u), torch.vmap(torch.func.jacrev(g))(x))
    return [value.numpy() for value in found]
