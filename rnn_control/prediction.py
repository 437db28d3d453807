"""Prediction errors: the model to be trained runs free for `horizon` samples, then learns from what was measured."""

from abc import abstractmethod
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from .literal import Batch
from .model import Model, Params
from .models.nnarx import NNARX
from .wrapped import Wrapped


class Predictor(Wrapped):
    """x(k+1) = f(x'(k), u(k)), y(k) = g(x(k)): x' = x, at every `horizon`-th sample corrected by measurements up to k.

    y(k) is predicted from measurements up to one of k-1 .. k-horizon: horizon 1 is the one-step prediction error, a
    horizon as long as the record the simulation error. Inputs (u, z, m): z what the correction needs, m = 1 where it is
    made, else 0. The parameters, and all conditions on them, are those of the model itself.
    """

    def __init__(self, model: Model, horizon: int, measured: int):
        if int(horizon) != horizon or horizon < 1:
            raise ValueError(f"horizon is {horizon!r}; it is a number of samples from 1 on, or None for the free run")
        super().__init__(model, model.nu + measured + 1, dict(horizon=horizon))
        self.horizon = int(horizon)

    def input_box(self) -> Tensor:
        """That of the inputs proper: the certificate is one of the model without corrections."""
        return self.inner.input_box()

    def theta(self) -> Params:
        return self.inner.theta()

    def f(self, p: Params, x, u):
        return self.inner.f(p, self.entered(p, x, u), u[: self.inner.nu])

    def entered(self, p: Params, x, u):
        """x' for the inputs (u, z, m)."""
        return self.corrected(p, x, u[self.inner.nu : self.nu - 1], u[self.nu - 1 :])

    @abstractmethod
    def corrected(self, p: Params, x, z, m) -> Any:
        """x'."""

    @abstractmethod
    def measured(self, u: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, int]:
        """z (T, measured) from a record u (T, nu), y (T, ny), and the number of samples that have none."""

    def batch(self, data: Batch) -> Batch:
        """The records with z and m among the inputs; no correction by samples that are missing or filled in."""
        us = []
        for u, y, w in zip(*data, strict=True):
            z, first = self.measured(u, y)
            is_known, k = np.array((w > 0).all(1)), np.arange(len(u))
            is_known[: int(is_known.argmax())] = True  # without weight, because the start of a record has none
            lacks = np.convolve(~is_known, np.ones(first + 1))[: len(u)] > 0.5  # here or among the lags
            m = (k >= first) & ((k - first) % self.horizon == 0) & ~lacks
            us.append(np.hstack([u, z, m[:, None].astype(float)]))
        return data._replace(u=us)


class ObserverPredictor(Predictor):
    """x' = x + m L (y - g(x)), with the gain L (nx, ny) of an observer, which is trained along from zero.

    Reference: L. Ljung (1999), System Identification, section 4.3: innovations form.
    """

    kind = "observer_predictor"

    def __init__(self, model: Model, horizon: int):
        super().__init__(model, horizon, model.ny)
        self.observer_gain = nn.Parameter(torch.zeros(model.nx, model.ny, dtype=torch.float64))

    def theta(self) -> Params:
        return Params({**self.inner.theta(), "observer_gain": self.observer_gain})

    def corrected(self, p, x, z, m):
        return x + m * (p.observer_gain @ (z - self.inner.g(p, x)))

    def measured(self, u, y):
        return y, 0


class LagPredictor(Predictor):
    """x' = x + m (z - x), where z are the measured outputs and inputs of which a NNARX's state consists.

    Reference: F. Bonassi, M. Farina, R. Scattolini (2021), IFAC-PapersOnLine 54(7): series-parallel training.
    """

    kind = "lag_predictor"

    def __init__(self, model: NNARX, horizon: int):
        super().__init__(model, horizon, model.nx)
        self.lags = model.lags

    def corrected(self, p, x, z, m):
        return x + m * (z - x)

    def measured(self, u, y):
        N, T = self.lags, len(u)
        z = np.zeros((T, N * (u.shape[1] + y.shape[1])))
        if T > N:
            blocks = [np.hstack([y[i : T - N + i], u[i - 1 : T - N + i - 1]]) for i in range(1, N + 1)]
            z[N:] = np.hstack(blocks)
        return z, N


def predictor(model: Model, horizon: int) -> Predictor:
    """How that model is corrected: a NNARX by its lags, any other by an observer."""
    return LagPredictor(model, horizon) if isinstance(model, NNARX) else ObserverPredictor(model, horizon)
