"""What the end of a plan costs: the terminal weight of NMPC, whichever way it was asked for."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from .certified import certified_terminal
from .settings import Weights
from .system import System
from .target import Target
from .terminal import CostToGo


class End:
    """(P, hold): |x_N - x_s|_P^2, and 1.0 if P belongs to holding u_s, when the move back to it is paid for as well.

    weight: P, "cost_to_go" or None, as asked for; a certificate's P. hold: 1.0 if it is a certificate's.

    Raises: ValueError for a terminal that is none of these.
    """

    def __init__(self, system: System, weights: Weights, terminal: Any):
        self.hold = float(isinstance(terminal, Mapping) or getattr(terminal, "rate", None) is not None)
        given = certified_terminal(system, terminal, weights.y) if self.hold else terminal
        self.weight, self._free = _checked(given, system.nx), (np.zeros((system.nx,) * 2), 0.0)
        self._to_go = CostToGo(system, weights)

    def __call__(self, target: Target, acting: np.ndarray) -> tuple[np.ndarray, float]:
        """At a target, for disturbances that act on all inputs."""
        if self.weight is None or not target.ok:
            return self._free
        if isinstance(self.weight, np.ndarray):
            return self.weight, self.hold
        u = acting.copy()
        u[: len(target.u)] += target.u
        return self._to_go(target.x, u) or self._free


def _checked(terminal: Any, nx: int) -> Any:
    if terminal is None or (isinstance(terminal, str) and terminal == "cost_to_go"):
        return terminal
    P = np.asarray(terminal)
    if P.shape != (nx, nx) or P.dtype.kind not in "fi" or not np.allclose(P, P.T):
        raise ValueError(f"terminal is {terminal!r}; give 'cost_to_go', None or symmetric (nx, nx)")
    return P.astype(float)
