"""A second-order model of one output by its simulation error: the quick look at a record before any network."""

from typing import Any, NamedTuple

import numpy as np
from scipy.linalg import lstsq
from scipy.signal import lfilter

ORDER = 2  # the slow pole and one more: enough to see how slow a record is
SWEEPS = 5
CONVERGED = 1e-4  # change of a coefficient


class OutputError(NamedTuple):
    """Poles (2,) in the unit disc, and the error left: variance of what is not explained / variance of y."""

    poles: np.ndarray
    error: float


def output_error(u: np.ndarray, y: np.ndarray) -> OutputError:
    """y(k) + a1 y(k-1) + a2 y(k-2) = b1 u(k-1) + b2 u(k-2) + c from u (T, nu), y (T,), initial state free.

    Least squares of the equation error filtered by 1 / a of the sweep before, which makes it the simulation error:
    unlike plain least squares it is not led astray by measurement noise. Poles outside the unit circle are put on it.

    Reference: Steiglitz, McBride (1965), A technique for the identification of linear systems, IEEE Trans. Automatic
    Control 10, 461-464.
    """
    a, best = np.eye(1, ORDER + 1)[0], OutputError(np.zeros(ORDER), 1.0)
    for _ in range(SWEEPS):
        filtered = np.asarray(lfilter([1.0], a, np.column_stack([y, *_causes(u)]), axis=0))
        past = np.column_stack([_delayed(filtered[:, :1], k) for k in range(1, ORDER + 1)])
        regressors = np.column_stack([-past, _lags(filtered[:, 1:], u.shape[1])])
        poles = np.roots(np.r_[1.0, _solve(regressors, filtered[:, 0])[:ORDER]])
        poles = limited(np.pad(poles, (0, ORDER - len(poles))), 1.0)  # trailing zero coefficients lose roots
        best = min(best, OutputError(poles, error_with(poles, u, y)), key=lambda model: model.error)
        before, a = a, np.real(np.poly(poles))
        if np.abs(a - before).max() < CONVERGED:
            break
    return best


def growth(u: np.ndarray, y: np.ndarray) -> float:
    """Modulus of the largest pole of the same model by plain least squares, less three standard deviations of it.

    Of closed-loop records too it tells an unstable plant, where a simulation from the input would run away.
    """
    past = _delayed(y[:, None], 1), _delayed(y[:, None], 2)
    regressors = np.column_stack([-np.column_stack(past), _lags(np.column_stack(_causes(u)), u.shape[1])])
    coefficients = _solve(regressors, y)
    a = np.r_[1.0, coefficients[:ORDER]]
    poles = np.roots(a)
    if not len(poles):
        return 0.0
    p = max(poles, key=abs)
    slope = p ** np.arange(ORDER - 1, -1, -1) / np.polyval(np.polyder(a), p)  # dp = -slope @ da
    if not np.all(np.isfinite(slope)):  # a double pole
        return 0.0
    scale = np.linalg.norm(regressors, axis=0)
    covariance = np.linalg.pinv((regressors / scale).T @ (regressors / scale)) / np.outer(scale, scale)
    variance = np.var(y - regressors @ coefficients) * (slope.conj() @ covariance[:ORDER, :ORDER] @ slope).real
    return float(abs(p) - 3 * np.sqrt(max(variance, 0.0)))


def error_with(poles: np.ndarray, u: np.ndarray, y: np.ndarray) -> float:
    """Share of the variance of y (T,) that the best model with these poles leaves unexplained."""
    filtered = np.asarray(lfilter([1.0], np.real(np.poly(poles)), np.column_stack(_causes(u)), axis=0))
    regressors = _lags(filtered, u.shape[1])
    return float(np.var(y - regressors @ _solve(regressors, y)) / np.var(y))


def limited(poles: np.ndarray, radius: float) -> np.ndarray:
    """Poles moved towards the origin until none is beyond `radius`."""
    return poles * np.minimum(1.0, radius / np.maximum(np.abs(poles), 1e-12))


def _causes(u: np.ndarray) -> list[np.ndarray]:
    """What moves y: inputs (T, nu), initial state (T, ORDER), offset (T, 1)."""
    return [u, np.eye(len(u), ORDER), np.ones((len(u), 1))]


def _lags(causes: np.ndarray, nu: int) -> np.ndarray:
    """Inputs delayed by 1..ORDER, the rest as it is."""
    return np.column_stack([*(_delayed(causes[:, :nu], k) for k in range(1, ORDER + 1)), causes[:, nu:]])


def _delayed(signal: np.ndarray, k: int) -> np.ndarray:
    return np.concatenate([np.zeros((k, signal.shape[1])), signal[:-k]])


def _solve(regressors: np.ndarray, y: np.ndarray) -> np.ndarray:
    scale = np.maximum(np.linalg.norm(regressors, axis=0), 1e-300)
    solution: Any = lstsq(regressors / scale, y, cond=1e-12, lapack_driver="gelsy", check_finite=False)
    return solution[0] / scale
