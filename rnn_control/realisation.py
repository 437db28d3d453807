"""Coordinates of a linear model for a cell that is to imitate it, with a certificate or without."""

from collections.abc import Sequence

import numpy as np
from numpy.linalg import eig, inv, lstsq, norm, pinv, solve
from scipy.linalg import block_diag, cdf2rdf, schur

from .refine import initial_state
from .subspace import StateSpace

LEAST = 0.01
"""Share of a state that a gate keeps at least: nearer to zero it hardly moves when it is trained."""


def triangular(system: StateSpace, states: int) -> StateSpace:
    """Real Schur form of the balanced realisation, cut to that many states: well conditioned."""
    s = system.balanced(states)
    A, Z = (np.asarray(M) for M in schur(s.A, output="real")[:2])
    return StateSpace(A, Z.T @ s.B, s.C @ Z, s.b)


def modal(system: StateSpace) -> tuple[StateSpace, list[slice]]:
    """Block-diagonal A, an entry a for a real mode, [[a, b], [-b, a]] for a pair; and the rows of every mode."""
    A, V = cdf2rdf(*eig(system.A))
    pairs, modes, k = np.abs(np.diag(A, 1)) > 0, [], 0
    while k < len(A):
        modes.append(slice(k, k + 1 + (k < len(A) - 1 and bool(pairs[k]))))
        k = modes[-1].stop
    return StateSpace(A, solve(V, system.B), system.C @ V, system.b), modes


def no_slower(system: StateSpace, rate: float) -> StateSpace:
    """Every mode that decays more slowly than rate^k made as fast as that; coordinates and the other modes stay."""
    if system.radius() <= rate:
        return system
    values, V = eig(system.A)
    return system._replace(A=(V * (values * np.minimum(1, rate / np.maximum(abs(values), 1e-9))) @ inv(V)).real)


def decoupled(system: StateSpace, states: int, rate: float) -> StateSpace:
    """A realisation with sums of |A| of at most `rate` in each row: what a comparison system proves at no price.

    The modes of the balanced realisation, a pair in as many states as its damping asks for, as long as there are
    `states`: see `polygon`. A mode that is too slow, or swings too much for the states that are left, is made faster.
    """
    s, modes = modal(system.balanced(states))
    spare, parts = states - len(s.A), []
    for m in sorted(modes, key=lambda m: -norm(s.A[m, m], 2)):
        A, H = s.A[m, m], np.eye(len(s.A[m, m]))
        if len(A) == 2:
            tried = [polygon(float(A[0, 0]), float(A[0, 1]), k) for k in range(2, 3 + spare)]
            A, H = max(tried, key=lambda p: (_allowed(p[0], rate), -len(p[0])))
            spare -= len(A) - 2
        parts.append((A * _allowed(A, rate), H @ s.B[m], s.C[:, m] @ pinv(H)))
    A, B, C = zip(*parts, strict=True)
    return StateSpace(np.asarray(block_diag(*A)), np.vstack(B), np.hstack(C), s.b)


def polygon(a: float, b: float, m: int) -> tuple[np.ndarray, np.ndarray]:
    """M (m, m), H (m, 2) with M H = H [[a, b], [-b, a]], H x the distances of x along m directions over half a circle.

    a + ib = r exp(i theta) turns each direction between two neighbours, f = pi / m apart, into which it is split: all
    row sums of |M| are r cos(d - f/2) / cos(f/2), d = theta mod f. Below one for a slow pair of damping ratio zeta if
    zeta > sin(f/2): 0.71, 0.5, 0.38 for m = 2, 3, 4.
    """
    f, k = np.pi / m, np.arange(m)
    place, rest = np.divmod(k * f + np.arctan2(b, a), f)
    M = np.zeros((m, m))
    for j, weight in ((place, np.sin(f - rest)), (place + 1, np.sin(rest))):
        turns, column = np.divmod(j.astype(int), m)
        M[k, column] += np.hypot(a, b) * (-1.0) ** turns * weight / np.sin(f)
    return M, np.stack([np.cos(k * f), np.sin(k * f)], 1)


def _allowed(A: np.ndarray, rate: float) -> float:
    """Largest factor of A, up to one, that leaves row sums of at most `rate`, of |A| and of LEAST + |A - LEAST|."""
    sums = abs(A).sum(1)
    return min(
        1.0,
        *rate / np.maximum(sums, 1e-9),
        *(rate - 2 * LEAST) / np.maximum(sums - 2 * np.maximum(A.diagonal(), 0), 1e-9),
    )


def read_again(system: StateSpace, us: Sequence, ys: Sequence, ws: Sequence, rounds: int = 5) -> StateSpace:
    """C and b by weighted least squares of the outputs on the states, in turns with the records' initial states."""
    Y, W = np.concatenate(ys), np.concatenate(ws) ** 0.5
    for _ in range(rounds):
        seen = (np.where(w > 0, y, np.nan) for y, w in zip(ys, ws, strict=True))
        X = np.concatenate([system.states(initial_state(system, u, y), u) for u, y in zip(us, seen, strict=True)])
        Phi = np.hstack([X, np.ones((len(X), 1))])
        rows = [lstsq(w[:, None] * Phi, w * y, 1e-10)[0] for w, y in zip(W.T, Y.T, strict=True)]
        system = system._replace(C=np.array(rows)[:, :-1], b=np.array(rows)[:, -1])
    return system
