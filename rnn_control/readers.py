"""Class methods of Experiment that read columns of a table: from_csv, from_frame."""

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np

from .checks import build
from .columns import find_column, floats, name_and_unit, seconds
from .gaps import cut, sample
from .tables import read_table

E = TypeVar("E")  # Experiment, which imports this file


def from_csv(
    cls: type[E],
    path,
    u: Sequence[str | int] | str | int,
    y: Sequence[str | int] | str | int,
    dt: float | None = None,
    time: str | int | None = None,
    u_units: Sequence[str] | None = None,
    y_units: Sequence[str] | None = None,
    gaps: str = "error",
    sep: str | None = None,
    *,
    time_unit: str | None = None,
    columns: Sequence[str] | None = None,
) -> E:
    """Read a delimited text file, with or without header.

    u, y, time  columns: header, header without its unit, or 0-based index
    dt          sampling time in s; otherwise it comes from the time column: numbers, or dates
                as 2024-12-31 23:59:59 or 31.12.2024 23:59:59. Steps up to 10 % off are jitter.
    u_units     default: what the header says, as in "T [degC]" or "T (degC)"
    gaps        "error" names the first missing value or time jump; "split" starts a new record
                there (also where time goes back: several recordings in one file); "mask" lets outputs
                be missing; "split-inputs" lets outputs be missing and starts a new record only where
                an input is missing or time jumps
    sep         default: found (semicolon, tab, comma, spaces). Decimal commas are read unless
                the separator is a comma.
    time_unit   of a numeric time column; default what its header says, otherwise "s"
    columns     names for all columns of a file without header
    """
    table = read_table(path, sep, columns)

    def column(i):
        return [row[i] for row in table.cells]

    found = _read_columns(column, table, u, y, dt, time, u_units, y_units, gaps, time_unit, table.place)
    return build(cls, table.file, found)


class _Frame:
    """Names and units of a DataFrame or of a dict of arrays, as a Table has them."""

    is_comma_decimal = False

    def __init__(self, frame):
        self.file = "frame"
        self.headers = [str(c) for c in frame]
        self.names, self.units = zip(*map(name_and_unit, self.headers), strict=True)


def from_frame(
    cls: type[E],
    frame,
    u: Sequence[str | int] | str | int,
    y: Sequence[str | int] | str | int,
    dt: float | None = None,
    time: str | int | None = None,
    u_units: Sequence[str] | None = None,
    y_units: Sequence[str] | None = None,
    gaps: str = "error",
    *,
    time_unit: str | None = None,
) -> E:
    """Read a DataFrame or a dict of arrays, as from_csv does; time="index" takes its index."""
    table = _Frame(frame)
    labels = list(frame)
    if time == "index" and "index" not in table.headers:
        frame = {**{c: frame[c] for c in frame}, "index": np.asarray(frame.index)}
        table, labels = _Frame(frame), list(frame)

    def column(i):
        return np.asarray(frame[labels[i]])

    found = _read_columns(column, table, u, y, dt, time, u_units, y_units, gaps, time_unit, sample)
    return build(cls, table.file, found)


def _read_columns(
    column: Callable, table, u, y, dt, time, u_units, y_units, gaps, time_unit, place
) -> dict[str, object]:
    chosen = {}
    for label, wanted in (("u", u), ("y", y)):
        wanted = [wanted] if isinstance(wanted, str | int) else list(wanted)
        if not wanted:
            raise ValueError(f"{table.file}: {label} names no column; give {label}=[...]")
        chosen[label] = [find_column(c, table.names, table.headers, table.file) for c in wanted]
    for i in set(chosen["u"]) & set(chosen["y"]):
        raise ValueError(f'{table.file}: column "{table.names[i]}" is named both in u and in y')

    def where(i):
        return f'{table.file}, column "{table.names[i]}"'

    def values(indices):
        return np.column_stack([floats(column(i), where(i), gaps, place, table.is_comma_decimal) for i in indices])

    us, ys, t = values(chosen["u"]), values(chosen["y"]), None
    if time is not None:
        i = find_column(time, table.names, table.headers, table.file)
        unit = table.units[i] if time_unit is None else time_unit
        t = seconds(column(i), where(i), unit, gaps, place, table.is_comma_decimal)
    elif dt is None:
        _raise_no_dt(table, {*chosen["u"], *chosen["y"]})
    names = {k: [table.names[i] for i in v] for k, v in chosen.items()}
    units = {k: [table.units[i] for i in v] for k, v in chosen.items()}
    return {
        **cut(us, ys, t, dt, [*names["u"], *names["y"]], gaps, table.file, place),
        "u_names": names["u"],
        "y_names": names["y"],
        "u_units": units["u"] if u_units is None else u_units,
        "y_units": units["y"] if y_units is None else y_units,
    }


def _raise_no_dt(table, used):
    free = [n for i, n in enumerate(table.names) if i not in used]  # a column T may be a temperature
    near = [n for n in free if n.lower() in ("t", "time", "timestamp", "date", "zeit")]
    hint = f'; it has a column "{near[0]}": time="{near[0]}"' if near else ""
    raise ValueError(f"{table.file}: no sampling time; give dt= in s, or time= the time column{hint}")
