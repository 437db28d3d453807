"""Weights and levels of a comparison system: of the least rate, of any rate that it has, and what inputs sustain."""

import torch
from torch import Tensor
from torch.autograd.functional import jacobian

from .bounds import Comparison

SHARES = 0.01, 0.1, 0.5
"""Of the way from the spectral radius to one, rates at which weights far apart are sought if moderate ones fail."""
SQUARINGS, PATIENCE = 20, 30
"""2^20 steps of a power iteration at once; steps in a row that may gain less than a ten-millionth of the rate."""


@torch.no_grad()
def perron_weights(system: Comparison, floor: float = 1e-3) -> Tensor:
    """Weights w > 0 that (nearly) minimise max_i T(w)_i / w_i, by damped power iteration from ones; the best seen.

    T is homogeneous: T(w) = J w, J its slope at w, and (I + J)^(2^20) takes a million steps at once, while it pays.

    `floor` keeps decoupled states away from zero weight: the overshoot max w / min w stays below 1 / floor. Where that
    proves nothing, as in a series of blocks whose read-outs are large, `level_weights` may, at any overshoot.
    """
    w, rate = iterated(system, torch.ones(len(system.N), dtype=system.N.dtype), 5, floor)
    for _ in range(2):
        steps = torch.eye(len(w), dtype=w.dtype) + slope(system, w)
        for _ in range(SQUARINGS):
            steps = steps / steps.max()
            steps = steps @ steps
        found, least = iterated(system, (steps @ w).nan_to_num(1.0), 400, floor)
        pays = least < (1 - 1e-4) * rate
        w, rate = (found, least) if least < rate else (w, rate)
        if not pays:
            break
    if rate < 1:
        return w
    radius = float(torch.linalg.eigvals(slope(system, w)).abs().max())  # where it is one or more, no weights will do
    spread = [level_weights(system, radius + share * (1 - radius)) for share in SHARES if radius < 1]
    return min([w, *spread], key=lambda w: float((system.T(w) / w).max().nan_to_num(torch.inf)))


def slope(system: Comparison, w: Tensor) -> Tensor:
    """J with T(w) = J w; infinities and NaN, which prove nothing, count as a large number."""
    with torch.enable_grad():
        return jacobian(system.T, w).nan_to_num(1e6, 1e6, 1e6)


def iterated(system: Comparison, w: Tensor, steps: int, floor: float) -> tuple[Tensor, float]:
    """The best of some steps w <- (w + T(w)) / 2, at most one and at least `floor`, and its rate."""
    best, least, idle = torch.ones_like(w), torch.inf, 0
    for _ in range(steps):
        w = (w / w.max()).clamp(min=floor)
        image = system.T(w)
        rate = float((image / w).max())
        idle = 0 if rate < (1 - 1e-7) * least else idle + 1
        if rate < least:
            best, least = w, rate
        if idle > PATIENCE:
            break
        w = (w + image) / 2
    return best, least


@torch.no_grad()
def level_weights(system: Comparison, level: float, rounds: int = 30) -> Tensor:
    """w > 0 with T(w) <= level w, wherever T has such weights, however far apart; maximum one.

    The iteration w <- 1 + T(w) / level from ones rises, and to a limit with T(w) = level (w - 1) if a w' > 0 and a
    level' < level have T(w') <= level' w' (docs/theory.md, Theorem 1 (c)); policy iteration gets there at once.
    """
    eye, one = torch.eye(len(system.N), dtype=system.N.dtype), torch.ones(len(system.N), dtype=system.N.dtype)
    w = one
    for _ in range(rounds):
        limit = torch.linalg.solve_ex(eye - slope(system, w) / level, one).result
        if not ((limit > 0) & (limit < 1e200)).all() or (limit - w <= 1e-12 * w).all():
            break
        w = limit
    return (w / w.max()).clamp(min=1e-150)


@torch.no_grad()
def steady_gain(system: Comparison, w: Tensor, iterations: int = 30) -> Tensor:
    """S (nx, nu) with limsup |dx_i| <= sum_j S_ij max |du_j|; column j satisfies T(s) + N_j <= s (inf if T expands).

    A last column is that of the constant, if there is one. w (nx,): weights with T(w) < w.

    T is a maximum of linear maps, so policy iteration finds the fixed point from below; then s + w max_i((T(s) + N_j -
    s)_i / w_i) / (1 - rate) is above it, whatever s >= 0 the iteration ended with (docs/theory.md, Theorem 2).
    """
    rate = (system.T(w) / w).max()
    driven = system.N if system.constant is None else torch.cat([system.N, system.constant[:, None]], 1)
    if not rate < 1:
        return torch.full_like(driven, torch.inf)
    eye, columns = torch.eye(len(w), dtype=w.dtype), []
    for d in driven.T:
        s = torch.zeros_like(d)
        for _ in range(iterations):
            s, last = torch.linalg.solve_ex(eye - slope(system, s), d).result.nan_to_num(0.0, 0.0, 0.0).clamp(min=0), s
            if (s - last).abs().max() <= 1e-12 * s.max():
                break
        excess = system.T(s) + d - s + 1e-13 * s  # and the rounding of the sums
        columns.append(s + w * (excess / w).max().clamp(min=0) / (1 - rate))
    return torch.stack(columns, 1)
