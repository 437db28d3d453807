"""Never worse than linear theory: a search that ends below a linear model of its records goes on from that model."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from torch import Tensor

from .construct import Contracting
from .contract import CertificateError, contract
from .data import Experiment
from .initial import initial_state as cell_state
from .linear import LinearModel, linear_reference
from .linear_start import AMPLITUDE, start_linear
from .model import Model
from .readout import fit_readout
from .refine import initial_state
from .search import Tracker, budget, optimise
from .subspace import StateSpace

SHOWN = 100
"""Samples of a record from which the cell's initial state is found."""


EXACT = 0.01
"""Amplitude of the start that is kept if nothing better is found; the search goes on from a livelier one."""


class Floor(NamedTuple):
    """A linear model of the same records, and its error by the measure that judges the search; NaN without one."""

    linear: LinearModel | None = None
    error: float = float("nan")


def find_floor(tracker: Tracker, train: Experiment, valid: Experiment | None, u_min, u_max, linear) -> Floor:
    """The floor under a search: `linear` if it is given, else what `fit_linear` finds."""
    linear = linear or linear_reference(train, valid, u_min, u_max)
    return Floor() if linear is None else Floor(linear, linear_error(linear, tracker))


def climb(floor: Floor, tracker: Tracker, drawn: dict[str, Tensor], polish: int, patience: int, seed: int) -> bool:
    """Where the best model so far is below the floor, search on from the linear model; True if the user interrupted.

    drawn: the parameters that the search started from, for the states that the linear model does not need.
    """
    objective, model = tracker.objective, tracker.valid.model
    if floor.linear is None or not tracker.best_error > floor.error:
        return False
    tracker.total = len(tracker.rows) + 1 + budget(objective, 0, polish)
    v = objective.start()
    for amplitude in (EXACT, AMPLITUDE):
        model.load_state_dict(drawn)
        if not load_linear(model, floor.linear, tracker, amplitude):
            return False
        v = _start(tracker)
        if amplitude == EXACT:
            tracker(v, objective(v)[0])
    return optimise(objective, tracker, 0, polish, 0.0, patience, seed, v)


def _start(tracker: Tracker) -> np.ndarray:
    """v of the model as it is, with the records' initial states."""
    objective, valid = tracker.objective, tracker.valid
    v = objective.start()
    if objective.n_x0:
        shown = ((u[:SHOWN, : valid.model.nu], y[:SHOWN]) for u, y in zip(*objective.data[:2], strict=True))
        x0 = [cell_state(valid.kernel, valid.model, u, y) for u, y in shown]
        v[-objective.n_x0 :] = np.clip(x0, -1, 1).ravel()
    return v


def linear_error(linear: LinearModel, tracker: Tracker) -> float:
    """The error of the linear model by the measure that judges the search."""
    valid, data = tracker.valid, tracker.objective.data
    if not valid.us:
        starts = (initial_state(linear.system, u, y) for u, y in zip(data.u, data.y, strict=True))
        return valid.error_on_training(tracker.objective, _runs(linear.system, starts, data.u))
    w, at_rest = valid.washout, np.zeros(linear.order)
    pairs = zip(valid.us, valid.ys, strict=True)
    starts = (initial_state(linear.system, u[:w], y[:w]) if w else at_rest for u, y in pairs)
    return valid.error_on_records(_runs(linear.system, starts, valid.us))


def _runs(system: StateSpace, starts, us) -> list[np.ndarray]:
    return [system.simulate(x0, u) for x0, u in zip(starts, us, strict=True)]


def load_linear(model: Model, linear: LinearModel, tracker: Tracker, amplitude: float) -> bool:
    """Make the cell the linear model, shrunk to what its certificate allows; False if it has no such start.

    States slower than the certificate allows are made faster, and the read-out is fitted again to what is left.
    """
    objective, made = tracker.objective, model if isinstance(model, Contracting) else None
    cell = made.inner if made else model
    margin = 1 - made.rate if made else 0.0 if objective.is_free else objective.margin
    slowest = replace(linear, system=linear.system.stable((1 - margin) ** 2)) if margin else linear
    try:
        start_linear(cell, slowest, amplitude)
        if made:
            made.start_scale()
        elif margin:
            contract(model, str(objective.property), objective.method, margin)
            data = objective.data._replace(u=[u[:, : model.nu] for u in objective.data.u])
            fit_readout(model, tracker.valid.kernel, np.zeros((len(data.u), model.nx)), data)
    except (ValueError, CertificateError):
        return False
    return True
