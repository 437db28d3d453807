"""Observers: one call signature, and the open-loop observer that makes control offset-free."""

import warnings
from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

import numpy as np

from .fast_call import FastCall
from .names import channel_vector
from .system import System, check_system
from .target import SteadyTarget

# An equilibrium is reached when a step changes no state by more than this share of its size.
AT_REST = 1e-9
REST_STEPS = 5000
# A mode slower than this, in 10^5 samples, is taken for one that stays.
FORGETS = 1 - 1e-5


class Estimate(NamedTuple):
    """State x (nx,), output disturbance d (ny,), y - prediction (ny,), NaN where unmeasured; input disturbance v (nu,).

    v is None for an observer that estimates none. w (nw,): values of the model's last inputs that the observer knows,
    as its innovation, for a controller that takes them as measured.
    """

    x: np.ndarray
    d: np.ndarray
    innovation: np.ndarray
    v: np.ndarray | None = None
    w: np.ndarray | None = None


class Observer(Protocol):
    """Estimates x(k), d(k) and v(k) from u(k-1) and y(k), where x+ = f(x, u + v), y = g(x) + d.

    The timing of every observer: at instant k, y(k) is measured, update(u(k-1), y(k)) gives the estimate *at k*, u(k)
    is computed from it and held until k + 1. y(k) corrects the estimate at k, x and v included, in EKF,
    DisturbanceObserver and MHE; d at k only in OffsetFreeObserver; d at k and x at k + 1 in CertifiedObserver.
    """

    def reset(self, y0: np.ndarray, u0: np.ndarray | None = None) -> None:
        """Start from rest: at input u0 (nu,), or at the input that explains y0 (ny,)."""
        ...

    def update(self, u_prev: np.ndarray | None, y: np.ndarray) -> Estimate:
        """u_prev (nu,) held since the last update, y (ny,) measured now.

        A NaN in y is a missing channel: its estimate goes on open loop. u_prev None: no time has
        passed (the first measurement). u_prev has an entry for every input of the system, the measured
        disturbances last.
        """
        ...

    def state(self) -> dict[str, np.ndarray]:
        """All that update remembers, as arrays by name."""
        ...

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        """Go on from what state returned, in this or another process, bit by bit as it would have."""
        ...


class OffsetFreeObserver:
    """Open-loop model with an estimated constant disturbance on every output.

    x(k) = f(x(k-1), u(k-1)),   e = y - g(x) - d,   d+ = d + L_d e,   0 < L_d < 2 elementwise

    Converges for every incrementally stable (deltaISS) system, at max(lambda, |1 - L_d|); at rest
    y = g(x) + d exactly, hence no offset whatever the mismatch. An unstable or integrating process
    needs EKF instead, because x here is never corrected.

    gain: L_d, scalar, array (ny,) or dict by name

    Warns of a model that does not forget. Reference: Pannocchia and Rawlings (2003); Morari and Maeder (2012).
    """

    def __init__(self, system: System, gain: Any = 0.5):
        check_system(system)
        self.system = system
        self.gain = channel_vector("gain", gain, system.y_names, 0.5)
        if not ((self.gain > 0) & (self.gain < 2)).all():
            raise ValueError(f"gain is {self.gain}; the estimate converges for 0 < gain < 2 only")
        self._f, self._g = FastCall(system.f), FastCall(system.g)
        self.x, self.d = np.array(system.x0, float), np.zeros(system.ny)
        if self._slowest() > FORGETS:
            warnings.warn(
                f"the model does not forget its state (slowest mode {self._slowest():.6g} a sample around x0: it "
                "integrates or is unstable), and OffsetFreeObserver never corrects the state: an offset will remain; "
                "take EKF or MHE",
                stacklevel=2,
            )

    def _slowest(self) -> float:
        """Spectral radius of df/dx at x0 and the middle of the input box, by central differences."""
        s, x0 = self.system, self.x
        u, steps = (s.u_min + s.u_max) / 2, np.diag(1e-6 * np.maximum(np.abs(x0), 1.0))
        ends = [np.array([self._f(x0 + side * step, u)[0].copy() for step in steps]) for side in (1, -1)]
        A = (ends[0] - ends[1]) / (2 * steps.diagonal()[:, None])
        return float(np.abs(np.linalg.eigvals(A)).max()) if np.isfinite(A).all() else 0.0

    def reset(self, y0: np.ndarray, u0: np.ndarray | None = None) -> None:
        """See Observer.reset."""
        y0 = check_measurement(self.system, y0)
        self.x = rest_state(self.system, y0, u0)
        self.d = np.nan_to_num(y0 - self._g(self.x)[0], nan=0.0)

    def update(self, u_prev: np.ndarray | None, y: np.ndarray) -> Estimate:
        """See Observer.update."""
        y = check_measurement(self.system, y)
        if u_prev is not None:
            self.x = advance(self._f, self.x, check_input(u_prev, self.system.u_names))
        e = y - self._g(self.x)[0] - self.d
        self.d = self.d + self.gain * np.nan_to_num(e, nan=0.0)
        return Estimate(self.x, self.d, e)

    def warm_up(self, u_past: np.ndarray, y_past: np.ndarray) -> Estimate:
        """See warm_up."""
        return warm_up(self, u_past, y_past)

    def state(self) -> dict[str, np.ndarray]:
        """See Observer.state."""
        return {"x": self.x.copy(), "d": self.d.copy()}

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        """See Observer.restore."""
        self.x = np.array(state["x"], float).reshape(self.system.nx)
        self.d = np.array(state["d"], float).reshape(self.system.ny)


def warm_up(observer: Observer, u_past: np.ndarray, y_past: np.ndarray) -> Estimate:
    """Run an observer over past data: u_past (T, nu), y_past (T, ny), u_past[k] applied after y[k].

    Ends with the estimate at the last y_past; the last u_past is the input held from then on, so
    that the next call is update(u_past[-1], y).
    """
    u, y = np.atleast_2d(np.asarray(u_past, float)), np.atleast_2d(np.asarray(y_past, float))
    if len(u) != len(y):
        raise ValueError(f"u_past has {len(u)} rows, y_past {len(y)}; both are (T, channel)")
    observer.reset(y[0], u[0])
    estimate = observer.update(None, y[0])
    for u_prev, y_now in zip(u[:-1], y[1:], strict=True):
        estimate = observer.update(u_prev, y_now)
    return estimate


def check_measurement(system: System, y: np.ndarray) -> np.ndarray:
    """y as (ny,) floats; infinities count as missing.

    Raises: ValueError for another size.
    """
    y = np.asarray(y, float).reshape(-1)
    if y.shape != (system.ny,):
        raise ValueError(f"y has {y.size} entries, the system has ny = {system.ny}")
    return np.where(np.isfinite(y), y, np.nan)


def check_input(u: Any, names: tuple[str, ...]) -> np.ndarray:
    """u as (nu,) floats.

    Raises: ValueError for another size or a value that is not finite.
    """
    u = np.asarray(u, float).reshape(-1)
    if u.shape != (len(names),) or not np.isfinite(u).all():
        raise ValueError(f"u_prev is {u}; give {len(names)} finite inputs, {names}")
    return u


def advance(f: FastCall, x: np.ndarray, u: np.ndarray) -> np.ndarray:
    """f(x, u), or the old x where that is not finite."""
    x_next = f(x, u)[0]
    return x_next.copy() if np.isfinite(x_next).all() else x


def rest_state(system: System, y0: np.ndarray, u0: np.ndarray | None = None) -> np.ndarray:
    """State at rest: where u0 (nu,) leads to from x0, or without u0 the one that explains y0 (ny,).

    Missing channels of y0 are taken from x0. Where no rest is found, x0.
    """
    x0 = np.array(system.x0, float)
    if u0 is None:
        y0 = np.where(np.isfinite(y0), y0, FastCall(system.g)(x0)[0])
        target = SteadyTarget(system).solve(y0)
        return target.x if target.ok else x0
    f, u0, x = FastCall(system.f), check_input(u0, system.u_names), x0
    for _ in range(REST_STEPS):
        x_next = advance(f, x, u0)
        if (np.abs(x_next - x) <= AT_REST * (1 + np.abs(x))).all():
            return x_next
        x = x_next
    return x0
