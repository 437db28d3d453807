"""Steady-state target: where the plant should come to rest for a reference and a disturbance."""

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from .c_numbers import FREE
from .cell import build_curve, build_step
from .fast_call import FastCall
from .nearest import Asked, NearestRest
from .nearest_ipopt import IpoptRest
from .rest import CompiledRest, RestSearch
from .scales import Scales, find_scales
from .settings import parse_weights
from .system import System

# A reference counts as reached within this share of the output's range: far below any noise.
REACHED = 1e-4
# Weight of an output beyond its bound, where the most weighted error has 1: what is left of it is a millionth.
HELD = 1e6


class Target(NamedTuple):
    """Rest state x (nx,), input u (nu,), output y = g(x) + d (ny,); reachable: y equals r."""

    x: np.ndarray
    u: np.ndarray
    y: np.ndarray
    reachable: bool
    ok: bool


class SteadyTarget:
    """x_s = f(x_s, u_s + v), g(x_s) + d = r with u_s in the box; else the nearest y in |.|_Q.

    Outputs of weight 0 are left where they come to rest, within their bounds, which come first: beyond them an error
    costs HELD times the most. A tracked output may go where its reference is. RestSearch from the previous target, and
    IPOPT where that fails. With more inputs than outputs the solution is taken that is nearest to where inputs are to
    rest, else to the previous one.

    weights["y"] as in NMPC; u_min, u_max default to the system's box; they have an entry for every input that is to
    be found, (nu,) in all: the system's further inputs are given, as what v holds for them. What is searched is u + v,
    what acts there, in a box moved by v.

    y_bounds: lower and upper bound of outputs g(x) + d, (ny,) each; default: none

    rest: where inputs are to rest that outputs leave free, (nu,), NaN where that is left open; outputs come first

    library: a compiled controller of this system and these scales, whose search is used
    """

    def __init__(
        self,
        system: System,
        weights: dict[str, Any] | None = None,
        *,
        u_min: np.ndarray | None = None,
        u_max: np.ndarray | None = None,
        scales: Scales | None = None,
        y_bounds: tuple[np.ndarray, np.ndarray] | None = None,
        rest: np.ndarray | None = None,
        library: Any = None,
    ):
        self.system = system
        self.scales = s = find_scales(system) if scales is None else scales
        low, high = (np.asarray(b if a is None else a) for a, b in ((u_min, system.u_min), (u_max, system.u_max)))
        self.nu = len(low)
        # of the inputs that are to be found as bounded, of the given ones the system's box
        self.u_min, self.u_max = np.append(low, system.u_min[self.nu :]), np.append(high, system.u_max[self.nu :])
        given = s.u_mid[self.nu :]
        self._quiet = np.concatenate([np.zeros(self.nu), given])
        rest = np.full(system.nu, np.nan) if rest is None else np.append(rest, np.nan * given)
        self.rest = (rest - s.u_mid) / s.u_half
        # of a given input the box is one point, which v moves
        self.box = tuple((np.append(side, given) - s.u_mid) / s.u_half for side in (low, high))
        Q = parse_weights(system, weights, self.scales).y * self.scales.y_range**2
        free = np.full(system.ny, np.inf)
        self.tracked, self.y_bounds = np.flatnonzero(Q), (-free, free) if y_bounds is None else y_bounds
        # the tracked ones, which are to be at a point, then those that are to be within bounds
        self.counted = np.append(self.tracked, np.flatnonzero(np.isfinite(self.y_bounds).any(0)))
        held = np.full(len(self.counted) - len(self.tracked), HELD)
        self.Q = np.append(Q[self.tracked] / Q.max(), held)
        points = len(self.tracked)
        self.start = np.concatenate([(system.x0 - s.x_mid) / s.x_half, np.clip(np.zeros(system.nu), *self.box)])
        self._g = FastCall(system.g)
        # built when a reference is first out of reach
        nearest = cache(lambda: NearestRest(build_step(system, s), build_curve(system, s), self.counted, self.Q))
        ipopt = cache(lambda: IpoptRest(system, s, self.counted, points, self.Q))
        self._stands_in: tuple[Callable[[], Any], ...] = (ipopt,)
        if library is None:
            self._late = (nearest, *self._stands_in)
            self._search = RestSearch(build_step(system, s), self.counted, points, self.nu, nearest)
        else:
            self._late = self._stands_in
            self._search = CompiledRest(library, self.counted, points, self.Q, system.nu, system.ny)
        self.reset()

    def build(self) -> None:
        """What a reference out of reach needs, now and not in a step: for long equations it takes seconds."""
        for make in self._late:
            make()

    def reset(self) -> None:
        """Forget the previous target: start again from the system's x0 and the box's middle."""
        self._last: tuple[bytes, Target] | None = None
        self._z = self.start.copy()

    def start_from(self, x: np.ndarray, u: np.ndarray) -> None:
        """Search from state x (nx,) and all inputs u next, in the place of the previous target."""
        s = self.scales
        self._last, self._z = None, np.concatenate([(x - s.x_mid) / s.x_half, (u - s.u_mid) / s.u_half])

    def state(self) -> np.ndarray:
        """The previous target, scaled, and the (r, d, v) that it was for, NaN if for nothing."""
        n = 2 * self.system.ny + self.system.nu
        return np.concatenate([self._z, np.full(n, np.nan) if self._last is None else np.frombuffer(self._last[0])])

    def restore(self, state: np.ndarray) -> None:
        """Go on from what state returned."""
        n, ny = len(self._z), self.system.ny
        self._z, asked = np.array(state[:n], float), np.array(state[n:], float)
        r, d, v = np.split(asked, [ny, 2 * ny])
        self._last = (asked.tobytes(), self._describe(r, d, v, True)) if np.isfinite(asked).all() else None

    def solve(
        self, reference: np.ndarray, disturbance: np.ndarray | None = None, shift: np.ndarray | None = None
    ) -> Target:
        """Target for reference (ny,), output disturbance (ny,) and v = shift (all inputs), in their units.

        ok is False when no rest point was found; the previous one is then returned.
        """
        s, ny = self.scales, self.system.ny
        d = np.zeros(ny) if disturbance is None else np.asarray(disturbance, float)
        v, r = self._quiet if shift is None else np.asarray(shift, float), np.asarray(reference, float)
        if r.shape != (ny,) or d.shape != r.shape or v.shape != self._quiet.shape:
            raise ValueError(f"reference {r.shape} and disturbance {d.shape} must be (ny,), shift {v.shape} (nu,)")
        key = r.tobytes() + d.tobytes() + v.tobytes()
        if self._last is not None and self._last[0] == key:
            return self._last[1]
        wanted = self._wanted(r, d)
        low, high = (side + (v - self._quiet) / s.u_half for side in self.box)
        ok = bool(np.isfinite(wanted).all() and np.isfinite(r[self.tracked]).all() and np.isfinite(low).all())
        z = self._find(wanted, low, high, self.rest + (v - self._quiet) / s.u_half) if ok else None
        ok = z is not None
        self._z = self._z if z is None else z
        target = self._describe(r, d, v, ok)
        self._last = (key, target) if ok else None
        return target

    def _wanted(self, r: np.ndarray, d: np.ndarray) -> np.ndarray:
        """Interval (counted, 2) in which each output that counts is to be, scaled and without the disturbance."""
        s, where, sides = self.scales, self.counted, []
        for outer, bound in zip((np.minimum, np.maximum), self.y_bounds, strict=True):
            side = np.array(bound, float)
            side[self.tracked] = outer(side, r)[self.tracked]
            sides.append(np.append(r[self.tracked], side[where[len(self.tracked) :]]))
        wanted = (np.column_stack(sides) - (d + s.y_mid)[where, None]) / s.y_range[where, None]
        return np.clip(wanted, -FREE, FREE)

    def _find(self, wanted: np.ndarray, low: np.ndarray, high: np.ndarray, rest: np.ndarray) -> np.ndarray | None:
        x, u = np.split(self._z, [self.system.nx])
        asked = Asked(wanted, u, low, high, np.clip(rest, low, high))
        z = self._search.solve(x, asked)
        for make in self._stands_in:
            z = make().solve(x, asked) if z is None else z
        return z

    def _describe(self, r: np.ndarray, d: np.ndarray, v: np.ndarray, ok: bool) -> Target:
        s, nx, nu = self.scales, self.system.nx, self.nu
        x, u = s.x_mid + s.x_half * self._z[:nx], (s.u_mid + s.u_half * self._z[nx:] - v)[:nu]
        y = self._g(x)[0] + d
        missed = (np.abs(y - r) > REACHED * s.y_range)[self.tracked]
        return Target(x, u, y, ok and not bool(missed.any()), ok)
