"""The training objective as a function of one flat vector: simulation error, penalty for instability, prior."""

from collections.abc import Mapping, Sequence
from operator import is_
from typing import Any

import numpy as np
import torch
from scipy import sparse
from torch import Tensor
from torch.func import functional_call

from .bounds import Bound
from .conditions import condition, is_proved
from .explicit import Linearised
from .kernel import Batch, Kernel
from .model import Model
from .penalty import Penalty
from .perron import perron_weights
from .starts import Starts
from .weighting import Weighting, likelihood, root_mean_squares

LARGEST_NOISE = 0.02
"""Share of the outputs' variance that the prior takes for noise at most: a bad start must not shrink the parameters."""


class Objective:
    """J(v) = mean w (yhat - y)^2 + penalty |max(0, excess)|^2 + prior noise / N |theta / spread|^2.

    w: the samples' weights times 1 / s_j for output j, of mean one over the outputs; s_j is the error that was left at
    the last `settle`. Stages of it end where sum_j s_j is least: the best mean FIT, which no output of much noise or of
    another kind of plant decides alone.
    v = (theta, log scale, x0), all in one flat vector. The last term is the maximum a posteriori one: N scored samples
    with errors of variance `noise` (the mean squared error at the last `settle`), parameters of variance
    spread^2 / prior: see `expect`.

    held: weights of the samples that are kept from the training, (T, ny) a record; `weighting` judges these, too.
    excess: see Bound.excess; theta: the free parameters; log scale: logarithms of the weights of a weighted condition,
    trained with the rest (any weights prove, so the best ones need not be found first); x0: what `starts` makes the
    initial states of the records from; limits: least and largest values of parameters, each in the shape of its own.
    """

    def __init__(
        self, model: Model, kernel: Kernel, data: Batch, *, property: str | None, method: str, margin: float,
        starts: Starts, prior: float = 1.0, prior_x0: float = 1e-4, weighting: Weighting | None = None,
        held: Sequence[np.ndarray] = (), limits: Mapping[Tensor, tuple[np.ndarray, np.ndarray]] | None = None,
    ):  # fmt: skip
        self.model, self.kernel, self.data = model, kernel, data
        self.linearised = Linearised(model)
        self.weights, self.weighting = data.w, weighting and weighting.fresh()
        self.seen = [w + kept for w, kept in zip(data.w, held or [0.0] * len(data.w), strict=True)]
        self.factors, self.of_output = [np.ones_like(w) for w in data.w], np.ones(model.ny)
        self.property, self.method, self.margin = property, method, margin
        self.prior, self.prior_x0, self.penalty = prior, prior_x0, 1.0
        self.free = [v for v in model.parameters() if v.requires_grad]
        self.sizes = [v.numel() for v in self.free]
        self.is_free = property is None or model.by_construction(property) == method
        self.n_theta, self.n_scale = sum(self.sizes), 0 if self.is_free or method != "weighted" else model.nx
        self.starts, self.limits = starts, limits or {}
        self.input_box = model.input_box()
        self.violation = None if property is None or self.is_free else Penalty(model, property, method, margin)
        self.spread, self.decay = np.ones(self.n_theta), 0.0
        self.error = np.inf  # root mean square at the last point evaluated

    def on(self, data: Batch) -> "Objective":
        """The same objective, and the same v, for a part of every record."""
        part = Objective(
            self.model, self.kernel, data, property=self.property, method=self.method, margin=self.margin,
            starts=self.starts, prior=self.prior, prior_x0=self.prior_x0, weighting=self.weighting, limits=self.limits,
        )  # fmt: skip
        part.spread = self.spread
        return part

    def reweigh(self, v: np.ndarray) -> None:
        """Weights of the samples from their errors at v, where a weighting was asked for."""
        if self.weighting is None:
            return
        errors = self.errors(v)
        if all(np.isfinite(e).all() for e in errors):
            self.factors = self.weighting(errors, self.seen)
            self._weigh()

    def errors(self, v: np.ndarray) -> list[np.ndarray]:
        """y - yhat, (T, ny) a record."""
        self.load(v)
        runs = self.kernel.simulate(self.model.theta(), self.initial_states(v), self.data.u)
        return [y - yhat for y, (_, yhat) in zip(self.data.y, runs, strict=True)]

    def _weigh(self):
        ws = zip(self.weights, self.factors, strict=True)
        self.data = self.data._replace(w=[w * f * self.of_output for w, f in ws])

    def settle(self, v: np.ndarray, penalty: float) -> None:
        """Weights of the next stage: the penalty as given, those of the outputs and the prior from the errors at v."""
        if self.model.ny > 1:
            residual = root_mean_squares(self.errors(v), self.weights)
            if np.isfinite(residual).all():
                weights = np.sqrt(likelihood(residual))
                self.of_output = weights / np.mean(weights)
            self._weigh()
        self.load(v)
        loss, _, _ = self.kernel.loss_grad(self.model.theta(), self.initial_states(v), self.data)
        total = sum(float(w.sum()) for w in self.data.w)
        self.penalty, self.decay = penalty, self.prior * min(loss / total, LARGEST_NOISE) / total

    def expect(self, v: np.ndarray | None) -> None:
        """The prior's spread: one, or a parameter's size in a linear start v where that is larger.

        Such a start reads small states by a C of 1e4 and more, which a prior of variance one would shrink at any price.
        """
        self.spread = np.ones(self.n_theta) if v is None else np.maximum(1.0, abs(v[: self.n_theta]))

    def start(self) -> np.ndarray:
        """v of the model as it is, inside the box: weights from the power iteration, records at rest."""
        theta = np.concatenate([v.detach().numpy().ravel() for v in self.free])
        return np.clip(np.concatenate([theta, self.log_scale(), np.zeros(self.starts.size)]), *self.box())

    def log_scale(self) -> np.ndarray:
        if not self.n_scale:
            return np.zeros(0)
        return np.log(perron_weights(self.model.comparison(self.model.theta(), self.input_box)).numpy())

    def box(self) -> tuple[np.ndarray, np.ndarray]:
        """Bounds on v: the limits of the parameters, those of the initial states, the rest is free."""
        low, high = (np.full(self.n_theta + self.n_scale + self.starts.size, end) for end in (-np.inf, np.inf))
        for value, end in zip(self.free, np.cumsum(self.sizes), strict=True):
            if value in self.limits:
                low[end - value.numel() : end], high[end - value.numel() : end] = map(np.ravel, self.limits[value])
        low[self.n_theta + self.n_scale :], high[self.n_theta + self.n_scale :] = -self.starts.limit, self.starts.limit
        return low, high

    def load(self, v: np.ndarray) -> None:
        """Put the free parameters of v into the model."""
        start = 0
        for target, size in zip(self.free, self.sizes, strict=True):
            target.detach().numpy()[...] = v[start : start + size].reshape(target.shape)
            start += size

    def initial_states(self, v: np.ndarray) -> np.ndarray:
        """(S, nx)."""
        return self.starts.states(v[self.n_theta + self.n_scale :])

    def bound(self, v: np.ndarray) -> Bound | None:
        """The stability bound at v, which is loaded; None if no property is asked for."""
        self.load(v)
        if self.property is None:
            return None
        w = self.log_scale_of(v).clip(-20, 20)
        with torch.no_grad():
            scale = torch.from_numpy(np.exp(w)) if self.n_scale else None
            return condition(self.model, self.model.theta(), self.input_box, self.property, self.method, scale)

    def is_certified(self, v: np.ndarray) -> bool:
        bound = self.bound(v)
        return bound is None or is_proved(bound)

    def log_scale_of(self, v: np.ndarray) -> np.ndarray:
        return v[self.n_theta : self.n_theta + self.n_scale]

    def __call__(self, v: np.ndarray, rows: np.ndarray | None = None) -> tuple[float, np.ndarray]:
        """J and its gradient; `rows` picks records (windows) for a stochastic step."""
        self.load(v)
        x0 = self.initial_states(v)
        pick = np.arange(len(x0)) if rows is None else rows
        data = Batch(*([part[i] for i in pick] for part in self.data))
        total = sum(float(w.sum()) for w in data.w)
        p, back = self.linearised()
        loss, grads, x_grads = self.kernel.loss_grad(p, x0[pick], data)
        value, g_scale = loss / total, np.zeros(self.n_scale)
        grads = {name: g / total for name, g in grads.items()}
        if self.violation is not None:
            cost = self.violation(p, self.log_scale_of(v))
            value, g_scale = value + self.penalty * cost.value, self.penalty * cost.log_scale
            slopes = {name: self.penalty * slope for name, slope in cost.p.items()}
            grads = slopes | {name: g + slopes[name] for name, g in grads.items()}
        self.error = (loss / total) ** 0.5
        theta = v[: self.n_theta] / self.spread
        value += self.decay * float(theta @ theta)
        g_x0 = np.zeros_like(x0)
        g_x0[pick] = x_grads / total
        value += self.prior_x0 * float((x0[pick] ** 2).mean())
        g_x0[pick] += 2 * self.prior_x0 * x0[pick] / x0[pick].size
        g_theta = back(grads) + 2 * self.decay * theta / self.spread
        return value, np.concatenate([g_theta, g_scale, self.starts.back(g_x0)])

    def gauss_newton(self, v: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        """J, its gradient, and the Gauss-Newton approximation of its Hessian: J'J of everything that is squared."""
        value, gradient = self(v)
        x0, n = self.initial_states(v), self.n_theta
        total = sum(float(w.sum()) for w in self.data.w)
        _, _, squares = self.kernel.gauss_newton(self.model.theta(), x0, self.data)
        T, X = self.explicit_by_free(), self.starts.slopes
        m, seen = T.shape[0], np.r_[0:n, n + self.n_scale : len(v)]
        squares[range(m, len(squares)), range(m, len(squares))] += total * self.prior_x0 / x0.size
        cross, own = T.T @ squares[:m, m:] @ X, X.T @ squares[m:, m:] @ X
        H = np.zeros((len(v), len(v)))
        H[np.ix_(seen, seen)] = np.block([[T.T @ squares[:m, :m] @ T, cross], [cross.T, own]])
        H *= 2 / total
        H[range(n), range(n)] += 2 * self.decay / self.spread**2
        slopes = self.penalty_slopes(v)
        return value, gradient, H + 2 * self.penalty * slopes.T @ slopes

    def explicit_by_free(self) -> Any:
        """Jacobian of the explicit parameters, as the kernel lists them, with respect to the free ones; sparse if 1."""
        p = self.model.theta()
        read = [p[name] for name in self.kernel.wrt]
        if len(read) == len(self.free) and all(map(is_, read, self.free)):
            return sparse.eye_array(self.n_theta, format="csr")
        names = [name for name, value in self.model.named_parameters() if value.requires_grad]

        def explicit(flat):
            parts = zip(names, self.free, torch.split(flat, self.sizes), strict=True)
            p = functional_call(self.model, {name: part.reshape(like.shape) for name, like, part in parts}, ())
            return torch.cat([flat[:0], *(p[name].flatten() for name in self.kernel.wrt)])

        free = torch.cat([value.detach().flatten() for value in self.free])
        return torch.autograd.functional.jacobian(explicit, free, vectorize=True).numpy()

    def penalty_slopes(self, v: np.ndarray) -> np.ndarray:
        """Gradients of those excesses that are positive, a row each."""
        if self.violation is None:
            return np.zeros((0, len(v)))
        leaf = torch.from_numpy(self.log_scale_of(v).copy()).requires_grad_(True)
        excess, wrt = self.violation.excess(self.model.theta(), leaf), [*self.free, leaf]
        rows = np.zeros((int((excess > 0).sum()), len(v)))
        for row, value in zip(rows, excess[excess > 0], strict=True):
            parts = torch.autograd.grad(value, wrt, retain_graph=True, materialize_grads=True)
            row[: self.n_theta + self.n_scale] = np.concatenate([part.numpy().ravel() for part in parts])
        return rows
