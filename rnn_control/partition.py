"""Methods of Experiment that make experiments of its records, or like them: join, at_rest, split, split_records."""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

from .checks import nearest
from .gaps import SHORTEST

E = TypeVar("E")  # Experiment, which imports this file


def join(*experiments: E) -> E:
    """All records of several experiments as one; they are never concatenated in time."""
    if not experiments:
        raise ValueError("join needs at least one experiment")
    first = experiments[0]
    for i, other in enumerate(experiments[1:], 1):
        for field in ("dt", "u_names", "y_names", "u_units", "y_units"):
            a, b = getattr(first, field), getattr(other, field)
            if a != b:
                raise ValueError(f"{field} of experiment {i} is {b}, of experiment 0 {a}; they must agree")
    us, ys, names = ([r for e in experiments for r in getattr(e, k)] for k in ("us", "ys", "names"))
    return _part(first, us, ys, _numbered(names))


def at_rest(self, u, y, samples: int = 200):
    """Steady operating points as records of this experiment's channels: each holds u and y still for `samples`.

    u (N, nu), y (N, ny): inputs and the outputs that they lead to, in units, say from a log of daily means; NaN in y:
    not known. `samples` should be some settling times. `train.join(train.at_rest(u, y))` gives them to `fit`: the
    model may choose its state, but then has to stay there.
    """
    u, y = (np.atleast_2d(np.asarray(points, float)) for points in (u, y))
    if u.shape[1] != self.nu or y.shape[1] != self.ny or len(u) != len(y) or not np.isfinite(u).all():
        raise ValueError(
            f"u has shape {u.shape}, y {y.shape}; they are (N, {self.nu}) and (N, {self.ny}), a row a point: "
            f"{', '.join(self.u_names)}; {', '.join(self.y_names)}, and every input is known"
        )
    if samples < SHORTEST:
        raise ValueError(f"samples is {samples}; a record has at least {SHORTEST}")
    us, ys = ([np.tile(row, (samples, 1)) for row in points] for points in (u, y))
    return _part(self, us, ys, [f"at rest {i}" for i in range(len(u))])


def _part(experiment, us, ys, names):
    return experiment.part(us, ys, names)


def _numbered(names):
    """Names made distinct: a second "a" becomes "a (2)"."""
    return [n if n not in names[:i] else f"{n} ({names[: i + 1].count(n)})" for i, n in enumerate(names)]


def split(self: E, *shares: float) -> tuple[E, ...]:
    """Parts by time within every record: of these shares, and what is left.

    `split(0.85)` to train and to judge, `split(0.7, 0.15)` to train, to choose and to judge.
    """
    labels = {1: ("train", "test"), 2: ("train", "valid", "test")}.get(len(shares), ())
    if not labels or not (min(shares) > 0 and sum(shares) < 1):
        raise ValueError(
            f"shares {shares}: one or two fractions > 0 that leave something for the test part, as in split(0.85) or "
            "split(0.7, 0.15); split_records takes whole records"
        )
    ends = [sum(shares[:i]) for i in range(len(shares) + 1)]
    return tuple(_between(self, *part) for part in zip(ends, [*ends[1:], 1.0], labels, strict=True))


def _between(experiment, start, stop, label):
    cuts = [slice(round(start * len(u)), round(stop * len(u))) for u in experiment.us]
    for name, u, cut in zip(experiment.names, experiment.us, cuts, strict=True):
        if cut.stop - cut.start < SHORTEST:
            raise ValueError(
                f'record "{name}" has {len(u)} samples: its {label} part would have '
                f"{cut.stop - cut.start}, at least {SHORTEST} are needed; change the "
                f"fractions, or give whole records to each part with split_records"
            )
    us = [u[c] for u, c in zip(experiment.us, cuts, strict=True)]
    ys = [y[c] for y, c in zip(experiment.ys, cuts, strict=True)]
    return experiment.part(us, ys, experiment.names, goes_on=stop < 1 or experiment.goes_on)


def split_records(
    self: E,
    train: Sequence[int | str],
    valid: Sequence[int | str],
    test: Sequence[int | str],
) -> tuple[E, E, E]:
    """(train, valid, test) of whole records, by index or name; a record is in one part only."""
    parts = [[_index(self, r) for r in part] for part in (train, valid, test)]
    _check_apart(self, parts)
    return _records(self, parts[0]), _records(self, parts[1]), _records(self, parts[2])


def _check_apart(experiment, parts):
    for part, label in zip(parts, ("train", "valid", "test"), strict=True):
        if not part:
            raise ValueError(f"{label} is empty; give at least one of {list(experiment.names)}")
    flat = [i for part in parts for i in part]
    twice = [experiment.names[i] for i in sorted(set(flat)) if flat.count(i) > 1]
    if twice:
        raise ValueError(f"records {twice} are used twice; a test on training data proves nothing")


def _records(experiment, indices):
    us, ys, names = experiment.us, experiment.ys, experiment.names
    return experiment.part([us[i] for i in indices], [ys[i] for i in indices], [names[i] for i in indices])


def _index(experiment, record):
    if isinstance(record, str):
        if record not in experiment.names:
            raise ValueError(f'no record "{record}"; {nearest(record, experiment.names)}')
        return experiment.names.index(record)
    if not -len(experiment) <= record < len(experiment):
        raise ValueError(f"no record {record}; there are {len(experiment)}, counted from 0")
    return record % len(experiment)
