"""Multisines of low crest factor: much power within the travel of an actuator."""

import numpy as np
from numpy.typing import ArrayLike

from .excitation import bounds, count, rates


def multisine(
    u_min: ArrayLike,
    u_max: ArrayLike,
    samples: int,
    period: int | None = None,
    tones: int = 20,
    seed: int = 0,
    max_rate: ArrayLike | None = None,
    clippings: int = 300,
) -> np.ndarray:
    """Sum of `tones` cosines of equal amplitude an input, scaled to touch a bound.

    Input i has the harmonics i + 1, i + 1 + nu, ... of 1 / period (default: samples), so inputs are orthogonal over a
    period. The phases are Schroeder's, -pi n (n - 1) / tones, improved by `clippings` turns of clipping; the seed
    shifts the signal in time. max_rate: largest change a sample, per input: the amplitude is lowered to keep it, for a
    follower would add tones. Reference: Schroeder (1970), IEEE Trans. Information Theory 16, 85-89; Van der Ouderaa,
    Schoukens, Renneboog (1988), IEEE Trans. Instrumentation and Measurement 37, 145-147.
    """
    low, high = bounds(u_min, u_max)
    samples = count(samples, "samples")
    period = samples if period is None else count(period, "period")
    highest = count(tones, "tones") * len(low)
    if highest >= period / 2:
        raise ValueError(
            f"{tones} tones for {len(low)} inputs reach harmonic {highest} of a period of {period} "
            f"samples, beyond Nyquist: fewer tones, or a longer period"
        )
    n = np.arange(1, tones + 1)
    random, columns = np.random.default_rng(seed), []
    for i in range(len(low)):
        spectrum = np.zeros(period // 2 + 1, complex)
        spectrum[i + 1 + len(low) * (n - 1)] = np.exp(-1j * np.pi * n * (n - 1) / tones)
        wave = np.roll(_flattened(spectrum, period, clippings), random.integers(period))
        columns.append(wave / np.abs(wave).max())
    wave = np.column_stack(columns)
    amplitude = np.minimum((high - low) / 2, rates(max_rate, len(low)) / _steepest(wave))
    return (low + high) / 2 + amplitude * np.resize(wave, (samples, len(low)))


def crest_factor(u: ArrayLike) -> np.ndarray:
    """max |u - mid| / rms(u - mean) of each column of u (T, nu), mid halfway between its extremes.

    1 of a square wave, 1.41 of a sine, near 1.2 of a good multisine, 3 or more of noise.
    """
    u = np.asarray(u, dtype=float)
    u = u.reshape(-1, 1) if u.ndim == 1 else u
    deviation = u.std(axis=0)
    if not np.all(deviation > 0):
        raise ValueError(f"columns {np.flatnonzero(~(deviation > 0)).tolist()} of u do not move")
    return np.ptp(u, axis=0) / 2 / deviation


def _flattened(spectrum: np.ndarray, period: int, clippings: int) -> np.ndarray:
    """The wave (period,) of lowest crest met while clipping its peaks and giving the tones back their amplitudes."""
    best = wave = np.fft.irfft(spectrum, period)
    for level in np.linspace(0.8, 0.99, clippings):
        peak = level * np.abs(wave).max()
        clipped = np.fft.rfft(np.clip(wave, -peak, peak))
        wave = np.fft.irfft(np.abs(spectrum) * np.exp(1j * np.angle(clipped)), period)
        best = min(best, wave, key=lambda w: np.abs(w).max())
    return best


def _steepest(wave: np.ndarray) -> np.ndarray:
    """Largest change from a sample to the next, the first after the last included."""
    return np.abs(np.diff(wave, axis=0, append=wave[:1])).max(axis=0)
