"""deltaISS or ISS by a matrix inequality: V(e) = sqrt(e' P e), best rate, small gain (docs/theory.md, Theorem 16)."""

from collections.abc import Callable

import numpy as np
import torch
from scipy.linalg import eigh
from torch import Tensor

from .barrier import Inequality, Point, centre
from .bounds import Bound
from .channels import Channels, trace
from .check import NotChecked
from .increments import NARROW
from .model import Model, Params

LARGE, SMALL = 2.0**80, 2.0**-80
"""Multipliers of channels that are all but linear, and of those on which nothing depends."""
SPARE = 0.05
"""Share of the best margin 1 - rate that is given up for a smaller gain and for the proof."""
OVERSHOOT = 1e3
"""The search for a small gain stops where the metric would promise no less overshoot than this."""
ENOUGH = 1e6
"""Times what a multiplier must exceed, from where the search for a small gain begins."""
SPREADS = (0.0, 0.1)
"""Of trace P in the cost beside g2, relative: where P grows in directions that no input drives, a little holds it."""
WEIGHT = 10.0
"""Of the Schur complement in the barrier, in units of its other terms a state; any number, this one is fast."""
ROUNDING = 1e-13
"""Of every entry of M relative to the sum of its terms, times the size of M: what a smallest eigenvalue must exceed."""


def lmi_bound(model: Model, p: Params, u_max: Tensor, box: Tensor | None, is_iss: bool = False) -> Bound:
    """The bound in the metric P for |u| <= u_max and states in an invariant box (None: all states); of one run for ISS.

    P and the multipliers come from `best_rate` and `least_gain`; what counts is that `is_positive` finds the inequality
    true of them. Residual rate - 1; infinite where the cell multiplies values that have no bound, or has an
    operation that channels do not know.
    """
    c = bounded_channels(model, p, u_max, box, is_iss=is_iss)
    nothing = _bound(np.inf, np.eye(model.nx), np.zeros(0), np.full(model.nu + is_iss, np.inf), np.inf, box, is_iss)
    if c is None:
        return nothing
    C, radius = model.output_map(p).detach().numpy(), c.radius()
    try:
        with np.errstate(all="ignore"):
            c = c.centred()
            rate, point = best_rate(c)
            if rate < 1:
                rate = 1 - (1 - SPARE) * (1 - rate)
                point = least_gain(c, C, rate, point)
            bound = metric_bound(c, rate, point, box, is_iss)
    except (ArithmeticError, ValueError, np.linalg.LinAlgError):  # numbers too large, or too small, for the search
        return nothing
    assert bound.multipliers is not None
    multipliers = np.where(c.idle, SMALL, LARGE)
    with np.errstate(divide="ignore"):
        multipliers[c.kept] = np.where(radius > NARROW / 2, bound.multipliers.numpy() / radius**2, LARGE)
    return bound._replace(multipliers=torch.from_numpy(multipliers))


def bounded_channels(
    model: Model, p: Params, u_max: Tensor, box: Tensor | None, sign=np.positive, is_iss: bool = False
) -> Channels | None:
    """The channels of a model, see `trace`; None if a parameter is not finite, a product unbounded, or f not one."""
    if not all(torch.isfinite(v).all() for v in p.values()):
        return None
    radius = np.full(model.nx, np.inf) if box is None else box.detach().numpy()
    try:
        c = trace(model, p, radius, u_max.detach().numpy(), sign, is_iss)
    except NotChecked:
        return None
    return c if all(np.isfinite(a).all() for a in (c.F, c.p, c.lo, c.hi)) else None


def metric_bound(c: Channels, rate: float, point: Point, box: Tensor | None, is_iss: bool = False) -> Bound:
    """What P and tau, wherever they come from, prove of the channels c at this rate: an infinite rate if nothing."""
    nu = c.F.shape[1] - len(c.F) - len(c.p)
    scale = 1 / abs(point.P).max()
    point = Point((point.P + point.P.T) / 2 * scale, point.tau * scale)
    decay = Inequality(c.without_inputs(), np.zeros_like(point.P))
    if rate < 1 and not (np.linalg.eigvalsh(point.P)[0] > 0 and is_positive(decay, rate**2, point)):
        rate = np.inf
    g = input_gains(c, rate, point) if rate < 1 else np.full(nu, np.inf)
    driven = c._replace(F=c.F[:, :-1], p=c.p[:, :-1]) if is_iss else c
    whole = np.linalg.eigvalsh(schur(Inequality(driven, point.P), rate**2, point))[-1] if rate < 1 else np.inf
    return _bound(rate, point.P, point.tau, g, max(whole, 0.0) ** 0.5, box, is_iss)


def _bound(rate, P, tau, g, whole, box, is_iss) -> Bound:
    """g: of V by each input and, for ISS, by the constant."""
    rate, P, tau, g, whole = (torch.as_tensor(a, dtype=torch.float64) for a in (rate, P, tau, g, whole))
    ones, steady = torch.ones(len(P), dtype=torch.float64), torch.sqrt(1 - rate**2)
    gains, offset = (g[:-1], g[-1] / steady) if is_iss else (g, 0.0)
    return Bound(
        rate - 1, rate, ones, ((len(P), 2.0),), whole, 2.0, box, offset, sharp_gain=(whole / steady)[None], metric=P,
        multipliers=tau, input_gains=gains / steady, gain_rates=rate.expand(len(g)),
    )  # fmt: skip


def best_rate(c: Channels, steps: int = 60) -> tuple[float, Point]:
    """A rate at most about one percent of 1 - rate above the least, with its P and tau; at least one if there is none.

    Method of centres: the point of least `value` for a t, then t nearly down to the least that this point allows.
    """
    c = c.without_inputs()
    nx = len(c.F)
    problem = Inequality(c, np.zeros((nx, nx)), WEIGHT * (1 + len(c.p) / nx))
    point, price = first_point(problem), problem.degree / nx
    least = least_t(problem, point)
    t = 1.5 * least + 1e-3
    for _ in range(steps):
        point = centre(problem, t, point, price)
        least = least_t(problem, point)
        if t - least < 5e-3 * abs(1 - t) or least - 3 * (t - least) > 1 or t < 1e-6:
            break
        t = least + 0.05 * (t - least)
    return float(np.sqrt(t)), point


def first_point(problem: Inequality) -> Point:
    """P = I and tau from the last channel to the first, each large enough for what comes after it."""
    return Point(P := np.eye(problem.nx), multipliers(problem, P, lambda k, needed: max(needed, 1e-3)))


def tamed(problem: Inequality, point: Point) -> Point:
    """The same with no tau more than ENOUGH times what is needed: those of channels that only inputs move run away."""
    floor = 1e-3 * np.linalg.norm(point.P, 2)
    return point._replace(tau=multipliers(problem, point.P, lambda k, g: min(point.tau[k], max(ENOUGH * g, floor))))


def multipliers(problem: Inequality, P: np.ndarray, chosen: Callable[[int, float], float]) -> np.ndarray:
    """tau_k = chosen(k, what it must exceed), from the last channel to the first."""
    nx, tau, G = problem.nx, np.zeros(problem.K), problem.F.T @ P @ problem.F
    for k in reversed(range(problem.K)):
        tau[k] = chosen(k, float(G[nx + k, nx + k]))
        a, b = problem.A[k], problem.B[k]
        G = G + tau[k] * (np.outer(a, b) + np.outer(b, a))
        G = G - np.outer(G[nx + k], G[nx + k]) / G[nx + k, nx + k]
    return tau


def schur(problem: Inequality, t: float, point: Point) -> np.ndarray:
    """What is left of -M when the channels (and, with inputs, the states) are taken out: on dx, or on du."""
    M = problem.M(t, point)
    keep = slice(problem.nx + problem.K, None) if len(problem.U) else slice(problem.nx)
    rest = slice(problem.nx + problem.K) if len(problem.U) else slice(problem.nx, None)
    S = M[keep, rest] @ np.linalg.solve(M[rest, rest], M[rest, keep]) - M[keep, keep]
    return (S + S.T) / 2


def least_t(problem: Inequality, point: Point) -> float:
    """The least t for which M >= 0 with these P and tau."""
    return float(eigh(schur(problem, 0.0, point), point.P, eigvals_only=True)[-1])


def least_gain(c: Channels, C: np.ndarray, rate: float, start: Point, stages: int = 12) -> Point:
    """P and tau that make g2 small, |C e| <= V(e), for a given rate, which `start` has without du."""
    problem, size = Inequality(c, C.T @ C), float(eigh(C.T @ C, start.P, eigvals_only=True)[-1])
    decay = Inequality(c.without_inputs(), np.zeros_like(start.P))
    start = min(tamed(decay, start), start, key=lambda point: not is_positive(decay, rate**2, point))
    scale = 2 * size if size > 0 else 1.0
    point = Point(scale * start.P, scale * start.tau)
    g2 = 2 * np.linalg.eigvalsh(schur(problem, rate**2, point))[-1] + 1e-12
    point = point._replace(g2=float(g2))
    found = []
    for spread in SPREADS:
        price = problem.degree / point.g2
        for _ in range(stages):
            problem.spread = spread * point.g2 / np.trace(point.P)
            trial = centre(problem, rate**2, point, price)
            if np.linalg.cond(trial.P) > OVERSHOOT**2 or not is_positive(problem, rate**2, trial):
                break
            point = trial
            if problem.degree / price < 0.05 * point.g2:
                break
            price *= 6
        found.append(point)

    def merit(point: Point) -> tuple[bool, float]:
        gain = point.g2 * float(eigh(C.T @ C, point.P, eigvals_only=True)[-1])
        return bool(np.linalg.cond(point.P) > OVERSHOOT**2), gain

    return min(found, key=merit)


def is_positive(problem: Inequality, t: float, point: Point) -> bool:
    """M > 0 as evaluated, by more than rounding can have changed it."""
    M, size = problem.M(t, point), problem.size(t, point)
    d = 1 / np.sqrt(size.diagonal())
    M, size = d[:, None] * M * d, d[:, None] * size * d
    return bool(np.linalg.eigvalsh(M)[0] > ROUNDING * len(M) * np.linalg.norm(size, 2))


def input_gains(c: Channels, rate: float, point: Point) -> np.ndarray:
    """g_i: V(e+)^2 <= rate^2 V(e)^2 + g_i^2 |du_i|^2 if input i alone differs; inf where rounding forbids a proof."""
    n, found = len(c.F) + len(c.p), []
    for i in range(c.F.shape[1] - n):
        columns = [*range(n), n + i]
        problem = Inequality(c._replace(F=c.F[:, columns], p=c.p[:, columns]), point.P)
        g2 = float(schur(problem, rate**2, point)[0, 0])
        wider = [max(g2, 1e-24) * (1 + e) for e in (1e-6, 1e-4, 1e-2, 1.0)]
        proved = [g for g in wider if is_positive(problem, rate**2, point._replace(g2=g))]
        found.append(np.sqrt(proved[0]) if proved else np.inf)
    return np.array(found)
