"""Initial states from the first samples of a record: regularised, projected Gauss-Newton on the roll-out."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from .kernel import Kernel
from .model import Model
from .weighting import likelihood

PRIOR = 1e-3
"""Weight of |x0|^2 beside the mean squared output error, of models that tell no better."""
LEAST = 1e-5
"""Weight of |(x0 - mean) / spread|^2 at least: it decides what the window does not show."""
RECORDS = 32
"""That tell where a training takes the states: of more, some from all over."""
STEP = 1e-5
"""Of the forward differences."""
GAIN = 1e-2
"""Share of the cost: a step that promises less is not worth its simulations."""
PASSES = 4
"""Of holding more and more states on the border of the box."""
HALVINGS = 0.5 ** np.arange(10)[:, None]
"""Parts of a step of which the best is taken where the whole one gains too little."""


class Visited(NamedTuple):
    """Mean (nx,) of the states over the training records, normalised, and the largest deviation of one.

    Initial states are looked for there: a model without a certificate may have several rest points, of which the
    records showed one, and with many states a window can be explained from where none of them ever was.
    """

    mean: np.ndarray
    spread: float

    @classmethod
    def by(cls, runs: Sequence[tuple[np.ndarray, np.ndarray]]) -> "Visited | None":
        """From simulated states (T+1, nx) and outputs; None where they diverged or rest."""
        x = np.concatenate([states[:-1] for states, _ in runs])
        with np.errstate(over="ignore", invalid="ignore"):
            mean, spread = x.mean(0), float(x.std(0).max())
        return cls(mean, spread) if 0 < spread < np.inf else None

    @classmethod
    def read(cls, stored: Any, nx: int) -> "Visited":
        """From a file. Raises ValueError if it is no mean of nx states and a positive spread."""
        mean, spread = np.array(stored[0], float), float(stored[1])
        if mean.shape != (nx,) or not np.isfinite(mean).all() or not 0 < spread < np.inf:
            raise ValueError(f"the mean of the states has shape {mean.shape}, their spread is {spread}; nx = {nx}")
        return cls(mean, spread)


def initial_states(
    kernel: Kernel, model: Model, us: Sequence[np.ndarray], ys: Sequence[np.ndarray],
    residual: np.ndarray | None = None, visited: Visited | None = None, iterations: int = 20,
) -> np.ndarray:  # fmt: skip
    """x0 (records, nx) in the state box, of least mean w |y - yhat|^2 + p |(x0 - mean) / spread|^2 of each record.

    us, ys: windows (T, nu) and (T, ny). w: the `likelihood` weights of the outputs' residuals (ny,), all one without.
    Samples that are missing (NaN in y) do not count. visited: mean and spread; the search begins at the mean. p = max
    residual^2 / (T ny), which makes it the maximum a posteriori estimate, LEAST at least. PRIOR |x0|^2 without
    `visited`, p = PRIOR without residuals. Everything normalised. Derivatives by forward differences; all records and
    directions are one batch of simulations. States that rest on the box and are pushed outwards are held there; the
    search of a record ends where a step promises or gains less than the share GAIN.
    """
    windows = Windows(kernel, model, us, ys, residual, visited)
    x0, rows = np.tile(windows.mean, (len(us), 1)), np.arange(len(us))
    found = windows.around(rows, x0)
    for _ in range(iterations):
        step, promised = windows.step(rows, x0[rows], *found)
        least, moves = found.costs[:, 0], promised > GAIN * found.costs[:, 0]
        rows, step, least = rows[moves], step[moves], least[moves]
        if not len(rows):
            break
        x0[rows], found = windows.along(rows, x0[rows], step, least)
        moves = found.costs[:, 0] < (1 - GAIN) * least
        rows, found = rows[moves], Around(*(part[moves] for part in found))
    return x0


class Around(NamedTuple):
    """Errors (records, 1 + nx, T ny) and costs (records, 1 + nx) from a state of each and from STEP beside it."""

    errors: np.ndarray
    costs: np.ndarray


class Windows:
    """The first samples of all records, as long as the longest; what others lack counts as missing."""

    def __init__(self, kernel: Kernel, model: Model, us, ys, residual: np.ndarray | None, visited: Visited | None):
        self.kernel, self.theta, longest = kernel, model.theta(), max(map(len, us))
        self.box = model.state_box(self.theta, model.input_box()).detach().numpy()
        mean, spread = visited or (np.zeros(model.nx), 1.0)
        self.mean = np.clip(mean, -self.box, self.box)
        self.u = [np.pad(a, ((0, longest - len(a)), (0, 0)), mode="edge" if len(a) else "constant") for a in us]
        self.y = np.stack([np.pad(a, ((0, longest - len(a)), (0, 0)), constant_values=np.nan) for a in ys])
        self.known, self.root = ~np.isnan(self.y), np.sqrt(likelihood(residual))
        size = np.maximum([a.size for a in ys], 1)
        told = PRIOR if visited is None or residual is None else np.maximum(float(residual.max()) ** 2 / size, LEAST)
        self.size, self.weight = size[:, None], np.broadcast_to(told / spread**2, len(us))[:, None]

    def errors(self, rows: np.ndarray, starts: np.ndarray) -> Around:
        """Of records `rows`, from starts (rows, runs, nx) of each."""
        (records, count, nx), (_, samples, ny) = starts.shape, self.y.shape
        u = [self.u[i] for i in rows for _ in range(count)]
        runs = self.kernel.simulate(self.theta, starts.reshape(-1, nx), u)
        outputs = np.stack([yhat for _, yhat in runs]).reshape(records, count, samples, ny)
        errors = np.where(self.known[rows, None], self.root * (self.y[rows, None] - outputs), 0.0)
        errors = errors.reshape(records, count, samples * ny)
        with np.errstate(over="ignore", invalid="ignore"):
            costs = (errors**2).sum(2) / self.size[rows] + self.weight[rows] * ((starts - self.mean) ** 2).sum(2)
        return Around(errors, np.where(np.isfinite(costs), costs, np.inf))

    def around(self, rows: np.ndarray, x0: np.ndarray) -> Around:
        nx = x0.shape[1]
        return self.errors(rows, x0[:, None] + STEP * np.eye(nx + 1, nx, -1))

    def step(self, rows: np.ndarray, x0: np.ndarray, errors: np.ndarray, costs: np.ndarray):
        """Gauss-Newton's within the box (rows, nx), and what it promises to gain (rows,): nothing where a run diverged.

        What would leave the box is held on its border, and the rest solved for again.
        """
        finite = np.asarray(np.isfinite(costs).all(1))
        errors, one = np.where(finite[:, None, None], errors, 0.0), np.eye(x0.shape[1])
        n, weight = self.size[rows], self.weight[rows]
        with np.errstate(over="ignore", invalid="ignore"):
            J = (errors[:, :1] - errors[:, 1:]) / STEP
            H = J @ J.mT / n[:, None] + weight[:, None] * one
            downhill = np.einsum("rit,rt->ri", J, errors[:, 0]) / n - weight * (x0 - self.mean)
        finite &= np.isfinite(H).all((1, 2)) & np.isfinite(downhill).all(1)
        H, downhill = np.where(finite[:, None, None], H, one), np.where(finite[:, None], downhill, 0.0)
        unit = 1 / np.sqrt(np.einsum("rii->ri", H))  # or a large entry would swallow the weight
        H, downhill = unit[:, :, None] * H * unit[:, None] + 1e-14 * one, unit * downhill
        step, held = np.zeros_like(x0), (abs(x0) >= self.box) & (x0 * downhill >= 0)
        for _ in range(PASSES):
            free = ~held[:, :, None]
            wanted = np.where(held, step, downhill - np.einsum("rij,rj->ri", H, np.where(held, step, 0.0)))
            step = np.linalg.solve(np.where(free & free.mT, H, one), wanted[:, :, None])[:, :, 0]
            out = abs(x0 + unit * step) > self.box
            if not out.any():
                break
            held, step = held | out, np.where(out, (np.copysign(self.box, step) - x0) / unit, step)
        promised = (step * (2 * downhill - np.einsum("rij,rj->ri", H, step))).sum(1)
        return unit * step, np.where(finite, promised, 0.0)

    def along(self, rows: np.ndarray, x0: np.ndarray, step: np.ndarray, least: np.ndarray) -> tuple[np.ndarray, Around]:
        """Where the step leads, or its best part where the whole one gains too little on `least`, or x0."""
        tried = np.clip(x0 + step, -self.box, self.box)
        found = self.around(rows, tried)
        far = np.flatnonzero(~(found.costs[:, 0] < (1 - GAIN) * least))
        if len(far):
            parts = np.clip(x0[far, None] + HALVINGS * step[far, None], -self.box, self.box)
            costs = self.errors(rows[far], parts).costs
            best, gains = costs.argmin(1), costs.min(1) < least[far]
            tried[far] = np.where(gains[:, None], parts[range(len(far)), best], x0[far])
            found.errors[far], found.costs[far] = self.around(rows[far], tried[far])
        return tried, found
