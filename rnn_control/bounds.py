"""What stability conditions are made of: norms, gate ranges, comparison systems, and the bound they promise."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

ROUNDING = 1e-13
"""Of sums, relative: what a gate sees may lie where a large bias all but cancels it."""


class Bound(NamedTuple):
    """What one stability condition promises for a pair of trajectories; tensors, differentiable in the parameters.

    With V(e) = max over blocks b of || e_b / scale_b ||_ord(b):

        V(e(k)) <= rate^k V(e(0)) + max gain() max |du| (+ offset, for ISS only, where e = x and du = u)

    and it holds iff every entry of `residual` is negative. For deltaISS also V(e(k+1)) <= rate V(e(k)) + drive |du(k)|,
    step by step; for ISS the same of the part of V above gain |u| + offset (docs/theory.md, section 2). `state_box` is
    the set |x_i| <= state_box_i in which both trajectories must start (None: anywhere); |u_i| <= u_max_i is assumed
    throughout. `blocks` lists (size, ord), `input_ord` is the norm of du, `sharp_gain` a steady gain per block better
    than drive / (1 - rate), if known, `row_rates` the rates whose maximum is `rate`, if there are several.

    With a `metric` P, V(e) = sqrt(e' P e) instead: one block of order 2 and scale one. `multipliers` belong to the
    matrix inequality behind it, and `input_gains` are steady gains of V input by input, which add up: each is that of
    V(e+)^2 <= r^2 V(e)^2 + g^2 |du_i|^2 for an r of its own, in `gain_rates`. `system`: the comparison system of a
    weighted condition.
    """

    residual: Tensor
    rate: Tensor
    scale: Tensor
    blocks: tuple[tuple[int, float], ...]
    drive: Tensor
    input_ord: float
    state_box: Tensor | None = None
    offset: Tensor | float = 0.0
    sharp_gain: Tensor | None = None
    row_rates: Tensor | None = None
    metric: Tensor | None = None
    multipliers: Tensor | None = None
    input_gains: Tensor | None = None
    gain_rates: Tensor | None = None
    system: "Comparison | None" = None

    def excess(self, margin: float | Tensor) -> Tensor:
        """By how much the condition, and a rate of 1 - margin, are missed; all <= 0 if they are not.

        Row by row where the rate is a maximum over rows: smoother for an optimiser than the maximum.
        """
        rates = self.rate[None] if self.row_rates is None else self.row_rates
        return torch.cat([self.residual.flatten(), rates - 1 + margin])

    def gain(self) -> Tensor:
        """limsup ||e_b / scale_b|| / max |du| per block."""
        if self.sharp_gain is not None:
            return self.sharp_gain
        return (self.drive / (1 - self.rate)).expand(len(self.blocks))

    def seen_through(self, C: Tensor) -> Tensor:
        """Largest |C e| per row and block where that block of V (or V itself) is at most 1: the dual norms."""
        if self.metric is not None:
            return (C @ torch.linalg.solve(self.metric, C.T)).diagonal().clamp(min=0).sqrt()[:, None]
        weighted, parts, start = C.abs() * self.scale, [], 0
        for size, order in self.blocks:
            part = weighted[:, start : start + size]
            parts.append(part.sum(1) if order == torch.inf else torch.linalg.vector_norm(part, dim=1))
            start += size
        return torch.stack(parts, 1)


class Comparison(NamedTuple):
    """A system that dominates the difference of two trajectories: |dx+| <= T(|dx|) + N |du|, elementwise.

    T is monotone and positively homogeneous on the non-negative orthant (nx,), N is (nx, nu) and non-negative. With a
    `constant` (nx,) it dominates every trajectory itself: |x+| <= T(|x|) + N |u| + constant, for ISS.
    """

    T: Callable[[Tensor], Tensor]
    N: Tensor
    state_box: Tensor | None = None
    constant: Tensor | None = None

    def of_one(self, model, p) -> "Comparison":
        """The system of a trajectory: it is compared with x = 0, u = 0, which f leaves by f(0, 0) (Theorem 26)."""
        u, x = (self.N.new_zeros(n, 1) for n in (model.nu, model.nx))
        return self._replace(constant=model.f(p, x, u).flatten().abs())


class Seen(NamedTuple):
    """What a cell, alone or in a network of n states, sees of it: its own states, its input M dx, the outputs C dx."""

    own: slice
    M: Tensor
    C: Tensor

    def gate(self, W: Tensor, U: Tensor) -> Tensor:
        """G with W M dx + U dh = G dx, h the last of the cell's own states."""
        stop, n = self.own.stop, self.M.shape[1]
        return torch.nn.functional.pad(U, (stop - U.shape[1], n - stop)) + W @ self.M


def inf_norm(M: Tensor) -> Tensor:
    """Induced infinity norm: the largest row sum of |M| (not the largest entry)."""
    return M.abs().sum(1).max()


def two_norm(M: Tensor) -> Tensor:
    """Largest singular value; NaN, which proves nothing, if an entry is not finite.

    |M v|, v its right singular vector: of what v misses only the square is missed, and u v' is the gradient.
    """
    M = M if len(M) >= M.shape[1] else M.T
    image = M @ leading(M.detach())
    u = image.detach() / image.detach().abs().max().clamp(min=1e-300)  # its squares neither overflow nor vanish
    return (u / (u * u).sum().sqrt().clamp(min=0.5) * image).sum()


@torch.library.custom_op("rnn_control::leading", mutates_args=())
def leading(M: Tensor) -> Tensor:
    """Right singular vector (.., n) of the largest singular value of M (.., m, n); infinities and NaN count zero."""
    finite = torch.nan_to_num(M, nan=0.0, posinf=0.0, neginf=0.0)
    return torch.linalg.svd(finite, full_matrices=False).Vh[..., 0, :].clone()


@leading.register_vmap
def _(_, dims, M):
    return leading(M.movedim(dims[0], 0)), 0


def reach(W: Tensor, U: Tensor, u_max: Tensor, x_max: Tensor) -> Tensor:
    """Largest |W u + U x| per row for |u| <= u_max and |x| <= x_max, and what rounding may have taken from it."""
    return (W.abs() @ u_max + U.abs() @ x_max) * (1 + ROUNDING)


def gate_range(b: Tensor, radius: Tensor) -> tuple[Tensor, Tensor]:
    """Smallest and largest sigmoid(b + a) for |a| <= radius, row by row."""
    b = b.flatten()
    return torch.sigmoid(b - radius), torch.sigmoid(b + radius)


def sigmoid_slope(b: Tensor, radius: Tensor) -> Tensor:
    """Largest slope of the sigmoid on [b - radius, b + radius]: 1/4 if 0 is inside, else at the end nearest 0."""
    nearest = (b.flatten().abs() - radius).clamp(min=0.0)
    return torch.sigmoid(nearest) * torch.sigmoid(-nearest)  # 1 - sigmoid would round to zero


def sloped(L: Tensor, slope: Tensor) -> Tensor:
    """Slopes of sigmoids, 1/4 in the rows where something unbounded is added by L."""
    return torch.where(L.any(1), 0.25, slope)


def tanh_slope(b: Tensor, radius: Tensor) -> Tensor:
    """Largest slope of tanh on [b - radius, b + radius]; tanh(a) = 2 sigmoid(2a) - 1."""
    return 4 * sigmoid_slope(2 * b, 2 * radius)


def weighted_bound(system: Comparison, w: Tensor) -> Bound:
    """The certificate in the norm max_i |e_i| / w_i: T(w) <= rate w gives V(e+) <= rate V(e) + max (N 1)_i / w_i |du|.

    Proof: |e| <= V w, so T(|e|) <= T(V w) = V T(w) <= rate V w. Any w > 0 is valid (docs/theory.md, Theorem 1).
    """
    rows = system.T(w) / w
    rate = rows.max()
    drive = (system.N.sum(1) / w).max()
    offset = 0.0 if system.constant is None else (system.constant / w).max() / (1 - rate)
    blocks = ((1, torch.inf),) * len(w)
    return Bound(rows - 1, rate, w, blocks, drive, torch.inf, system.state_box, offset, row_rates=rows, system=system)
