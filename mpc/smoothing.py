"""A window of moving horizon estimation without its bounds: nonlinear least squares by Gauss-Newton's method."""

import time
from typing import NamedTuple

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from .augmented import Augmented
from .fast_call import FastCall

# Promised decrease, as a share of the cost, that ends the iterations, and what rounding may add to the cost. Promises
# beyond SURE are no ground to foresee the next.
TOLERANCE, ROUNDING, SURE = 1e-10, 1e-12, 1e-4
ITERATIONS, SMALLEST_STEP = 20, 1e-3


class Seen(NamedTuple):
    """What a window is given: z' (nz,), S (nz, nz), inputs us (T, nu), measurements ys (T + 1, ny), NaN if missing."""

    prior: np.ndarray
    S: np.ndarray
    us: np.ndarray
    ys: np.ndarray


class Track(NamedTuple):
    """Unknowns p, the z (T + 1, nz) that they lead along, F there without noise f (T, nz), r (T + 1, ny), the cost."""

    p: np.ndarray
    z: np.ndarray
    f: np.ndarray
    r: np.ndarray
    cost: float


class Smoother:
    """min |p|^2 + |r|^2,  p = [zeta; omega_0; ...],  r_i = (H(z_i) - y_i) / sigma, 0 where nothing was measured,

    z_0 = z' + S zeta,  z_{i+1} = F(z_i, u_i) + W omega_i.  Linearised, r = b + G p, and the next p is
    -G' (I + G G')^-1 b, what a Kalman smoother finds: a matrix as large as there are measurements, regular for any S
    and W. Steps that cost more are halved.

    Reference: Bell (1994), SIAM J. Optim. 4, 626-636: the iterated smoother as Gauss-Newton's method.
    """

    def __init__(self, model: Augmented, W: np.ndarray, sigma: np.ndarray):
        self._nz, self._W, self._Q, self._sigma = model.nz, W, W @ W.T, sigma
        self._F, self._A, self._H, self._C = (FastCall(f) for f in (model.F, model.A_of, model.H, model.C_of))

    @np.errstate(over="ignore", invalid="ignore")
    def solve(self, seen: Seen, until: float = np.inf) -> Track | None:
        """The optimum; None where it was not found, or not before perf_counter says `until`."""
        at, before = self._play(seen, np.zeros(self._nz + len(seen.us) * self._W.shape[1])), np.inf
        for _ in range(ITERATIONS):
            found = self._step(seen, at)
            if found is None or time.perf_counter() > until:
                return None
            p, promised = found
            to, step, unit = self._play(seen, p), 1.0, 1 + at.cost
            # promises fall by the same factor from one whole step to the next, or faster: the next is known
            sure = promised <= SURE * unit and promised**2 <= TOLERANCE * unit * before
            if sure or promised <= TOLERANCE * unit:
                return to if np.isfinite(to.cost) else None
            while not to.cost <= at.cost * (1 + ROUNDING):
                step /= 2
                if step < SMALLEST_STEP:
                    return None
                to = self._play(seen, at.p + step * (p - at.p))
            at, before = to, promised if step == 1 else 0.0
        return None

    def _play(self, seen: Seen, p: np.ndarray) -> Track:
        n, T = self._nz, len(seen.us)
        z, f, y = np.empty((T + 1, n)), np.empty((T, n)), np.empty(seen.ys.shape)
        noise = p[n:].reshape(T, self._W.shape[1]) @ self._W.T
        z[0] = seen.prior + seen.S @ p[:n]
        for i, u in enumerate(seen.us):
            f[i] = self._F(z[i], u)[0]
            z[i + 1] = f[i] + noise[i]
        for y_i, z_i in zip(y, z, strict=True):
            y_i[:] = self._H(z_i)[0]
        r = np.where(np.isfinite(seen.ys), (y - seen.ys) / self._sigma, 0.0)
        return Track(p, z, f, r, float(p @ p + (r**2).sum()))

    def _step(self, seen: Seen, at: Track) -> tuple[np.ndarray, float] | None:
        """The next p, and by how much the linearised problem costs less there; None where there is none."""
        n, (rows, ny) = self._nz, seen.ys.shape
        # z at p = 0, covariances P of z_i, N of z_i with G' of the rows so far
        zero, P, N, K, b = seen.prior, seen.S @ seen.S.T, np.empty((n, 0)), np.eye(rows * ny), np.empty(at.r.shape)
        As, Cs = np.empty((rows, n, n)), np.empty((rows, ny, n))
        for i, z in enumerate(at.z):
            weight = np.isfinite(seen.ys[i]) / self._sigma
            Cs[i] = weight[:, None] * self._C(z)[0].reshape(n, ny).T
            N = np.hstack([N, P @ Cs[i].T])
            K[i * ny : (i + 1) * ny, : (i + 1) * ny] += Cs[i] @ N
            b[i] = at.r[i] + Cs[i] @ (zero - z)
            if i < rows - 1:
                As[i] = A = self._A(z, seen.us[i])[0].reshape(n, n).T
                zero, P, N = at.f[i] + A @ (zero - z), A @ P @ A.T + self._Q, A @ N
        if not (np.isfinite(K).all() and np.isfinite(b).all() and np.isfinite(at.cost)):
            return None
        try:
            back = cho_solve(cho_factor(K, lower=True), b.ravel())
        except np.linalg.LinAlgError:
            return None  # a prior so wide that rounding is all that is left of the measurements' errors
        drawn, parts = Cs[-1].T @ back[-ny:], []
        for i in range(rows - 2, -1, -1):
            parts.append(-self._W.T @ drawn)
            drawn = Cs[i].T @ back[i * ny : (i + 1) * ny] + As[i].T @ drawn
        p = np.concatenate([-seen.S.T @ drawn, *reversed(parts)])
        return p, at.cost - float(b.ravel() @ back)
