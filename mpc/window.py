"""The problem of moving horizon estimation: a full window, and how IPOPT is given it."""

import time
from copy import copy
from typing import Any

import casadi as ca
import numpy as np

from .augmented import Augmented
from .ekf import EKF
from .fast_call import FastCall
from .ipopt import ipopt_options
from .smoothing import Seen, Smoother


class Window:
    """The problem of a window: by Gauss-Newton's method alone, and where that meets bounds or fails, by IPOPT.

    IPOPT's is the problem of a full window; before there is one, its first stages stand still and measure nothing.
    max_time: s; half of it for either.
    """

    def __init__(self, ekf: EKF, steps: int, limits: np.ndarray, max_time: float | None):
        self._model: Augmented = ekf.model
        self._limits, self._steps, self._deviations = limits, steps, np.sqrt(np.diag(ekf.Q))
        self._sigma = np.sqrt(np.diag(ekf.R))
        self._noisy = np.flatnonzero(self._deviations)
        self._F = FastCall(self._model.F)
        self._W = np.diag(self._deviations)[:, self._noisy]
        self._half_time = None if max_time is None else max_time / 2
        self._smoother = Smoother(self._model, self._W, self._sigma)
        self._is_alone = False
        problem, jacobian = self._build()
        functions = {"hess_lag": _gauss_newton(problem), "jac_g": jacobian}
        options = {**ipopt_options(self._half_time, 1e-9), "ipopt.mu_init": 1e-3, **functions}
        self._solver = ca.nlpsol("mhe", "ipopt", problem, options)

    @property
    def is_bounded(self) -> bool:
        return bool(np.isfinite(self._limits).any())

    @property
    def is_timed(self) -> bool:
        return self._half_time is not None

    def alone(self) -> "Window":
        """The same without IPOPT."""
        twin = copy(self)
        twin._is_alone = True
        return twin

    def _build(self) -> tuple[dict[str, Any], ca.Function]:
        """The problem, and the Jacobian of its constraints."""
        m, M, ny, nu = self._model, self._steps, self._model.system.ny, self._model.system.nu
        zeta, omega = ca.MX.sym("zeta", m.nz), ca.MX.sym("omega", len(self._noisy), M)
        Z = ca.MX.sym("Z", m.nz, M + 1)
        prior, S = ca.MX.sym("prior", m.nz), ca.MX.sym("S", m.nz, m.nz)
        U, Y = ca.MX.sym("U", nu, M), ca.MX.sym("Y", ny, M + 1)
        seen, lives = ca.MX.sym("seen", ny, M + 1), ca.MX.sym("lives", 1, M)
        W = ca.DM(self._W)
        cost, defects = ca.sumsqr(zeta) + ca.sumsqr(omega), [prior + S @ zeta - Z[:, 0]]
        for i in range(M + 1):
            e: Any = seen[:, i] * (Y[:, i] - m.H(Z[:, i])) / ca.DM(self._sigma)
            cost += ca.sumsqr(e)
            if i < M:
                step: Any = m.F(Z[:, i], U[:, i])
                step = step + W @ omega[:, i]
                defects.append(Z[:, i] + lives[i] * (step - Z[:, i]) - Z[:, i + 1])
        x, p, g = ca.veccat(zeta, omega, Z), ca.veccat(prior, S, U, Y, seen, lives), ca.vertcat(*defects)
        slopes = self._slopes(S, W, ca.horzsplit(Z[:, :M]), ca.horzsplit(U), ca.horzsplit(lives))
        jacobian = ca.Function("jac_g", [x, p], [g, slopes], ["x", "p"], ["g", "jac_g_x"])
        return {"x": x, "p": p, "f": cost, "g": g}, jacobian

    def _slopes(self, S: Any, W: Any, *stages: Any) -> Any:
        """d g / d x, from those of F at each stage: read off the whole graph they take several times as long."""
        m, M = self._model, self._steps
        pattern, one, n = m.F.jac_sparsity(0, 0), ca.DM.eye(m.nz), m.nz * M
        passed, driven = [], []
        for z, u, lives in zip(*stages, strict=True):
            A: Any = m.A_of(z, u)
            passed.append(one + lives * (ca.project(A, pattern) - one))
            driven.append(lives * W)
        later = ca.horzcat(ca.MX(n, m.nz), ca.diagcat(*driven), ca.diagcat(*passed), ca.MX(n, m.nz))
        first = ca.horzcat(S, ca.MX(m.nz, later.size2() - m.nz))
        return ca.vertcat(first, later) - ca.horzcat(ca.DM(n + m.nz, later.size2() - n - m.nz), ca.DM.eye(n + m.nz))

    def solve(self, ekf: EKF, us: np.ndarray, ys: np.ndarray) -> np.ndarray | None:
        """z at the last measurement, from inputs (T, nu) and measurements (T + 1, ny), T <= window; None: unsolved."""
        S, until = _root(ekf.P), np.inf if self._half_time is None else time.perf_counter() + self._half_time
        if S is None:
            return None
        low, high = self._limits
        seen = Seen(ekf.z, S, us, ys)
        track = self._smoother.solve(seen, until)
        if track is not None and ((track.z >= low) & (track.z <= high)).all():
            return track.z[-1]
        return None if self._is_alone or time.perf_counter() > until else self._bounded(seen)[0]

    def _bounded(self, seen: Seen) -> tuple[np.ndarray | None, float]:
        """The same by IPOPT, within the limits, and the cost."""
        (prior, S, us, ys), m, M, T = seen, self._model, self._steps, len(seen.us)
        idle, there = M - T, np.isfinite(ys)
        U, Y = np.pad(us, ((idle, 0), (0, 0))), np.pad(np.nan_to_num(ys), ((idle, 0), (0, 0)))
        lives = np.concatenate([np.zeros(idle), np.ones(T)])
        parameters = [prior, S.T.ravel(), U.ravel(), Y.ravel(), np.pad(there, ((idle, 0), (0, 0))).ravel(), lives]
        guess = np.concatenate([np.zeros(m.nz + len(self._noisy) * M), self._roll(prior, us, idle).ravel()])
        free = np.full(m.nz + len(self._noisy) * M, np.inf)
        low, high = (np.tile(side, M + 1) for side in self._limits)
        box = dict(lbx=np.concatenate([-free, low]), ubx=np.concatenate([free, high]), lbg=0, ubg=0)
        found: Any = self._solver(x0=guess, p=np.concatenate(parameters), **box)
        z, stats = found["x"].full().ravel()[-m.nz :], self._solver.stats()
        return z if stats["success"] and np.isfinite(z).all() else None, float(found["f"])

    def _roll(self, z: np.ndarray, us: np.ndarray, idle: int) -> np.ndarray:
        """First guess: what the model does from the prior, within the bounds."""
        zs = [z] * (idle + 1)
        for u in us:
            z = self._F(z, u)[0].copy()
            zs.append(z if np.isfinite(z).all() else zs[-1])
        return np.clip(zs, *self._limits)


def _gauss_newton(problem: dict[str, Any]) -> ca.Function:
    """Hessian of the cost, without the model's curvature: second derivatives of a long f cost more than they save."""
    x, p, lam_f, lam_g = problem["x"], problem["p"], ca.MX.sym("lam_f"), ca.MX.sym("lam_g", problem["g"].numel())
    hessian = ca.triu(lam_f * ca.hessian(problem["f"], x)[0])
    names = ["x", "p", "lam_f", "lam_g"], ["triu_hess_gamma_x_x"]
    return ca.Function("hess_lag", [x, p, lam_f, lam_g], [hessian], *names)


def _root(P: np.ndarray) -> np.ndarray | None:
    """S with S S' = P, for P positive semidefinite."""
    if not np.isfinite(P).all():
        return None
    values, V = np.linalg.eigh(P)
    return V * np.sqrt(np.maximum(values, 0.0))
