"""Many closed loops under drawn plants, noise and disturbances: how often bounds break, and what the loop costs."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from joblib import Parallel, delayed

from . import metrics
from .record import Record

SHOWN = (50, 90, 99)


@dataclass(frozen=True, eq=False)
class MonteCarlo:
    """Row i is the run of seeds[i]: (runs,) arrays, and (runs, ny) of the outputs y_names.

    input_violations, rate_violations: inputs outside box or rate; output_violations: samples of the true outputs
    outside their soft bounds, output_excess: by how much at most, in their units; failed_steps: not ok; offset: largest
    mean error at the end of a stretch (see metrics.offset); stopped: the run ended early.
    """

    seeds: np.ndarray
    cost: np.ndarray
    steps: np.ndarray
    input_violations: np.ndarray
    rate_violations: np.ndarray
    failed_steps: np.ndarray
    stopped: np.ndarray
    output_violations: np.ndarray
    output_excess: np.ndarray
    offset: np.ndarray
    solve_time: np.ndarray
    y_names: tuple[str, ...]
    y_units: tuple[str, ...]

    def percentiles(self, shares: tuple[float, ...] = SHOWN) -> dict[float, float]:
        """Cost that so many per cent of the runs do not exceed."""
        return dict(zip(shares, np.percentile(self.cost, shares).tolist(), strict=True))

    def table(self) -> str:
        """Counts over all runs, percentiles of the cost, and the outputs' excess and offset, as text."""
        cost = ", ".join(f"{share} % {value:.4g}" for share, value in self.percentiles().items())
        lines = [
            f"{len(self.seeds)} runs, {self.steps.sum()} steps, {self.stopped.sum()} ended early",
            f"cost: {cost}",
            f"inputs out of box {self.input_violations.sum()}, beyond rate {self.rate_violations.sum()}, "
            f"steps not ok {self.failed_steps.sum()}",
        ]
        for j, (name, unit) in enumerate(zip(self.y_names, self.y_units, strict=True)):
            out, excess = self.output_violations[:, j].sum(), self.output_excess[:, j].max()
            offset = np.percentile(self.offset[:, j], SHOWN[1])
            lines.append(f"{name}: {out} samples out of bounds, by {excess:.3g} {unit}; offset {offset:.3g} (90 %)")
        return "\n".join(lines)


def monte_carlo(
    loop: Callable[[int], Record],
    runs: int,
    *,
    cost: Callable[[Record], float],
    first_seed: int = 0,
    jobs: int = 1,
) -> MonteCarlo:
    """Closed loops loop(seed) for runs seeds in a row, in parallel processes.

    loop: draws from its seed whatever is uncertain (constants of the plant, noise, disturbances), runs the loop and
        returns the record; the same seed must give the same run
    cost: what a record costs
    jobs: processes, -1 for all cores; loop must be picklable where there are several: a function that builds its
        controller, or a functools.partial of one

    Raises: ValueError for runs that are not a whole number >= 1.
    """
    if runs != int(runs) or runs < 1:
        raise ValueError(f"runs is {runs}; give a whole number of closed loops, at least one")
    seeds = np.arange(first_seed, first_seed + int(runs))
    found = Parallel(n_jobs=jobs)(delayed(_judge)(loop, cost, int(seed)) for seed in seeds)
    judged, names, units = zip(*found, strict=True)
    columns = {name: np.array([row[name] for row in judged]) for name in judged[0]}
    return MonteCarlo(seeds=seeds, **columns, y_names=names[0], y_units=units[0])


def _judge(loop: Callable[[int], Record], cost: Callable[[Record], float], seed: int):
    """What is kept of a run: numbers by name, names and units of its outputs."""
    record = loop(seed)
    m = metrics.summary(record)
    ends = [np.abs(e).max(initial=0.0) for e in m["offset"].values()]
    row = {
        "cost": float(cost(record)),
        "steps": len(record),
        "input_violations": m["input_violations"],
        "rate_violations": metrics.rate_violations(record),
        "failed_steps": m["failed_steps"],
        "stopped": bool(record.stopped),
        "output_violations": list(m["output_violations"].values()),
        "output_excess": list(metrics.output_excess(record).values()),
        "offset": ends,
        "solve_time": m["solve_time_max"],
    }
    return row, record.y_names, record.y_units
