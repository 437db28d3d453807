"""Many starts of one architecture, trained a little as one batch on one device, to find those that deserve a `fit`."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from .construct import Contracting
from .contract import CertificateError
from .data import Experiment
from .enforce import begin, enforced_on
from .fit_options import check_numbers, check_options
from .kernel import Batch, make_kernel
from .model import Model
from .penalty import Penalty
from .scaler import Scaler
from .stack import STATES, Stack, Values
from .windows import windows

JUDGED = 10
"""How often the starts are judged on the way."""


class Screened(NamedTuple):
    """The kept starts as the screening left them, by their seeds, the best first; and the errors of all seeds."""

    models: dict[int, Model]
    errors: dict[int, float]
    interrupted: bool


@dataclass(frozen=True)
class Screening:
    """Adam on all starts at once, of which the `keep` best by validation error go on.

    device: of torch, "cuda" or "cpu"; dtype: torch.float32, or torch.float64. epochs: Adam steps, `rate`: their size,
    which falls to a tenth. window: samples of the windows that the records are cut into, batch: of these at random in
    each step; their initial states are trained along.
    A condition that has to be enforced is a penalty here. What is kept of each start is its best iterate among those
    that meet the condition, and no result yet: `fit` goes on from there, and everything it says is its own.
    A step goes through all starts and windows at once, but through the samples of a window one by one. On a CPU
    the compiled kernels of `fit` do the same for small models in less than a tenth of the time
    (benchmarks/batch_speed.py).
    Raises ValueError for a device that torch does not have, another dtype, or numbers that are not positive.
    """

    keep: int = 4
    device: str = "cuda"
    dtype: torch.dtype = torch.float32
    epochs: int = 150
    rate: float = 1e-2
    window: int = 200
    batch: int = 32

    def __post_init__(self):
        try:
            torch.empty(0, device=self.device)
        except (RuntimeError, AssertionError, NotImplementedError) as error:
            there = '"cuda" or "cpu"' if torch.cuda.is_available() else '"cpu": torch finds no CUDA device here'
            raise ValueError(f"device is {self.device!r}; choose {there}") from error
        if self.dtype not in (torch.float32, torch.float64):
            raise ValueError(f"dtype is {self.dtype}; choose torch.float32 or torch.float64")
        for name in ("keep", "epochs", "rate", "window", "batch"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be positive")

    def __call__(
        self, model: Model, starts: Mapping[int, Model], train: Experiment, valid: Experiment | None = None, *,
        certificate: str | None = "delta_iss", method: str = "auto", margin: float = 0.01, washout: int = 50,
        u_min: np.ndarray | None = None, u_max: np.ndarray | None = None, progress: bool = True,
    ) -> Screened:  # fmt: skip
        """Train the starts (one a seed) in place; `model`, of the same architecture, decides on an "auto" method.

        Errors: mean over the outputs of RMSE / std of free runs of the validation records, from rest, without the first
        `washout` samples; without valid, of the training windows. The other arguments are those of `fit`. Ctrl-C ends
        the screening with the best so far.
        Raises ValueError for unknown options and for Contracting models, CertificateError if no start can be shrunk to
        the condition.
        """
        if isinstance(model, Contracting):
            raise ValueError("a batch cannot search the factor of a Contracting model: leave the screening out")
        check_options(model, train, valid, certificate, method, "washout", None)
        check_numbers(margin=margin, washout=washout)
        scaler, kernel = Scaler.fit(train, u_min=u_min, u_max=u_max), make_kernel(model)
        data = windows(scaler, train, self.window, washout)
        enforced, method = enforced_on(model, certificate, method, margin)
        ready = {}
        for seed, start in starts.items():
            with suppress(CertificateError):
                begin(start, kernel, data, enforced, method, margin)
                ready[seed] = start
        if not ready:
            raise CertificateError(f"no start of the {model.kind} can be shrunk to {certificate} by {method}")
        violation = None if enforced is None else Penalty(model, enforced, method, margin)
        stack = Stack([*ready.values()], violation, self.device, self.dtype)
        best, errors, interrupted = self.descend(stack, data, Judge(stack, scaler, data, valid, washout), progress)
        stack.load(best)
        of_seed = dict.fromkeys(starts, float("inf")) | dict(zip(ready, errors.tolist(), strict=True))
        kept = sorted(ready, key=lambda seed: (of_seed[seed], seed))[: self.keep]
        return Screened({seed: ready[seed] for seed in kept}, of_seed, interrupted)

    def descend(self, stack: Stack, data: Batch, judge: "Judge", progress: bool) -> tuple[Values, Tensor, bool]:
        """The best v of each model, its error (S,), and whether the user interrupted. Kingma and Ba (2015)."""
        given, v, rng = stack.windows(data), stack.start(len(data.u)), np.random.default_rng(0)
        m, s = ({k: torch.zeros_like(a) for k, a in v.items()} for _ in range(2))
        best, least, every = v, judge(v), max(self.epochs // JUDGED, 1)
        try:
            for k in tqdm(range(1, self.epochs + 1), "screen", disable=None if progress else True, leave=False):
                rows = None
                if len(data.u) > self.batch:
                    rows = torch.from_numpy(rng.choice(len(data.u), self.batch, replace=False)).to(self.device)
                g = finite(stack.slopes(v, given, rows)[1])
                m = {name: 0.9 * a + 0.1 * g[name] for name, a in m.items()}
                s = {name: 0.999 * a + 0.001 * g[name] ** 2 for name, a in s.items()}
                step = self.rate * (0.1 + 0.45 * (1 + np.cos(np.pi * k / self.epochs))) / (1 - 0.9**k)
                v = {name: a - step * m[name] / ((s[name] / (1 - 0.999**k)).sqrt() + 1e-8) for name, a in v.items()}
                v[STATES] = v[STATES].clamp(-1, 1)
                if k % every == 0 or k == self.epochs:
                    found = judge(v)
                    best = chosen(found < least, v, best)
                    least = torch.minimum(found, least)
        except KeyboardInterrupt:
            return best, least, True
        return best, least, False


class Judge:
    """Errors (S,) of v: of free runs of the validation records from rest, without any of the training windows."""

    def __init__(self, stack: Stack, scaler: Scaler, data: Batch, valid: Experiment | None, washout: int):
        judged = data if valid is None else windows(scaler, valid, None, washout)
        columns = zip(np.concatenate(judged.y).T, np.concatenate(judged.w).T > 0, strict=True)
        std = np.array([y[known].std() for y, known in columns])
        self.std = torch.tensor(np.where(std > 1e-9, std, 1.0)).to(stack.device, stack.dtype)
        self.stack, self.windows, self.is_training = stack, stack.windows(judged), valid is None

    def __call__(self, v: Values) -> Tensor:
        if self.is_training:
            return self.stack.errors(v, self.windows, self.std)
        shape = len(v[STATES]), len(self.windows.u), self.stack.model.nx
        return self.stack.errors({**v, STATES: v[STATES].new_zeros(shape)}, self.windows, self.std)


def finite(slopes: Values) -> Values:
    """The gradients, zero for a model that has one which is not finite: it stays behind, the others go on."""
    is_sound = torch.stack([a.isfinite().flatten(1).all(1) for a in slopes.values()]).all(0)
    return chosen(is_sound, slopes, {k: torch.zeros_like(a) for k, a in slopes.items()})


def chosen(which: Tensor, a: Values, b: Values) -> Values:
    """Of each model that of a or b."""
    return {k: torch.where(which.view(-1, *[1] * (a[k].ndim - 1)), a[k], b[k]) for k in a}
