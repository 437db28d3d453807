"""The rest point nearest to what was asked for: Newton's method on the inputs alone, within their box."""

from typing import NamedTuple

import casadi as ca
import numpy as np

from .fast_call import FastCall

# Weight of staying near the previous input. It decides between equally good inputs and vanishes
# as the target settles, because it pulls to the last solution and not to a fixed one.
PROXIMAL = 1e-8
# Weight of an input near where it is to rest: outputs come far before it, and it before inputs that may rest anywhere.
RESTING = 1e-7
# Error of x = f(x, u) at rest; promised decrease that ends the iterations, rounding of the cost, and share of the
# promised decrease that a step must keep.
AT_REST, SETTLED, ROUNDING, SUFFICIENT = 1e-12, 1e-16, 1e-13, 1e-4
# Without the model's curvature steps are slow when the promised decrease falls by less than this factor.
SLOW = 0.1
# An input this close to a bound, or closer the nearer the optimum, counts as at it: else it cuts every step short.
NEAR = 0.1
STEPS, REST_STEPS, SMALLEST_STEP = 50, 20, 1e-6
# Weights beyond 1 are those of bounds, which would be walls to a line search: from 1 they grow by this factor, each
# time from where the last ones led. To a promised decrease of NEARLY, which will do where no step pays any more.
STEEPER, NEARLY = 10.0, 1e-9


class Asked(NamedTuple):
    """Intervals (counted, 2) in which outputs are wanted, the inputs' last values and box (nu,); all scaled.

    rest: where inputs are to rest (nu,), NaN where that is left open
    """

    wanted: np.ndarray
    u_last: np.ndarray
    low: np.ndarray
    high: np.ndarray
    rest: np.ndarray

    def pull(self) -> tuple[np.ndarray, np.ndarray]:
        """Weight and place that draws each input."""
        open_ = np.isnan(self.rest)
        return np.where(open_, PROXIMAL, RESTING), np.where(open_, self.u_last, self.rest)


class Rest(NamedTuple):
    """x = f(x, u) (nx,), errors e (counted,), A (nx, nx), B (nx, nu), C (counted, nx) there, and the cost."""

    x: np.ndarray
    e: np.ndarray
    A: np.ndarray
    B: np.ndarray
    C: np.ndarray
    cost: float


class NearestRest:
    """min |e|_Q^2 + |u - u_c|_w^2 over rest points x = f(x, u), y = g(x), with u in its box.

    e: how far y is out of the interval in which it is wanted, which may be a point. w, u_c: small, and where the input
    is to rest, else smaller, and where it was last. x follows u. With A, B, C at the
    rest point and E = I - A,
    Z = E^-1 B,  G = C Z,  mu = 2 Q e,  lam = E'^-1 A' C' mu,
    gradient G' mu,  Hessian 2 G' Q G (rows out of their interval) + [Z; I]' W [Z; I],  W = curve(x, u, lam, mu), which
    for long equations is most of the work: with as many outputs wanted at points as inputs it is left out until steps
    are slow, and computed anew when they are again; with fewer it decides between inputs that are as good for outputs.
    Inputs that the gradient pushes against a bound nearby go there; the others step, cut off by the box. The text of
    c/target.c in Python.

    cell, curve: as Cell's; counted: outputs that count, one perhaps twice, with weights Q

    Reference: Bertsekas (1982), SIAM J. Control Optim. 20, 221-246.
    """

    def __init__(self, cell: ca.Function, curve: ca.Function, counted: np.ndarray, Q: np.ndarray):
        self._cell, self._curve, self._counted, self._Q = FastCall(cell), FastCall(curve), counted, Q
        self._weights = Q
        self.nx, self.nu, self.ny = cell.size1_in(0), cell.size1_in(1), cell.size1_out(1)

    def solve(self, x: np.ndarray, asked: Asked) -> np.ndarray | None:
        """[x; u] from a first x and the last u; None where the states come to no rest."""
        asked = asked._replace(u_last=np.clip(asked.u_last, asked.low, asked.high))
        u, steepest, most = asked.u_last, 1.0, self._Q.max()
        while True:
            self._weights, last = np.minimum(self._Q, steepest), steepest >= most
            x, u, is_settled = self._descend(x, u, asked, SETTLED if last else NEARLY)
            if last or not np.isfinite(x).all():
                return np.concatenate([x, u]) if is_settled else None
            steepest *= STEEPER

    def _descend(
        self, x: np.ndarray, u: np.ndarray, asked: Asked, settled: float
    ) -> tuple[np.ndarray, np.ndarray, bool]:
        """The rest point after steps until they promise less than `settled`, and whether it will do."""
        rest, promised, before, bend = self._settle(x, u, asked), np.inf, np.inf, np.zeros((self.nu, self.nu))
        is_open = (asked.wanted[:, 0] == asked.wanted[:, 1]).sum() < (asked.high > asked.low).sum()
        for _ in range(STEPS):
            Z = None if rest is None else _solve(np.eye(self.nx) - rest.A, rest.B)
            if rest is None or Z is None:
                return np.full(self.nx, np.nan), u, False
            bend = self._curvature(rest, Z, u) if is_open or promised > SLOW * before else bend
            gradient, d = self._step(rest, Z, u, asked, bend)
            before, promised = promised, -gradient @ d
            to = self._search(rest, Z, u, d, gradient, asked)
            if to is None:
                break
            u, rest = to
            if promised <= settled:
                break
        return x if rest is None else rest.x, u, bool(promised <= NEARLY)

    def _settle(self, x: np.ndarray, u: np.ndarray, asked: Asked) -> Rest | None:
        """The rest state at u, by Newton's method from x."""
        for _ in range(REST_STEPS):
            f, y, J, C = self._cell(x, u)
            if not all(np.isfinite(v).all() for v in (f, y, J, C)):
                return None
            A, B = np.split(J.reshape(-1, self.nx).T, [self.nx], axis=1)
            if np.abs(f - x).max() <= AT_REST * (1 + np.abs(x).max()):
                y, C = y[self._counted], C.reshape(self.nx, self.ny).T[self._counted]
                e = y - np.clip(y, *asked.wanted.T)
                w, centre = asked.pull()
                cost = self._weights @ e**2 + w @ (u - centre) ** 2
                return Rest(x, e, A.copy(), B.copy(), C, float(cost))
            dx = _solve(np.eye(self.nx) - A, f - x)
            if dx is None:
                return None
            x = x + dx
        return None

    def _curvature(self, rest: Rest, Z: np.ndarray, u: np.ndarray) -> np.ndarray:
        """What the model's second derivatives add to the Hessian."""
        mu, pull = np.zeros(self.ny), 2 * self._weights * rest.e
        np.add.at(mu, self._counted, pull)
        lam = np.linalg.solve((np.eye(self.nx) - rest.A).T, rest.A.T @ (rest.C.T @ pull))
        W = self._curve(rest.x, u, lam, mu)[0].reshape(self.nx + self.nu, -1)
        V = np.vstack([Z, np.eye(self.nu)])
        return V.T @ W @ V

    def _step(
        self, rest: Rest, Z: np.ndarray, u: np.ndarray, asked: Asked, bend: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Gradient, and step of the inputs."""
        G, pull = rest.C @ Z, 2 * self._weights * rest.e
        out = self._weights * ((rest.e != 0) | (asked.wanted[:, 0] == asked.wanted[:, 1]))
        w, centre = asked.pull()
        gradient = G.T @ pull + 2 * w * (u - centre)
        convex = 2 * G.T @ (out[:, None] * G) + 2 * np.diag(w)
        bound = np.where(gradient > 0, asked.low, asked.high)
        near = min(NEAR, np.abs(np.clip(u - gradient, asked.low, asked.high) - u).max())
        free = np.flatnonzero(np.abs(u - bound) > near)
        d = bound - u
        pick = np.ix_(free, free)
        for H in ((convex + bend)[pick], convex[pick]):
            try:
                L = np.linalg.cholesky(H)
            except np.linalg.LinAlgError:
                continue  # the cost bends down: without the model's curvature it cannot
            d[free] = -np.linalg.solve(L.T, np.linalg.solve(L, gradient[free]))
            break
        return gradient, d

    def _search(
        self,
        rest: Rest,
        Z: np.ndarray,
        u: np.ndarray,
        d: np.ndarray,
        gradient: np.ndarray,
        asked: Asked,
    ) -> tuple[np.ndarray, Rest] | None:
        """Inputs and rest point after the largest step that pays; None if none does."""
        step = 1.0
        while step > SMALLEST_STEP:
            to = np.clip(u + step * d, asked.low, asked.high)
            then = self._settle(rest.x + Z @ (to - u), to, asked)
            enough = SUFFICIENT * gradient @ (to - u) + ROUNDING * (1 + rest.cost)
            if then is not None and then.cost <= rest.cost + enough:
                return to, then
            step /= 2
        return None


def _solve(A: np.ndarray, b: np.ndarray) -> np.ndarray | None:
    try:
        x = np.linalg.solve(A, b)
    except np.linalg.LinAlgError:
        return None
    return x if np.isfinite(x).all() else None
