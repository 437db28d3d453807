"""The search for the best certified model, every iterate judged: Adam, then L-BFGS under a growing penalty.

Where nothing has to be enforced, because no certificate is asked for or the model has it by construction, and the model
is small, Levenberg-Marquardt takes the place of L-BFGS: it goes far deeper in the same time. A larger model with many
samples for each of its parameters is searched by L-BFGS in whitened coordinates instead.
"""

from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from scipy.optimize import Bounds, minimize

from .contract import CertificateError, contract
from .judge import Tracker
from .levenberg import levenberg
from .objective import Objective
from .stages import goes_deep, is_long, is_small, seldom, stages, step_worth
from .whitened import whitened


class Found(NamedTuple):
    """The end of a search."""

    objective: Objective
    tracker: Tracker
    interrupted: bool


ROUNDS = 5
"""How often a deep search renews the prior."""
PENALTIES = (1.0, 10.0, 100.0)
"""Weight of the stability penalty in the stages of L-BFGS."""


def optimise(
    objective: Objective, tracker: Tracker, epochs: int, polish: int, rate: float, patience: int, seed: int,
    start: np.ndarray | None = None, near: np.ndarray | None = None,
) -> bool:  # fmt: skip
    """Adam, then L-BFGS in stages under a growing penalty, by default from the model; True if the user interrupted.

    near: another start, for a search that goes deep.
    """
    v = objective.start() if start is None else start
    try:
        objective.expect(start)
        objective.settle(v, 1.0)
        tracker(v, objective(v)[0])
        rng = np.random.default_rng(seed)
        if goes_deep(objective):
            _deep(objective, tracker, v, near, epochs, polish, rate, patience, rng)
            return False
        v = _adam(objective, tracker, v, epochs, rate, rng)
        for i, penalty in enumerate(PENALTIES):
            objective.reweigh(v)
            objective.settle(v, penalty)
            v = _lbfgs(objective, tracker, v, polish // len(PENALTIES), patience)
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
    """From the other start, then from the first, after Adam: two ways down, the better is kept.

    On long records from the better start only: on a part of them, then on ever larger ones, half as many steps each.
    """
    if is_long(objective):
        v, worked_on = start if near is None else min(start, near, key=lambda v: objective(v)[0]), stages(objective)
        for k, stage in enumerate(worked_on):
            if stage is objective:
                tracker.least_loss = np.inf  # that of a part tells nothing
            v = _descent(stage, tracker, v, polish >> k, patience, worked_on[0] if k else None)
        return
    if near is not None:
        _descent(objective, tracker, near, polish, patience)
    objective.settle(start, 1.0)
    _descent(objective, tracker, _adam(objective, tracker, start, epochs, rate, rng), polish, patience)


def _descent(objective, tracker, v, iterations, patience, part=None) -> np.ndarray:
    """Levenberg-Marquardt steps or, for many variables, whitened L-BFGS; the prior follows the error.

    Stops as L-BFGS does. part: of the records, whose matrix whitens.
    """
    started, worth, every, waiting = len(tracker.rows), step_worth(objective), seldom(objective, tracker.objective), []
    method = levenberg if is_small(objective) else partial(whitened, part=part)
    least = max(patience // (worth * every), 1)

    def is_stalled():
        return len(tracker.rows) - max(tracker.best_iteration, started) > least

    def report(v, value):
        waiting.append((v, value))
        if len(waiting) == every:
            judge_last()
        objective.reweigh(v)
        return is_stalled()

    def judge_last():
        if waiting:
            last = waiting[-1]
            waiting.clear()
            tracker(*last)

    try:
        for _ in range(ROUNDS):
            objective.settle(v, 1.0)
            if part:
                part.reweigh(v)
                part.settle(v, 1.0)
            v = method(objective, v, max(iterations // (worth * ROUNDS), 1), report)
            if is_stalled():
                break
    finally:
        judge_last()
    return v


def _repair(objective, tracker, v) -> np.ndarray:
    """The last iterate shrunk to half the margin, offered to the tracker, and v itself with fresh weights.

    On the border itself it would be proved too: with a decay of days and a gain of 1e12, for a little less error.
    """
    if objective.property is None:
        return v
    objective.load(v)
    fresh = v.copy()
    with torch.no_grad():
        fresh[objective.n_theta : objective.n_theta + objective.n_scale] = objective.log_scale()
    if not objective.is_certified(fresh):
        try:
            contract(objective.model, objective.property, objective.method, objective.margin / 2)
        except CertificateError:
            return v
        shrunk = objective.start()
        shrunk[objective.n_theta + objective.n_scale :] = v[objective.n_theta + objective.n_scale :]
        tracker(shrunk, objective(shrunk)[0])
    return fresh
