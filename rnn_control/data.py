"""Experiment: measured records with their sampling time, channel names and units."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from . import partition, readers, records_plot, variables
from .checks import as_records, check_dt, check_measured, check_pairs
from .gaps import cut_all
from .notebook import html_table


@dataclass(frozen=True, init=False, eq=False, repr=False)
class Experiment:
    """One or several records of inputs and outputs, in physical units, equally sampled.

    y(k) is measured at the instant k dt, from which u(k) is held for dt.

    u        (T, nu) or (T,) array, or a list of such arrays: one per record
    y        (T, ny) or (T,) array, or a list of such arrays
    dt       sampling time in s
    u_names, y_names, u_units, y_units    one per channel; default u0.., y0.., ""
    names    one per record; default "record 0"..
    goes_on  whether the records went on after these ends: `split` knows it of a part that another follows
    gaps     "error", or "split": every stretch without NaN or inf becomes a record; stretches
             shorter than 10 samples are left out, and a warning lists them; or "mask": outputs may be
             missing (NaN: samples that do not count), inputs may not, because the plant goes on;
             or "split-inputs": outputs may be missing, and every stretch of known inputs becomes a record
    Raises ValueError naming the channel: empty, transposed, unequal or non-finite data. A channel may stand still, as
    all inputs but one do in a step test; what is trained on has to move, says `fit`.
    """

    us: tuple[np.ndarray, ...]
    ys: tuple[np.ndarray, ...]
    dt: float
    u_names: tuple[str, ...]
    y_names: tuple[str, ...]
    u_units: tuple[str, ...]
    y_units: tuple[str, ...]
    names: tuple[str, ...]
    goes_on: bool

    def __init__(
        self,
        u,
        y,
        dt: float,
        u_names: Sequence[str] | str | None = None,
        y_names: Sequence[str] | str | None = None,
        u_units: Sequence[str] | str | None = None,
        y_units: Sequence[str] | str | None = None,
        names: Sequence[str] | str | None = None,
        *,
        gaps: str = "error",
    ):
        us, ys = as_records(u, "u"), as_records(y, "y")
        check_pairs(us, ys)
        nu, ny = us[0].shape[1], ys[0].shape[1]
        u_names = _labels(u_names, [f"u{i}" for i in range(nu)], "u_names")
        y_names = _labels(y_names, [f"y{i}" for i in range(ny)], "y_names")
        names = _labels(names, [f"record {i}" for i in range(len(us))], "names")
        _check_distinct(u_names + y_names)
        us, ys, names = cut_all(us, ys, names, u_names + y_names, gaps)
        check_measured(us, u_names, "u")
        check_measured(ys, y_names, "y")
        fields = {
            "us": tuple(us),
            "ys": tuple(ys),
            "dt": check_dt(dt),
            "u_names": u_names,
            "y_names": y_names,
            "u_units": _labels(u_units, [""] * nu, "u_units"),
            "y_units": _labels(y_units, [""] * ny, "y_units"),
            "names": names,
            "goes_on": False,
        }
        self._set(fields)

    def _set(self, fields):
        for name, value in fields.items():
            object.__setattr__(self, name, value)

    def part(self, us, ys, names, goes_on: bool | None = None) -> "Experiment":
        """Copies of records of this experiment, or like its own: they are checked already."""
        part = object.__new__(Experiment)
        copies = {"us": tuple(u.copy() for u in us), "ys": tuple(y.copy() for y in ys)}
        goes_on = self.goes_on if goes_on is None else goes_on
        part._set({**self.__dict__, **copies, "names": tuple(names), "goes_on": goes_on})
        return part

    @property
    def nu(self) -> int:
        return len(self.u_names)

    @property
    def ny(self) -> int:
        return len(self.y_names)

    @property
    def n_samples(self) -> int:
        """Samples in all records together."""
        return sum(len(u) for u in self.us)

    @property
    def u(self) -> np.ndarray:
        """(T, nu) of the only record."""
        return self.us[self._only("u")]

    @property
    def y(self) -> np.ndarray:
        """(T, ny) of the only record."""
        return self.ys[self._only("y")]

    def _only(self, label):
        if len(self) > 1:
            raise ValueError(f"the experiment has {len(self)} records; use .{label}s, or experiment[i].{label}")
        return 0

    def __len__(self) -> int:
        return len(self.us)

    def __getitem__(self, i: int) -> "Experiment":
        """Record i as an experiment of its own."""
        return self.part([self.us[i]], [self.ys[i]], [self.names[i]])

    def __iter__(self) -> Iterator["Experiment"]:
        return (self[i] for i in range(len(self)))

    def time(self, i: int = 0) -> np.ndarray:
        """(T,) instants of record i in s, from 0."""
        return self.dt * np.arange(len(self.us[i]))

    def interpolated(self) -> "Experiment":
        """Missing outputs filled in by straight lines between their neighbours: to look at, not to identify from."""
        return self.part(self.us, [np.column_stack([_filled(c) for c in y.T]) for y in self.ys], self.names)

    join = partition.join
    at_rest = partition.at_rest
    split = partition.split
    split_records = partition.split_records
    plot = records_plot.plot

    from_csv = classmethod(readers.from_csv)
    from_frame = classmethod(readers.from_frame)
    from_mat = classmethod(variables.from_mat)
    from_npz = classmethod(variables.from_npz)
    from_object = classmethod(variables.from_object)

    def fingerprint(self) -> str:
        """sha256 (hex) of samples, dt, channel names and units; record names do not count."""
        digest = hashlib.sha256()
        channels = (self.u_names, self.y_names, self.u_units, self.y_units)
        digest.update(repr((float(self.dt), channels)).encode())
        for record in self.us + self.ys:
            digest.update(repr(record.shape).encode())
            digest.update(np.ascontiguousarray(record, dtype="<f8").tobytes())
        return digest.hexdigest()

    def _repr_html_(self) -> str:
        kinds = (("input", self.us, self.u_names, self.u_units), ("output", self.ys, self.y_names, self.y_units))
        rows = [
            (kind, name, unit, float(np.nanmin(column)), float(np.nanmax(column)), float(np.nanmean(column)))
            for kind, records, names, units in kinds
            for name, unit, column in zip(names, units, np.concatenate(records).T, strict=True)
        ]
        title = repr(self).partition("\n")[0]
        return html_table(title, rows, ("", "channel", "unit", "smallest", "largest", "mean"))

    def __repr__(self) -> str:
        lines = [
            f"Experiment: {self.n_samples} samples, dt = {self.dt:g} s, "
            f"{self.n_samples * self.dt:g} s in {len(self)} record{'s'[: len(self) > 1]}",
            *_ranges("u", self.us, self.u_names, self.u_units),
            *_ranges("y", self.ys, self.y_names, self.y_units),
        ]
        if len(self) > 1:
            listed = [f"{n} ({len(u)})" for n, u in zip(self.names, self.us, strict=True)]
            more = [f"... {len(self) - 8} more"] if len(self) > 8 else []
            lines.append("  records: " + ", ".join(listed[:8] + more))
        return "\n".join(lines)


def _ranges(label, records, names, units):
    low, high = np.nanmin(np.concatenate(records), axis=0), np.nanmax(np.concatenate(records), axis=0)
    width = max(map(len, names))
    for name, unit, a, b in zip(names, units, low, high, strict=True):
        yield f"  {label}  {name:<{width}}  {a:.6g} to {b:.6g} {unit}".rstrip()


def _filled(column):
    known = np.isfinite(column)
    if known.all() or not known.any():
        return np.nan_to_num(column)
    return np.interp(np.arange(len(column)), np.flatnonzero(known), column[known])


def _labels(given, default, label):
    given = default if given is None else [given] if isinstance(given, str) else list(given)
    if len(given) != len(default):
        raise ValueError(f"{label} = {given} has {len(given)} entries, {len(default)} are needed")
    return tuple(str(g) for g in given)


def _check_distinct(channels):
    twice = sorted({c for c in channels if channels.count(c) > 1})
    if twice:
        raise ValueError(f"channel names {twice} are used more than once; give u_names, y_names")
