"""Checks of measured records where they enter: shape, equal lengths, moving channels."""

import difflib
from collections.abc import Sequence
from typing import TypeVar

import numpy as np

T = TypeVar("T")


def nearest(name: str, known: Sequence[str]) -> str:
    """The known names nearest to an unknown one, or all of them when none is near."""
    near = difflib.get_close_matches(name, list(known), n=3, cutoff=0.5)
    return f"nearest: {', '.join(near)}" if near else f"there are: {', '.join(known)}"


def as_records(data, label: str) -> list[np.ndarray]:
    """Copy one array, or a list of arrays, into float64 records of shape (T, channel)."""
    if isinstance(data, list | tuple) and not data:
        raise ValueError(f"{label} holds no records; give at least one (T, channel) array")
    several = isinstance(data, list | tuple) and all(np.ndim(r) >= 1 and not isinstance(r, list | tuple) for r in data)
    return [_as_columns(r, f"{label}[{i}]") for i, r in enumerate(data)] if several else [_as_columns(data, label)]


def _as_columns(data, label):
    try:
        values = np.array(data, dtype=float)
    except (TypeError, ValueError):
        raise ValueError(
            f"{label} holds values that are not numbers; give a float array of shape (T, channel)"
        ) from None
    values = values[:, None] if values.ndim == 1 else values
    if values.ndim != 2:
        raise ValueError(
            f"{label} has shape {values.shape}; one record is (T, channel) or (T,), several "
            f"records are a list of such arrays"
        )
    if values.size == 0:
        raise ValueError(f"{label} is empty: shape {values.shape}; a record is (T, channel)")
    if values.shape[0] < values.shape[1]:
        raise ValueError(
            f"{label} has shape {values.shape}: fewer samples than channels, it looks transposed; "
            f"records are (T, channel); give the transpose, to from_mat channels_first=True"
        )
    return values


def check_dt(dt) -> float:
    """The sampling time as a float, a positive number of seconds."""
    try:
        value = float(dt)
    except (TypeError, ValueError):
        value = float("nan")
    if not 0 < value < float("inf"):
        raise ValueError(f"dt = {dt!r}; it is the sampling time, a positive number of seconds")
    return value


def check_pairs(us: list[np.ndarray], ys: list[np.ndarray]) -> None:
    """As many u as y, the same length in every record, the same channels in all of them."""
    if len(us) != len(ys):
        raise ValueError(
            f"u has {len(us)} records, y has {len(ys)}; give one y for every u "
            f"(channels of one record stand side by side: np.column_stack)"
        )
    for i, (u, y) in enumerate(zip(us, ys, strict=True)):
        if len(u) != len(y):
            raise ValueError(
                f"record {i}: u has {len(u)} samples, y has {len(y)}; they must be equal, "
                f"u(k) being held from the instant of y(k); cut the longer one"
            )
        if len(u) < 2:
            raise ValueError(f"record {i} has 1 sample; a record needs at least 2")
        for label, a, first in (("u", u, us[0]), ("y", y, ys[0])):
            if a.shape[1] != first.shape[1]:
                raise ValueError(
                    f"record {i}: {label} has {a.shape[1]} channels, record 0 has "
                    f"{first.shape[1]}; all records of an experiment have the same channels"
                )


def check_measured(records: Sequence[np.ndarray], channels: Sequence[str], label: str) -> None:
    """Refuse a channel without a single measurement in all records together."""
    for i in np.flatnonzero(np.isnan(np.concatenate(records)).all(axis=0)).tolist():
        raise ValueError(f'{label} channel "{channels[i]}" has no measurement at all; leave it out')


def moving(a: np.ndarray) -> np.ndarray:
    """(channels,) bool: which channels of (T, channels) move by more than the rounding of a printed number."""
    low, high = np.nanmin(a, axis=0), np.nanmax(a, axis=0)
    return high - low > 1e-12 * np.maximum(abs(low), abs(high))


def build(cls: type[T], file: str, arguments: dict) -> T:
    """cls(**arguments), its errors preceded by the name of the file."""
    try:
        return cls(**arguments)
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from None
