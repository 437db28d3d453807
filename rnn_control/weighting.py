"""Records that are partly wrong: weights of their samples, renewed from the errors while training."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

LARGEST_LOSS = 10.0
"""Mean square of normalised errors up to which a window counts against itself: a diverging start is no verdict."""
LARGEST_WEIGHT = 1e4
"""Of an output, over the one with the largest residual: an output that is explained to the last digit is not all."""


def likelihood(residual: np.ndarray | None) -> np.ndarray | float:
    """Weights of squared output errors (ny,): 1 / residual^2, as maximum likelihood asks for, over their least value.

    residual (ny,): deviations of what a model leaves unexplained. Where all are alike, or none is known, the weights
    are one: the output that the model knows least counts against a prior as it would alone.
    Reference: L. Ljung (1999), System Identification, section 7.2.
    """
    if residual is None:
        return 1.0
    return np.minimum((residual.max() / np.maximum(residual, 1e-300)) ** 2, LARGEST_WEIGHT)


@np.errstate(over="ignore", invalid="ignore")  # a run that diverged
def root_mean_squares(errors: Sequence[np.ndarray], weights: Sequence[np.ndarray]) -> np.ndarray:
    """Of each output, (ny,), over records of errors and weights (T, ny)."""
    squares = sum((w * e**2).sum(0) for e, w in zip(errors, weights, strict=True))
    return np.sqrt(squares / np.maximum(sum(w.sum(0) for w in weights), 1e-300))


class Weighting(Protocol):
    """Factors (T, ny) of the weights, from normalised errors (T, ny) and weights (T, ny) of every record."""

    def __call__(self, errors: list[np.ndarray], weights: list[np.ndarray]) -> list[np.ndarray]: ...

    def fresh(self) -> "Weighting":
        """As it was before any error was seen: each training starts from it."""
        ...


@dataclass(frozen=True)
class Huber:
    """Factor min(1, delta sigma / |e|): squares near zero, absolute values beyond; for single wild samples.

    sigma: 1.4826 times the median of |e|, per output. delta = 1.345 keeps 95 % of the efficiency under normal noise.
    Reference: P. J. Huber (1964), Ann. Math. Statist. 35(1); by reweighted least squares, Holland and Welsch (1977).
    """

    delta: float = 1.345

    def __post_init__(self):
        _positive("delta", self.delta)

    def fresh(self) -> "Huber":
        return self

    def __call__(self, errors: list[np.ndarray], weights: list[np.ndarray]) -> list[np.ndarray]:
        e, seen = np.concatenate(errors), np.concatenate(weights) > 0
        sigma = np.array([1.4826 * np.median(abs(column[kept])) for column, kept in zip(e.T, seen.T, strict=True)])
        return [np.minimum(1, self.delta * sigma / np.maximum(abs(e), 1e-300)) for e in errors]


@dataclass
class MultiplicativeWeights:
    """Windows as experts: each loses weight exponentially in its total loss; for stretches that are wrong as a whole.

    p_i ~ exp(-eta sum_t loss_i(t)), with mean one and at most `cap`; loss_i(t): mean square of the normalised errors of
    window i, `window` samples of a record, at pass t over the data.
    Reference: N. Bar, T. Koren, R. Giryes (2021), "Multiplicative reweighting for robust neural network optimization".
    """

    eta: float = 0.05
    cap: float = 3.0
    window: int = 100
    totals: np.ndarray = field(default_factory=lambda: np.zeros(0), repr=False)

    def __post_init__(self):
        _positive("eta", self.eta)
        if not (self.cap >= 1 and self.window >= 1):
            raise ValueError(f"cap is {self.cap}, window {self.window}; neither may be smaller than 1")

    def fresh(self) -> "MultiplicativeWeights":
        return MultiplicativeWeights(self.eta, self.cap, self.window)

    def __call__(self, errors: list[np.ndarray], weights: list[np.ndarray]) -> list[np.ndarray]:
        owner, start = [], 0
        for e in errors:
            count = max(len(e) // self.window, 1)
            owner.append(start + np.minimum(np.arange(len(e)) * count // len(e), count - 1))
            start += count
        lost, seen = np.zeros(start), np.zeros(start)
        for e, w, i in zip(errors, weights, owner, strict=True):
            np.add.at(lost, i, (w * np.minimum(e**2, LARGEST_LOSS)).sum(1))
            np.add.at(seen, i, w.sum(1))
        losses = lost / np.maximum(seen, 1e-300)
        self.totals = self.totals + losses if len(self.totals) else losses
        p = self.probabilities() * start
        return [np.broadcast_to(p[i][:, None], e.shape).copy() for e, i in zip(errors, owner, strict=True)]

    def probabilities(self) -> np.ndarray:
        """p (windows,), which sum to one; what the cap cuts off goes to the others in proportion."""
        p = np.exp(-self.eta * (self.totals - np.min(self.totals)))
        p, most = p / p.sum(), self.cap / len(p)
        for _ in range(len(p)):
            if p.max() <= most * (1 + 1e-12):
                break
            is_capped = p >= most
            rest = p[~is_capped].sum()
            p = np.where(is_capped, most, p * (1 - most * is_capped.sum()) / rest if rest > 0 else 0.0)
        return p


def effective_share(factors: list[np.ndarray]) -> float:
    """(sum f)^2 / (N sum f^2): the share of the samples that decided, one where all count alike (Kish 1965)."""
    f = np.concatenate([part.ravel() for part in factors])
    return float(f.sum() ** 2 / (len(f) * (f**2).sum()))


def _positive(name: str, value: float):
    if not value > 0:
        raise ValueError(f"{name} is {value}; it must be positive")
