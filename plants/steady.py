"""Steady states by Newton's method, from a guess or, failing that, from where the plant settles."""

import casadi as ca
import numpy as np

from .sampled import cvodes_integrator

# s; far beyond the settling time of any process held by an operator
SETTLING = 1e6
# state units per second, relative to 1 + |x|: rounding leaves 1e-13 or less
RESIDUAL = 1e-11
ITERATIONS = 50
HALVINGS = 30


def newton(ode: ca.Function, start: np.ndarray, u: np.ndarray, d: np.ndarray) -> tuple[np.ndarray, bool]:
    """Where Newton's method ends from `start` (nx,), and whether that is an equilibrium."""
    x = _newton(ode, start, u, d)
    return x, _is_steady(ode, x, u, d)


def steady_state(ode: ca.Function, start: np.ndarray, u: np.ndarray, d: np.ndarray) -> tuple[np.ndarray, str]:
    """x (nx,) with ode(x, u, d) = 0, and '' or the reason why x is not one."""
    x, is_steady = newton(ode, start, u, d)
    if not is_steady:
        x, is_steady = newton(ode, _settle(ode, start, u, d), u, d)
    return x, "" if is_steady else "neither Newton nor simulation converged"


def _newton(ode: ca.Function, x: np.ndarray, u: np.ndarray, d: np.ndarray) -> np.ndarray:
    jacobian, many = ode.jacobian(), ode.map(HALVINGS)
    for _ in range(ITERATIONS):
        residual = _rates(ode, x, u, d)
        A = np.asarray(ca.densify(jacobian(x, u, d, 0)[0]))
        if not np.all(np.isfinite(A)):
            break
        step = np.linalg.lstsq(A, -residual, rcond=None)[0]
        length = _shorten(many, x, step, u, d, np.abs(residual).max())
        if length == 0.0:
            break
        x = x + length * step
    return x


def _shorten(many: ca.Function, x: np.ndarray, step: np.ndarray, u: np.ndarray, d: np.ndarray, norm: float) -> float:
    """Largest of 1, 1/2, 1/4, ... at which the step lowers the norm of the residual; 0 if none."""
    lengths = 0.5 ** np.arange(HALVINGS)
    u, d = (np.tile(v[:, None], HALVINGS) for v in (u, d))
    rates = np.asarray(many(x[:, None] + np.outer(step, lengths), u, d))
    lower = np.flatnonzero(np.abs(rates).max(axis=0) < norm)
    return float(lengths[lower[0]]) if lower.size else 0.0


def _settle(ode: ca.Function, start: np.ndarray, u: np.ndarray, d: np.ndarray) -> np.ndarray:
    try:
        integrator = cvodes_integrator(ode, SETTLING)
        return np.asarray(integrator(x0=start, p=np.concatenate([u, d]))["xf"]).reshape(-1)
    except RuntimeError:  # the integrator gave up: leave the verdict to the residual
        return start


def _rates(ode: ca.Function, x: np.ndarray, u: np.ndarray, d: np.ndarray) -> np.ndarray:
    return np.asarray(ode(x, u, d)).reshape(-1)


def _is_steady(ode: ca.Function, x: np.ndarray, u: np.ndarray, d: np.ndarray) -> bool:
    return bool(np.all(np.abs(_rates(ode, x, u, d)) <= RESIDUAL * (1 + np.abs(x))))
