"""A system with constant disturbances as further states, and whether measurements can tell them."""

from typing import Any, NamedTuple

import casadi as ca
import numpy as np

from .jacobian import jacobian
from .scales import find_scales
from .system import System, evaluate

# Below this share of the largest singular value, in units of what counts as large, a direction is not seen.
UNSEEN = 1e-7


class Augmented:
    """z = [x; v; d]:   x+ = f(x, u + v),   v+ = v,   d+ = d,   y = g(x) + d,   for some inputs and outputs.

    inputs, outputs: indices of the channels that have a disturbance
    """

    def __init__(self, system: System, inputs: np.ndarray, outputs: np.ndarray):
        self.system, self.inputs, self.outputs = system, inputs, outputs
        self.nx, self.nv = system.nx, len(inputs)
        self.nz = self.nx + self.nv + len(outputs)
        z, u = ca.MX.sym("z", self.nz), ca.MX.sym("u", system.nu)
        E, D = ca.DM.eye(system.nu)[:, inputs.tolist()], ca.DM.eye(system.ny)[:, outputs.tolist()]
        x, v, d = ca.vertsplit(z, [0, self.nx, self.nx + self.nv, self.nz])
        open_f, open_g = system.f.is_a("MXFunction"), system.g.is_a("MXFunction")
        (x_next,) = system.f.call([x, u + E @ v], open_f, False)
        (y,) = system.g.call([x], open_g, False)
        z_next, y = ca.vertcat(x_next, v, d), y + D @ d
        self.F, self.H = ca.Function("F", [z, u], [z_next]), ca.Function("H", [z], [y])
        self.A_of, self.C_of = ca.Function("A", [z, u], [jacobian(z_next, z)]), ca.Function("C", [z], [jacobian(y, z)])

    def join(self, x: np.ndarray, v: np.ndarray, d: np.ndarray) -> np.ndarray:
        """z from x (nx,), v (nu,), d (ny,)."""
        return np.concatenate([x, v[self.inputs], d[self.outputs]])

    def split(self, z: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """x (nx,), v (nu,), d (ny,), zero where there is no disturbance."""
        v, d = np.zeros(self.system.nu), np.zeros(self.system.ny)
        v[self.inputs], d[self.outputs] = z[self.nx : self.nx + self.nv], z[self.nx + self.nv :]
        return z[: self.nx].copy(), v, d

    def A(self, z: np.ndarray, u: np.ndarray) -> np.ndarray:
        return evaluate(self.A_of, z, u).reshape(self.nz, self.nz)

    def C(self, z: np.ndarray) -> np.ndarray:
        return evaluate(self.C_of, z).reshape(self.system.ny, self.nz)


class Rest(NamedTuple):
    """A state and the input that holds it."""

    x: np.ndarray
    u: np.ndarray


def check_detectable(model: Augmented, points: list[Rest]) -> None:
    """Refuse disturbances that no measurement at rest can tell from the state or from one another.

    rank [A - I, B_v, 0; C, 0, D] = nx + nv + nd, each quantity in units of what counts as large; at the best of the
    points, for a gain that vanishes at one of them only is no defect.

    Reference: Pannocchia and Rawlings (2003), proposition 1.
    Raises: ValueError that names the channels.
    """
    nd = model.nz - model.nx
    if nd == 0:
        return
    s = find_scales(model.system)
    size = np.concatenate([s.x_half, s.u_half[model.inputs], s.y_range[model.outputs]])
    rows = np.concatenate([s.x_half, s.y_range])
    tried: list[tuple[float, np.ndarray]] = []
    for x, u in points:
        z = np.concatenate([x, np.zeros(nd)])
        M = np.vstack([(model.A(z, u) - np.eye(model.nz))[: model.nx], model.C(z)]) * size / rows[:, None]
        if np.isfinite(M).all():
            _, values, V = np.linalg.svd(M)
            values = np.concatenate([values, np.zeros(model.nz - len(values))])
            tried.append((values[-1] / values[0], V[values <= UNSEEN * values[0]]))
    if not tried:
        return
    _, unseen = max(tried, key=lambda pair: pair[0])
    if len(unseen):
        raise ValueError(_words(model, unseen))


def _words(model: Augmented, unseen: np.ndarray) -> str:
    system, share = model.system, np.abs(unseen).max(0)
    names = [f"input {system.u_names[i]!r}" for i in model.inputs]
    names += [f"output {system.y_names[j]!r}" for j in model.outputs]
    hidden = [n for n, part in zip(names, share[model.nx :], strict=True) if part > 1e-3 * share.max()]
    if not hidden:
        return "a state of the model at rest shows in no output: no observer can estimate it; leave it out of the model"
    if len(hidden) == 1:
        return (
            f"a constant disturbance on {hidden[0]} cannot be seen: the model's own state at rest explains the same "
            f"measurements; leave it out, or put the disturbance elsewhere"
        )
    return (
        f"constant disturbances on {', '.join(hidden)} cannot be told apart: {len(names)} disturbances, "
        f"{system.ny} measured outputs, and these move the outputs at rest alike; leave {len(unseen)} of them out"
    )


def channels(std: Any) -> np.ndarray:
    """Indices of the channels whose deviation is positive."""
    return np.flatnonzero(np.asarray(std) > 0)
