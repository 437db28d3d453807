"""Fit of simulated to measured outputs. Two conventions are called FIT: compare like with like.

Records are (T, ny) arrays, or lists of them: samples of all records are pooled; missing ones (NaN in y)
do not count. washout samples at the start of every record, where the initial state still shows, are not scored.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .checks import as_records, moving

Records = np.ndarray | Sequence[np.ndarray]


def rmse(y: Records, y_hat: Records, washout: int = 0) -> np.ndarray:
    """sqrt(mean (y_hat - y)^2) per channel (ny,), in the units of y; inf if y_hat diverged."""
    _, error = _pooled(y, y_hat, washout)
    return _rms(error)


def unexplained(y: Records, y_hat: Records) -> np.ndarray | None:
    """`rmse` after the first 50 samples, a quarter of a short record at most; None if y_hat diverged."""
    found = rmse(y, y_hat, min(50, *(len(r) // 4 for r in as_records(y, "y"))))
    return found if np.isfinite(found).all() else None


def nrmse(y: Records, y_hat: Records, washout: int = 0) -> np.ndarray:
    """RMSE / std(y) per channel (ny,), std with ddof = 0; nan where y does not move."""
    measured, error = _pooled(y, y_hat, washout)
    return _over(_rms(error), np.nanstd(measured, axis=0), measured)


def fit(y: Records, y_hat: Records, washout: int = 0) -> np.ndarray:
    """Standard FIT, in %, per channel (ny,):  100 (1 - RMSE / std(y)).

    100 is perfect, 0 is as good as the mean of y; nan where y does not move.
    Equals the NRMSE fit of MATLAB's compare for one record.
    """
    return 100 * (1 - nrmse(y, y_hat, washout))


def fit_polimi(y: Records, y_hat: Records, washout: int = 0) -> float:
    """FIT of the ssnet and SSM-sysid codes, in %, one number for all channels.

    100 (1 - sum_k ||y(k) - y_hat(k)|| / sum_k ||y(k) - mean(y)||)

    For one output it is a ratio of absolute sums (L1), not of root mean squares: it differs from
    fit on the same data, and with several outputs the one of largest unit dominates.
    """
    measured, error = _pooled(y, y_hat, washout)
    spread = np.nansum(np.linalg.norm(measured - np.nanmean(measured, axis=0), axis=1))
    miss = np.nansum(np.linalg.norm(error, axis=1))
    return float(100 * (1 - miss / spread)) if spread > 0 else float("nan")


@dataclass(frozen=True)
class Score:
    """FIT and RMSE of every output over the scored samples; str() is a table."""

    fit: tuple[float, ...]  # %, standard convention
    rmse: tuple[float, ...]  # in y_units
    y_names: tuple[str, ...]
    y_units: tuple[str, ...]
    n_samples: int  # scored, over all records
    n_records: int
    washout: int  # samples not scored at the start of every record

    @property
    def mean_fit(self) -> float:
        """Mean FIT over the outputs, %."""
        return float(np.mean(self.fit))

    def mean_error(self, y_std: np.ndarray) -> float:
        """Mean over the outputs of RMSE / std, over y_std (ny,), in y_units, where the record does not move."""
        relative = 1 - np.array(self.fit) / 100
        return float(np.mean(np.where(np.isnan(relative), self.rmse / y_std, relative)))

    def __str__(self) -> str:
        width = max(6, *(len(n) for n in self.y_names))
        lines = [f"{'output':<{width}}  {'FIT':>9}  {'RMSE':>11}"]
        for name, unit, f, r in zip(self.y_names, self.y_units, self.fit, self.rmse, strict=True):
            lines.append(f"{name:<{width}}  {percent(f):>9}  {r:>11.5g} {unit}".rstrip())
        lines.append(
            f"{self.n_samples} samples in {self.n_records} record{'s'[: self.n_records > 1]}, "
            f"washout {self.washout} samples; FIT = 100 (1 - RMSE / std)"
        )
        return "\n".join(lines)


def percent(fit: float) -> str:
    return "undefined" if np.isnan(fit) else f"{fit:.2f} %"


def score(
    y: Records,
    y_hat: Records,
    y_names: Sequence[str] | None = None,
    y_units: Sequence[str] | None = None,
    washout: int = 0,
) -> Score:
    """Score of simulated y_hat against measured y, pooled over records."""
    records = as_records(y, "y")
    ny = records[0].shape[1]
    names = tuple(y_names) if y_names is not None else tuple(f"y{i}" for i in range(ny))
    units = tuple(y_units) if y_units is not None else ("",) * ny
    if len(names) != ny or len(units) != ny:
        raise ValueError(f"y_names = {names}, y_units = {units}; y has {ny} channels")
    return Score(
        fit=tuple(fit(y, y_hat, washout).tolist()),
        rmse=tuple(rmse(y, y_hat, washout).tolist()),
        y_names=names,
        y_units=units,
        n_samples=sum(int(np.isfinite(r[washout:]).any(axis=1).sum()) for r in records),
        n_records=len(records),
        washout=washout,
    )


def _pooled(y, y_hat, washout):
    """Scored measurements and errors, (all samples, ny); a diverged prediction has error inf."""
    measured, simulated = as_records(y, "y"), as_records(y_hat, "y_hat")
    if [r.shape for r in measured] != [r.shape for r in simulated]:
        raise ValueError(
            f"y has shapes {[r.shape for r in measured]}, y_hat {[r.shape for r in simulated]}; "
            f"they must be equal, (T, ny) per record"
        )
    shortest = min(len(r) for r in measured)
    if not 0 <= washout < shortest:
        raise ValueError(f"washout = {washout}; it is 0 to {shortest - 1}, the shortest record")
    kept = np.concatenate([r[washout:] for r in measured])
    if np.isinf(kept).any() or not np.isfinite(kept).any(axis=0).all():
        raise ValueError("y holds inf, or a channel without a measurement; build an Experiment, which cuts at gaps")
    guess = np.concatenate([r[washout:] for r in simulated])
    return kept, np.where(np.isfinite(guess), guess, np.inf) - kept


def _rms(error):
    # scaled by the largest error: the square of a nearly diverged one would overflow
    largest = np.nanmax(abs(error), axis=0)
    is_plain = np.isfinite(largest) & (largest > 0)
    unit = np.where(is_plain, largest, 1.0)
    ratio = np.where(is_plain, error, 0.0) / unit
    return np.where(is_plain, unit * np.sqrt(np.nanmean(ratio**2, axis=0)), largest)


def _over(error, spread, measured):
    moves = moving(measured)
    return np.where(moves, error / np.where(moves, spread, 1.0), np.nan)
