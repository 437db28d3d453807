"""What a sample costs beside the errors: prices of inputs, outputs and states, and the rest point that is cheapest."""

from collections.abc import Callable, Sequence
from typing import Any

import casadi as ca
import numpy as np

from .ipopt import ipopt_options
from .measured import Measured
from .ocp import HorizonProblem
from .scales import Scales, scaled_functions
from .system import System
from .target import REACHED, Target

Price = Callable[[Any, Any, Any], Any]


class Economy:
    """price(x, u, y) of a sample, on columns of CasADi in physical units: u is sent, x and y are what follows.

    given: states that nobody moves, where measured disturbances are kept
    unit: by how much it changes within the scales of states, inputs and outputs, whatever the given ones are.
    Raises: ValueError for a price that is no number, not finite there, or always the same.
    """

    def __init__(self, price: Price, system: System, scales: Scales, given: Sequence[int] = ()):
        x, u, y = (ca.MX.sym(name, n) for name, n in (("x", system.nx), ("u", system.nu), ("y", system.ny)))
        try:
            expression: Any = ca.MX(price(x, u, y))
        except (TypeError, RuntimeError) as failure:
            words = str(failure).splitlines()[0]
            raise ValueError(
                f"price is no expression of CasADi in (x, u, y), such as ca.fmax(y[0], 0): {words}"
            ) from None
        if expression.numel() != 1:
            raise ValueError(f"price has {expression.shape} entries; give one number a sample, such as 2 * u[0] - y[1]")
        self.function, self.scales = ca.Function("price", [x, u, y], [expression]), scales
        self.unit = self._spread(np.array(given, int))

    def _spread(self, given: np.ndarray) -> float:
        s = self.scales
        middle, half = np.concatenate([s.x_mid, s.u_mid, s.y_mid]), np.concatenate([s.x_half, s.u_half, s.y_range])
        steps, cuts = np.diag(half), np.cumsum([len(s.x_mid), len(s.u_mid)])
        moves, held = (np.vstack([0 * middle, s, -s]) for s in (np.delete(steps, given, axis=0), steps[given]))
        points = middle + held[:, None] + moves
        values = np.array([[float(self.function(*np.split(p, cuts))) for p in row] for row in points])
        if not np.isfinite(values).all():
            raise ValueError("price is not finite within the ranges of states, inputs and outputs; mend its expression")
        spread = float(np.ptp(values, axis=1).max())
        if not spread:
            raise ValueError("price is the same whatever states, inputs and outputs are: nothing to choose by")
        return spread

    def scaled(self, x: Any, u: Any, y: Any, shift: Any) -> Any:
        """The price for scaled x, y and the scaled input u that acts, of which shift was not sent."""
        s = self.scales
        return self.function(s.x_mid + s.x_half * x, s.u_mid + s.u_half * (u - shift), s.y_mid + s.y_range * y)


class EconomicTarget:
    """The rest point x_s = f(x_s, [u_s + v; w]) of the least stage cost, with u_s in its box and soft output bounds.

    The signature of SteadyTarget. A local optimum: of several starts at first, then next to the last one.
    """

    def __init__(self, problem: HorizonProblem, measured: Measured, nx: int):
        self._problem, self._measured, self._nx = problem, measured, nx
        q, nu, ny, n_s, nw = problem, problem.system.nu, problem.system.ny, len(problem.soft), len(measured.names)
        f, g = scaled_functions(q.system, q.scales)
        z, p = ca.MX.sym("z", nx + nu + n_s), ca.MX.sym("p", 2 * ny + nu + nw)
        (x, u, slack), (r, d, v, w) = (
            ca.vertsplit(a, np.cumsum([0, *sizes]).tolist()) for a, sizes in ((z, (nx, nu, n_s)), (p, (ny, ny, nu, nw)))
        )
        held: Any = measured.rest(x, w)
        x_next: Any = f(held, u)
        y: Any = g(held) + d
        soft = y[q.soft.tolist()] if n_s else ca.MX(0, 1)
        cost = q.stage_cost(y - r, 0, 0, slack) + q.economy(held, u, y, v)
        nlp = {"x": z, "p": p, "f": cost, "g": ca.vertcat(x_next[:nx] - x, soft - slack, soft + slack)}
        self._solve = ca.nlpsol("target", "ipopt", nlp, ipopt_options(None, 1e-9))
        self.reset()

    def reset(self) -> None:
        """Forget the previous target."""
        self._z: np.ndarray | None = None

    def state(self) -> np.ndarray:
        """The previous target, scaled; NaN without one."""
        n = self._solve.size1_in(0)
        return np.full(n, np.nan) if self._z is None else self._z.copy()

    def restore(self, state: np.ndarray) -> None:
        """Go on from what state returned."""
        self._z = np.array(state, float) if np.isfinite(state).all() else None

    def solve(
        self, reference: np.ndarray, disturbance: np.ndarray | None = None, shift: np.ndarray | None = None
    ) -> Target:
        """Target for reference (ny,), output disturbance (ny,) and [v; w] = shift (all inputs), in their units.

        reachable tells whether outputs of weight come to rest at their reference. ok is False when no rest point was
        found; the previous one, or the system's x0, is then returned.
        """
        q = self._problem
        s, b, (nx, nu, ny, n_s) = q.scales, q.bounds, (self._nx, q.system.nu, q.system.ny, len(q.soft))
        x_mid, x_half, w_at = s.x_mid[:nx], s.x_half[:nx], slice(nx, nx + len(self._measured.names))
        d = np.zeros(ny) if disturbance is None else np.asarray(disturbance, float)
        v, w = np.split(np.append(np.zeros(nu), s.x_mid[w_at]) if shift is None else np.asarray(shift, float), [nu])
        r = np.asarray(reference, float)
        low, high = ((side + v - s.u_mid) / s.u_half for side in (b.u_min, b.u_max))
        limits = {
            "lbx": np.concatenate([np.full(nx, -np.inf), low, np.zeros(n_s)]),
            "ubx": np.concatenate([np.full(nx, np.inf), high, np.full(n_s, np.inf)]),
            "lbg": np.concatenate([np.zeros(nx), np.full(n_s, -np.inf), ((b.y_min - s.y_mid) / s.y_range)[q.soft]]),
            "ubg": np.concatenate([np.zeros(nx), ((b.y_max - s.y_mid) / s.y_range)[q.soft], np.full(n_s, np.inf)]),
        }
        w_n = (w - s.x_mid[w_at]) / s.x_half[w_at]
        p = np.concatenate([(r - s.y_mid) / s.y_range, d / s.y_range, v / s.u_half, w_n])
        x0, found = (q.system.x0[:nx] - x_mid) / x_half, []
        new = [np.concatenate([x0, u, np.zeros(n_s)]) for u in ((low + high) / 2, low, high)]
        for start in new if self._z is None else [self._z]:
            one: Any = self._solve(x0=start, p=p, **limits) if np.isfinite(p).all() else None
            if one is not None and self._solve.stats()["success"]:
                found.append((float(one["f"]), one["x"].full().ravel()))
        if found:
            self._z = min(found, key=lambda pair: pair[0])[1]
        z = new[0] if self._z is None else self._z
        x, u = x_mid + x_half * z[:nx], s.u_mid + s.u_half * z[nx : nx + nu] - v
        y = q.outputs(np.tile(self._measured.rest(x, w), (q.N, 1)))[0] + d
        missed = (np.abs(y - r) > REACHED * s.y_range) & (q.weights.y > 0)
        return Target(x, np.clip(u, b.u_min, b.u_max), y, bool(found) and not bool(missed.any()), bool(found))
