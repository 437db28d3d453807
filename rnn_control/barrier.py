"""A matrix inequality over channels as an interior-point problem: its log-barrier and Newton's method (Theorem 16)."""

from typing import NamedTuple

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from .channels import Channels


class Point(NamedTuple):
    """Unknowns of the inequality: P (nx, nx), tau (channels,), g2."""

    P: np.ndarray
    tau: np.ndarray
    g2: float = 0.0

    def plus(self, length: float, step: "Point") -> "Point":
        """The point at some length along a step."""
        return Point(self.P + length * step.P, self.tau + length * step.tau, self.g2 + length * step.g2)


class Inequality:
    """M(t; P, tau, g2) = t E'PE + g2 U'U - F'PF - A' tau B - B' tau A,  A = Q - lo o p,  B = hi o p - Q.

    E, Q, U pick dx, q, du from (dx; q; du). With the Schur complement S of M on dx (that of all channels taken out),

        value = price cost - log det M - log det (P - P0) - sum log tau - weight log det S

    is convex, and finite exactly where M > 0, P > P0, tau > 0. The cost is g2 + spread trace P where there are inputs,
    else trace P: P may grow without end where no input drives it. A weight keeps S away from zero: it leaves room to
    lower t. Every unknown enters M through rank one or an (nx, nx) block, so gradient and Hessian need small blocks of
    M^-1 only: a step costs about (nx^2 / 2 + channels)^3 / 3.
    """

    def __init__(self, c: Channels, P0: np.ndarray, weight: float = 0.0):
        (nx, n), K = c.F.shape, len(c.p)
        self.nx, self.K, self.F, self.P0, self.weight = nx, K, c.F, P0, weight
        self.spread = 0.0
        self.E, Q, self.U = np.split(np.eye(n), [nx, nx + K])
        self.A, self.B = Q - c.lo[:, None] * c.p, c.hi[:, None] * c.p - Q
        self.q = slice(nx, nx + K)
        self.i, self.j = np.triu_indices(nx)
        self.ii, self.ij, self.ji, self.jj = (np.ix_(a, b) for a in (self.i, self.j) for b in (self.i, self.j))
        self.half = np.where(self.i == self.j, 0.5, 1.0)
        self.degree = n + nx + K + weight * nx

    def M(self, t: float, point: Point) -> np.ndarray:
        """The matrix of the inequality, symmetric to the last bit."""
        M = t * self.E.T @ point.P @ self.E + point.g2 * self.U.T @ self.U - self.F.T @ point.P @ self.F
        M -= 2 * self.A.T @ (point.tau[:, None] * self.B)
        return (M + M.T) / 2

    def size(self, t: float, point: Point) -> np.ndarray:
        """The same sums with absolute values: what the rounding of M is proportional to."""
        F, A, B, P = abs(self.F), abs(self.A), abs(self.B), abs(point.P)
        M = t * self.E.T @ P @ self.E + point.g2 * self.U.T @ self.U + F.T @ P @ F
        M += 2 * A.T @ (point.tau[:, None] * B)
        return (M + M.T) / 2

    def value(self, t: float, point: Point, price: float) -> float:
        """The function above; inf where it is not defined."""
        M = self.M(t, point)
        if (point.tau <= 0).any():
            return np.inf
        try:
            whole, part, room = (log_det(a) for a in (M, M[self.q, self.q], point.P - self.P0))
        except np.linalg.LinAlgError:
            return np.inf
        cost = price * (point.g2 + self.pull() * np.trace(point.P))
        return cost - (1 + self.weight) * whole + self.weight * part - room - np.log(point.tau).sum()

    def pull(self) -> float:
        """The price of trace P beside that of g2."""
        return self.spread if len(self.U) else 1.0

    def newton(self, t: float, point: Point, price: float) -> tuple[Point, float]:
        """The Newton step of `value`, and the square of its decrement."""
        n, K, M = len(self.i), self.K, self.M(t, point)
        Y, Z = np.linalg.inv(point.P - self.P0), np.zeros_like(M)
        Z[self.q, self.q] = np.linalg.inv(M[self.q, self.q])
        g, H = self.derivatives(t, np.linalg.inv(M))
        dg, dH = self.derivatives(t, Z) if self.weight else (0.0, 0.0)
        g, H = (1 + self.weight) * g - self.weight * dg, (1 + self.weight) * H - self.weight * dH
        H[:n, :n] += self.pairs(Y)
        H[range(n, n + K), range(n, n + K)] += 1 / point.tau**2
        g[:n] += self.products(np.eye(self.nx), price * self.pull() * np.eye(self.nx) - Y).sum(1)
        g[n : n + K] -= 1 / point.tau
        g[n + K :] += price
        step, decrement = solve(H, g)
        dP = np.zeros_like(point.P)
        dP[self.i, self.j] = dP[self.j, self.i] = step[:n]
        return Point(dP, step[n : n + K], float(step[n + K :].sum())), decrement

    def derivatives(self, t: float, X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Gradient and Hessian of -log det of M, or of its block of channels, if X is the inverse, zero elsewhere."""
        A, B, E, F, U = self.A, self.B, self.E, self.F, self.U
        XA, XB, XE, XF, XU = (X @ a.T for a in (A, B, E, F, U))
        ee, ef, ff, ab = E @ XE, E @ XF, F @ XF, A @ XB
        PP = t**2 * self.pairs(ee) - t * (self.pairs(ef) + self.pairs(ef.T)) + self.pairs(ff)
        Pt = -2 * (t * self.products(E @ XA, E @ XB) - self.products(F @ XA, F @ XB))
        Pg = (t * self.products(E @ XU, E @ XU) - self.products(F @ XU, F @ XU)).sum(1)[:, None]
        tt = 2 * ((A @ XA) * (B @ XB) + ab * ab.T)
        tg, gg = -2 * ((A @ XU) * (B @ XU)).sum(1)[:, None], ((U @ XU) ** 2).sum()[None, None]
        g = [self.products(np.eye(self.nx), ff - t * ee).sum(1), 2 * ab.diagonal(), -np.trace(U @ XU)[None]]
        if not len(U):
            return np.concatenate(g[:2]), np.block([[PP, Pt], [Pt.T, tt]])
        return np.concatenate(g), np.block([[PP, Pt, Pg], [Pt.T, tt, tg], [Pg.T, tg.T, gg]])

    def pairs(self, G: np.ndarray) -> np.ndarray:
        """tr(G' D G D') for all pairs of the basis D = e_i e_j' + e_j e_i' (or e_i e_i') of the symmetric matrices."""
        full = G[self.ii] * G[self.jj] + G[self.ij] * G[self.ji]
        return 2 * self.half[:, None] * full * self.half

    def products(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """a_k' D b_k for all D of the basis and all columns k."""
        return self.half[:, None] * (a[self.i] * b[self.j] + a[self.j] * b[self.i])


def centre(problem: Inequality, t: float, point: Point, price: float, steps: int = 30, near: float = 0.3) -> Point:
    """The least `value` from a point inside, by Newton's method with halved steps, to a decrement that is small."""
    value = problem.value(t, point, price)
    for _ in range(steps):
        step, decrement = problem.newton(t, point, price)
        for length in 0.5 ** np.arange(30):
            trial = point.plus(length, step)
            found = problem.value(t, trial, price)
            if found < value - 0.1 * length * decrement:
                break
        else:
            return point  # rounding lets it fall no further
        point, value = trial, found
        if decrement < near:
            break
    return point


def log_det(A: np.ndarray) -> float:
    """Of a positive definite matrix; LinAlgError if it is not."""
    return 2 * np.log(np.linalg.cholesky(A).diagonal()).sum()


def solve(H: np.ndarray, g: np.ndarray) -> tuple[np.ndarray, float]:
    """-H^-1 g and g' H^-1 g for H > 0 up to rounding; scaled first, for the unknowns differ in size."""
    size = abs(H.diagonal())
    d = 1 / np.sqrt(np.where(size > 0, size, 1.0))
    H, g = d[:, None] * H * d, d * g
    for ridge in (0.0, 1e-12, 1e-9, 1e-6, 1e-3):
        try:
            v = cho_solve(cho_factor(H + ridge * np.eye(len(H))), g)
        except np.linalg.LinAlgError:
            continue
        return -d * v, float(g @ v)
    return -d * g, float(g @ g)
