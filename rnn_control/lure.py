"""Systems with a static nonlinearity of slope 0 .. 1 in their loop: contraction in a quadratic norm and elementwise."""

from typing import NamedTuple

import torch
from torch import Tensor

from .bounds import Bound, Comparison

ROUNDING = 1e-15
"""Error of an eigenvalue in the norm of P, per state and per unit of P's condition number."""

ROOM = 1e-3
"""Least eigenvalue of H over the mean one, nearly: keeps every matrix that is divided by well conditioned."""


class Lure(NamedTuple):
    """dx+ = A dx + B1 dw + B2 du,  dv = C1 dx + D11 dw + D12 du,  0 <= dw_i / dv_i <= 1,  D11 strictly triangular.

    The difference of two trajectories of x+ = A x + B1 w + B2 u + b_x, v = C1 x + D11 w + D12 u + b_v, w = phi(v).
    """

    A: Tensor
    B1: Tensor
    B2: Tensor
    C1: Tensor
    D11: Tensor
    D12: Tensor

    def scaled(self, R: Tensor, h: Tensor) -> "Lure":
        """The same system for R x and h o w, o v; R upper triangular."""
        right = lambda M: torch.linalg.solve_triangular(R, M, upper=True, left=False)  # noqa: E731
        A, B1, B2, C1, D11, D12 = self
        column = h[:, None]
        return Lure(right(R @ A), R @ B1 / h, R @ B2, right(column * C1), column * D11 / h, column * D12)


def checked(system: Lure, P: Tensor, lam: Tensor) -> tuple[Tensor, Lure, Tensor, Tensor]:
    """Whether all is finite, P and lam positive; and the same matrices, or harmless ones in their place."""
    finite = torch.stack([torch.isfinite(M).all() for M in (*system, P, lam)]).all() & (lam > 0).all()
    E, P = torch.eye(len(P), dtype=P.dtype), (P + P.T) / 2
    P = torch.where(finite, P, E)
    is_sound = finite & (torch.linalg.eigvalsh(P.detach())[0] > 0) & (torch.linalg.cholesky_ex(P.detach()).info == 0)
    system = Lure(*(torch.where(is_sound, M, 0.0) for M in system))
    return is_sound, system, torch.where(is_sound, P, E), torch.where(is_sound, lam, 1.0)


def quadratic_bound(system: Lure, P: Tensor, lam: Tensor) -> Bound:
    """What P > 0 and the diagonal lam > 0 prove in V = sqrt(dx' P dx): the least rate, a drive, a gain (Theorem 13).

    In coordinates where P = I and lam = 1: rate^2 is the largest eigenvalue of A'A + G S^(-1) G' with G = A'B1 + C1',
    S = W - B1'B1, W = 2 I - D11 - D11'; the residual asks for S > 0 and a rate below one. Rounding, which grows with
    the condition of P, is added to the rate. NaN if P or lam are not positive.
    """
    n = len(system.A)
    is_sound, system, P, lam = checked(system, P, lam.flatten())
    values = torch.linalg.eigvalsh(P.detach())
    P, lam = P / values[0], lam / values[0]  # V is at least the 2-norm
    white = system.scaled(torch.linalg.cholesky_ex(P).L.T, lam.sqrt())
    A, B1, B2, C1, D11, D12 = white
    W = 2 * torch.eye(len(lam), dtype=P.dtype) - D11 - D11.T
    S, G = W - B1.T @ B1, A.T @ B1 + C1.T
    loop = A.T @ A + G @ torch.linalg.solve_ex(S, G.T).result
    rounding = ROUNDING * n * values[-1] / values[0] + torch.where(is_sound, 0.0, torch.nan)
    rate = (torch.linalg.eigvalsh((loop + loop.T) / 2)[-1].clamp(min=0) + rounding).sqrt()
    straight = torch.linalg.solve_ex(W, D12).result
    ball = torch.linalg.solve_triangular(torch.linalg.cholesky_ex(W).L, torch.cat([B1.T, D12], 1), upper=False)
    two = torch.linalg.matrix_norm
    drive = two(B2 + B1 @ straight, 2) + two(ball[:, :n], 2) * two(ball[:, n:], 2)
    level, gains, rates = steady_levels(white, rate)
    sharp = torch.minimum(level, drive / (1 - rate))
    residual = torch.stack([rate - 1, -torch.linalg.eigvalsh(S)[0]])
    scale = torch.ones(n, dtype=P.dtype)
    return Bound(
        residual, rate, scale, ((n, 2.0),), drive, 2.0, sharp_gain=sharp[None], metric=P, multipliers=lam,
        input_gains=gains, gain_rates=rates,
    )  # fmt: skip


@torch.no_grad()
def steady_levels(white: Lure, rate: Tensor, points: int = 12) -> tuple[Tensor, Tensor, Tensor]:
    """The least gains with V+^2 <= r^2 V^2 + (1 - r^2) gain^2 |du|^2 for several r between rate and one.

    Of |du|_2; of each input alone (nu,), a part in 10^6 larger so that they can be proved; and the r of the latter.
    """
    A, B1, B2, C1, D11, D12 = white
    n, slack = len(A), (1 - rate**2).clamp(min=1e-12) * torch.linspace(0.02, 0.98, points, dtype=A.dtype)
    M, c = torch.cat([A, B1], 1), torch.cat([A.T @ B2, B1.T @ B2 + D12])
    form = square([[torch.eye(n, dtype=A.dtype), -C1.T], [-C1, 2 * torch.eye(len(D11), dtype=A.dtype) - D11 - D11.T]])
    on_x = torch.cat([torch.ones(n, dtype=A.dtype), torch.zeros(len(D11), dtype=A.dtype)])
    K = form - M.T @ M - slack[:, None, None] * torch.diag(on_x)
    level = B2.T @ B2 + c.T @ torch.linalg.solve_ex(K, c.expand(points, -1, -1)).result
    largest = torch.linalg.eigvalsh((level + level.transpose(1, 2)) / 2)[:, -1:]
    found = torch.cat([largest, level.diagonal(dim1=1, dim2=2)], 1)
    least, at = (torch.where(found >= 0, found, torch.inf) / slack[:, None]).min(0)
    return least[0].sqrt(), least[1:].sqrt() * (1 + 1e-6), (1 - slack[at[1:]]).sqrt()


def energy_residual(system: Lure, C: Tensor, P: Tensor, lam: Tensor, gamma: float) -> Tensor:
    """Negative if P and lam prove sum |C dx|^2 <= gamma^2 sum |du|^2 from equal initial states (Theorem 13 (c)).

    Minus the least eigenvalue of V^2 - V+^2 + gamma |du|^2 - |C dx|^2 / gamma + 2 dw' lam (dw - dv), a quadratic form
    in (dx, dw, sqrt(gamma) du), in coordinates where P = I and lam = 1. NaN if P or lam are not positive.
    """
    is_sound, system, P, lam = checked(system, P, lam.flatten())
    R = torch.linalg.cholesky_ex(P).L.T
    A, B1, B2, C1, D11, D12 = system.scaled(R, lam.sqrt())
    C = torch.linalg.solve_triangular(R, torch.where(is_sound, C, 0.0), upper=True, left=False) / gamma**0.5
    B2, D12 = B2 / gamma**0.5, D12 / gamma**0.5
    E, W, none = torch.eye(len(A), dtype=A.dtype), 2 * torch.eye(len(D11), dtype=A.dtype) - D11 - D11.T, 0 * B2
    supply = square(
        [[E - C.T @ C, -C1.T, none], [-C1, W, -D12], [none.T, -D12.T, torch.eye(B2.shape[1], dtype=A.dtype)]]
    )
    step = torch.cat([A, B1, B2], 1)
    return -torch.linalg.eigvalsh(supply - step.T @ step)[0] + torch.where(is_sound, 0.0, torch.nan)


def square(blocks: list[list[Tensor]]) -> Tensor:
    """A matrix from its blocks, row by row."""
    return torch.cat([torch.cat(row, 1) for row in blocks])


def elementwise(system: Lure) -> Comparison:
    """|dx+| <= T |dx| + N |du|: the nonlinearity as its mean slope 1/2 and a rest of at most |dv| / 2 (Theorem 13).

    T = |A + B1 K C1 / 2| + |B1 K| (I - |K D11| / 2)^(-1) |K C1| / 2 with K = (I - D11 / 2)^(-1); N likewise.
    """
    A, B1, B2, C1, D11, D12 = system
    E = torch.eye(len(D11), dtype=A.dtype)
    lower = lambda M, B: torch.linalg.solve_triangular(M, B, upper=False, unitriangular=True)  # noqa: E731
    KC, KD = lower(E - D11 / 2, torch.cat([C1, D12], 1)), lower(E - D11 / 2, D11)
    rest = (B1 @ lower(E - D11 / 2, E)).abs() @ lower(E - KD.abs() / 2, KC.abs()) / 2
    total = (torch.cat([A, B2], 1) + B1 @ KC / 2).abs() + rest
    T, N = total[:, : len(A)], total[:, len(A) :]
    return Comparison(lambda v: T @ v, N)


def positive(Z: Tensor) -> Tensor:
    """H = Z'Z + ROOM (1 + |Z|^2 / m) I, m columns: positive definite, and well conditioned whatever Z."""
    m = Z.shape[1]
    half = Z.detach().T @ Z  # d(Z'Z) is this one's and its transpose: one product for the gradient instead of two
    H = half + half.T - half.detach()
    return H + (ROOM * (1 + H.trace() / m)).expand(m).diag()


def symmetric(entries: Tensor, m: int) -> Tensor:
    """The matrix (m, m) of the entries of its upper triangle, row by row; a matrix is itself."""
    if entries.dim() == 2:
        return entries
    rows, columns = torch.triu_indices(m, m)
    upper = entries.new_zeros(m, m).index_put((rows, columns), entries)
    return upper + upper.T - torch.diag(upper.diagonal())


def square_root(H: Tensor, known: Tensor) -> Tensor:
    """The symmetric X >= 0 with positive(X on top of `known`) = H. Raises ValueError if there is none."""
    m = len(H)
    total = (H.trace() - ROOM * m) / (1 + ROOM)
    values, vectors = torch.linalg.eigh(H - known.T @ known - ROOM * (1 + total / m) * torch.eye(m, dtype=H.dtype))
    if not float(values[0]) >= 0:
        raise ValueError(
            f"the contraction inequality misses its margin by {-float(values[0] / H.trace() * m):.2e} of its mean "
            "eigenvalue; give a faster model, another P and lam, or a rate closer to one"
        )
    return vectors @ (values.sqrt()[:, None] * vectors.T)
