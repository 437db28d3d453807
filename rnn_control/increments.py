"""Increments of two trajectories, or of one, as intervals and rows of a linear system with unknown factors.

Operations on an Increment record their channels on a Tape; what they stand for: `channels`. In order of evaluation
(docs/theory.md, Theorem 15)

    phi(v), phi one of tanh, sigmoid, relu:   dphi o dv, the secant slope of phi in the range of its slopes
    a b                                       a o db, then b o da
    mix(z, a, b)                              z o (da - db), then (a - b) o dz; the difference is db and both

For ISS one trajectory is read like that: dx, du become x, u, a constant 1 stands beside du, phi(v) = phi(c) + theta (v
- c) with c the point of the interval of v that is nearest to its constant part, and of a product and of `mix` the
second channel is left out (Theorem 26). What a function gives becomes a channel only where it is added or multiplied by
a matrix: in a product its slope and the other factor are one theta. The order is that of rnn_control/check.py, which
proves the inequality anew. Intervals are rounded outwards.
"""

import numpy as np
from scipy.special import expit
from torch import Tensor

from . import ops
from .bounds import ROUNDING

NARROW = 2.0**-60
"""A range no wider is that of a factor all but known: any multiplier will do that is large."""


class Tape:
    """The channels recorded so far, over the columns (dx; du; 1; q).

    The difference of the constant 1 is zero; its column makes a channel where the checker has one.
    """

    def __init__(self, constant: int, sign=np.positive, is_iss: bool = False):
        self.sign, self.constant, self.is_iss = sign, constant, is_iss
        self.start, self.rows, self.ranges, self.kept, self.groups = constant + 1, [], [], [], []
        self.one = np.eye(1, self.start, constant)

    def record(self, p: np.ndarray, lo: np.ndarray, hi: np.ndarray) -> np.ndarray:
        """The rows of theta o p, theta in [lo, hi]: linear where they can be, else a channel each."""
        n = max(len(p), len(lo))
        p, lo, hi = (np.broadcast_to(a, (n, a.shape[1])) for a in (p, lo, hi))
        is_channel = p.any(1) & (lo != hi)[:, 0]
        q = np.where(p.any(1, keepdims=True) & ~is_channel[:, None], self.sign(np.where(lo == hi, lo, 0)) * p, 0.0)
        first = self.start + len(self.rows)
        self.groups += [len(self.kept)] * is_channel.sum()
        self.kept += list(is_channel)
        self.rows += list(p[is_channel])
        self.ranges += list(np.concatenate([lo, hi], 1)[is_channel])
        q = widened(q, self.start + len(self.rows))
        q[is_channel, first:] = np.eye(is_channel.sum())
        return q


class Increment(ops.Value):
    """One column of values: lo <= v <= hi (n, 1), dv = theta o L (dx; du; q so far), theta in `slope` unless None."""

    def __init__(self, tape: Tape, lo: np.ndarray, hi: np.ndarray, L: np.ndarray, slope: tuple | None = None):
        self.tape, self.lo, self.hi, self._L, self.slope = tape, lo, hi, L, slope

    @property
    def L(self) -> np.ndarray:
        """dv over (dx; du; q): from here on with its own channels."""
        if self.slope is not None:
            self._L, self.slope = self.tape.record(self._L, *self.slope), None
        return self._L

    def scaled(self, lo: np.ndarray, hi: np.ndarray) -> np.ndarray:
        """The rows of theta o dv, theta in [lo, hi]."""
        if self.slope is not None:
            ends = [_times(a, b) for a in self.slope for b in (lo, hi)]
            lo, hi = np.min(ends, 0), np.max(ends, 0)
        return self.tape.record(self._L, lo, hi)

    def __getitem__(self, rows) -> "Increment":
        keep = rows if isinstance(rows, slice) else slice(rows, rows + 1 or None)
        return Increment(self.tape, self.lo[keep], self.hi[keep], self.L[keep])

    def __add__(self, other) -> "Increment":
        if not isinstance(other, Increment):
            c = _array(other)
            return Increment(
                self.tape, *_outwards([self.lo + c, self.hi + c]), _sum(self.L, self.tape.sign(c) * self.tape.one)
            )
        ends = _outwards([self.lo + other.lo, self.hi + other.hi])
        return Increment(self.tape, *ends, _sum(self.L, other.L))

    def __mul__(self, other) -> "Increment":
        if isinstance(other, Increment):
            ends = [_times(a, b) for a in (self.lo, self.hi) for b in (other.lo, other.hi)]
            L = other.scaled(self.lo, self.hi)
            L = L if self.tape.is_iss else _sum(L, self.scaled(other.lo, other.hi))
        else:
            c = _array(other)
            ends, L = [_times(c, self.lo), _times(c, self.hi)], self.tape.sign(c) * self.L
        return Increment(self.tape, *_outwards(ends), L)

    def __rmatmul__(self, W) -> "Increment":
        W = _array(W)
        low, high = np.minimum(W, 0)[:, :, None], np.maximum(W, 0)[:, :, None]
        terms = [_times(high, a) + _times(low, b) for a, b in ((self.lo, self.hi), (self.hi, self.lo))]
        lo, hi = (t.sum(1) + r * abs(t).sum(1) for t, r in zip(terms, (-ROUNDING, ROUNDING), strict=True))
        return Increment(self.tape, lo, hi, self.tape.sign(W) @ self.L)

    __radd__, __rmul__ = __add__, __mul__

    def __neg__(self) -> "Increment":
        return self * -1.0

    def __sub__(self, other) -> "Increment":
        return self + -1.0 * other

    def __rsub__(self, other) -> "Increment":
        return other + self * -1.0

    def tanh(self) -> "Increment":
        return self._through(np.tanh, lambda a: 4 * expit(2 * a) * expit(-2 * a), lambda a: 2 * expit(-2 * a))

    def sigmoid(self) -> "Increment":
        return self._through(expit, lambda a: expit(a) * expit(-a), lambda a: expit(-a))  # 1 - sigmoid rounds to zero

    def relu(self) -> "Increment":
        least, most = np.sort([1.0 * (self.lo >= 0), 1.0 * ~(self.hi <= 0)], 0)  # both where v is 0, or not known
        ends = np.maximum(self.lo, 0), np.maximum(self.hi, 0)
        return self._rising(lambda a: np.maximum(a, 0), *ends, least, most)

    def _through(self, phi, slope, rest) -> "Increment":
        """phi(v) of a rising phi whose slope is even and falls with |v|; rest(|v|): what it lacks to saturation."""
        near, far = np.maximum(np.maximum(self.lo, -self.hi), 0), np.maximum(abs(self.lo), abs(self.hi))
        # rounded outwards, or a saturated range would become a point and lose its channel before it is narrow
        lo, hi = np.nextafter(phi(self.lo), -np.inf), np.nextafter(phi(self.hi), np.inf)
        width = np.where(near > 0, rest(near) - rest(far), slope(near) * (near + far))
        hi = np.where((width <= NARROW) & (abs(lo) > 0.25), lo, hi)
        return self._rising(phi, lo, hi, slope(far), slope(near))

    def _rising(self, phi, lo, hi, least, most) -> "Increment":
        """phi(v) between lo and hi, its slopes between least and most over the range of v."""
        if not self.tape.is_iss:
            return Increment(self.tape, lo, hi, self.L, (least, most))
        sign, rest, at = self.tape.sign, self.L.copy(), slice(self.tape.constant, self.tape.constant + 1)
        c = np.fmin(np.fmax(rest[:, at], self.lo), self.hi)
        rest[:, at] = sign(rest[:, at] - c)
        return Increment(self.tape, lo, hi, _sum(self.tape.record(rest, least, most), sign(phi(c)) * self.tape.one))

    def signal(self) -> "Increment":
        return self

    def mix(self, a, b) -> "Increment":
        a, b = (v if isinstance(v, Increment) else 0.0 * self + v for v in (a, b))
        difference = a - b
        change = difference.scaled(self.lo, self.hi)
        change = change if self.tape.is_iss else _sum(change, self.scaled(difference.lo, difference.hi))
        with np.errstate(invalid="ignore"):  # NaN, where nothing is known of a sum of two that are unbounded
            ends = [s + t + r * (abs(s) + abs(t))
                    for r in (-ROUNDING, ROUNDING) for z in (self.lo, self.hi)
                    for s in (_times(z, a.lo), _times(z, a.hi))
                    for t in (_times(1 - z, b.lo), _times(1 - z, b.hi))]  # fmt: skip
        return Increment(self.tape, np.min(ends, 0), np.max(ends, 0), _sum(b.L, change))

    def vcat(self, parts) -> "Increment":
        parts = [v if isinstance(v, Increment) else 0.0 * self[:1] + v for v in parts]
        width = max(v.L.shape[1] for v in parts)
        lo, hi = (np.concatenate([getattr(v, end) for v in parts]) for end in ("lo", "hi"))
        return Increment(self.tape, lo, hi, np.concatenate([widened(v.L, width) for v in parts]))


def _array(c) -> np.ndarray:
    return c.detach().numpy() if isinstance(c, Tensor) else np.asarray(c, float)


def _times(c, v) -> np.ndarray:
    """c v where nothing times an unbounded value is nothing."""
    with np.errstate(invalid="ignore"):
        return np.where((c == 0) | (v == 0), 0.0, c * v)


def _outwards(ends: list) -> tuple[np.ndarray, np.ndarray]:
    """Least and largest, and the next numbers beyond; what has one value keeps it."""
    lo, hi = np.min(ends, 0), np.max(ends, 0)
    return np.where(lo < hi, np.nextafter(lo, -np.inf), lo), np.where(lo < hi, np.nextafter(hi, np.inf), hi)


def widened(L: np.ndarray, columns: int) -> np.ndarray:
    """L with zeros for the channels that came later."""
    missing = columns - L.shape[1]
    return np.concatenate([L, np.zeros((len(L), missing))], 1) if missing else L


def _sum(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    columns = max(a.shape[1], b.shape[1])
    return widened(a, columns) + widened(b, columns)
