"""What a controller is given at a step, made finite: a value that is missing is the last one that was not."""

from typing import Any, NamedTuple

import numpy as np

from .fast_call import FastCall
from .measured import Measured
from .reference import Reference, is_finite
from .system import System


class Taken(NamedTuple):
    """State x (nx,), NaN if it was; disturbances of outputs d (ny,) and of inputs v (nu,); measured ones w (rows, nw);
    preview r (N + 1, ny); what was missing.

    y is the present output by the model, None without a state. Troubles make a step not ok, notes do not.
    """

    x: np.ndarray
    d: np.ndarray
    v: np.ndarray
    w: np.ndarray
    r: np.ndarray
    y: np.ndarray | None
    troubles: list[str]
    notes: list[str]


class Intake:
    """Remembers the last finite disturbances, reference and input; the system's first nu inputs are moved."""

    def __init__(self, system: System, horizon: int, tracked: np.ndarray, measured: Measured):
        self._system, self._tracked = system, tracked
        self._measured, self._nu = measured, measured.system.nu
        self._g = FastCall(system.g)
        self._reference = Reference(system.y_names, horizon)
        self.reset(None)

    def reset(self, u_prev: np.ndarray | None) -> None:
        self.u_prev = None if u_prev is None else check_size("u_prev", u_prev, self._nu)
        self._d, self._v = np.zeros(self._system.ny), np.zeros(self._system.nu)
        self._reference.reset()
        self._measured.reset()

    def take(self, x_hat: Any, d_hat: Any, reference: Any, u_prev: Any, v_hat: Any, measured: Any) -> Taken:
        """Raises: ValueError for wrong shapes."""
        x, troubles = check_size("x_hat", x_hat, self._system.nx), []
        if d_hat is not None:
            d = check_size("d_hat", d_hat, self._system.ny)
            known = is_finite(d)
            self._d = d if known else np.where(np.isfinite(d), d, self._d)
            if not known:
                troubles.append("NaN disturbance estimate: last one kept")
        if v_hat is not None:
            v = check_size("v_hat", v_hat, self._system.nu)
            known = is_finite(v)
            self._v = v if known else np.where(np.isfinite(v), v, self._v)
            if not known:
                troubles.append("NaN input disturbance estimate: last one kept")
        w, unread = self._measured.take(measured)
        troubles += [f"no measurement of {name}: last one kept" for name in unread]
        y = self._g(x)[0] + self._d if is_finite(x) else None
        r, lost, absent = self._reference.take(reference, y, self._tracked)
        troubles += [f"NaN reference of {name}: last one kept" for name in lost]
        if u_prev is not None:
            u = check_size("u_prev", u_prev, self._nu)
            self.u_prev = u if is_finite(u) else self.u_prev
        notes = [f"no reference of {name} yet: kept where it is" for name in absent]
        return Taken(x, self._d, self._v, w, r, y, troubles, notes)

    def state(self) -> dict[str, np.ndarray]:
        """What take remembers; NaN stands for nothing yet."""
        u = np.full(self._nu, np.nan) if self.u_prev is None else self.u_prev
        known = {"u_prev": u, "d": self._d, "v": self._v, "reference": self._reference.last, "w": self._measured.last}
        return {name: value.copy() for name, value in known.items()}

    def restore(self, state: dict[str, np.ndarray]) -> None:
        u = check_size("u_prev", state["u_prev"], self._nu)
        self.u_prev = u if np.isfinite(u).all() else None
        self._d = check_size("d", state["d"], self._system.ny)
        self._v = check_size("v", state["v"], self._system.nu)
        self._measured.last = check_size("w", state["w"], len(self._measured.names))
        self._reference.last = check_size("reference", state["reference"], self._system.ny)


def check_size(name: str, value: Any, size: int) -> np.ndarray:
    """value as a vector of its own.

    Raises: ValueError for another size.
    """
    vector = np.array(value, float).reshape(-1)
    if vector.shape != (size,):
        raise ValueError(f"{name} has {vector.size} entries, the system has {size}")
    return vector
