"""Class methods of Experiment that read whole arrays: from_mat, from_npz, from_object."""

from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
import scipy.io

from .checks import as_records, build, nearest
from .gaps import cut

E = TypeVar("E")  # Experiment, which imports this file


def from_mat(
    cls: type[E],
    path,
    u,
    y,
    dt: float | str | None = None,
    time: str | None = None,
    gaps: str = "error",
    channels_first: bool = False,
    **labels,
) -> E:
    """Read variables of a MATLAB file (up to v7): u and y name one variable, or several.

    Several variables stand side by side as channels; a cell array holds records; "data.u" is a
    field of a struct. dt is in s, or names a variable; time names a vector of instants in s.
    channels_first=True reads arrays of shape (channel, T); a vector is one channel either way.
    **labels go to Experiment: u_names, u_units ...
    """
    file = Path(path).name
    try:
        variables = scipy.io.loadmat(path)
    except NotImplementedError:
        raise ValueError(f"{file} is a MATLAB v7.3 file; save it in MATLAB with save(name, vars, '-v7')") from None
    return build(
        cls,
        file,
        {**_read_variables(variables, u, y, dt, time, gaps, channels_first, file), **labels},
    )


def from_npz(
    cls: type[E],
    path,
    u,
    y,
    dt: float | str | None = None,
    time: str | None = None,
    gaps: str = "error",
    channels_first: bool = False,
    **labels,
) -> E:
    """Read arrays of a numpy .npz file, as from_mat does."""
    file = Path(path).name
    with np.load(path, allow_pickle=False) as variables:
        found = _read_variables(dict(variables), u, y, dt, time, gaps, channels_first, file)
    return build(cls, file, {**found, **labels})


def _read_variables(variables, u, y, dt, time, gaps, channels_first, file):
    known = [k for k in variables if not k.startswith("__")]

    def lookup(name):
        head, *fields = name.split(".")
        if head not in known:
            raise ValueError(f'{file} has no variable "{head}"; {nearest(head, known)}')
        value = variables[head]
        for field in fields:
            if field not in (value.dtype.names or ()):
                raise ValueError(f'{file}: "{head}" has no field "{field}" in "{name}"')
            value = value[field].flat[0]
        return value

    us, u_names = _stack(lookup, u, channels_first, file)
    ys, y_names = _stack(lookup, y, channels_first, file)
    if isinstance(dt, str):
        dt = float(np.asarray(lookup(dt)).flat[0])
    if dt is None and time is None:
        raise ValueError(
            f"{file}: no sampling time; give dt= in s or the name of a variable holding it, "
            f"or time= a vector of instants in s; there are: {', '.join(known)}"
        )
    t = None if time is None else np.asarray(lookup(time), dtype=float).ravel()
    labels = {"u_names": u_names, "y_names": y_names}
    if len(us) == len(ys) == 1 and len(us[0]) == len(ys[0]):
        if t is not None and len(t) != len(us[0]):
            raise ValueError(f'{file}: time "{time}" has {len(t)} values, u has {len(us[0])}')
        return {**cut(us[0], ys[0], t, dt, [*u_names, *y_names], gaps, file), **labels}
    if dt is None:
        raise ValueError(f"{file}: {len(us)} u, {len(ys)} y records cannot share a time; give dt=")
    names = [f"{Path(file).stem} {i}" for i in range(len(us))]
    return {"u": us, "y": ys, "dt": dt, "names": names, "gaps": gaps, **labels}


def _stack(lookup, wanted: str | Sequence[str], channels_first, file):
    """Records (T, channel) of the variables side by side, and the names of their columns."""
    parts, names = [], []
    for name in [wanted] if isinstance(wanted, str) else wanted:
        value = np.asarray(lookup(name))
        cells = list(value.flat) if value.dtype == object else [value]
        cells = [c.T for c in cells] if channels_first else cells
        # a MATLAB row vector is one channel
        cells = [c.ravel() if c.ndim == 2 and c.shape[0] == 1 else c for c in cells]
        parts.append(as_records(cells, f'{file}, variable "{name}"'))
        n = parts[-1][0].shape[1]
        names += [name] if n == 1 else [f"{name}{i}" for i in range(n)]
    lengths = {tuple(len(r) for r in p) for p in parts}
    if len(lengths) != 1:
        raise ValueError(f"{file}: variables {wanted} differ in length: {sorted(lengths)}")
    return [np.column_stack(records) for records in zip(*parts, strict=True)], names


def from_object(cls: type[E], data, dt: float | None = None, **labels) -> E:
    """Read one object with .u and .y, or a list of them: one record each.

    .sampling_time or .dt (s), .name, .u_names ... are used where they exist. A benchmark's
    state_initialization_window_length is not kept: give it to score as washout.
    """
    found = _read_object(data)
    found["dt"] = found["dt"] if dt is None else dt
    if found["dt"] is None:
        raise ValueError("the object has no .sampling_time and no .dt; give dt= in s")
    return build(cls, type(data).__name__, {**found, **labels})


def _read_object(data):
    """Records of objects with .u and .y, and .sampling_time or .dt, if they have it."""
    several = list(data) if isinstance(data, list | tuple) else [data]
    for i, record in enumerate(several):
        if getattr(record, "u", None) is None or getattr(record, "y", None) is None:
            raise ValueError(
                f"object {i} is a {type(record).__name__} without .u and .y; build Experiment(u, y, dt) from its arrays"
            )
    times = {t for t in map(_sampling_time, several) if t is not None}
    if len(times) > 1:
        raise ValueError(f"the records have different sampling times: {sorted(times)} s")
    first = several[0]
    labels = ("u_names", "y_names", "u_units", "y_units")
    return {
        "u": [np.asarray(r.u) for r in several],
        "y": [np.asarray(r.y) for r in several],
        "dt": times.pop() if times else None,
        "names": [getattr(r, "name", None) or f"record {i}" for i, r in enumerate(several)],
        **{k: getattr(first, k, None) for k in labels},
    }


def _sampling_time(record):
    found = getattr(record, "sampling_time", None)
    found = getattr(record, "dt", None) if found is None else found
    return None if found is None else float(found)
