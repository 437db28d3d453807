"""Moving horizon estimation: state and disturbances that explain the last measurements best, within bounds."""

from collections.abc import Mapping
from typing import Any

import casadi as ca
import numpy as np

from .augmented import Augmented
from .ekf import EKF
from .fast_call import FastCall
from .ipopt import ipopt_options
from .names import channel_intervals
from .observers import Estimate, check_input, check_measurement, warm_up
from .system import System, evaluate, state_names


class MHE:
    """min  |zeta|^2 + sum_i |omega_i|^2 + sum_i |(y_i - H(z_i)) / sigma|^2   over the last `window` steps,

    z_0 = z' + S zeta,   z_{i+1} = F(z_i, u_i) + W omega_i,   z = [x; v; d] within bounds.

    z', S S' = P' summarise what came before the window: an EKF that runs `window` steps behind (exact for a linear
    system, where MHE is the Kalman filter). A missing measurement has no term. IPOPT's steps are those of Gauss-Newton:
    first derivatives of F, which is all that residuals as small as noise need. Where the problem is not solved, in
    max_time (s) or at all, the estimate goes on open loop, and `ok` is False.

    Deviations as for EKF; bounds: {"x": {"x1": (low, high)}, "v": {input: }, "d": {output: }}, None leaves a side free

    Reference: Rao, Rawlings, Mayne (2003), IEEE TAC 48; Rawlings, Mayne, Diehl (2017), chapter 4.
    Raises: as DisturbanceFilter; ValueError for a window that is not a whole number >= 1, or bounds that contradict.
    """

    def __init__(
        self,
        system: System,
        measurement_std: Any,
        disturbance_std: Any,
        process_std: Any,
        *,
        window: int = 10,
        bounds: Mapping[str, Any] | None = None,
        max_time: float | None = None,
        **deviations: Any,
    ):
        if window != int(window) or window < 1:
            raise ValueError(f"window is {window}; give a whole number of steps, at least one")
        self._behind = EKF(system, measurement_std, disturbance_std, process_std, **deviations)
        self.system, self.window, self._model = system, int(window), self._behind.model
        self._problem = Window(self._behind, self.window, self._limits(bounds or {}), max_time)
        self.z, self.ok = self._behind.z.copy(), True
        self._clear()

    def _limits(self, bounds: Mapping[str, Any]) -> np.ndarray:
        """Lower and upper bound of z, (2, nz)."""
        s, m = self.system, self._model
        names = (state_names(s), s.u_names, s.y_names)
        sides = zip(*(channel_intervals(f"bounds[{k!r}]", bounds.get(k), n, -np.inf, np.inf)
                      for k, n in zip("xvd", names, strict=True)), strict=True)  # fmt: skip
        return np.array([m.join(*side) for side in sides])

    @property
    def x(self) -> np.ndarray:
        """State (nx,) as estimated last."""
        return self.z[: self.system.nx].copy()

    def reset(self, y0: np.ndarray, u0: np.ndarray | None = None) -> None:
        """See Observer.reset."""
        self._behind.reset(y0, u0)
        self.z = self._behind.z.copy()
        self._clear()

    def start(self, x: np.ndarray, d: np.ndarray | None = None, v: np.ndarray | None = None) -> None:
        """See DisturbanceFilter.start."""
        self._behind.start(x, d, v)
        self.z = self._behind.z.copy()
        self._clear()

    def _clear(self) -> None:
        self._us, self._ys = np.empty((0, self.system.nu)), np.empty((0, self.system.ny))

    def update(self, u_prev: np.ndarray | None, y: np.ndarray) -> Estimate:
        """See Observer.update."""
        y = check_measurement(self.system, y)
        if u_prev is not None:
            self._pass(check_input(u_prev, self.system.u_names))
        e = y - evaluate(self._model.H, self.z)
        # without time between them, the later of two measurements counts
        self._ys = np.vstack([self._ys[: len(self._us)], y])
        found = self._problem.solve(self._behind, self._us, self._ys)
        self.ok = found is not None
        self.z = self.z if found is None else found
        x, v, d = self._model.split(self.z)
        return Estimate(x, d, e, v)

    def _pass(self, u: np.ndarray) -> None:
        """Time passes with u (nu,): the estimate goes on open loop, and what is too old is summarised."""
        if len(self._ys) == 0:
            self._ys = np.full((1, self.system.ny), np.nan)
        self._us = np.vstack([self._us, u])
        z = evaluate(self._model.F, self.z, u)
        self.z = z if np.isfinite(z).all() else self.z
        if len(self._us) > self.window:
            self._behind.absorb(self._ys[0], self._us[0])
            self._us, self._ys = self._us[1:], self._ys[1:]

    def warm_up(self, u_past: np.ndarray, y_past: np.ndarray) -> Estimate:
        """See observers.warm_up."""
        return warm_up(self, u_past, y_past)

    def state(self) -> dict[str, np.ndarray]:
        """See Observer.state."""
        behind = {f"behind_{name}": v for name, v in self._behind.state().items()}
        return {**behind, "now": self.z.copy(), "us": self._us.copy(), "ys": self._ys.copy()}

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        """See Observer.restore."""
        self._behind.restore({name: state[f"behind_{name}"] for name in self._behind.state()})
        self.z, self._us, self._ys = (np.array(state[name], float) for name in ("now", "us", "ys"))


class Window:
    """The problem of a full window; before there is one, its first stages stand still and measure nothing."""

    def __init__(self, ekf: EKF, steps: int, limits: np.ndarray, max_time: float | None):
        self._model: Augmented = ekf.model
        self._limits, self._steps, self._deviations = limits, steps, np.sqrt(np.diag(ekf.Q))
        self._sigma = np.sqrt(np.diag(ekf.R))
        self._noisy = np.flatnonzero(self._deviations)
        self._F = FastCall(self._model.F)
        problem = self._build()
        options = {**ipopt_options(max_time, 1e-9), "ipopt.mu_init": 1e-3, "hess_lag": _gauss_newton(problem)}
        self._solver = ca.nlpsol("mhe", "ipopt", problem, options)

    def _build(self) -> dict[str, Any]:
        m, M, ny, nu = self._model, self._steps, self._model.system.ny, self._model.system.nu
        zeta, omega = ca.MX.sym("zeta", m.nz), ca.MX.sym("omega", len(self._noisy), M)
        Z = ca.MX.sym("Z", m.nz, M + 1)
        prior, S = ca.MX.sym("prior", m.nz), ca.MX.sym("S", m.nz, m.nz)
        U, Y = ca.MX.sym("U", nu, M), ca.MX.sym("Y", ny, M + 1)
        seen, lives = ca.MX.sym("seen", ny, M + 1), ca.MX.sym("lives", 1, M)
        W = ca.DM(np.diag(self._deviations)[:, self._noisy])
        cost, defects = ca.sumsqr(zeta) + ca.sumsqr(omega), [prior + S @ zeta - Z[:, 0]]
        for i in range(M + 1):
            e: Any = seen[:, i] * (Y[:, i] - m.H(Z[:, i])) / ca.DM(self._sigma)
            cost += ca.sumsqr(e)
            if i < M:
                step: Any = m.F(Z[:, i], U[:, i])
                step = step + W @ omega[:, i]
                defects.append(Z[:, i] + lives[i] * (step - Z[:, i]) - Z[:, i + 1])
        return {
            "x": ca.veccat(zeta, omega, Z),
            "p": ca.veccat(prior, S, U, Y, seen, lives),
            "f": cost,
            "g": ca.vertcat(*defects),
        }

    def solve(self, ekf: EKF, us: np.ndarray, ys: np.ndarray) -> np.ndarray | None:
        """z at the last measurement, from inputs (T, nu) and measurements (T + 1, ny), T <= window; None: unsolved."""
        m, M, T = self._model, self._steps, len(us)
        S = _root(ekf.P)
        if S is None:
            return None
        idle, seen = M - T, np.isfinite(ys)
        U, Y = np.pad(us, ((idle, 0), (0, 0))), np.pad(np.nan_to_num(ys), ((idle, 0), (0, 0)))
        lives = np.concatenate([np.zeros(idle), np.ones(T)])
        parameters = [ekf.z, S.T.ravel(), U.ravel(), Y.ravel(), np.pad(seen, ((idle, 0), (0, 0))).ravel(), lives]
        guess = np.concatenate([np.zeros(m.nz + len(self._noisy) * M), self._roll(ekf.z, us, idle).ravel()])
        free = np.full(m.nz + len(self._noisy) * M, np.inf)
        low, high = (np.tile(side, M + 1) for side in self._limits)
        box = dict(lbx=np.concatenate([-free, low]), ubx=np.concatenate([free, high]), lbg=0, ubg=0)
        found: Any = self._solver(x0=guess, p=np.concatenate(parameters), **box)
        z, stats = found["x"].full().ravel()[-m.nz :], self._solver.stats()
        return z if stats["success"] and np.isfinite(z).all() else None

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
