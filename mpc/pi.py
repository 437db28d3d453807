"""Decentralised PI control: what the plant has today."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .names import channel_vector, check_names
from .reference import Reference
from .settings import limit_input, parse_bounds
from .step_result import StepResult


@dataclass(frozen=True)
class Loop:
    """One PI loop: input u holds output y; gain in units of u per unit of y, integral_time in s.

    Raises: ValueError for a gain of zero or an integral time that is not positive.
    """

    y: str
    u: str
    gain: float
    integral_time: float

    def __post_init__(self):
        if not (np.isfinite(self.gain) and self.gain != 0):
            raise ValueError(f"gain of the loop {self.u} -> {self.y} is {self.gain}")
        if not self.integral_time > 0:
            raise ValueError(f"integral_time of {self.u} -> {self.y} is {self.integral_time} s")


class PI:
    """Independent PI loops, e = r - y, with inputs in their box and rates.

    u = u_0 + K (e + 1/T_i int e dt)

    Conditional integration against windup: a limited input stops the integral from going further
    the same way. u_0 is the input before the first step. Inputs without a loop stay there. With a
    NaN in y the loop keeps its input. Runs without an observer: run(process, pi, None, reference).

    system: names, units, box and dt (a System or a Process)
    bounds: as in NMPC; those on y and x have no effect
    u0: (nu,) input before the first step, where reset or step is not told; default mid-box
    """

    horizon = 0
    takes_measurement = True

    def __init__(
        self,
        system: Any,
        loops: Sequence[Loop],
        bounds: Mapping[str, Any] | None = None,
        *,
        u0: Any = None,
    ):
        check_names("loops' inputs", [loop.u for loop in loops], system.u_names)
        check_names("loops' outputs", [loop.y for loop in loops], system.y_names)
        used = [loop.u for loop in loops]
        if not loops or len(set(used)) < len(used):
            raise ValueError(f"loops use inputs {used}; need at least one, each input once")
        self.u_names, self.y_names, self.dt = system.u_names, system.y_names, system.dt
        kept = {kind: given for kind, given in (bounds or {}).items() if kind != "x"}
        self.loops, self.bounds = tuple(loops), parse_bounds(system, kept, ())
        middle = (self.bounds.u_min + self.bounds.u_max) / 2
        self._u0 = channel_vector("u0", u0, self.u_names, middle)
        self._iu = np.array([self.u_names.index(loop.u) for loop in loops])
        self._iy = np.array([self.y_names.index(loop.y) for loop in loops])
        self._gain = np.array([loop.gain for loop in loops])
        self._Ti = np.array([loop.integral_time for loop in loops])
        self._tracked = np.isin(np.arange(len(self.y_names)), self._iy)
        self._reference = Reference(self.y_names, self.horizon)
        self.reset()

    def reset(self, u_prev: np.ndarray | None = None) -> None:
        """Start without integral action so far; u_prev (nu,) is the input applied until now."""
        self._u_prev = self._u0 if u_prev is None else np.array(u_prev, float)
        self._base: np.ndarray | None = None
        self._reference.reset()

    def follow(self, u: np.ndarray) -> None:
        """Manual operation: u (nu,) is applied by somebody else. The next step starts from it, without a bump."""
        self._u_prev, self._base = np.array(u, float).reshape(len(self.u_names)), None

    def state(self) -> dict[str, np.ndarray]:
        """All that step remembers, as arrays by name; NaN stands for an integral that has not begun."""
        base = np.full(len(self.loops), np.nan) if self._base is None else self._base
        return {"u_prev": self._u_prev.copy(), "base": base.copy(), "reference": self._reference.last.copy()}

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        """Go on from what state returned, in this or another process."""
        self._u_prev, base, self._reference.last = (np.array(state[n], float) for n in ("u_prev", "base", "reference"))
        self._base = base if np.isfinite(base).all() else None

    def step(
        self,
        x_hat: np.ndarray,
        d_hat: np.ndarray | None,
        reference: Any,
        u_prev: np.ndarray | None = None,
        v_hat: np.ndarray | None = None,
        measured: Any = None,
    ) -> StepResult:
        """Input for y measured, given as x_hat (ny,); reference and u_prev as in NMPC, the rest is unused."""
        started = time.perf_counter()
        y = np.asarray(x_hat, float).reshape(-1)
        if y.shape != (len(self.y_names),):
            raise ValueError(f"y has {y.size} entries, PI has {len(self.y_names)} outputs")
        if u_prev is not None and np.isfinite(u_prev).all():
            self._u_prev = np.array(u_prev, float)
        # a preview's present row is all that a PI can use
        r = np.atleast_2d(reference)[:1] if np.ndim(reference) == 2 else reference
        r, held, _ = self._reference.take(r, y, self._tracked)
        u, blind = self._advance((r[0] - y)[self._iy])
        troubles = [f"NaN reference of {n}: last one kept" for n in held]
        troubles += [f"NaN measurement of {self.loops[i].y}: input kept" for i in blind]
        self._u_prev = u
        return StepResult(
            u=u,
            status="; ".join(["solved", *troubles]),
            ok=not troubles,
            solve_time=time.perf_counter() - started,
        )

    def _advance(self, e: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Limited input (nu,) and the loops without an error to act on."""
        if self._base is None:
            self._base = self._u_prev[self._iu].copy()
        seen = np.isfinite(e)
        e = np.where(seen, e, 0.0)
        step = self._gain * e * self.dt / self._Ti
        wanted = np.where(seen, self._base + self._gain * e + step, self._u_prev[self._iu])
        u = self._u_prev.copy()
        u[self._iu] = wanted
        u = limit_input(self.bounds, u, self._u_prev)
        limited = u[self._iu] - wanted
        helps = limited * step < 0
        self._base = self._base + np.where(seen, np.where(helps, 0.0, step), 0.0)
        return u, np.flatnonzero(~seen)
