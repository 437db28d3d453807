"""The search for the best certified model, every iterate judged: Adam, then L-BFGS under a growing penalty.

Where nothing has to be enforced, because no certificate is asked for or the model has it by construction, and the model
is small, Levenberg-Marquardt takes the place of L-BFGS: it goes far deeper in the same time.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import InitVar, dataclass, field
from typing import NamedTuple

import numpy as np
import torch
from scipy.optimize import Bounds, minimize

from .certify import is_proved
from .contract import CertificateError, contract
from .growth import parts
from .initial import initial_state
from .kernel import Kernel
from .levenberg import LARGEST, levenberg
from .model import Model
from .objective import Objective
from .watch import Step


@dataclass
class Tracker:
    """Remembers every iterate's scores and the best iterate that is certified, and tells `logs` of each.

    deepest: the iterate that fits the training samples best, where nothing is enforced; else the best one.
    budget: how many iterates it judges at most, beside those of an earlier search in `earlier`.
    """

    objective: Objective
    valid: "Validation"
    logs: Sequence[Callable[[Step], object]]
    budget: int
    started: float = field(default_factory=time.perf_counter)
    earlier: InitVar[Sequence[tuple[float, float, float]]] = ()
    best: np.ndarray | None = None
    best_error: float = np.inf
    deepest: np.ndarray | None = None
    least_loss: float = np.inf

    def __post_init__(self, earlier):
        self.rows, self.best_iteration, self.total = list(earlier), len(earlier), self.budget + len(earlier)

    def __call__(self, v: np.ndarray, loss: float) -> None:
        bound = self.objective.bound(v)
        error = self.valid(self.objective, v)
        residual = float("nan") if bound is None else float(bound.residual.max())
        if error < self.best_error and (bound is None or is_proved(bound)):
            self.best, self.best_error, self.best_iteration = v.copy(), error, len(self.rows)
        if not self.objective.is_free:
            self.deepest = self.best
        elif loss < self.least_loss:
            self.deepest, self.least_loss = v.copy(), loss
        seconds, iteration = time.perf_counter() - self.started, len(self.rows)
        self.rows.append((loss, error, residual))
        for log in self.logs:
            log(Step(iteration, self.total, loss, error, self.best_error, -residual, seconds))

    def stalled(self, patience: int) -> bool:
        return len(self.rows) - self.best_iteration > patience


@dataclass
class Validation:
    """Normalised free-run error on the validation records, RMSE over std, pooled; without any, that on `held`.

    Initial states come from the first `washout` samples, as they will in use: a training that has them to choose may
    let them remember what no other record shows.
    held: weights (T, ny) of the training records' samples that were kept from the training to judge it.
    """

    model: Model
    kernel: Kernel
    us: list[np.ndarray]
    ys: list[np.ndarray]
    washout: int
    held: list[np.ndarray]

    def __call__(self, objective: Objective, v: np.ndarray) -> float:
        if not self.us:
            return self.held_error(objective, v) if self.held else objective.error
        x0 = self.initial_states(self.kernel, self.model, self.us, self.ys)
        return self.error_on_records([yhat for _, yhat in self.kernel.simulate(self.model.theta(), x0, self.us)])

    def error_on_records(self, outputs: list[np.ndarray]) -> float:
        """RMSE over std of outputs (T, ny) for the validation records."""
        w = self.washout
        measured = np.concatenate([y[w:] for y in self.ys])
        error = measured - np.concatenate([yhat[w:] for yhat in outputs])
        error /= np.maximum(np.nanstd(measured, axis=0), 1e-9)
        value = float(np.sqrt((error[~np.isnan(measured)] ** 2).mean()))
        return value if np.isfinite(value) else np.inf

    def initial_states(self, kernel: Kernel, model: Model, us: list[np.ndarray], ys: list[np.ndarray]) -> np.ndarray:
        """(records, nx)."""
        w = self.washout
        return np.stack([initial_state(kernel, model, u[:w], y[:w]) for u, y in zip(us, ys, strict=True)])

    def held_error(self, objective: Objective, v: np.ndarray) -> float:
        kernel, model, data = objective.kernel, objective.model, objective.data
        x0 = self.initial_states(kernel, model, data.u, data.y) if objective.n_x0 else objective.initial_states(v)
        runs = kernel.simulate(model.theta(), x0, data.u)
        return self.error_on_training(objective, [yhat for _, yhat in runs])

    def error_on_training(self, objective: Objective, outputs: list[np.ndarray]) -> float:
        """Weighted root mean square of outputs (T, ny) for the training records, on what was held or on all of it."""
        data = objective.data
        judging = [w * f for w, f in zip(self.held, objective.factors, strict=True)] if self.held else data.w
        parts = zip(judging, data.y, outputs, strict=True)
        squares = sum(float((w * (y - yhat) ** 2).sum()) for w, y, yhat in parts)
        value = (squares / sum(float(w.sum()) for w in judging)) ** 0.5
        return value if np.isfinite(value) else np.inf


class Found(NamedTuple):
    """The end of a search."""

    objective: Objective
    tracker: Tracker
    interrupted: bool


STEP_WORTH, ROUNDS = 10, 5
"""Iterations of L-BFGS that a Levenberg-Marquardt step replaces in the budget; how often the prior is renewed."""
STAGES = (1.0, 10.0, 100.0)
"""Weight of the stability penalty in the stages of L-BFGS."""


def goes_deep(objective: Objective) -> bool:
    """Whether the search will be by Levenberg-Marquardt."""
    return objective.is_free and objective.n_theta + objective.n_x0 <= LARGEST


def budget(objective: Objective, epochs: int, polish: int, starts: int = 1) -> int:
    """How many iterates a search from that many starts judges at most, repairs aside."""
    if not goes_deep(objective):
        return 1 + epochs + polish
    stages = 1 + sum(1 for _ in parts(objective.data))
    if stages > 1:
        return 1 + sum((polish >> k) // STEP_WORTH for k in range(stages))
    return 1 + epochs + starts * (polish // STEP_WORTH)


def optimise(
    objective: Objective, tracker: Tracker, epochs: int, polish: int, rate: float, patience: int, seed: int,
    start: np.ndarray | None = None, near: np.ndarray | None = None,
) -> bool:  # fmt: skip
    """Adam, then L-BFGS in stages under a growing penalty, by default from the model; True if the user interrupted.

    near: another start, for a search that goes deep.
    """
    v = objective.start() if start is None else start
    try:
        objective.settle(v, 1.0)
        tracker(v, objective(v)[0])
        rng = np.random.default_rng(seed)
        if goes_deep(objective):
            _deep(objective, tracker, v, near, epochs, polish, rate, patience, rng)
            return False
        v = _adam(objective, tracker, v, epochs, rate, rng)
        for i, penalty in enumerate(STAGES):
            objective.reweigh(v)
            objective.settle(v, penalty)
            v = _lbfgs(objective, tracker, v, polish // len(STAGES), patience)
            v = _repair(objective, tracker, v)
            # where nothing was certified yet, only a heavier penalty can help
            if i and tracker.stalled(patience) and objective.is_certified(v):
                break
    except KeyboardInterrupt:
        return True
    return False


def _adam(objective, tracker, v, epochs, rate, rng, batch: int = 32) -> np.ndarray:
    """Kingma and Ba (2015), with cosine decay of the rate to a tenth; a random batch of windows a step."""
    m, s, n = np.zeros_like(v), np.zeros_like(v), len(objective.data.u)
    low, high = objective.box()
    for k in range(1, epochs + 1):
        objective.reweigh(v)
        loss, g = objective(v, None if n <= batch else rng.choice(n, batch, replace=False))
        if not np.isfinite(loss):
            return tracker.best if tracker.best is not None else objective.start()
        m, s = 0.9 * m + 0.1 * g, 0.999 * s + 0.001 * g**2
        step = rate * (0.1 + 0.45 * (1 + np.cos(np.pi * k / epochs)))
        v = np.clip(v - step * (m / (1 - 0.9**k)) / (np.sqrt(s / (1 - 0.999**k)) + 1e-8), low, high)
        tracker(v, loss)
    return v


class _Stalled(Exception):
    """Validation has not improved for too long."""


def _lbfgs(objective, tracker, v, iterations, patience) -> np.ndarray:
    """scipy's L-BFGS-B, memory 20; stops when validation stalls."""
    started, last = len(tracker.rows), {"v": v}

    def value(v):
        loss, g = objective(v)
        return (loss, g) if np.isfinite(loss) else (1e10, np.zeros_like(v))

    def callback(intermediate_result):
        last["v"] = intermediate_result.x.copy()
        tracker(last["v"], float(intermediate_result.fun))
        if len(tracker.rows) - max(tracker.best_iteration, started) > patience:
            raise _Stalled

    try:
        options = dict(maxiter=iterations, maxfun=2 * iterations + 20, maxcor=20, ftol=1e-12, gtol=1e-9)
        return minimize(
            value, v, jac=True, method="L-BFGS-B", bounds=Bounds(*objective.box()), callback=callback, options=options
        ).x
    except _Stalled:
        return last["v"]


def _deep(objective, tracker, start, near, epochs, polish, rate, patience, rng) -> None:
    """Levenberg-Marquardt from the other start, then from the first, after Adam: two ways down, the better is kept.

    On long records from the better start only: on a part of them, then on ever larger ones, half as many steps each.
    """
    stages = [*map(objective.on, parts(objective.data)), objective]
    if len(stages) > 1:
        v = start if near is None else min(start, near, key=lambda v: objective(v)[0])
        for k, stage in enumerate(stages):
            v = _levenberg(stage, tracker, v, polish >> k, patience)
        return
    if near is not None:
        _levenberg(objective, tracker, near, polish, patience)
    objective.settle(start, 1.0)
    _levenberg(objective, tracker, _adam(objective, tracker, start, epochs, rate, rng), polish, patience)


def _levenberg(objective, tracker, v, iterations, patience) -> np.ndarray:
    """Levenberg-Marquardt steps, each worth some ten of L-BFGS; the prior follows the error. Stops as L-BFGS does."""
    started, steps = len(tracker.rows), max(patience // STEP_WORTH, 1)

    def is_stalled():
        return len(tracker.rows) - max(tracker.best_iteration, started) > steps

    def report(v, value):
        tracker(v, value)
        objective.reweigh(v)
        return is_stalled()

    for _ in range(ROUNDS):
        objective.settle(v, 1.0)
        v = levenberg(objective, v, max(iterations // (STEP_WORTH * ROUNDS), 1), report)
        if is_stalled():
            break
    return v


def _repair(objective, tracker, v) -> np.ndarray:
    """The last iterate shrunk onto the certified set, offered to the tracker, and v itself with fresh weights."""
    if objective.property is None:
        return v
    objective.load(v)
    fresh = v.copy()
    with torch.no_grad():
        fresh[objective.n_theta : objective.n_theta + objective.n_scale] = objective.log_scale()
    if not objective.is_certified(fresh):
        try:
            contract(objective.model, objective.property, objective.method, 1e-6)
        except CertificateError:
            return v
        shrunk = objective.start()
        shrunk[objective.n_theta + objective.n_scale :] = v[objective.n_theta + objective.n_scale :]
        tracker(shrunk, objective(shrunk)[0])
    return fresh
