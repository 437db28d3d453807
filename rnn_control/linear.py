"""Linear identification: the reference that every network has to beat, and the start that it is given."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import control
import numpy as np

from .data import Experiment
from .metrics import Score, score, unexplained
from .refine import initial_state, refine
from .scaler import Scaler
from .subspace import StateSpace, allows, subspace

HOLD_OUT = 0.25
"""Share of the training records that chooses the order where there is no validation part."""
REFINED = 3
"""Orders that are refined: those whose subspace starts have the smallest validation errors."""


@dataclass(frozen=True, eq=False)
class LinearModel:
    """x+ = A x + B u, y = C x + b between signals normalised by the scaler, balanced; dt in s."""

    system: StateSpace
    scaler: Scaler
    dt: float
    u_names: tuple[str, ...]
    y_names: tuple[str, ...]
    u_units: tuple[str, ...]
    y_units: tuple[str, ...]
    residual: np.ndarray | None = None
    """Of the training records, as that of an IdentifiedModel."""

    @property
    def order(self) -> int:
        return len(self.system.A)

    def simulate(self, u: np.ndarray, x0: np.ndarray | None = None) -> np.ndarray:
        """Free run: outputs (T, ny) for inputs u (T, nu) from x0 (nx,), by default the origin."""
        u = np.asarray(u, float)
        u = u[:, None] if u.ndim == 1 else u
        if u.ndim != 2 or u.shape[1] != len(self.u_names):
            raise ValueError(f"u has shape {u.shape}; it is (T, {len(self.u_names)}), the inputs {self.u_names}")
        start = np.zeros(self.order) if x0 is None else np.asarray(x0, float)
        return self.scaler.y_out(self.system.simulate(start, self.scaler.u_in(u)))

    def initial_state(self, u: np.ndarray, y: np.ndarray) -> np.ndarray:
        """x(0), (nx,), that minimises mean w |y - yhat|^2 + 1e-3 |x0|^2 over a window u (T, nu), y (T, ny).

        w: 1 / residual^2 of each output over the least of them.
        """
        residual = None if self.residual is None else self.residual / self.scaler.y_std
        return initial_state(self.system, self.scaler.u_in(u), self.scaler.y_in(y), residual)

    def predict(self, experiment: Experiment, washout: int = 50) -> list[np.ndarray]:
        """Free-run outputs on every record; x(0) is estimated from its first `washout` samples (0: the origin)."""
        return [
            self.simulate(u, self.initial_state(u[:washout], y[:washout]) if washout else None)
            for u, y in zip(experiment.us, experiment.ys, strict=True)
        ]

    def score(self, experiment: Experiment, washout: int = 50) -> Score:
        """FIT % and RMSE per output of the free run, over the samples after the first `washout`, which give x(0)."""
        return score(experiment.ys, self.predict(experiment, washout), self.y_names, self.y_units, washout)

    def to_control(self) -> control.StateSpace:
        """The system for python-control: deviations from the middle of the input box and the mean of y, in units."""
        s, (A, B, C, _) = self.scaler, self.system
        D = np.zeros((len(C), B.shape[1]))
        labels = dict(inputs=_labels(self.u_names), outputs=_labels(self.y_names))
        return control.StateSpace(A, B / s.u_half, s.y_std[:, None] * C, D, self.dt, **labels)


def fit_linear(
    train: Experiment,
    valid: Experiment | None = None,
    order: int | None = None,
    *,
    orders: Sequence[int] = range(1, 11),
    u_min: np.ndarray | None = None,
    u_max: np.ndarray | None = None,
) -> LinearModel:
    """The linear model of least free-run error: a subspace start, refined by Gauss-Newton on the simulation error.

    order: number of states; None takes the one of `orders` with the smallest error on valid (without valid: on the
    last quarter of every training record, after which all of it is used), of those for which the records are long
    enough. u_min, u_max: input box, as for `fit`. Outputs that are missing (NaN) are interpolated for the subspace
    start and do not count afterwards.
    Raises ValueError for records that are too short for the orders.
    """
    if order is None and valid is None:
        order = fit_linear(*_cut(train, 1 - HOLD_OUT), orders=orders).order
    scaler = Scaler.fit(train, u_min=u_min, u_max=u_max)
    us, ys = [scaler.u_in(u) for u in train.us], [scaler.y_in(y) for y in train.ys]
    labels = {k: getattr(train, k) for k in ("dt", "u_names", "y_names", "u_units", "y_units")}
    tried = [order] if order is not None else [n for n in orders if allows(us, ys, n)] or [min(orders)]
    filled = train.part(us, ys, train.names).interpolated().ys
    starts = [LinearModel(system, scaler, **labels) for system in subspace(us, filled, tried)]
    if valid is not None:
        starts = sorted(starts, key=lambda m: linear_error(m, valid))[:REFINED]
    models = [replace(m, system=refine(m.system, us, ys).balanced()) for m in starts]
    known = [replace(m, residual=unexplained(train.ys, m.predict(train))) for m in (*models, *starts)]
    # a refined one may follow a drift by a slow state whose start a user's 50 samples do not show
    return min(known, key=lambda m: linear_error(m, valid or train))


def linear_reference(
    train: Experiment, valid: Experiment | None, u_min: np.ndarray | None = None, u_max: np.ndarray | None = None
) -> LinearModel | None:
    """`fit_linear` of the order that suits the records; None where they are too short for it."""
    try:
        return fit_linear(train, valid, u_min=u_min, u_max=u_max)
    except ValueError:
        return None


def linear_error(model: LinearModel, experiment: Experiment, washout: int = 50) -> float:
    """Free-run RMSE / std, mean over the outputs."""
    shortest = min(len(u) for u in experiment.us)
    return model.score(experiment, min(washout, shortest // 4)).mean_error(model.scaler.y_std)


def _cut(train: Experiment, share: float) -> tuple[Experiment, Experiment]:
    cuts = [round(share * len(u)) for u in train.us]

    def part(which):
        us, ys = ([r[which(c)] for r, c in zip(rs, cuts, strict=True)] for rs in (train.us, train.ys))
        return train.part(us, ys, train.names)

    return part(lambda cut: slice(0, cut)), part(lambda cut: slice(cut, None))


def _labels(names: tuple[str, ...]) -> list[str]:
    """python-control reads a dot as "system.signal"."""
    return [name.replace(".", "_") for name in names]
