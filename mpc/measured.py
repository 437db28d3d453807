"""Measured disturbances: inputs of the model that the controller does not move but reads, ahead of time if it can."""

from collections.abc import Mapping, Sequence
from typing import Any

import casadi as ca
import numpy as np

from .names import check_names
from .scales import Scales, find_scales
from .system import DiscreteSystem, System


class Measured:
    """A system whose last inputs w are measured, as one in the other inputs alone.

    z = [x; w(k); ...; w(k + p)],   x+ = f(x, [u; w(k)]),   w(k + i)+ = w(k + i + 1), the last one held

    names: the measured inputs; they must be the system's last ones, in its order
    preview: p, samples ahead of now of which values are taken
    past: samples before now that z begins with behind x, 1 where a price asks for what acted until now

    Remembers the last finite w, which stands in for a missing one. Without names, `system` is the system itself.
    Raises: ValueError for other names, or a preview that is no whole number >= 0.
    """

    def __init__(self, system: System, names: Sequence[str], preview: int, past: int = 0):
        names = tuple(names)
        check_names("measured", names, system.u_names)
        if names != tuple(system.u_names)[len(system.u_names) - len(names) :]:
            order = f"{', '.join(system.u_names)}, measured: {', '.join(names)}"
            raise ValueError(f"measured inputs must be the model's last ones, in its order; it has {order}")
        if len(names) == system.nu:
            raise ValueError(f"all inputs are measured ({', '.join(names)}): nothing is left to move")
        if preview != int(preview) or preview < 0:
            raise ValueError(f"measured_preview is {preview}; give a whole number of samples >= 0")
        self.names, self.rows, self._past, self._base = names, int(preview) + 1, past, system
        self.system = _registered(system, len(names), self.rows, past) if names else system
        self.reset()

    def reset(self) -> None:
        self.last = np.full(len(self.names), np.nan)

    def take(self, given: Any) -> tuple[np.ndarray, list[str]]:
        """Values (p + 1, nw) from now on, and the names of those missing now.

        given: scalar, (nw,), a dict by name, or rows (any number, nw) from now on; the last row is held. A missing
        value is the one before it, at first the middle of the channel's box.
        """
        nw = len(self.names)
        if nw == 0 and given is None:
            return np.zeros((self.rows, 0)), []
        if isinstance(given, Mapping):
            check_names("measured", given, self.names)
            given = [given.get(name, np.nan) for name in self.names]
        rows = np.atleast_2d(np.array(np.full(nw, np.nan) if given is None else given, float))
        if rows.ndim > 2 or rows.shape[1] != nw or len(rows) == 0:
            raise ValueError(f"measured has shape {rows.shape}; give ({nw},) or (rows, {nw}): {self.names}")
        first = self._base.nu - nw
        middle = (self._base.u_min + self._base.u_max)[first:] / 2
        missing = [name for name, fine in zip(self.names, np.isfinite(rows[0]), strict=True) if not fine]
        before, filled = np.where(np.isfinite(self.last), self.last, middle), []
        for i in range(self.rows):
            row = rows[min(i, len(rows) - 1)]
            before = np.where(np.isfinite(row), row, before)
            filled.append(before)
        self.last = np.array(filled[0])
        return np.array(filled).reshape(self.rows, nw), missing

    def state(self, x: np.ndarray, w: np.ndarray) -> np.ndarray:
        """z from x (nx,) and w (p + 1, nw)."""
        return np.concatenate([x, w[: self._past].ravel(), w.ravel()]) if self.names else x

    def rest(self, x: Any, w: Any) -> Any:
        """z where w (nw,) is held; numbers or expressions."""
        if not self.names:
            return x
        held = [w] * (self._past + self.rows)
        return np.concatenate([x, *held]) if isinstance(x, np.ndarray) else ca.vertcat(x, *held)

    def priced(self, z: Any, u: Any) -> tuple[Any, Any]:
        """x and all inputs that led there, as expressions of z and of what was moved; with past = 1."""
        nx = self._base.nx
        return (z[:nx], ca.vertcat(u, z[nx : nx + len(self.names)])) if self.names else (z, u)

    def acting(self, v: np.ndarray, w: np.ndarray) -> np.ndarray:
        """What all inputs have besides what moves them, v (nu,) and w (p + 1, nw) at the preview's end."""
        return v + np.concatenate([np.zeros(self.system.nu), w[-1]]) if self.names else v

    def scales(self, y_range: Any) -> tuple[Scales, Scales]:
        """Scales of `system` and of the system around it: what the moved inputs do, the measured ones by their box."""
        s, base, nx = find_scales(self.system, y_range), self._base, self._base.nx
        mid, half = (base.u_max + base.u_min) / 2, (base.u_max - base.u_min) / 2
        around = s._replace(x_mid=s.x_mid[:nx], x_half=s.x_half[:nx], u_mid=mid, u_half=half)
        if not self.names:
            return s, around
        w_mid, w_half = (np.tile(side[self.system.nu :], self._past + self.rows) for side in (mid, half))
        return s._replace(x_mid=np.append(s.x_mid[:nx], w_mid), x_half=np.append(s.x_half[:nx], w_half)), around

    def pad(self, P: np.ndarray) -> np.ndarray:
        """A weight (nx, nx) on x as one on z: what is measured costs nothing."""
        return np.pad(P, (0, self.system.nx - len(P))) if self.names else P


def _registered(system: System, nw: int, rows: int, past: int) -> DiscreteSystem:
    nx, nu, rows = system.nx, system.nu - nw, rows + past
    z, u = ca.MX.sym("z", nx + rows * nw), ca.MX.sym("u", nu)
    x, *w = ca.vertsplit(z, [0, *range(nx, nx + rows * nw + 1, nw)])
    (x_next,) = system.f.call([x, ca.vertcat(u, w[past])], system.f.is_a("MXFunction"), False)
    (y,) = system.g.call([x], system.g.is_a("MXFunction"), False)
    middle = ((system.u_min + system.u_max) / 2)[nu:]
    return DiscreteSystem(
        f=ca.Function("f_measured", [z, u], [ca.vertcat(x_next, *w[1:], w[-1])], ["x", "u"], ["x_next"]),
        g=ca.Function("g_measured", [z], [y], ["x"], ["y"]),
        dt=system.dt,
        x0=np.concatenate([system.x0, np.tile(middle, rows)]),
        u_names=system.u_names[:nu],
        y_names=system.y_names,
        u_units=system.u_units[:nu],
        y_units=system.y_units,
        u_min=system.u_min[:nu],
        u_max=system.u_max[:nu],
    )
