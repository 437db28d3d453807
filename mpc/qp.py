"""Dense quadratic program of the moves, by a dual active set whose rows may give way."""

from typing import Any, NamedTuple

import numpy as np
from scipy.linalg import get_lapack_funcs

# Rows give way by this much of a change of their multiplier: dependent rows then need no special case.
EPS = 1e-11
FEASIBLE = 1e-11
TRTRS: Any = get_lapack_funcs("trtrs", dtype=np.float64)


class Row(NamedTuple):
    """A row at work: its index, +1 at the upper and -1 at the lower bound, whether it gives way, its multiplier."""

    index: int
    side: int
    yields: bool
    nu: float


def solve_qp(
    L: np.ndarray,
    g: np.ndarray,
    A: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    c: np.ndarray,
    start: list[Row],
) -> tuple[np.ndarray, list[Row]] | None:
    """min 1/2 |L'd|^2 + g'd + sum c (s + s^2),  low - s <= A d <= high + s,  s = 0 in rows whose c is infinite.

    The others are soft. In multipliers nu >= 0 a row at work is the equation a'd = b; a soft one is that while nu < c
    and beyond it gives way, a'd = b + (nu - c) / (2 c). Every turn solves the equations at work and moves the
    multipliers towards the result until the first leaves its range. Any rows with nu = 0 are a start.

    Returns d and the rows at work at the solution; None if it takes too long. L: Cholesky factor of the Hessian.

    Reference: Goldfarb and Idnani (1983), Math. Prog. 27; Arnstroem, Bemporad, Axehill (2022), IEEE TAC 67.
    """
    v = _forward(L, g)
    work = [r._replace(yields=False, nu=0.0) for r in start]
    again = False
    for _ in range(50 + 10 * len(g)):
        M, b = _equations(work, A, low, high, L, v)
        work, blocked = _advance(work, M, b, c)
        if blocked:
            continue
        nu = np.array([r.nu for r in work])
        d = _backward(L, -v - nu @ M)
        found = _worst(A @ d, low, high, {r.index for r in work})
        if found is None and (again or not work):
            return d, work
        again = found is None  # once more from where nu is: what rows give way by vanishes
        work = work if found is None else [*work, Row(*found, False, 0.0)]
    return None


def _equations(
    work: list[Row], A: np.ndarray, low: np.ndarray, high: np.ndarray, L: np.ndarray, v: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    index, side = np.array([r.index for r in work], int), np.array([r.side for r in work], float)
    M = _forward(L, (side[:, None] * A[index]).T).T if work else np.zeros((0, len(v)))
    return M, np.where(side > 0, high[index], -low[index]) + M @ v


def _advance(work: list[Row], M: np.ndarray, b: np.ndarray, price: np.ndarray) -> tuple[list[Row], bool]:
    """Multipliers as far towards the solution of the equations as their ranges allow."""
    if not work:
        return work, False
    G, yields = M @ M.T, np.array([r.yields for r in work])
    nu, c = np.array([r.nu for r in work]), price[[r.index for r in work]]
    give = EPS * (1 + np.diag(G))
    to = np.linalg.solve(G + np.diag(np.where(yields, 0.5 / c, give)), -b + np.where(yields, 0.5, give * nu))
    end = np.clip(to, np.where(yields, c, 0.0), np.where(yields, np.inf, c))
    with np.errstate(divide="ignore", invalid="ignore"):
        part = np.where(end == to, 1.0, (end - nu) / (to - nu))
    who = int(np.argmin(part))
    nu = nu + min(part[who], 1.0) * (to - nu)
    moved = [r._replace(nu=float(n)) for r, n in zip(work, nu, strict=True)]
    if end[who] == to[who]:
        return moved, False
    if yields[who] or to[who] > end[who]:
        moved[who] = work[who]._replace(yields=not yields[who], nu=float(c[who]))
    else:
        del moved[who]
    return moved, True


def _worst(a: np.ndarray, low: np.ndarray, high: np.ndarray, at_work: set[int]) -> tuple[int, int] | None:
    """Row that is broken most, and on which side."""
    over, under = a - high, low - a
    over[list(at_work)], under[list(at_work)] = -np.inf, -np.inf
    side = 1 if over.max() >= under.max() else -1
    broken = over if side > 0 else under
    return (int(np.argmax(broken)), side) if broken.max() > FEASIBLE else None


def _forward(L: np.ndarray, b: np.ndarray) -> np.ndarray:
    """L^-1 b; LAPACK's own, because SciPy's checks of such small matrices take several times as long."""
    return TRTRS(L, b, lower=1)[0]


def _backward(L: np.ndarray, b: np.ndarray) -> np.ndarray:
    """L'^-1 b."""
    return TRTRS(L, b, lower=1, trans=1)[0]
