"""Weights and bounds of a controller, parsed from dicts by channel name."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from .names import channel_intervals, channel_vector, check_names, is_number
from .scales import Scales
from .system import System

# Moving an input by half its box costs this share of an output error of one full range.
DEFAULT_MOVE_WEIGHT = 0.1
# Violating a bound by one range costs this many times an error of one range.
DEFAULT_SOFT_PENALTY = 100.0


class Weights(NamedTuple):
    """Diagonal weights on y - r, u - u_target and du, per unit squared."""

    y: np.ndarray
    u: np.ndarray
    du: np.ndarray


class Bounds(NamedTuple):
    """Input box, inputs' largest fall (<= 0) and rise per step, soft bounds of outputs and states; physical units."""

    u_min: np.ndarray
    u_max: np.ndarray
    du_min: np.ndarray
    du_max: np.ndarray
    y_min: np.ndarray
    y_max: np.ndarray
    x_min: np.ndarray
    x_max: np.ndarray


def parse_weights(
    system: System,
    given: Mapping[str, Any] | None,
    scales: Scales,
    price_unit: float = 0.0,
    resting: np.ndarray | float = 0.0,
) -> Weights:
    """{"y": , "u": , "du": }, each a scalar, an array or a dict by channel name.

    Defaults: y: 1 / range^2, with a price 0; du: DEFAULT_MOVE_WEIGHT relative to the largest output term or to what the
    price changes by; u: 0, or that of du where resting (nu,) is 1. A dict for "y" gives weight 0 to the outputs that it
    leaves out.
    """
    given = {} if given is None else given
    check_names("weights", given, ("y", "u", "du"))
    y_default = 0.0 if "y" in given or price_unit else 1 / scales.y_range**2
    y = channel_vector("weights['y']", given.get("y"), system.y_names, y_default)
    du_default = DEFAULT_MOVE_WEIGHT * max(np.max(y * scales.y_range**2), price_unit) / scales.u_half**2
    du = channel_vector("weights['du']", given.get("du"), system.u_names, du_default)
    u = channel_vector("weights['u']", given.get("u"), system.u_names, resting * du_default)
    for name, w in (("y", y), ("u", u), ("du", du)):
        if (w < 0).any() or not np.isfinite(w).all():
            raise ValueError(f"weights[{name!r}] are {w}; weights must be finite and >= 0")
    if not (y.any() or price_unit):
        raise ValueError("weights['y'] are all zero and there is no price: nothing to track")
    return Weights(y, u, du)


def parse_bounds(system: System, given: Mapping[str, Any] | None, x_names: tuple[str, ...]) -> Bounds:
    """{"u": {name: (low, high)}, "du": {name: per step}, "y": {name: (low, high)}, "x": {name: (low, high)}}.

    "du" is the largest change per step, or a pair (largest fall < 0, largest rise > 0).

    The input bounds default to the system's box and may not leave it: outside, neither the model
    nor its certificates hold. Bounds of outputs and states are soft; None leaves a side free.

    Raises: ValueError naming the channel.
    """
    given = {} if given is None else given
    check_names("bounds", given, ("u", "du", "y", "x"))
    low, high = channel_intervals("bounds['u']", given.get("u"), system.u_names, -np.inf, np.inf)
    u_min, u_max = np.where(low > -np.inf, low, system.u_min), np.where(high < np.inf, high, system.u_max)
    slack = 1e-9 * (system.u_max - system.u_min)
    for i, name in enumerate(system.u_names):
        sides, (least, most) = (u_min[i], u_max[i]), (system.u_min[i] - slack[i], system.u_max[i] + slack[i])
        if min(sides) < least or max(sides) > most:
            raise ValueError(
                f"bounds['u'] of {name!r} [{u_min[i]:g}, {u_max[i]:g}] leave the box "
                f"[{system.u_min[i]:g}, {system.u_max[i]:g}] {system.u_units[i]} on which the "
                "model is valid; tighten them, or identify the model on a wider box"
            )
    du_min, du_max = _rates(given.get("du"), system.u_names)
    y_min, y_max = channel_intervals("bounds['y']", given.get("y"), system.y_names, -np.inf, np.inf)
    x_min, x_max = channel_intervals("bounds['x']", given.get("x"), x_names, -np.inf, np.inf)
    return Bounds(u_min, u_max, du_min, du_max, y_min, y_max, x_min, x_max)


def _rates(given: Any, names: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Largest fall, <= 0, and largest rise of each input; one number is both."""
    what = "bounds['du']"
    if given is not None and not isinstance(given, Mapping) and np.ndim(given) < 2:
        given = dict(zip(names, channel_vector(what, given, names, np.inf), strict=True))
    pairs = given
    if isinstance(given, Mapping):
        check_names(what, given, names)
        for name, rate in given.items():
            if is_number(rate) and not rate > 0:
                raise ValueError(f"{what} of {name!r} is {rate:g}; must be > 0 per step, or a pair (fall, rise)")
        pairs = {name: (-rate, rate) if is_number(rate) else rate for name, rate in given.items()}
    du_min, du_max = channel_intervals(what, pairs, names, -np.inf, np.inf)
    for name, fall, rise in zip(names, du_min, du_max, strict=True):
        if not (fall <= 0 <= rise and fall < rise):
            raise ValueError(
                f"{what} of {name!r} is ({fall:g}, {rise:g}); give (largest fall, largest rise) per step with "
                "fall <= 0 <= rise, not both 0: an input must be able to stay where it is, and to move"
            )
    return du_min, du_max


def parse_soft_penalty(given: Any, names: tuple[str, ...]) -> np.ndarray:
    """One for each output and each state with a bound, DEFAULT_SOFT_PENALTY where a dict leaves one out.

    Raises: ValueError unless they are positive and finite.
    """
    penalty = channel_vector("soft_penalty", given, names, DEFAULT_SOFT_PENALTY)
    for name, c in zip(names, penalty, strict=True):
        if not 0 < c < np.inf:
            raise ValueError(f"soft_penalty of {name!r} is {c:g}; it must be positive and finite")
    return penalty


def parse_rest(given: Mapping[str, float] | None, names: tuple[str, ...], bounds: Bounds) -> np.ndarray:
    """Where each input is to rest, NaN where that is left open.

    Raises: ValueError for an unknown input, or a place outside its bounds.
    """
    given = {} if given is None else given
    if not isinstance(given, Mapping):
        raise ValueError(f"rest is {given!r}; give a dict {{input: where it is to rest}}")
    rest = channel_vector("rest", given, names, 0.0)
    for name, u, low, high in zip(names, rest, bounds.u_min, bounds.u_max, strict=True):
        if name in given and not low <= u <= high:
            raise ValueError(f"rest of {name!r} is {u:g}, outside its bounds [{low:g}, {high:g}]")
    return np.where([name in given for name in names], rest, np.nan)


def shifted(bounds: Bounds, v: np.ndarray | float) -> Bounds:
    """The bounds of u + v."""
    return bounds._replace(u_min=bounds.u_min + v, u_max=bounds.u_max + v)


def limit_input(bounds: Bounds, u: np.ndarray, u_prev: np.ndarray) -> np.ndarray:
    """The input nearest to u that respects the rate from u_prev and, above all, the box."""
    u = np.minimum(np.maximum(u, u_prev + bounds.du_min), u_prev + bounds.du_max)
    return np.minimum(np.maximum(u, bounds.u_min), bounds.u_max)


def check_moves(horizon: Any, moves: Sequence[int] | None) -> tuple[int, ...]:
    """Steps that each move lasts; by default every step has its own.

    Raises: ValueError unless they are whole, positive, and add up to the horizon.
    """
    if not isinstance(horizon, int | float | np.integer) or horizon != int(horizon) or horizon < 1:
        raise ValueError(f"horizon is {horizon}; give a whole number of steps, at least one")
    given = (1,) * int(horizon) if moves is None else tuple(moves)
    if any(m != int(m) or m < 1 for m in given) or sum(given) != horizon:
        raise ValueError(f"moves {list(given)} must be whole steps >= 1 with the horizon's sum {horizon}")
    return tuple(int(m) for m in given)
