"""Roll-out of the horizon problem with sensitivities to its moves, in NumPy: the text of c/horizon.c in Python."""

from itertools import pairwise
from typing import Any

import numpy as np

from .c_numbers import FREE
from .cell import Cell
from .fast_call import FastCall
from .ocp import HorizonProblem
from .qp import Row


class Horizon:
    """Cost and derivatives of the scaled problem along moves U (moves nu,), for the situation that take was given.

    settings: Q, R, S, c, u_low, u_high, fall, rise, y_low, y_high in a row, as C's struct Settings
    """

    def __init__(self, cell: Cell, problem: HorizonProblem, settings: np.ndarray):
        self.N, self.nx, self.nu, self.ny = problem.N, problem.system.nx, problem.system.nu, problem.system.ny
        nu, ny, moves = self.nu, self.ny, len(problem.first_stage)
        self.blocks, self.nv = np.array(problem.blocks), moves * nu
        self._roll = FastCall(cell.roll.mapaccum("roll", self.N))
        self._cell, self._curve = cell.cell, cell.curve
        self._rolled: tuple[bytes, Any] = (b"", None)
        parts = np.split(settings, np.cumsum([ny, nu, nu, ny, nu, nu, nu, nu, ny]))
        self.Q, self.R, self.S, self.c, self.u_low, self.u_high, self.fall, self.rise, self.y_low, self.y_high = parts
        self._is_bounded = bool((self.y_low > -FREE).any() or (self.y_high < FREE).any())
        cuts = np.cumsum([0, *(rows * columns for _, (rows, columns) in problem.parameters())])
        self._parts = [slice(*ends) for ends in pairwise(cuts.tolist())]
        # differences of neighbouring moves, and the inputs of all stages
        self.D = np.eye(self.nv) - np.eye(self.nv, k=-nu)
        self.T = np.zeros((self.N * nu, self.nv))
        self.T[np.arange(self.N * nu), (self.blocks[:, None] * nu + np.arange(nu)).ravel()] = 1

        # weights of all outputs, of all stages' inputs and of the moves, twice; the Hessian of what inputs cost
        self._q, self._r, self._s = (
            2 * np.tile(w, n) for w, n in ((self.Q, self.N), (self.R, self.N), (self.S, moves))
        )
        self._R, self._S = self._r[:, None] * self.T, self._s[:, None] * self.D
        self._inputs = self.T.T @ self._R + self.D.T @ self._S

    def take(self, now: np.ndarray) -> None:
        """The situation, as HorizonProblem.pack lines it up."""
        self.x0, u_prev, self.d, r, self.x_s, self.u_s, self.shift, P, hold = (now[part] for part in self._parts)
        self.u_prev, self.r, self.P = u_prev, r.reshape(self.N, self.ny), P.reshape(self.nx, self.nx)
        self.hold = float(hold[0])
        self._rolled = b"", None
        self.first = np.concatenate([u_prev, np.zeros(self.nv - self.nu)])

    def stages(self, U: np.ndarray) -> np.ndarray:
        """Inputs (N, nu) of all stages."""
        return U.reshape(-1, self.nu)[self.blocks]

    def simulate(self, U: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """x (N + 1, nx) and y (N, ny) along the moves."""
        key = U.tobytes()
        if key == self._rolled[0]:
            return self._rolled[1]
        x, y = self._roll(self.x0, self.stages(U).ravel())
        x = np.concatenate((self.x0, x)).reshape(self.N + 1, self.nx)
        self._rolled = key, (x, y.reshape(self.N, self.ny) + self.d)
        return self._rolled[1]

    def linearise(self, U: np.ndarray) -> None:
        """x, y, the cell's derivatives J, C, and Z[k] = d [x_k; u_k] / d U, JY = d y / d U."""
        N, nx, nu, ny = self.N, self.nx, self.nu, self.ny
        (self.x, self.y), self.u = self.simulate(U), self.stages(U)
        _, _, self.J, C = self._cell.many(self.x[:-1], self.u)
        self.C = C.reshape(N, nx, ny).transpose(0, 2, 1)
        self.Z = np.zeros((N + 1, nx + nu, self.nv))
        self.Z[:N, nx:] = self.T.reshape(N, nu, self.nv)
        for k, last in enumerate(nu * (self.blocks + 1)):
            np.matmul(self.J[k], self.Z[k, :, :last], out=self.Z[k + 1, :nx, :last])
        self.JY = (self.C @ self.Z[1:, :nx]).reshape(N * ny, self.nv)

    def start_anew(self, now: np.ndarray, U: np.ndarray) -> None:
        """Take another situation, with x and y along U from its state; the derivatives stay."""
        self.take(now)
        self.x, self.y = self.simulate(U)

    def price(self, y: np.ndarray) -> float:
        """Cost of outputs out of their bounds."""
        if not self._is_bounded:
            return 0.0
        e = np.maximum(0.0, y - self.y_high) + np.maximum(0.0, self.y_low - y)
        return float(((e + e**2) @ self.c).sum())

    def cost(self, U: np.ndarray, x: np.ndarray, y: np.ndarray) -> float:
        e, u, du = (y - self.r).ravel(), (self.stages(U) - self.u_s).ravel(), self.D @ U - self.first
        last, end = U[-self.nu :] - self.u_s, x[-1] - self.x_s
        squares = self._q @ (e * e) + self._r @ (u * u) + self._s @ (du * du)
        return float(squares / 2 + self.hold * self.S @ (last * last) + end @ self.P @ end) + self.price(y)

    def gauss_newton(self) -> np.ndarray:
        """Hessian without the model's curvature."""
        J, ZN, last = self.JY, self.Z[-1, : self.nx], slice(self.nv - self.nu, self.nv)
        H = J.T @ (self._q[:, None] * J) + 2 * ZN.T @ (self.P @ ZN) + self._inputs
        H[last, last] += 2 * self.hold * np.diag(self.S)
        return H

    def gradient(self, U: np.ndarray) -> np.ndarray:
        """Without the soft bounds."""
        last = slice(self.nv - self.nu, self.nv)
        g = self.JY.T @ (self._q * (self.y - self.r).ravel())
        g += 2 * self.Z[-1, : self.nx].T @ (self.P @ (self.x[-1] - self.x_s))
        g += self._inputs @ U - self._R.T @ np.tile(self.u_s, self.N) - self._S.T @ self.first
        g[last] += 2 * self.hold * self.S * (U[last] - self.u_s)
        return g

    def curvature(self, soft_rows: list[Row]) -> np.ndarray:
        """Second derivatives of the model, weighed by the multipliers of its equations."""
        mu = 2 * self.Q * (self.y - self.r)
        for row in soft_rows:
            mu.flat[row.index] += row.side * row.nu
        lam = np.empty((self.N, self.nx))
        lam[-1] = 2 * self.P @ (self.x[-1] - self.x_s)
        for k in range(self.N - 1, 0, -1):
            lam[k - 1] = self.J[k, :, : self.nx].T @ (lam[k] + self.C[k].T @ mu[k])
        (W,) = self._curve.many(self.x[:-1], self.u, lam, mu)
        Z = self.Z[:-1]
        return Z.reshape(-1, self.nv).T @ (W @ Z).reshape(-1, self.nv)
