"""The nearest rest point by IPOPT, for where it cannot be followed along the inputs: a process that integrates."""

from typing import Any

import casadi as ca
import numpy as np

from .nearest import Asked
from .scales import Scales, scaled_functions
from .system import System


class IpoptRest:
    """NearestRest's problem and signature, in x and u together; the first outputs counted have points to be at."""

    def __init__(self, system: System, scales: Scales, counted: np.ndarray, points: int, Q: np.ndarray):
        self._nx = system.nx
        f_n, g_n = scaled_functions(system, scales)
        z, wanted = ca.MX.sym("z", system.nx + system.nu), ca.MX.sym("y", len(counted), 2)
        w, centre = ca.MX.sym("w", system.nu), ca.MX.sym("u", system.nu)
        f: Any = f_n(z[: system.nx], z[system.nx :])
        y: Any = g_n(z[: system.nx])
        distance = 0
        for i, j in enumerate(counted.tolist()):
            low, high = wanted[i, 0], wanted[i, 1]
            distance += Q[i] * (y[j] - (low if i < points else ca.fmax(low, ca.fmin(y[j], high)))) ** 2
        nlp = {
            "x": z,
            "p": ca.veccat(wanted, w, centre),
            "f": distance + ca.sum1(w * (z[system.nx :] - centre) ** 2),
            "g": f - z[: system.nx],
        }
        options = {"ipopt.print_level": 0, "ipopt.sb": "yes", "print_time": False, "show_eval_warnings": False}
        options |= {"calc_lam_p": False}
        options |= {"ipopt.tol": 1e-10, "ipopt.max_iter": 200, "error_on_fail": False}
        self._solve = ca.nlpsol("target", "ipopt", nlp, options)

    def solve(self, x: np.ndarray, asked: Asked) -> np.ndarray | None:
        """See NearestRest.solve."""
        free, low, high = np.full(self._nx, np.inf), asked.low, asked.high
        u_last = np.clip(asked.u_last, low, high)
        found: Any = self._solve(
            x0=np.concatenate([x, u_last]),
            p=np.concatenate([asked.wanted.ravel("F"), *asked._replace(u_last=u_last).pull()]),
            lbx=np.concatenate([-free, low]),
            ubx=np.concatenate([free, high]),
            lbg=0,
            ubg=0,
        )
        z = found["x"].full().ravel()
        stats: Any = self._solve.stats()
        if not (stats["success"] and np.isfinite(z).all()):
            return None
        return np.concatenate([z[: self._nx], np.clip(z[self._nx :], low, high)])
