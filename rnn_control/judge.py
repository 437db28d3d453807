"""Which iterate of a search is the best: by an error that the training did not see, among those that are certified."""

import time
from collections.abc import Callable, Sequence
from dataclasses import InitVar, dataclass, field

import numpy as np

from .conditions import is_proved
from .initial import RECORDS, Visited, initial_states
from .kernel import Kernel
from .model import Model
from .objective import Objective
from .watch import Step
from .weighting import root_mean_squares


@dataclass
class Validation:
    """Normalised free-run error on the validation records, mean over outputs of RMSE / std; without any, on `held`.

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
            return self.held_error(objective, v) if self.held else self.training_error(objective, v)
        x0 = self.initial_states(objective, v, self.kernel, self.model, self.us, self.ys)
        return self.error_on_records([yhat for _, yhat in self.kernel.simulate(self.model.theta(), x0, self.us)])

    def error_on_records(self, outputs: list[np.ndarray]) -> float:
        """Mean of RMSE / std of outputs (T, ny) for the validation records, or of the training where one is still."""
        w = self.washout
        measured = np.concatenate([y[w:] for y in self.ys])
        error = measured - np.concatenate([yhat[w:] for yhat in outputs])
        std = np.nanstd(measured, axis=0)
        error /= np.where(std > 1e-9, std, 1.0)
        known = ~np.isnan(measured)
        return mean_error([np.where(known, error, 0.0)], [known.astype(float)])

    def seen(self, objective: Objective, v: np.ndarray) -> tuple[np.ndarray | None, Visited | None]:
        """What v leaves unexplained of each output of the training records, (ny,), and where it takes the states."""
        x0 = objective.initial_states(v)
        some = range(0, len(x0), -(-len(x0) // RECORDS))
        u, y, w = ([part[i] for i in some] for part in objective.data)
        runs = self.kernel.simulate(self.model.theta(), x0[some], [a[:, : self.model.nu] for a in u])
        found = root_mean_squares([a - yhat for a, (_, yhat) in zip(y, runs, strict=True)], w)
        return found if np.isfinite(found).all() else None, Visited.by(runs)

    def initial_states(self, objective: Objective, v: np.ndarray, kernel: Kernel, model: Model, us, ys) -> np.ndarray:
        """(records, nx)."""
        first_u, first_y = ([a[: self.washout] for a in part] for part in (us, ys))
        return initial_states(kernel, model, first_u, first_y, *self.seen(objective, v))

    def held_error(self, objective: Objective, v: np.ndarray) -> float:
        kernel, model, data = objective.kernel, objective.model, objective.data
        is_own = objective.starts.is_own
        if is_own:
            x0 = self.initial_states(objective, v, kernel, model, data.u, data.y)
        else:
            x0 = objective.initial_states(v)
        runs = kernel.simulate(model.theta(), x0, data.u)
        return self.error_on_training(objective, [y - yhat for y, (_, yhat) in zip(data.y, runs, strict=True)])

    def training_error(self, objective: Objective, v: np.ndarray) -> float:
        """As the training sees it; of one output it is known already."""
        if self.model.ny == 1:
            return objective.error
        return self.error_on_training(objective, objective.errors(v))

    def error_on_training(self, objective: Objective, errors: list[np.ndarray]) -> float:
        """Mean root mean square of errors (T, ny) on the training records, on what was held or on all of it."""
        judging = [w * f for w, f in zip(self.held or objective.weights, objective.factors, strict=True)]
        return mean_error(errors, judging)


def mean_error(errors: Sequence[np.ndarray], weights: Sequence[np.ndarray]) -> float:
    """Mean over the outputs of their root mean squares, inf if they diverged."""
    value = float(root_mean_squares(errors, weights).mean())
    return value if np.isfinite(value) else np.inf


@dataclass
class Tracker:
    """Remembers every iterate's scores and the best iterate that is certified, and tells `logs` of each.

    deepest: the iterate that fits the training samples best, where nothing is enforced; else None.
    budget: how many iterates it judges at most, beside those of an earlier search in `earlier`.
    linear: iterations that are the linear model of the records, those samples included that were kept to judge.
    """

    objective: Objective
    valid: Validation
    logs: Sequence[Callable[[Step], object]]
    budget: int
    started: float = field(default_factory=time.perf_counter)
    earlier: InitVar[Sequence[tuple[float, float, float]]] = ()
    best: np.ndarray | None = None
    best_error: float = np.inf
    deepest: np.ndarray | None = None
    least_loss: float = np.inf
    linear: set[int] = field(default_factory=set)

    def __post_init__(self, earlier):
        self.rows, self.best_iteration, self.total = list(earlier), len(earlier), self.budget + len(earlier)

    def __call__(self, v: np.ndarray, loss: float) -> None:
        bound = self.objective.bound(v)
        error = self.valid(self.objective, v)
        residual = float("nan") if bound is None else float(bound.residual.max())
        if error < self.best_error and (bound is None or is_proved(bound)):
            self.best, self.best_error, self.best_iteration = v.copy(), error, len(self.rows)
        if self.objective.is_free and loss < self.least_loss:
            self.deepest, self.least_loss = v.copy(), loss
        seconds, iteration = time.perf_counter() - self.started, len(self.rows)
        self.rows.append((loss, error, residual))
        for log in self.logs:
            log(Step(iteration, self.total, loss, error, self.best_error, -residual, seconds))

    def stalled(self, patience: int) -> bool:
        return len(self.rows) - self.best_iteration > patience
