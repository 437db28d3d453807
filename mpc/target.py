"""Steady-state target: where the plant should come to rest for a reference and a disturbance."""

from typing import Any, NamedTuple

import casadi as ca
import numpy as np

from .jacobian import jacobian
from .scales import Scales, find_scales, scaled_expressions, scaled_functions
from .settings import parse_weights
from .system import System, evaluate

# A reference counts as reached within this share of the output's range: far below any noise.
REACHED = 1e-4
# Weight of staying near the previous input. It decides between equally good inputs and vanishes
# as the target settles, because it pulls to the last solution and not to a fixed one.
PROXIMAL = 1e-8
NEWTON_STEPS = 10


class Target(NamedTuple):
    """Rest state x (nx,), input u (nu,), output y = g(x) + d (ny,); reachable: y equals r."""

    x: np.ndarray
    u: np.ndarray
    y: np.ndarray
    reachable: bool
    ok: bool


class SteadyTarget:
    """x_s = f(x_s, u_s + v), g(x_s) + d = r with u_s in the box; else the nearest y in |.|_Q.

    Outputs of weight 0 are left where they come to rest. Newton's method from the previous target
    first; when the result leaves the box, or there are more outputs than inputs, constrained least
    squares by IPOPT. With more inputs than outputs the solution nearest to the previous one is
    taken.

    weights["y"] as in NMPC; u_min, u_max default to the system's box; they have an entry for every input that is to
    be found, (nu,) in all, the system's further inputs are given, as what v holds for them.
    """

    def __init__(
        self,
        system: System,
        weights: dict[str, Any] | None = None,
        *,
        u_min: np.ndarray | None = None,
        u_max: np.ndarray | None = None,
        scales: Scales | None = None,
    ):
        self.system = system
        self.scales = s = find_scales(system) if scales is None else scales
        box = (np.asarray(b if a is None else a) for a, b in ((u_min, system.u_min), (u_max, system.u_max)))
        self._box = tuple((side - s.u_mid[: len(side)]) / s.u_half[: len(side)] for side in box)
        self.nu = len(self._box[0])
        self._quiet = np.concatenate([np.zeros(self.nu), s.u_mid[self.nu :]])
        Q = parse_weights(system, weights, self.scales).y * self.scales.y_range**2
        self.tracked = np.flatnonzero(Q)
        self._build(Q[self.tracked] / Q.max())
        self.reset()

    def reset(self) -> None:
        """Forget the previous target: start again from the system's x0 and the box's middle."""
        self._last: tuple[bytes, Target] | None = None
        s, u = self.scales, np.clip(np.zeros(self.nu), *self._box)
        self._z = np.concatenate([(self.system.x0 - s.x_mid) / s.x_half, u])

    def state(self) -> np.ndarray:
        """The previous target, scaled, and what it was the target for, NaN if for nothing."""
        n = 2 * self.system.ny + self.system.nu
        return np.concatenate([self._z, np.full(n, np.nan) if self._last is None else np.frombuffer(self._last[0])])

    def restore(self, state: np.ndarray) -> None:
        """Go on from what state returned."""
        n, ny = len(self._z), self.system.ny
        self._z, asked = np.array(state[:n], float), np.array(state[n:], float)
        is_known = bool(np.isfinite(asked).all())
        self._last = (asked.tobytes(), self._describe(asked[:ny], asked[ny : 2 * ny], True)) if is_known else None

    def _build(self, Q: np.ndarray) -> None:
        nx, nu, ny, more = self.system.nx, self.nu, len(self.tracked), self.system.nu - self.nu
        f_n, g_n = scaled_functions(self.system, self.scales)
        z, y_wanted, u_last = ca.MX.sym("z", nx + nu), ca.MX.sym("y", ny), ca.MX.sym("u", nu)
        v = ca.MX.sym("v", nu + more)
        f: Any = f_n(z[:nx], ca.vertcat(z[nx:], ca.DM.zeros(more)) + v)
        all_outputs: Any = g_n(z[:nx])
        g = all_outputs[self.tracked.tolist()]
        x, u = ca.MX.sym("x", nx), ca.MX.sym("u", nu)
        f_x, g_x = scaled_expressions(self.system, self.scales, x, ca.vertcat(u, ca.DM.zeros(more)) + v)
        root = ca.vertcat(f_x - x, g_x[self.tracked.tolist()] - y_wanted)
        self._newton = ca.Function("newton", [x, u, y_wanted, v], [root, jacobian(root, x, u)], {"cse": True})
        distance = ca.sum1(ca.DM(Q) * (g - y_wanted) ** 2)
        nlp = {
            "x": z,
            "p": ca.vertcat(y_wanted, u_last, v),
            "f": distance + PROXIMAL * ca.sumsqr(z[nx:] - u_last),
            "g": f - z[:nx],
        }
        options = {"ipopt.print_level": 0, "ipopt.sb": "yes", "print_time": False}
        options |= {"ipopt.tol": 1e-10, "ipopt.max_iter": 200, "error_on_fail": False}
        self._nearest = ca.nlpsol("target", "ipopt", nlp, options)

    def solve(
        self, reference: np.ndarray, disturbance: np.ndarray | None = None, shift: np.ndarray | None = None
    ) -> Target:
        """Target for reference (ny,) and output disturbance (ny,), both in units of y, and v = shift, of all inputs.

        ok is False when no rest point was found; the previous one is then returned.
        """
        s, ny, nu = self.scales, self.system.ny, self.system.nu
        d = np.zeros(ny) if disturbance is None else np.asarray(disturbance, float)
        v, r = self._quiet if shift is None else np.asarray(shift, float), np.asarray(reference, float)
        if r.shape != (ny,) or d.shape != r.shape or v.shape != (nu,):
            raise ValueError(f"reference {r.shape} and disturbance {d.shape} must be (ny,), shift {v.shape} (nu,)")
        key = np.concatenate([r, d, v]).tobytes()
        if self._last is not None and self._last[0] == key:
            return self._last[1]
        wanted = ((r - d - s.y_mid) / s.y_range)[self.tracked]
        v = (v - self._quiet) / s.u_half
        ok = bool(np.isfinite(wanted).all() and np.isfinite(v).all())
        z = self._solve_newton(wanted, v) if ok else None
        if ok and z is None:
            z = self._solve_nearest(wanted, v)
        ok = z is not None
        self._z = self._z if z is None else z
        target = self._describe(r, d, ok)
        self._last = (key, target) if ok else None
        return target

    def _describe(self, r: np.ndarray, d: np.ndarray, ok: bool) -> Target:
        s, nx, nu = self.scales, self.system.nx, self.nu
        x, u = s.x_mid + s.x_half * self._z[:nx], s.u_mid[:nu] + s.u_half[:nu] * self._z[nx:]
        y = evaluate(self.system.g, x) + d
        missed = (np.abs(y - r) > REACHED * s.y_range)[self.tracked]
        return Target(x, u, y, ok and not bool(missed.any()), ok)

    def _solve_newton(self, wanted: np.ndarray, v: np.ndarray) -> np.ndarray | None:
        """A root inside the box, or None."""
        if len(self.tracked) > self.nu:
            return None
        z, nx = self._z, self.system.nx
        for _ in range(NEWTON_STEPS):
            out: Any = self._newton(z[:nx], z[nx:], wanted, v)
            residual, J = out[0].full().ravel(), out[1].full()
            if not (np.isfinite(residual).all() and np.isfinite(J).all()):
                return None
            if np.abs(residual).max() < 1e-10:
                inside = (z[nx:] >= self._box[0]).all() and (z[nx:] <= self._box[1]).all()
                return z if inside else None
            z = z - _least_norm(J, residual)
        return None

    def _solve_nearest(self, wanted: np.ndarray, v: np.ndarray) -> np.ndarray | None:
        nx = self.system.nx
        free = np.full(nx, np.inf)
        u_last = np.clip(self._z[nx:], *self._box)
        found: Any = self._nearest(
            x0=np.concatenate([self._z[:nx], u_last]),
            p=np.concatenate([wanted, u_last, v]),
            lbx=np.concatenate([-free, self._box[0]]),
            ubx=np.concatenate([free, self._box[1]]),
            lbg=0,
            ubg=0,
        )
        z = found["x"].full().ravel()
        stats: Any = self._nearest.stats()
        if not (stats["success"] and np.isfinite(z).all()):
            return None
        return np.concatenate([z[:nx], np.clip(z[nx:], *self._box)])


def _least_norm(J: np.ndarray, residual: np.ndarray) -> np.ndarray:
    if J.shape[0] == J.shape[1]:
        try:
            return np.linalg.solve(J, residual)
        except np.linalg.LinAlgError:
            pass  # singular: the least-squares step below still exists
    return np.linalg.lstsq(J, residual, rcond=None)[0]
