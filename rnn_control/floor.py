"""Never worse than linear theory: a search that ends below a linear model of its records goes on from that model."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from torch import Tensor

from .construct import Contracting
from .contract import CertificateError, contract
from .data import Experiment
from .initial import initial_states
from .judge import Tracker
from .linear import LinearModel, linear_reference
from .linear_start import AMPLITUDE, imitate, linear_states
from .model import Model
from .realisation import decoupled, read_again
from .refine import initial_state, refine
from .search import optimise
from .stages import budget
from .subspace import StateSpace

SHOWN = 100
"""Samples of a record from which the cell's initial state is found."""
EXACT = 0.01
"""Amplitude of the start that is kept if nothing better is found; the search goes on from a livelier one."""
SOFT = 0.15
"""Share of the margin that the smooth maximum of `Contracting` takes for itself, of ten rows or so."""
HARDLY = 0.01
"""Share of the margin that a start may come down to: the search then goes back towards the margin."""
ROOM = 1e-8
"""Margin of a start that is proved."""


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
    near, nearest = None, np.inf
    for system in stand_ins(floor.linear.system, tracker):
        for amplitude in (EXACT, AMPLITUDE):
            v = _started(model, system, tracker, drawn, amplitude)
            if v is None:
                return False
            tracker(v, objective(v)[0])
            if tracker.rows[-1][1] <= (1 + EXACT) * floor.error:
                tracker.linear.add(len(tracker.rows) - 1)
            if tracker.rows[-1][1] < nearest:
                near, nearest = system, tracker.rows[-1][1]
        if nearest <= floor.error:
            break
    if near is None:
        return False
    tracker.total = len(tracker.rows) + budget(objective, 0, polish)
    return optimise(
        objective, tracker, 0, polish, 0.0, patience, seed, _started(model, near, tracker, drawn, AMPLITUDE)
    )


def stand_ins(system: StateSpace, tracker: Tracker) -> Iterator[StateSpace]:
    """The linear model in coordinates that the cell's certificate likes, as near to it as the certificate allows.

    Of lower orders too, for they leave states to a pair that swings; where a penalty aims for the margin, also with
    hardly any margin, for whatever is proved may be kept. Where a mode had to be made faster, the read-out is new. What
    has more states than the cell is cut, and trained again on all samples as it was: cut only, it may be far from them.
    """
    objective, model = tracker.objective, tracker.valid.model
    made = model if isinstance(model, Contracting) else None
    cell = made.inner if made else model
    states = linear_states(cell)
    data = objective.data._replace(u=[u[:, : model.nu] for u in objective.data.u])
    if len(system.A) > states:
        seen = [np.where(w > 0, y, np.nan) for y, w in zip(data.y, objective.seen, strict=True)]
        system = refine(system.balanced(states), data.u, seen).balanced()
    if objective.is_free and not made:
        # a REN makes its slow modes faster itself; in its own coordinates the initial states are as likely as before
        yield system
        return
    margins = [(1 + SOFT) * (1 - made.rate)] if made else [objective.margin, HARDLY * objective.margin]
    for margin in margins:
        for order in range(min(states, len(system.A)), 0, -1):
            try:
                s = decoupled(system.balanced(order), states, 1 - margin)
                is_same = np.allclose(s.dc_gain(), system.dc_gain(), 1e-6)
                s = s if is_same else read_again(s, *data)
            except ValueError:
                continue  # no modes, or none that can be told apart, as those of a delay (LinAlgError)
            yield s


def _started(
    model: Model, system: StateSpace, tracker: Tracker, drawn: dict[str, Tensor], amplitude
) -> np.ndarray | None:
    """v of the cell as the linear system, shrunk to what its certificate allows; None if it has no such start."""
    objective, cell = tracker.objective, model.inner if isinstance(model, Contracting) else model
    model.load_state_dict(drawn)
    try:
        imitate(cell, system, amplitude)
        if isinstance(model, Contracting):
            model.start_scale()
        elif not objective.is_free:
            contract(model, str(objective.property), objective.method, ROOM)
    except (ValueError, CertificateError):
        return None
    return _start(tracker)


def _start(tracker: Tracker) -> np.ndarray:
    """v of the model as it is, with the records' initial states."""
    objective, valid = tracker.objective, tracker.valid
    v = objective.start()
    if objective.starts.size:
        u, y = ([a[:SHOWN] for a in part] for part in objective.data[:2])
        x0 = initial_states(valid.kernel, valid.model, [a[:, : valid.model.nu] for a in u], y)
        v[-objective.starts.size :] = objective.starts.nearest(np.clip(x0, -1, 1))
    return v


def linear_error(linear: LinearModel, tracker: Tracker) -> float:
    """The error of the linear model by the measure that judges the search."""
    valid, data = tracker.valid, tracker.objective.data
    w, at_rest = valid.washout, np.zeros(linear.order)
    us, ys = (valid.us, valid.ys) if valid.us else data[:2]
    residual = None if linear.residual is None else linear.residual / linear.scaler.y_std
    first = ((u[:w], y[:w]) for u, y in zip(us, ys, strict=True))
    starts = (initial_state(linear.system, *shown, residual) if w else at_rest for shown in first)
    runs = _runs(linear.system, starts, us)
    if valid.us:
        return valid.error_on_records(runs)
    return valid.error_on_training(tracker.objective, [y - yhat for y, yhat in zip(data.y, runs, strict=True)])


def _runs(system: StateSpace, starts, us) -> list[np.ndarray]:
    return [system.simulate(x0, u) for x0, u in zip(starts, us, strict=True)]
