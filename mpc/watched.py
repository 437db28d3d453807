"""States that have bounds, as further outputs of a system: whatever holds outputs in bounds holds them, too."""

from typing import Any

import casadi as ca
import numpy as np

from .scales import Scales
from .settings import Bounds, Weights
from .system import DiscreteSystem, System, state_names


class Watched:
    """y, then the states x_i that have a bound: outputs of weight 0, without disturbance, in the range of the state.

    names: of outputs and states, as they are reported; a state with the name of an output is "state NAME"

    Without bounded states everything is handed back as it is.
    """

    def __init__(self, system: System, bounds: Bounds):
        self._states = np.flatnonzero(np.isfinite(bounds.x_min) | np.isfinite(bounds.x_max))
        states = (state_names(system)[i] for i in self._states)
        own = tuple(system.y_names)
        self.names = (*own, *(f"state {n}" if n in (*own, *system.u_names) else n for n in states))

    def system(self, system: System) -> System:
        """With the states behind its outputs; the states are the first of the system's."""
        if not self._states.size:
            return system
        x = ca.MX.sym("x", system.nx)
        (y,) = system.g.call([x], system.g.is_a("MXFunction"), False)
        n = len(self._states)
        return DiscreteSystem(
            f=system.f,
            g=ca.Function("g_watched", [x], [ca.vertcat(y, x[self._states.tolist()])], ["x"], ["y"]),
            dt=system.dt,
            x0=system.x0,
            u_names=system.u_names,
            y_names=self.names,
            u_units=system.u_units,
            y_units=(*system.y_units, *[""] * n),
            u_min=system.u_min,
            u_max=system.u_max,
        )

    def scales(self, s: Scales) -> Scales:
        return s._replace(y_mid=self._join(s.y_mid, s.x_mid), y_range=self._join(s.y_range, 2 * s.x_half))

    def weights(self, w: Weights) -> Weights:
        return w._replace(y=self.pad(w.y, 0 * self._states))

    def bounds(self, b: Bounds) -> Bounds:
        return b._replace(y_min=self._join(b.y_min, b.x_min), y_max=self._join(b.y_max, b.x_max))

    def pad(self, y: np.ndarray, more: Any) -> np.ndarray:
        """y (..., ny) with `more` for the states behind it."""
        if not self._states.size:
            return y
        return np.concatenate([y, np.broadcast_to(more, (*y.shape[:-1], len(self._states)))], -1)

    def _join(self, y: np.ndarray, x: np.ndarray) -> np.ndarray:
        return np.concatenate([y, x[self._states]])
