"""The small gain of coupled systems, each with a bound of its own (docs/theory.md, Theorem 14)."""

import torch
from torch import Tensor

from .bounds import ROUNDING, Bound


def small_gain(bounds: list[Bound], K: Tensor, a: Tensor, r: Tensor, box: Tensor | None) -> Bound:
    """V_i+ <= rate_i V_i + drive_i |u_i|, |u_i| <= a_i |u| + sum_j K_ij V_j + r_i, joined in max_i V_i / w_i.

    K (blocks, blocks), a and r (blocks,); box: that of the joint state (nx,), if one of the bounds needs its own.
    """
    rate, drive = torch.stack([b.rate for b in bounds]), torch.stack([b.drive for b in bounds])
    A, B = torch.diag(rate) + drive[:, None] * K, drive * a
    w = weights(A, B)
    rows = A @ w / w
    room = 1 + ROUNDING / (1 - rate)  # in levels, for what rounds
    gains = [torch.minimum(b.gain(), b.drive / (1 - b.rate)) * more for b, more in zip(bounds, room, strict=True)]
    own = torch.stack([g.max() for g in gains])
    rest = own * r + torch.stack([torch.as_tensor(b.offset, dtype=r.dtype).max() for b in bounds])
    loop = torch.eye(len(w), dtype=w.dtype) - own[:, None] * K
    levels = torch.linalg.solve_ex(loop, torch.stack([own * a, rest], 1)).result
    reach = (K @ levels + torch.stack([a, r], 1)) / w[:, None]  # what inputs, and biases, put into each block
    sharp = torch.cat([g * v for g, v in zip(gains, reach[:, 0], strict=True)])
    offset = torch.cat([b.offset / wi + g * v for b, g, v, wi in zip(bounds, gains, reach[:, 1], w, strict=True)])
    # a quadratic norm does not fit into a maximum of blocks: nothing is proved here (the weighted condition may)
    nothing = torch.nan if any(b.metric is not None for b in bounds) else 0.0
    residual = torch.cat([*(b.residual.flatten() for b in bounds), rows - 1]) + nothing
    scale = torch.cat([wi * b.scale for wi, b in zip(w, bounds, strict=True)])
    blocks = tuple(block for b in bounds for block in b.blocks)
    order = 2.0 if any(b.input_ord == 2 for b, reads in zip(bounds, a, strict=True) if reads) else torch.inf
    return Bound(residual, rows.max(), scale, blocks, (B / w).max(), order, box, offset, sharp, rows)


def spectral_radius(A: Tensor) -> Tensor:
    """Of A >= 0; its derivative is y x' / y'x, x and y the right and the left eigenvector."""
    with torch.no_grad():
        pairs = torch.linalg.eig(A), torch.linalg.eig(A.T)
        x, y = (vectors[:, values.abs().argmax()].real for values, vectors in pairs)
    return pairs[0][0].abs().max() + y @ (A - A.detach()) @ x / (y @ x)


def weights(A: Tensor, B: Tensor) -> Tensor:
    """w > 0 with A w <= level w, the level a tenth of the way from the spectral radius of A >= 0 to one."""
    A, B = (M.nan_to_num(nan=1e6, posinf=1e6) for M in (A, B))
    radius = spectral_radius(A)
    level = radius + 0.1 * (1 - radius).abs() + 1e-9
    w = torch.linalg.solve_ex(level * torch.eye(len(A), dtype=A.dtype) - A, B + 1e-6 * B.max() + 1e-12).result
    return (w / w.max()).clamp(min=1e-150)  # read-outs may be of any size
