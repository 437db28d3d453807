"""Input signals to identify a plant with: float arrays (T, nu) within bounds, reproducible.

Bounds are a number an input, or one for all; times are in samples; every input moves on its own.
"""

import numpy as np
from numpy.typing import ArrayLike
from scipy.signal import max_len_seq


def steps(levels: ArrayLike, hold: int) -> np.ndarray:
    """Each row of levels (n, nu), in turn, held for `hold` samples: (n hold, nu)."""
    levels = np.asarray(levels, dtype=float)
    levels = levels.reshape(-1, 1) if levels.ndim == 1 else levels
    if levels.ndim != 2 or not levels.size or not np.all(np.isfinite(levels)):
        raise ValueError(f"levels must be finite and (n, nu), not of shape {levels.shape}")
    return np.repeat(levels, count(hold, "hold"), axis=0)


def random_steps(
    u_min: ArrayLike,
    u_max: ArrayLike,
    samples: int,
    hold: tuple[int, int] = (10, 40),
    levels: int | None = None,
    seed: int = 0,
    max_rate: ArrayLike | None = None,
) -> np.ndarray:
    """Multilevel random steps: uniform levels, held for a random hold[0]..hold[1] samples.

    levels: number of equidistant levels, bounds included; None for a continuum. max_rate: largest
    change a sample, per input.
    """
    low, high = bounds(u_min, u_max)
    shortest, longest = (count(n, "hold") for n in hold)
    if shortest > longest:
        raise ValueError(f"hold = {hold} must be (shortest, longest) in samples")
    random = np.random.default_rng(seed)
    draws = count(samples, "samples") // shortest + 1
    columns = []
    for _ in low:
        held = random.integers(shortest, longest, size=draws, endpoint=True)
        columns.append(np.repeat(_levels(random, draws, levels), held)[:samples])
    return limit_rate(low + (high - low) * np.column_stack(columns), max_rate)


def prbs(
    u_min: ArrayLike,
    u_max: ArrayLike,
    samples: int,
    hold: int = 5,
    order: int = 9,
    seed: int = 0,
    max_rate: ArrayLike | None = None,
) -> np.ndarray:
    """Pseudo-random binary signal: a maximum-length sequence of period (2^order - 1) hold samples.

    The inputs are the same sequence, shifted by equal parts of its period: nearly uncorrelated.
    """
    low, high = bounds(u_min, u_max)
    bits = _binary(len(low), samples, hold, order, seed)
    return limit_rate(low + (high - low) * bits, max_rate)


def aprbs(
    u_min: ArrayLike,
    u_max: ArrayLike,
    samples: int,
    hold: int = 5,
    order: int = 9,
    seed: int = 0,
    max_rate: ArrayLike | None = None,
) -> np.ndarray:
    """Amplitude-modulated PRBS: it switches where prbs() does, each time to a new uniform level."""
    low, high = bounds(u_min, u_max)
    bits = _binary(len(low), samples, hold, order, seed)
    switches = np.cumsum(np.abs(np.diff(bits, axis=0, prepend=bits[:1])), axis=0).astype(int)
    random = np.random.default_rng(seed)
    level = random.uniform(size=(switches.max() + 1, len(low)))
    return limit_rate(low + (high - low) * np.take_along_axis(level, switches, axis=0), max_rate)


def limit_rate(u: np.ndarray, max_rate: ArrayLike | None) -> np.ndarray:
    """u (T, nu) followed with at most max_rate (per input, or one for all) a sample."""
    if max_rate is None:
        return u
    rate = rates(max_rate, u.shape[1])
    limited = u.copy()
    for k in range(1, len(u)):
        limited[k] = limited[k - 1] + np.clip(u[k] - limited[k - 1], -rate, rate)
    return limited


def rates(max_rate: ArrayLike | None, nu: int) -> np.ndarray:
    """Largest change a sample (nu,), infinite where none is given."""
    rate = np.broadcast_to(np.asarray(np.inf if max_rate is None else max_rate, dtype=float), nu)
    if not np.all(rate > 0):
        raise ValueError(f"max_rate = {rate.tolist()} must be positive, in input units a sample")
    return rate


def bounds(u_min: ArrayLike, u_max: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Both as (nu,) floats, finite and in order."""
    low, high = np.broadcast_arrays(*(np.atleast_1d(np.asarray(b, float)) for b in (u_min, u_max)))
    if low.ndim != 1 or not np.all(np.isfinite(low) & np.isfinite(high) & (low < high)):
        raise ValueError(
            f"u_min = {low.tolist()}, u_max = {high.tolist()}: need finite u_min < u_max, one number an input"
        )
    return low, high


def count(value: int, label: str) -> int:
    """A whole number of at least one."""
    if isinstance(value, bool) or int(value) != value or value < 1:
        raise ValueError(f"{label} = {value!r} must be a whole number of at least 1")
    return int(value)


def _levels(random: np.random.Generator, draws: int, levels: int | None) -> np.ndarray:
    if levels is None:
        return random.uniform(size=draws)
    if count(levels, "levels") < 2:
        raise ValueError("levels = 1 excites nothing; give at least 2, or None for a continuum")
    return random.integers(levels, size=draws) / (levels - 1)


def _binary(nu: int, samples: int, hold: int, order: int, seed: int) -> np.ndarray:
    samples, hold = count(samples, "samples"), count(hold, "hold")
    if not 2 <= order <= 20:
        raise ValueError(f"order = {order} must be 2..20; the period is (2^order - 1) hold samples")
    state = 1 + np.random.default_rng(seed).integers(2**order - 1)
    register = (state >> np.arange(order)) & 1
    sequence = max_len_seq(order, state=register)[0].astype(float)
    shifts = [i * len(sequence) // nu for i in range(nu)]
    bits = np.repeat(np.column_stack([np.roll(sequence, -s) for s in shifts]), hold, axis=0)
    return np.resize(bits, (samples, nu))
