"""Gaps in measured records: missing values and jumps of time, refused or cut out.

Every error names the record or file, the channel and the sample, and the way out.
"""

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from .checks import check_dt

SHORTEST = 10  # samples: a shorter piece cannot be split, washed out or scored
MASKED = {"mask": "error", "split-inputs": "split"}  # outputs may be missing: what gaps of the inputs, and of time, do
JITTER = 0.1  # of the sampling time: steps further from it than this are gaps in the recording


def sample(i: int) -> str:
    """Where sample i is, for data that have no file rows."""
    return f"sample {i}"


def continuous_pieces(
    values: np.ndarray,
    channels: Sequence[str],
    name: str,
    gaps: str,
    starts: Sequence[int] = (),
    place: Callable[[int], str] = sample,
) -> list[slice]:
    """The stretches of one record (T, channel) without NaN or inf, cut also at `starts`.

    gaps="error": a bad value raises. gaps="split": every stretch is a piece; the ones shorter than
    SHORTEST samples are left out and listed in one warning.
    """
    bad = ~np.isfinite(values)
    rows = np.asarray(bad.any(axis=1))
    if gaps not in ("error", "split"):
        raise ValueError(f'gaps = {gaps!r}; it is "error", "split", "mask" or "split-inputs"')
    if gaps == "error":
        if rows.any():
            k = int(np.argmax(rows))
            i = int(np.argmax(bad[k]))
            more = f" ({rows.sum() - 1} more such rows)" if rows.sum() > 1 else ""
            raise ValueError(
                f'{name}, channel "{channels[i]}", {place(k)}: {values[k, i]} is not a '
                f'measurement{more}; gaps="split" makes a record of every stretch without gaps, gaps="mask" leaves '
                'missing outputs out, gaps="split-inputs" does so and makes a record of every stretch of known inputs'
            )
        return [slice(0, len(values))]
    edges = np.flatnonzero(np.diff(np.r_[True, rows, True].astype(int)))
    cuts = sorted({*edges.tolist(), *(int(s) for s in starts)})
    stretches = [slice(a, b) for a, b in zip(cuts[:-1], cuts[1:], strict=True) if not rows[a]]
    kept = [s for s in stretches if s.stop - s.start >= SHORTEST]
    _report_dropped([s for s in stretches if s not in kept], name, place)
    return kept


def _report_dropped(dropped, name, place):
    if dropped:
        listed = "; ".join(f"{place(s.start)} to {place(s.stop - 1)}" for s in dropped)
        warnings.warn(
            f"{name}: {sum(s.stop - s.start for s in dropped)} samples left out, in stretches "
            f"shorter than {SHORTEST}: {listed}",
            stacklevel=2,
        )


def regular_time(
    t: np.ndarray,
    dt: float | None,
    gaps: str,
    where: str,
    place: Callable[[int], str] = sample,
) -> tuple[float, list[int]]:
    """Sampling time (s) of the instants t (T,) in s, and the samples after which time jumped.

    A step may be off by JITTER of the sampling time, which is dt if given, otherwise the mean of
    the steps that are that near to their median. NaN instants are gaps.
    """
    steps = np.diff(t)
    seen = np.asarray(np.isfinite(steps))
    if not (steps[seen] > 0).any():
        raise ValueError(f"{where} never increases; it must be time, in order")
    nominal = float(np.median(steps[seen & (steps > 0)])) if dt is None else check_dt(dt)
    off = seen & (abs(steps - nominal) > JITTER * nominal)
    if dt is None and (seen & ~off).any():
        nominal = float(f"{np.mean(steps[seen & ~off]):.9g}")  # a printed time has no more digits
    same = np.flatnonzero(seen & (steps == 0))
    if same.size:
        raise ValueError(
            f"{where}, {place(int(same[0]) + 1)}: the same time as the row before; remove the duplicate rows"
        )
    if off.any() and gaps == "error":
        _raise_jump(int(np.argmax(off)), steps, nominal, int(off.sum()), where, place)
    return nominal, (np.flatnonzero(off) + 1).tolist()


def _raise_jump(k, steps, nominal, count, where, place):
    more = f" ({count - 1} more such steps)" if count > 1 else ""
    if steps[k] < 0:
        rule = f"time goes back by {-steps[k]:.6g} s; sort the rows"
    else:
        rule = f"time steps by {steps[k]:.6g} s, the sampling time is {nominal:.6g} s"
    raise ValueError(
        f"{where}, {place(k + 1)}: {rule}{more}; at most {JITTER:.0%} off is taken as jitter; "
        f'gaps="split" or "split-inputs" starts a new record there, dt= without time= ignores the column'
    )


def cut(u, y, t, dt, channels, gaps: str, file: str, place=sample) -> dict[str, object]:
    """One record of a file, or the pieces between its gaps: u, y, dt, names for Experiment.

    u (T, nu), y (T, ny), t (T,) in s or None; channels names the columns of u, then of y.
    """
    label, starts, masked = Path(file).stem, [], gaps in MASKED
    y, values, channels, gaps = _watched(u, y, channels, gaps)
    if t is not None:
        values, channels = np.column_stack([values, t]), [*channels, "time"]
        is_complete = gaps != "error" or np.isfinite(values).all()
        if is_complete:  # otherwise the missing value is the error to report
            dt, starts = regular_time(t, dt, gaps, f"{file}, time", place)
    pieces = continuous_pieces(values, channels, file, gaps, starts, place)
    if not pieces:
        _raise_nothing_left(file)
    return {
        "u": [u[s] for s in pieces],
        "y": [y[s] for s in pieces],
        "dt": dt,
        "names": _piece_names(label, pieces, len(u)),
        "gaps": "mask" if masked else "error",
    }


def cut_all(us, ys, names, channels, gaps: str):
    """(us, ys, names) of the pieces between the gaps of several records."""
    pieces = []
    for u, y, name in zip(us, ys, names, strict=True):
        y, values, watched, of_them = _watched(u, y, channels, gaps)
        slices = continuous_pieces(values, watched, name, of_them)
        labels = _piece_names(name, slices, len(u))
        pieces += [(u[s], y[s], n) for s, n in zip(slices, labels, strict=True)]
    if not pieces:
        _raise_nothing_left(", ".join(names))
    us, ys, names = zip(*pieces, strict=True)
    return us, ys, names


def _watched(u, y, channels, gaps: str):
    """(y, the columns whose gaps matter, their names, what to do about them): masked, an output may be missing."""
    if gaps not in MASKED:
        return y, np.column_stack([u, y]), channels, gaps
    return np.where(np.isfinite(y), y, np.nan), u, channels[: u.shape[1]], MASKED[gaps]


def _piece_names(name, pieces, length):
    if pieces == [slice(0, length)]:
        return [name]
    return [f"{name} [{s.start}:{s.stop}]" for s in pieces]


def _raise_nothing_left(name):
    raise ValueError(
        f"{name}: no stretch of {SHORTEST} samples without gaps is left; choose columns with "
        f"fewer gaps, or fill them before loading"
    )
