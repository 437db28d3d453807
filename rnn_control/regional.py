"""The comparison system of any cell on a box of states: its channels, row by row (docs/theory.md, Theorem 25)."""

import numpy as np
import torch
from torch import Tensor

from .bounds import ROUNDING, Bound, Comparison, weighted_bound
from .boxes import INVARIANT
from .channels import Channels
from .lmi import bounded_channels
from .model import Model, Params
from .perron import perron_weights


@torch.no_grad()
@np.errstate(all="ignore")  # numbers too large prove nothing
def sharpest_bound(model: Model, p: Params, u_max: Tensor, region: Tensor | None, is_iss: bool = False) -> Bound:
    """The weighted condition of the better rate, of two trajectories or (ISS) of one: the class's or the channels'.

    region: an invariant box of states (nx,); None: the box of the class's own system, all states if it needs none. One
    that only the class proves invariant is not taken: channels know nothing of that proof, nor does the checker.
    """
    own = model.comparison(p, u_max)
    own = own.of_one(model, p) if is_iss else own
    box = own.state_box if region is None else region
    c, sums = (bounded_channels(model, p, u_max, box, sign, is_iss) for sign in (np.positive, np.abs))
    systems, is_invariant = [own], box is None or (c is not None and (c.image <= INVARIANT * box.numpy()).all())
    if is_invariant and c is not None and sums is not None and len(sums.p) == len(c.p):
        found = of_channels(c, sums, box, torch.ones(model.nx, dtype=torch.float64), is_iss)
        systems.append(of_channels(c, sums, box, perron_weights(found), is_iss))
    bounds = [weighted_bound(system, perron_weights(system)) for system in systems]
    return min(bounds, key=lambda bound: float(bound.rate.nan_to_num(torch.inf)))


def of_channels(c: Channels, sums: Channels, box: Tensor | None, w: Tensor, is_iss: bool = False) -> Comparison:
    """|dx+| <= max(L |dx|, H |dx|) + N |du|, for pairs of trajectories in the box on which c was traced; for one, ISS.

    In c centred, q_k = theta_k p_k with |theta_k| <= 1, each |q_k| is at most |p_k|. In each row of dx+ one channel is
    put at the two ends of its theta instead, and L and H are what they give: the one for which the row is least at w.
    Where an operation gives a row several channels none of them is: the checker does not try that either. The share of
    `sums`, see `trace`, that rounding may have taken is added.
    """
    lost, c, at_w = ROUNDING * eliminated(sums)[1], c.centred(), w.numpy()
    n, K = len(c.F), len(c.p)
    inner = slice(n, n + K)
    most, _ = eliminated(c)

    def sizes(rows: np.ndarray) -> np.ndarray:
        return np.delete(abs(rows), inner, 1) + abs(rows[:, inner]) @ most

    def level(low: np.ndarray, high: np.ndarray) -> np.ndarray:
        return np.maximum(low[:, :n] @ at_w, high[:, :n] @ at_w)

    low, high = sizes(c.F), sizes(c.F)
    for k in range(K):
        if ((c.F[:, inner][:, c.group == c.group[k]] != 0).sum(1) > 1).any():
            continue
        rows = np.flatnonzero(c.F[:, n + k])
        rest, swing = c.F[rows], c.F[rows, n + k, None] * c.p[k]
        rest[:, n + k] = 0
        ends = sizes(rest - swing), sizes(rest + swing)
        is_less = level(*ends) < level(low[rows], high[rows])
        low[rows[is_less]], high[rows[is_less]] = (end[is_less] for end in ends)
    low, high = low + lost, high + lost
    L, H, N = (torch.from_numpy(a.copy()) for a in (low[:, :n], high[:, :n], np.maximum(low, high)[:, n:]))
    N, constant = (N[:, :-1], N[:, -1]) if is_iss else (N, None)
    return Comparison(lambda v: torch.maximum(L @ v, H @ v), N, box, constant)


def eliminated(c: Channels) -> tuple[np.ndarray, np.ndarray]:
    """Bounds of |q| (K, nx + nu) and |dx+| (nx, nx + nu) over (|dx|; |du|)."""
    n, K = len(c.F), len(c.p)
    inner, steepest = slice(n, n + K), np.maximum(abs(c.lo), abs(c.hi))
    most = np.zeros((K, c.F.shape[1] - K))
    for k, row in enumerate(abs(c.p)):
        most[k] = steepest[k] * (np.delete(row, inner) + row[inner] @ most)
    return most, np.delete(abs(c.F), inner, 1) + abs(c.F[:, inner]) @ most
