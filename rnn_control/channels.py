"""A cell's own equations as channels: a linear system with unknown factors, for all that its increments can do.

Along two trajectories every value v of the cell has an interval and a difference dv = L (dx; du; q), exactly. The
channels q collect what is not linear: q_k = theta_k p_k, with p_k linear in dx, du and earlier channels, and theta_k in
[lo_k, hi_k]; `increments` says which operation makes which. Row by row: one whose p is zero, or whose range is a point,
is linear and makes no channel. For ISS one trajectory is read like that, with a constant 1 beside u (docs/theory.md,
Theorems 15 and 26).
"""

from typing import NamedTuple

import numpy as np

from . import ops
from .check import run
from .equations import equations, identifier
from .increments import Increment, Tape, widened
from .model import Model, Params

FUNCTIONS = {name: getattr(ops, name) for name in ("tanh", "sigmoid", "relu", "mix", "vcat", "signal")}


class Channels(NamedTuple):
    """dx+ = F (dx; q; du), q_k = theta_k p_k (dx; q; du), theta_k in [lo_k, hi_k]; |x+| <= image. For ISS du is (u; 1).

    `kept`: of all rows of the tape, linear ones with them, those that became channels; `idle`: those on which nothing
    depends and that were left out; `group`: which channels were made together, by one operation.
    """

    F: np.ndarray
    p: np.ndarray
    lo: np.ndarray
    hi: np.ndarray
    image: np.ndarray
    kept: np.ndarray
    idle: np.ndarray
    group: np.ndarray

    def radius(self) -> np.ndarray:
        """Half widths of the ranges."""
        return (self.hi - self.lo) / 2

    def centred(self) -> "Channels":
        """The same in r, q_k = middle_k p_k + radius_k r_k: all ranges are [-1, 1], however narrow they were."""
        n, old = len(self.F), np.eye(self.F.shape[1])
        for k, (row, middle, radius) in enumerate(zip(self.p, (self.lo + self.hi) / 2, self.radius(), strict=True), n):
            old[k, k] = radius
            old[k] += middle * (row @ old)
        ones = np.ones(len(self.p))
        return self._replace(F=self.F @ old, p=self.p @ old, lo=-ones, hi=ones)

    def at_work(self) -> "Channels":
        """The same without channels that neither dx+ nor any of these channels depends on."""
        n, K = len(self.F), len(self.p)
        works = np.any(self.F[:, n : n + K], axis=0)
        for k in reversed(range(K)):
            works = works | (self.p[k, n : n + K] != 0) if works[k] else works
        columns = np.concatenate([np.ones(n, bool), works, np.ones(self.F.shape[1] - n - K, bool)])
        kept, idle = self.kept.copy(), self.idle.copy()
        kept[self.kept], idle[self.kept] = works, ~works
        ranges = dict(lo=self.lo[works], hi=self.hi[works], group=self.group[works])
        return self._replace(F=self.F[:, columns], p=self.p[works][:, columns], kept=kept, idle=idle, **ranges)

    def without_inputs(self) -> "Channels":
        """The same for du = 0."""
        n = len(self.F) + len(self.p)
        return self._replace(F=self.F[:, :n], p=self.p[:, :n])


def trace(
    model: Model, p: Params, box: np.ndarray, u_max: np.ndarray, sign=np.positive, is_iss: bool = False
) -> Channels:
    """The channels of a model for |x| <= box (inf: unbounded) and |u| <= u_max, of two trajectories or (ISS) of one.

    sign: np.abs for the sizes of the sums behind F and p instead, of which rounding may have taken a share.
    """
    nx, nu = model.nx, model.nu
    tape, eye = Tape(nx + nu, sign, is_iss), np.eye(nx + nu, nx + nu + 1)
    x = Increment(tape, -box[:, None], box[:, None], eye[:nx])
    u = Increment(tape, -u_max[:, None], u_max[:, None], eye[nx:])
    names = {identifier(k): v.detach().double() for k, v in p.items()}
    x_next = run(equations(model)[0].text, {**names, "x": x, "u": u}, FUNCTIONS, float)["x_next"]
    last = x_next.L  # a function at the end of f has its channels recorded here
    total = nx + nu + 1 + len(tape.rows)
    order = [*range(nx), *range(nx + nu + 1, total), *range(nx, nx + nu + is_iss)]
    rows = [widened(row[None], total)[:, order] for row in tape.rows]
    lo, hi = np.array(tape.ranges).reshape(-1, 2).T
    image = np.maximum(abs(x_next.lo), abs(x_next.hi))[:, 0]
    F, kept = widened(last, total)[:, order], np.array(tape.kept, bool)
    inner, groups = np.concatenate([F[:0], *rows]), np.array(tape.groups, int)
    return Channels(F, inner, lo, hi, image, kept, np.zeros_like(kept), groups).at_work()


def images(model: Model, p: Params, low: np.ndarray, high: np.ndarray, u_max: np.ndarray) -> tuple[np.ndarray, ...]:
    """Ends of x+ (nx,) and y (ny,), low and high of each, for x between low and high (nx,) and |u| <= u_max."""
    tape, names = Tape(0), {identifier(k): v.detach().double() for k, v in p.items()}
    x, u = (Increment(tape, a[:, None], b[:, None], np.zeros((len(a), 1))) for a, b in ((low, high), (-u_max, u_max)))
    values = run(equations(model)[0].text, {**names, "x": x, "u": u}, FUNCTIONS, float)
    return tuple(end[:, 0] for k in ("x_next", "y") for end in (values[k].lo, values[k].hi))
