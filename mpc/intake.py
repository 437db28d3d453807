"""What a controller is given at a step, made finite: a value that is missing is the last one that was not."""

from typing import Any, NamedTuple

import numpy as np

from .fast_call import FastCall
from .reference import Reference
from .system import System


class Taken(NamedTuple):
    """State x (nx,), NaN if it was; output disturbance d (ny,); preview r (N + 1, ny); what was missing.

    y is the present output by the model, None without a state. Troubles make a step not ok, notes do not.
    """

    x: np.ndarray
    d: np.ndarray
    r: np.ndarray
    y: np.ndarray | None
    troubles: list[str]
    notes: list[str]


class Intake:
    """Remembers the last finite disturbance, reference and input."""

    def __init__(self, system: System, horizon: int, tracked: np.ndarray):
        self._system, self._tracked = system, tracked
        self._g = FastCall(system.g)
        self._reference = Reference(system.y_names, horizon)
        self.reset(None)

    def reset(self, u_prev: np.ndarray | None) -> None:
        self.u_prev = None if u_prev is None else check_size("u_prev", u_prev, self._system.nu)
        self._d = np.zeros(self._system.ny)
        self._reference.reset()

    def take(self, x_hat: Any, d_hat: Any, reference: Any, u_prev: Any) -> Taken:
        """Raises: ValueError for wrong shapes."""
        x, troubles = check_size("x_hat", x_hat, self._system.nx), []
        if d_hat is not None:
            d = check_size("d_hat", d_hat, self._system.ny)
            self._d = np.where(np.isfinite(d), d, self._d)
            if not np.isfinite(d).all():
                troubles.append("NaN disturbance estimate: last one kept")
        y = self._g(x)[0] + self._d if np.isfinite(x).all() else None
        r, lost, absent = self._reference.take(reference, y, self._tracked)
        troubles += [f"NaN reference of {name}: last one kept" for name in lost]
        if u_prev is not None:
            u = check_size("u_prev", u_prev, self._system.nu)
            self.u_prev = u if np.isfinite(u).all() else self.u_prev
        notes = [f"no reference of {name} yet: kept where it is" for name in absent]
        return Taken(x, self._d, r, y, troubles, notes)

    def state(self) -> dict[str, np.ndarray]:
        """What take remembers; NaN stands for nothing yet."""
        u = np.full(self._system.nu, np.nan) if self.u_prev is None else self.u_prev
        return {"u_prev": u.copy(), "d": self._d.copy(), "reference": self._reference.last.copy()}

    def restore(self, state: dict[str, np.ndarray]) -> None:
        u = check_size("u_prev", state["u_prev"], self._system.nu)
        self.u_prev = u if np.isfinite(u).all() else None
        self._d = check_size("d", state["d"], self._system.ny)
        self._reference.last = check_size("reference", state["reference"], self._system.ny)


def check_size(name: str, value: Any, size: int) -> np.ndarray:
    """value as a vector of its own.

    Raises: ValueError for another size.
    """
    vector = np.array(value, float).reshape(-1)
    if vector.shape != (size,):
        raise ValueError(f"{name} has {vector.size} entries, the system has {size}")
    return vector
