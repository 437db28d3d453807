"""What a certificate of incremental stability gives a controller: a terminal cost, and how long a horizon must be."""

from collections.abc import Mapping
from typing import Any

import casadi as ca
import numpy as np

from .jacobian import jacobian
from .system import System, evaluate

# Beyond this many steps a horizon is no answer.
LONGEST = 100_000


def certified_terminal(system: System, certificate: Any, weights_y: np.ndarray) -> np.ndarray:
    """P_f (nx, nx) with |x_N - x_s|_{P_f}^2 >= cost of the outputs ever after, if the input is held at u_s.

    In V(e)^2 = e' P e, P = metric, two states under one input approach each other by rate lambda per step. With
    q = largest of |C e|_Q^2 / V(e)^2,  P_f = q lambda^2 / (1 - lambda^2) P:
    |C e(1)|_Q^2 + |e(1)|_{P_f}^2 <= (q + q lambda^2 / (1 - lambda^2)) lambda^2 V(e)^2 = |e|_{P_f}^2.
    So u = u_s is an admissible terminal law, no terminal set is needed, and the optimal cost falls from step to step
    by at least the cost of the step (nominally, for a constant and reachable reference), whatever the horizon.

    certificate: object or dict with fields rate and metric (nx, nx), as numbers; rnn_control's Certificate and
        DiagonalMetric are
    weights_y (ny,): Q, per unit squared; the read-out must be linear in the state

    Raises: ValueError for a certificate without a metric, not contracting, of another size; a read-out that bends.
    """
    rate, metric = field(certificate, "rate"), field(certificate, "metric")
    if metric is None:
        raise ValueError(
            "terminal: the certificate has no metric P; certify with a matrix inequality (method='lmi'), or give "
            "rnn_control's diagonal_metric(model)"
        )
    P = np.array(metric, float)
    if P.shape != (system.nx,) * 2 or not np.allclose(P, P.T) or np.linalg.eigvalsh(P)[0] <= 0:
        raise ValueError(f"terminal: metric has shape {P.shape}, need symmetric positive definite {(system.nx,) * 2}")
    if not 0 <= rate < 1:
        raise ValueError(f"terminal: the certificate's rate is {rate}; a terminal cost needs one below 1")
    C, L = readout(system), np.linalg.cholesky(P)
    q = np.linalg.norm(np.sqrt(weights_y)[:, None] * np.linalg.solve(L, C.T).T, 2) ** 2
    return q * rate**2 / (1 - rate**2) * P


def minimum_horizon(rate: float, ratio: float = 1.0) -> int:
    """Least number of stages N that stabilises without any terminal cost.

    alpha_N = 1 - (g_N - 1) prod_{i=2..N} (g_i - 1) / (prod g_i - prod (g_i - 1)) > 0,
    g_i = 1 + C s (1 - s^(i-1)) / (1 - s),  s = rate^2,  C = ratio

    ratio: C in l(k) <= C s^k l(0), the stage cost under a held input; 1 if it is the certificate's own metric

    Reference: Gruene, Pannek, Seehafer, Worthmann (2010), SIAM J. Control Optim. 48, 4938-4962.
    Raises: ValueError for a rate outside [0, 1), a ratio below 1, or where no horizon of reasonable length does.
    """
    if not 0 <= rate < 1 or not ratio >= 1:
        raise ValueError(f"rate is {rate} and ratio {ratio}; need 0 <= rate < 1 <= ratio")
    s, share = rate**2, 0.0
    # prod (g_i - 1) / prod g_i underflows late and overflows never, unlike its parts; share is its logarithm
    for N in range(2, LONGEST):
        g = 1 + ratio * s * (1 - s ** (N - 1)) / (1 - s)
        if g <= 1:
            return N
        share += np.log((g - 1) / g)
        if (g - 1) * np.exp(share) < -np.expm1(share):
            return N
    raise ValueError(f"rate {rate}, ratio {ratio:g}: no horizon below {LONGEST} steps; use a terminal cost")


def field(certificate: Any, name: str) -> Any:
    """A field of an object or a dict, None without it."""
    known = isinstance(certificate, Mapping) and name in certificate
    return certificate[name] if known else getattr(certificate, name, None)


def readout(system: System) -> np.ndarray:
    """C of y = C x + const."""
    x = ca.MX.sym("x", system.nx)
    (g,) = system.g.call([x], True, False)
    slope = ca.Function("C", [x], [jacobian(g, x)])
    points = [np.array(system.x0) + shift for shift in (0.0, 0.5, -1.0)]
    C, *others = (evaluate(slope, p).reshape(system.ny, system.nx) for p in points)
    if not all(np.allclose(C, other) for other in others):
        raise ValueError("terminal: the read-out is not linear in the state; its cost is not bounded by the metric")
    return C
