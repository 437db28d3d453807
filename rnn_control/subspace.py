"""Subspace identification by a predictor: matrices of a state space from a long ARX model and one SVD."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.linalg import lstsq, qr, svd
from scipy.linalg import matrix_balance, solve_discrete_lyapunov

from .scan import scan

LARGEST_RADIUS = 0.999
"""Spectral radius from which on a start is shrunk: a free run of it has to stay finite."""
EXACT = 1e-9
"""Share of the largest direction of the states below which a direction is rounding: a record without noise has few."""


class StateSpace(NamedTuple):
    """x+ = A x + B u,  y = C x + b: A (n, n), B (n, nu), C (ny, n), b (ny,)."""

    A: np.ndarray
    B: np.ndarray
    C: np.ndarray
    b: np.ndarray

    def states(self, x0: np.ndarray, u: np.ndarray) -> np.ndarray:
        """x(0) .. x(T-1), (T, n), for x0 (n,) and u (T, nu)."""
        return scan(u @ self.B.T, self.A.T, x0)

    def simulate(self, x0: np.ndarray, u: np.ndarray) -> np.ndarray:
        """y(0) .. y(T-1), (T, ny)."""
        return self.states(x0, u) @ self.C.T + self.b

    def observability(self, rows: int) -> np.ndarray:
        """C, C A, C A^2 ..: (rows, ny, n)."""
        Gamma, power, span = np.empty((rows, *self.C.shape)), self.A, 1
        Gamma[:1] = self.C
        while span < rows:
            Gamma[span : 2 * span] = Gamma[: rows - span][:span] @ power
            power, span = power @ power, 2 * span
        return Gamma

    def transformed(self, T: np.ndarray) -> "StateSpace":
        """The same system in the states T x."""
        inverse = np.linalg.inv(T)
        return StateSpace(T @ self.A @ inverse, T @ self.B, self.C @ inverse, self.b)

    def dc_gain(self) -> np.ndarray:
        """C (I - A)^(-1) B, (ny, nu)."""
        return self.C @ np.linalg.solve(np.eye(len(self.A)) - self.A, self.B)

    def radius(self) -> float:
        return float(abs(np.linalg.eigvals(self.A)).max())

    def swings(self) -> bool:
        """Whether the slowest mode is a pair."""
        values = np.linalg.eigvals(self.A)
        return bool(abs(values[abs(values).argmax()].imag) > 1e-6)

    def stable(self, largest: float = LARGEST_RADIUS) -> "StateSpace":
        """A shrunk to the spectral radius `largest` if it has a larger one."""
        return self._replace(A=self.A * min(1.0, largest / max(self.radius(), 1e-300)))

    def balanced(self, order: int | None = None) -> "StateSpace":
        """The balanced realisation of a stable system, cut to its first `order` states; ||A||_2 <= 1.

        The states' units are mended first: the Gramians may be too ill-conditioned for doubles otherwise.
        Reference: Pernebo and Silverman (1982), IEEE Trans. Automatic Control 27(2).
        """
        whole = np.block([[abs(self.A), abs(self.B).sum(1)[:, None]], [abs(self.C).sum(0), np.zeros(1)]])
        units = matrix_balance(whole, permute=False, separate=True)[1][0]
        A, B, C, b = self.transformed(np.diag(units[-1] / units[:-1]))
        Lp, Lq = _root(solve_discrete_lyapunov(A, B @ B.T)), _root(solve_discrete_lyapunov(A.T, C.T @ C))
        U, s, Vt = svd(Lq.T @ Lp)
        n = min(order or len(s), int((s > 1e-9 * s[0]).sum()))
        T, inverse = (U[:, :n] / s[:n] ** 0.5).T @ Lq.T, Lp @ Vt[:n].T / s[:n] ** 0.5
        return StateSpace(T @ A @ inverse, T @ B, C @ inverse, b)


def subspace(us: Sequence[np.ndarray], ys: Sequence[np.ndarray], orders: Sequence[int]) -> list[StateSpace]:
    """One strictly proper system per order, from records u (T, nu), y (T, ny).

    1. ARX by least squares:  y(k) = sum_{i=1..p} a_i y(k-i) + b_i u(k-i) + e(k),  p = lags.
    2. Its coefficients in a triangle give what past inputs and outputs z say about the next p outputs: a matrix
       O K of rank n; the singular value decomposition of O K Z, with Z the pasts of the record, gives the states.
    3. C by least squares of y on x, then A, B by that of x+ on x, u and the residual of y.
    In all of them a constant besides, for the means that are taken off first are no rest point; b is such that they are
    one, for what the constants say of it is wild where a state is slow.

    Reference: A. Chiuso (2007), "The role of vector autoregressive modeling in predictor-based subspace
    identification", Automatica 43(6).
    """
    lags = _lags(us, ys, max(orders))
    if not allows(us, ys, max(orders)):
        raise ValueError(
            f"{sum(map(len, us))} samples (shortest record {min(map(len, us))}) are too few for a linear model of "
            f"order {max(orders)}; give longer records or a smaller order"
        )
    u_mean, y_mean = np.concatenate(us).mean(0), np.concatenate(ys).mean(0)
    Z, Y, U, kept = _pasts([u - u_mean for u in us], [y - y_mean for y in ys], lags)
    ny, width, columns = Y.shape[1], ys[0].shape[1] + us[0].shape[1], Z.shape[1]
    Q, R = qr(np.hstack([np.ones((len(Z), 1)), Z]))
    theta = lstsq(R, Q.T @ Y, 1e-10)[0][1:].T  # (ny, p (ny + nu)), most recent lag last
    OK = np.zeros((lags * ny, columns))
    for row in range(lags):
        OK[row * ny : (row + 1) * ny, row * width :] = theta[:, : columns - row * width]
    X, size, _ = svd(R[1:, 1:] @ OK.T, full_matrices=False)
    rank = max(1, int((size > EXACT * size[0]).sum()))
    X_all = Q[:, 1:] @ X[:, : min(max(orders), rank)] * len(Y) ** 0.5
    systems = (_regress(X_all[:, :n], Y, U, kept) for n in orders)
    return [s._replace(b=y_mean - s.dc_gain() @ u_mean) for s in systems]


def allows(us: Sequence[np.ndarray], ys: Sequence[np.ndarray], order: int) -> bool:
    """Whether the records are long enough for that order."""
    lags = _lags(us, ys, order)
    return lags >= 2 and lags * ys[0].shape[1] >= order


def _lags(us, ys, order: int) -> int:
    """Enough for the order, and few enough for ten equations an unknown."""
    samples, shortest = sum(map(len, us)), min(map(len, us))
    width = us[0].shape[1] + ys[0].shape[1]
    return min(order + 15, shortest // 4, samples // (10 * width))


def _pasts(us, ys, p):
    """Pasts Z (N, p (ny + nu)), oldest first; present outputs and inputs; rows that have their successor below."""
    Z, Y, U, kept = [], [], [], []
    for u, y in zip(us, ys, strict=True):
        z = np.hstack([y, u])
        count = len(z) - p
        Z.append(np.hstack([z[i : i + count] for i in range(p)]))
        Y.append(y[p:])
        U.append(u[p:])
        kept.append(np.arange(count) < count - 1)
    return np.concatenate(Z), np.concatenate(Y), np.concatenate(U), np.concatenate(kept).nonzero()[0]


def _regress(X, Y, U, kept) -> StateSpace:
    one, n, nu = np.ones((len(X), 1)), X.shape[1], U.shape[1]
    C, offset = np.split(lstsq(np.hstack([X, one]), Y, None)[0].T, [n], 1)
    E = Y - X @ C.T - offset.T
    AB = lstsq(np.hstack([X, U, E, one])[kept], X[kept + 1], None)[0].T
    return StateSpace(AB[:, :n], AB[:, n : n + nu], C, np.zeros(len(C))).stable()


def _root(P):
    """L with L L' = P >= 0."""
    values, vectors = np.linalg.eigh((P + P.T) / 2)
    return vectors * np.sqrt(np.maximum(values, 0))
