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
    be found, (nu,) in all: the system's further inputs are given, as what v holds for them. What is searched is u + v,
    what acts there, in a box moved by v.
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
        low, high = (np.asarray(b if a is None else a) for a, b in ((u_min, system.u_min), (u_max, system.u_max)))
        self.nu = len(low)
        given = s.u_mid[self.nu :]
        self._quiet = np.concatenate([np.zeros(self.nu), given])
        # of a given input the box is one point, which v moves
        self._box = tuple((np.append(side, given) - s.u_mid) / s.u_half for side in (low, high))
        Q = parse_weights(system, weights, self.scales).y * self.scales.y_range**2
        self.tracked = np.flatnonzero(Q)
        self._build(Q[self.tracked] / Q.max())
        self.reset()

    def reset(self) -> None:
        """Forget the previous target: start again from the system's x0 and the box's middle."""
        self._last: tuple[bytes, Target] | None = None
        s, u = self.scales, np.clip(np.zeros(self.system.nu), *self._box)
        self._z = np.concatenate([(self.system.x0 - s.x_mid) / s.x_half, u])

    def state(self) -> np.ndarray:
        """The previous target, scaled, and the (r, d, v) that it was for, NaN if for nothing."""
        n = 2 * self.system.ny + self.system.nu
        return np.concatenate([self._z, np.full(n, np.nan) if self._last is None else np.frombuffer(self._last[0])])

    def restore(self, state: np.ndarray) -> None:
        """Go on from what state returned."""
        n, ny = len(self._z), self.system.ny
        self._z, asked = np.array(state[:n], float), np.array(state[n:], float)
        r, d, v = np.split(asked, [ny, 2 * ny])
        self._last = (asked.tobytes(), self._describe(r, d, v, True)) if np.isfinite(asked).all() else None

    def _build(self, Q: np.ndarray) -> None:
        nx, nu, ny = self.system.nx, self.system.nu, len(self.tracked)
        f_n, g_n = scaled_functions(self.system, self.scales)
        z, y_wanted, u_last = ca.MX.sym("z", nx + nu), ca.MX.sym("y", ny), ca.MX.sym("u", nu)
        f: Any = f_n(z[:nx], z[nx:])
        all_outputs: Any = g_n(z[:nx])
        g = all_outputs[self.tracked.tolist()]
        x, u = ca.MX.sym("x", nx), ca.MX.sym("u", nu)
        f_x, g_x = scaled_expressions(self.system, self.scales, x, u)
        root = ca.vertcat(f_x - x, g_x[self.tracked.tolist()] - y_wanted)
        self._newton = ca.Function("newton", [x, u, y_wanted], [root, jacobian(root, x, u)], {"cse": True})
        distance = ca.sum1(ca.DM(Q) * (g - y_wanted) ** 2)
        nlp = {
            "x": z,
            "p": ca.vertcat(y_wanted, u_last),
            "f": distance + PROXIMAL * ca.sumsqr(z[nx:] - u_last),
            "g": f - z[:nx],
        }
        options = {"ipopt.print_level": 0, "ipopt.sb": "yes", "print_time": False}
        options |= {"ipopt.tol": 1e-10, "ipopt.max_iter": 200, "error_on_fail": False}
        self._nearest = ca.nlpsol("target", "ipopt", nlp, options)

    def solve(
        self, reference: np.ndarray, disturbance: np.ndarray | None = None, shift: np.ndarray | None = None
    ) -> Target:
        """Target for reference (ny,), output disturbance (ny,) and v = shift (all inputs), in their units.

        ok is False when no rest point was found; the previous one is then returned.
        """
        s, ny = self.scales, self.system.ny
        d = np.zeros(ny) if disturbance is None else np.asarray(disturbance, float)
        v, r = self._quiet if shift is None else np.asarray(shift, float), np.asarray(reference, float)
        if r.shape != (ny,) or d.shape != r.shape or v.shape != self._quiet.shape:
            raise ValueError(f"reference {r.shape} and disturbance {d.shape} must be (ny,), shift {v.shape} (nu,)")
        key = np.concatenate([r, d, v]).tobytes()
        if self._last is not None and self._last[0] == key:
            return self._last[1]
        wanted = ((r - d - s.y_mid) / s.y_range)[self.tracked]
        low, high = (side + (v - self._quiet) / s.u_half for side in self._box)
        ok = bool(np.isfinite(wanted).all() and np.isfinite(low).all())
        z = self._solve_newton(wanted, low, high) if ok else None
        if ok and z is None:
            z = self._solve_nearest(wanted, low, high)
        ok = z is not None
        self._z = self._z if z is None else z
        target = self._describe(r, d, v, ok)
        self._last = (key, target) if ok else None
        return target

    def _describe(self, r: np.ndarray, d: np.ndarray, v: np.ndarray, ok: bool) -> Target:
        s, nx, nu = self.scales, self.system.nx, self.nu
        x, u = s.x_mid + s.x_half * self._z[:nx], (s.u_mid + s.u_half * self._z[nx:] - v)[:nu]
        y = evaluate(self.system.g, x) + d
        missed = (np.abs(y - r) > REACHED * s.y_range)[self.tracked]
        return Target(x, u, y, ok and not bool(missed.any()), ok)

    def _solve_newton(self, wanted: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray | None:
        """A root inside the box, or None."""
        if len(self.tracked) > self.nu:
            return None
        nx, n = self.system.nx, self.system.nx + self.nu
        z = np.concatenate([self._z[:n], low[self.nu :]])
        for _ in range(NEWTON_STEPS):
            out: Any = self._newton(z[:nx], z[nx:], wanted)
            residual, J = out[0].full().ravel(), out[1].full()
            if not (np.isfinite(residual).all() and np.isfinite(J).all()):
                return None
            if np.abs(residual).max() < 1e-10:
                inside = (z[nx:] >= low).all() and (z[nx:] <= high).all()
                return z if inside else None
            z = z - np.pad(_least_norm(J[:, :n], residual), (0, len(z) - n))
        return None

    def _solve_nearest(self, wanted: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray | None:
        nx = self.system.nx
        free = np.full(nx, np.inf)
        u_last = np.clip(self._z[nx:], low, high)
        found: Any = self._nearest(
            x0=np.concatenate([self._z[:nx], u_last]),
            p=np.concatenate([wanted, u_last]),
            lbx=np.concatenate([-free, low]),
            ubx=np.concatenate([free, high]),
            lbg=0,
            ubg=0,
        )
        z = found["x"].full().ravel()
        stats: Any = self._nearest.stats()
        if not (stats["success"] and np.isfinite(z).all()):
            return None
        return np.concatenate([z[:nx], np.clip(z[nx:], low, high)])


def _least_norm(J: np.ndarray, residual: np.ndarray) -> np.ndarray:
    if J.shape[0] == J.shape[1]:
        try:
            return np.linalg.solve(J, residual)
        except np.linalg.LinAlgError:
            pass  # singular: the least-squares step below still exists
    return np.linalg.lstsq(J, residual, rcond=None)[0]
