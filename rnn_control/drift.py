"""A load that nobody recorded drifts while the record is made: seen in the residuals, and trained along.

A free run cannot follow what is not among its inputs. Left alone, a drift biases the parameters, or is learned as a
slow state that no other record shows. Where the residuals say so, training goes on with u + S d instead of u, where
d are ramps over the records and S is estimated (a nuisance parameter, like the initial states); the model that is kept
has neither. It stands for the load where the ramps are zero: what comes after a part of a record begins at its end.
"""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from .data import Experiment
from .initial import Visited, initial_states
from .judge import mean_error
from .kernel import Batch, Kernel
from .model import Model, Params
from .objective import Objective
from .scaler import Scaler
from .search import Found
from .wrapped import Wrapped

SHARE = 0.1
"""Of the squared residuals; a drift that explains less is not looked for (records without one show at most 0.03)."""
SURE = 2
"""Times what a ramp explains of as many independent residuals by chance."""
SMALLEST = 0.01
"""Root mean square, in deviations of the outputs, of what a drift does that is worth a search."""
LARGEST_ERROR = 0.2
"""Root mean square of the residuals, likewise, beyond which they tell more of the model than of a load."""
GAIN = 0.9
"""Share of the validation error that a search with a drift has to reach to be kept."""
NEAR = 0.1
"""Size of a ramp that is nearly zero."""
ROUNDS = (0.2, 1.0)
"""Shares of the polishing for two searches with a drift: the first sharpens the level that the second starts from."""
LARGEST_LOAD = 0.3
"""Of the half width of the input box."""
STEP = 1e-4
"""Of the finite differences with respect to the load, normalised."""


class Drifting(Wrapped):
    """x(k+1) = f(x(k), u(k) + S d(k)),  y = g(x), with inputs (u, d): the load d (records,) acts along the inputs.

    d is known, S (nu, records) is a free parameter. The conditions are those of f for d = 0, on the box of u.
    """

    kind = "drifting"

    def __init__(self, model: Model, records: int):
        super().__init__(model, model.nu + records, dict(records=records))
        self.S = nn.Parameter(torch.zeros(model.nu, records, dtype=torch.float64))

    def theta(self) -> Params:
        return Params({**self.inner.theta(), "S": self.S})

    def f(self, p: Params, x, u) -> Any:
        nu = self.inner.nu
        return self.inner.f(p, x, u[:nu] + p.S @ u[nu:])

    def output_box(self, p, u_max):
        return self.inner.output_box(p, u_max[: self.inner.nu])

    def state_box(self, p, u_max):
        return self.inner.state_box(p, u_max[: self.inner.nu])

    def iss(self, p, u_max):
        return self.inner.iss(p, u_max[: self.inner.nu])

    def delta_iss(self, p, u_max):
        return self.inner.delta_iss(p, u_max[: self.inner.nu])

    def comparison(self, p, u_max):
        return self.inner.comparison(p, u_max[: self.inner.nu])


def follow_drift(
    search: Callable[..., Found], found: Found, begun: dict[str, Tensor], data: Batch, ramps: list[np.ndarray],
    epochs: int, polish: int,
) -> Found:  # fmt: skip
    """The best of `found` and of searches with a load that ramps, where the residuals or the memory ask for one.

    search(model, data, epochs, polish, rows) is the search itself. It goes on from what was found, or from
    the parameters `begun` where what was found takes the drift for a memory of the initial states. The model is to
    stand for the load of the validation part, whose level is found between searches; without one for that at the end of
    records that went on, else in their middle. An interrupt keeps the best so far.
    """
    tracker, model, kernel = found.tracker, found.objective.model, found.objective.kernel
    if found.interrupted or tracker.best is None:
        return found
    us, ys, washout = tracker.valid.us, tracker.valid.ys, tracker.valid.washout
    best, level, records = found, np.zeros(model.nu), ramps[0].shape[1]
    try:
        is_anew = False
        deepest = [] if tracker.deepest is None else [tracker.deepest]
        for v in (tracker.best, *deepest):  # the judge may prefer an iterate that never followed the drift
            is_anew = remembers(found.objective, v)
            if is_anew or drifts(found.objective, v, data, ramps):
                break
        else:
            return found
        if is_anew:
            model.load_state_dict(begun)
        drifting = Drifting(model, records)
        for part in ROUNDS if us else ROUNDS[-1:]:
            if us and not is_anew:
                _, visited = tracker.valid.seen(found.objective, v)
                level = level + level_of(kernel, model, us, ys, washout, visited)
            loaded, length = with_load(data, ramps, level), (epochs if is_anew else 0, int(part * polish))
            found, is_anew = search(drifting, loaded, *length, found.tracker.rows), False
            least = (GAIN if best.objective.model is model else 1.0) * best.tracker.best_error
            if found.tracker.best_error < least and (us or not fails_alone(found, kernel, model, data, ramps)):
                best = found
            if found.interrupted or found.tracker.best is None:
                break
            v = found.tracker.best
            found.objective.load(v)
    except KeyboardInterrupt:
        found = found._replace(interrupted=True)
    best.tracker.rows = found.tracker.rows
    return best._replace(interrupted=found.interrupted)


def fails_alone(found: Found, kernel: Kernel, model: Model, data: Batch, ramps: list[np.ndarray]) -> bool:
    """Whether the model inside, which is what a user gets, misses the records by more than LARGEST_ERROR without load.

    Where the ramps are nearly zero, so that it should not. What judged the search had the load, and a free cell may
    take that for a clock.
    """
    objective, v = found.objective, found.tracker.best
    assert v is not None
    objective.load(v)
    runs = kernel.simulate(model.theta(), objective.initial_states(v), data.u)
    errors = [y - yhat for y, (_, yhat) in zip(data.y, runs, strict=True)]
    near = (abs(ramp.sum(1)) <= NEAR for ramp in ramps)
    seen = [w * is_near[:, None] for w, is_near in zip(objective.seen, near, strict=True)]
    return mean_error(errors, seen) > LARGEST_ERROR


def warn_of_drift(model: Model, scaler: Scaler, train: Experiment) -> np.ndarray | None:
    """The change over each record, of which the user is told; None where the model was trained without a drift."""
    if not isinstance(model, Drifting):
        return None
    change = 2 * model.S.detach().numpy().T * scaler.u_half
    labels = list(zip(train.u_names, train.u_units, strict=True))
    moved = "; ".join(
        ", ".join(f"{name} by {value:+.3g} {unit}".rstrip() for (name, unit), value in zip(labels, row, strict=True))
        for row in change
    )
    warnings.warn(
        f"the outputs drift as if the inputs had moved ({moved} over the record) although they did not: a "
        "load that is not recorded. It was trained along, and the model stands for the load of the validation part; "
        f"without one for that {'at the end' if train.goes_on else 'in the middle'} of the record; drift=None takes "
        "the record as it is",
        stacklevel=5,
    )
    return change


def with_load(data: Batch, ramps: list[np.ndarray], level: np.ndarray) -> Batch:
    """The batch with ramps as further inputs, its inputs lowered by the level that the model will stand for."""
    return data._replace(u=[np.hstack([u - level, d]) for u, d in zip(data.u, ramps, strict=True)])


def remembers(objective: Objective, v: np.ndarray) -> bool:
    """Whether the initial states still show, after a quarter of the records, by more than the residuals."""
    objective.load(v)
    p, x0, data = objective.model.theta(), objective.initial_states(v), objective.data
    runs = objective.kernel.simulate(p, x0, data.u)
    visited = Visited.by(runs)
    still = objective.kernel.simulate(p, 0 * x0 + (0 if visited is None else visited.mean), data.u)
    memory, residual, total = 0.0, 0.0, 0.0
    for y, w, (_, yhat), (_, rest) in zip(data.y, objective.seen, runs, still, strict=True):
        late = w * (np.arange(len(y)) >= len(y) // 4)[:, None]
        memory, residual = memory + (late * (yhat - rest) ** 2).sum(), residual + (late * (y - yhat) ** 2).sum()
        total += late.sum()
    return bool(residual < LARGEST_ERROR**2 * total and memory > max(residual, SMALLEST**2 * total))


def drifts(objective: Objective, v: np.ndarray, data: Batch, ramps: list[np.ndarray]) -> bool:
    """Whether loads that ramp explain SHARE of the residuals at v beyond what constant loads explain."""
    objective.load(v)
    kernel, p, x0, nu = objective.kernel, objective.model.theta(), objective.initial_states(v), data.u[0].shape[1]

    def runs(loads) -> np.ndarray:
        shifted = [u + load for u, load in zip(data.u, loads, strict=True)]
        return np.concatenate([yhat for _, yhat in kernel.simulate(p, x0, shifted)])

    still, weights = runs([0.0] * len(ramps)), np.sqrt(np.concatenate(objective.seen))
    residual = (weights * (np.concatenate(data.y) - still)).ravel()

    def effects(shapes):
        """Of a load of each shape along each input, a column each."""
        loads = [[STEP * shape[:, None] * np.eye(nu)[i] for shape in row] for row in shapes for i in range(nu)]
        return np.stack([(weights * (runs(load) - still)).ravel() / STEP for load in loads], axis=1)

    constant = effects([[np.ones(len(d)) for d in ramps]])
    ramp = effects([[d[:, r] for d in ramps] for r in range(ramps[0].shape[1])])

    def rest(columns) -> np.ndarray:
        return residual - columns @ np.linalg.lstsq(columns, residual, rcond=None)[0]

    if not np.isfinite(residual).all() or not (residual**2).sum() < LARGEST_ERROR**2 * (weights**2).sum():
        return False
    before, after = rest(constant), rest(np.hstack([constant, ramp]))
    explained, chance = (before**2).sum() - (after**2).sum(), ramp.shape[1] / independent(after.reshape(weights.shape))
    return bool(explained > max(SHARE, SURE * chance) * (before**2).sum() and explained > SMALLEST**2 * residual.size)


def independent(residual: np.ndarray) -> float:
    """How many independent samples residuals (T, ny) are worth, from their correlation with the sample before."""
    rho = float((residual[1:] * residual[:-1]).sum() / (residual**2).sum())
    return residual.size * (1 - rho) / (1 + max(rho, 0.0))


def level_of(kernel: Kernel, model: Model, us, ys, washout: int, visited: Visited | None, iterations=4) -> np.ndarray:
    """The constant load (nu,) that explains records best, by Gauss-Newton; initial states from their first samples."""
    nu = us[0].shape[1]
    level, p = np.zeros(nu), model.theta()
    seen = np.concatenate([np.isfinite(y) & (np.arange(len(y)) >= washout)[:, None] for y in ys])

    def residual(load):
        loaded = [u + load for u in us]
        first_u, first_y = ([a[:washout] for a in part] for part in (loaded, ys))
        runs = kernel.simulate(p, initial_states(kernel, model, first_u, first_y, None, visited), loaded)
        return np.concatenate([y - yhat for y, (_, yhat) in zip(ys, runs, strict=True)])[seen]

    for _ in range(iterations):
        e = residual(level)
        J = np.stack([(e - residual(level + STEP * unit)) / STEP for unit in np.eye(nu)], axis=1)
        level = np.clip(level + np.linalg.lstsq(J, e, rcond=None)[0], -LARGEST_LOAD, LARGEST_LOAD)
    return level
