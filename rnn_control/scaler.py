"""Scaler: the one map between physical units and the normalised signals a Model sees."""

from dataclasses import dataclass, fields

import numpy as np

from .checks import moving
from .data import Experiment


@dataclass(frozen=True, eq=False)
class Scaler:
    """u_n = (u - u_mid) / u_half in [-1, 1] on the input box;  y_n = (y - y_mean) / y_std.

    u_mid, u_half (nu,)    middle and half width of the input box, in the units of u
    y_mean, y_std (ny,)    mean and standard deviation of the training outputs, in the units of y
    """

    u_mid: np.ndarray
    u_half: np.ndarray
    y_mean: np.ndarray
    y_std: np.ndarray

    def __post_init__(self):
        for field in fields(self):
            values = np.array(getattr(self, field.name), dtype=float, ndmin=1)
            if values.ndim != 1 or not np.isfinite(values).all():
                raise ValueError(f"{field.name} = {values}; it is a finite (channel,) vector")
            object.__setattr__(self, field.name, values)
        for centre, width in (("u_mid", "u_half"), ("y_mean", "y_std")):
            a, b = getattr(self, centre), getattr(self, width)
            if a.shape != b.shape or not (b > 0).all():
                raise ValueError(f"{width} = {b} must be > 0, one per channel of {centre} = {a}")

    @classmethod
    def none(cls, nu: int, ny: int) -> "Scaler":
        """Units as the model has them: nothing is scaled."""
        return cls(np.zeros(nu), np.ones(nu), np.zeros(ny), np.ones(ny))

    @classmethod
    def fit(cls, train: Experiment, u_min=None, u_max=None) -> "Scaler":
        """Scaler of the training records; u_min, u_max (nu,) is the input box, default their range.

        The box is the domain of every certificate: records that leave a given box are refused.
        """
        u, y = np.concatenate(train.us), np.concatenate(train.ys)
        seen_low, seen_high = u.min(axis=0), u.max(axis=0)
        low = _bound(u_min, seen_low, "u_min", train.nu)
        high = _bound(u_max, seen_high, "u_max", train.nu)
        slack = 1e-9 * abs(high - low)  # rounding of a box that was computed
        is_wide = moving(np.stack([low, high])) & (low < high)
        for i, name in enumerate(train.u_names):
            if not is_wide[i]:
                was_still = u_min is None and u_max is None
                what = f"is constant ({low[i]:.6g})" if was_still else f"has the box [{low[i]:.6g}, {high[i]:.6g}]"
                raise ValueError(
                    f'input "{name}" {what} in the training records, which excites nothing; leave it out, train on '
                    f"records where it moves, or give u_min < u_max"
                )
            if seen_low[i] < low[i] - slack[i] or seen_high[i] > high[i] + slack[i]:
                raise ValueError(
                    f'input "{name}" runs from {seen_low[i]:.6g} to {seen_high[i]:.6g} in the '
                    f"training records, outside the box [{low[i]:.6g}, {high[i]:.6g}]; widen it"
                )
        for name, column, is_moving in zip(train.y_names, y.T, moving(y), strict=True):
            if not is_moving:
                raise ValueError(
                    f'output "{name}" is constant ({np.nanmean(column):.6g}) in the training records, where it has '
                    f"nothing to fit; leave it out, or train on records where it moves"
                )
        return cls((low + high) / 2, (high - low) / 2, np.nanmean(y, axis=0), np.nanstd(y, axis=0))

    @property
    def u_min(self) -> np.ndarray:
        """(nu,) lower end of the input box."""
        return self.u_mid - self.u_half

    @property
    def u_max(self) -> np.ndarray:
        """(nu,) upper end of the input box."""
        return self.u_mid + self.u_half

    def u_in(self, u: np.ndarray) -> np.ndarray:
        """Normalised (T, nu) of physical (T, nu)."""
        return (u - self.u_mid) / self.u_half

    def u_out(self, u_n: np.ndarray) -> np.ndarray:
        """Physical (T, nu) of normalised (T, nu)."""
        return self.u_mid + self.u_half * u_n

    def y_in(self, y: np.ndarray) -> np.ndarray:
        """Normalised (T, ny) of physical (T, ny)."""
        return (y - self.y_mean) / self.y_std

    def y_out(self, y_n: np.ndarray) -> np.ndarray:
        """Physical (T, ny) of normalised (T, ny)."""
        return self.y_mean + self.y_std * y_n

    def to_dict(self) -> dict[str, list[float]]:
        """Plain lists, exact in JSON."""
        return {field.name: getattr(self, field.name).tolist() for field in fields(self)}

    @classmethod
    def from_dict(cls, values: dict[str, list[float]]) -> "Scaler":
        """The inverse of to_dict."""
        missing = {field.name for field in fields(cls)} - set(values)
        if missing:
            raise ValueError(f"the scaler lacks {sorted(missing)}; it is what to_dict wrote")
        return cls(**{field.name: np.array(values[field.name]) for field in fields(cls)})


def _bound(given, seen, label, nu):
    if given is None:
        return seen
    try:
        return np.broadcast_to(np.asarray(given, dtype=float), (nu,))
    except ValueError:
        raise ValueError(f"{label} = {given}; it is one number, or one for each of nu = {nu}") from None
