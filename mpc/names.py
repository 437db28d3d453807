"""Settings given by channel name, turned into vectors."""

import numbers
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any

import numpy as np


def check_names(what: str, given: Iterable[str], known: Iterable[str]) -> None:
    """Refuse a name that is not known, and say which known name is nearest.

    Raises: ValueError.
    """
    known = tuple(known)
    for name in given:
        if name not in known:
            near = get_close_matches(str(name), known, n=1, cutoff=0.4)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ValueError(f"{what} names {name!r}, known are {', '.join(known) or 'none'}{hint}")


def labelled(name: str, unit: str) -> str:
    """name [unit], or the name alone where no unit is known."""
    return f"{name} [{unit}]" if unit else name


def is_number(value: Any) -> bool:
    """Whether it is one real number, NaN included; an array of one without dimensions, too."""
    return isinstance(value, numbers.Real) or (
        isinstance(value, np.ndarray) and value.shape == () and value.dtype.kind in "fiu"
    )


def channel_vector(what: str, given: Any, names: tuple[str, ...], default: Any) -> np.ndarray:
    """One number per channel: from None (the default), a scalar, an array (n,) or a dict by name.

    Channels that a dict leaves out keep their default.

    Raises: ValueError for an unknown name, a wrong length or a NaN.
    """
    vector = np.array(np.broadcast_to(np.asarray(default, float), (len(names),)))
    if given is None:
        return vector
    if isinstance(given, Mapping):
        check_names(what, given, names)
        for name, value in given.items():
            if not is_number(value):
                raise ValueError(f"{what} of {name!r} is {value!r}; give one number")
            vector[names.index(name)] = value
    else:
        values = _array(what, given)
        if values.shape not in ((), (1,), (len(names),)):
            raise ValueError(
                f"{what} has shape {values.shape}, there are {len(names)} channels "
                f"({', '.join(names)}); give a scalar, an array ({len(names)},) or a dict by name"
            )
        vector[:] = values
    if np.isnan(vector).any():
        bad = names[int(np.flatnonzero(np.isnan(vector))[0])]
        raise ValueError(f"{what} is NaN for channel {bad!r}; leave the channel out instead")
    return vector


def channel_intervals(
    what: str, given: Any, names: tuple[str, ...], low: Any, high: Any
) -> tuple[np.ndarray, np.ndarray]:
    """Lower and upper limit per channel from {name: (low, high)} or an array (n, 2).

    None on a side keeps the default of that side.

    Raises: ValueError for an unknown name, a value that is no pair, or low > high.
    """
    if given is None:
        given = {}
    if not isinstance(given, Mapping):
        rows = _array(what, given)
        if rows.shape != (len(names), 2):
            raise ValueError(f"{what} has shape {rows.shape}; give ({len(names)}, 2) or a dict")
        given = dict(zip(names, rows, strict=True))
    check_names(what, given, names)
    for name, pair in given.items():
        if np.ndim(pair) != 1 or len(pair) != 2:
            raise ValueError(f"{what} of {name!r} is {pair!r}; give a pair (low, high)")
        if not all(side is None or is_number(side) for side in pair):
            raise ValueError(f"{what} of {name!r} is {pair!r}; low and high must be numbers, or None for a free side")
    lows = {n: p[0] for n, p in given.items() if p[0] is not None}
    highs = {n: p[1] for n, p in given.items() if p[1] is not None}
    lower = channel_vector(what, lows, names, low)
    upper = channel_vector(what, highs, names, high)
    for name, lo, hi in zip(names, lower, upper, strict=True):
        if lo > hi:
            raise ValueError(f"{what} of {name!r} contradict: lower {lo:g} > upper {hi:g}")
    return lower, upper


def _array(what: str, given: Any) -> np.ndarray:
    try:
        return np.asarray(given, float)
    except (TypeError, ValueError):
        raise ValueError(f"{what} is {given!r}; give numbers, or a dict of them by name") from None
