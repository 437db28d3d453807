"""All samples of a record at once: Newton's method on the trajectory, where a loop would go sample by sample.

T samples take a few iterations of depth log T instead of T steps: meant for a processor that does thousands of things
at once (CUDA; on such a one it has not run yet). On a few cores the compiled kernel, which `fit` and
IdentifiedModel.simulate use, is a hundred times faster (benchmarks/batch_speed.py).
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.func import vjp, vmap

from .identified import IdentifiedModel
from .model import Model, Params
from .simulate import simulate

HALVINGS = 10
"""Of a Newton step that does not lower the residual; then the record is rolled out literally."""


class Rollout(NamedTuple):
    """States (B, T+1, nx) and outputs (B, T, ny), without B for a single record, as `simulate` gives them.

    iterations (B,): of Newton's method; converged (B,): False where it failed and the literal roll-out answers.
    """

    x: Tensor
    y: Tensor
    iterations: Tensor
    converged: Tensor


def simulate_parallel(
    model: Model, p: Params, x0: Tensor, u: Tensor, tolerance: float | None = None, iterations: int = 30
) -> Rollout:
    """y(k) = g(x(k)), x(k+1) = f(x(k), u(k)) for all k = 0 .. T-1 at once, on the device and in the precision of u.

        x <- x + t d,   d(k+1) = J(k) d(k) + f(x(k), u(k)) - x(k+1),   d(0) = 0,   J(k) = df/dx at x(k), u(k)

    t = 1, halved until the largest |f(x(k), u(k)) - x(k+1)| falls, and again until that is below `tolerance` times the
    largest state, or times 1 if that is more (default: machine epsilon to the power 3/4). x0 is (nx,) or (B, nx), u is
    (T, nu) or (B, T, nu), normalised; p, x0 and u on one device. Memory: some ten times T nx^2 numbers per record.
    One more step carries the derivatives of first order with respect to p, x0 and u.

    A certificate of deltaISS bounds the number of iterations whatever T is, and the error by the residual that is left:
    docs/theory.md, Theorem 21. A model without one may need many, or not converge: see `Rollout.converged`.

    Reference: Y. H. Lim, Q. Zhu, J. Selfridge, M. F. Kasim (2024), "Parallelizing non-linear sequential models over the
    sequence length", International Conference on Learning Representations.
    """
    check_shapes(model, u.ndim == 3, x0.shape, u.shape)
    starts, us = (x0, u) if u.ndim == 3 else (x0[None], u[None])
    enough = torch.finfo(u.dtype).eps ** 0.75 if tolerance is None else tolerance
    with torch.no_grad():
        x, counts, converged = newton(model, p, starts, us, enough, iterations)
        J = jacobians(model, p, x, us) * converged[:, None, None, None]
    d = scan(J, residual(model, p, x, us), starts - x[:, 0])
    x = torch.cat([starts[:, None], x[:, 1:] + d], 1)
    rest = (~converged).nonzero()[:, 0]
    if len(rest):
        x = x.index_copy(0, rest, simulate(model, p, starts[rest], us[rest])[0])
    y = model.g(p, columns(x[:, :-1])).T.unflatten(0, us.shape[:2])
    return Rollout(x, y, counts, converged) if u.ndim == 3 else Rollout(x[0], y[0], counts, converged)


def free_runs(
    model: IdentifiedModel,
    u: np.ndarray,
    x0: np.ndarray | None = None,
    device: str | torch.device = "cpu",
    dtype: torch.dtype = torch.float64,
) -> np.ndarray:
    """Outputs (B, T, ny) for inputs u (B, T, nu) from x0 (B, nx; default: its own x0), in physical units.

    What IdentifiedModel.simulate gives record by record, by `simulate_parallel` on the device, e.g. "cuda".
    """
    u = np.asarray(u, float)
    starts = np.tile(model.x0, (len(u), 1)) if x0 is None else np.asarray(x0, float)
    check_shapes(model.model, True, starts.shape, u.shape)
    p = Params({k: v.detach().to(device, dtype) for k, v in model.model.theta().items()})
    x0_in, u_in = (torch.as_tensor(a, dtype=dtype, device=device) for a in (starts, model.scaler.u_in(u)))
    with torch.no_grad():
        y = simulate_parallel(model.model, p, x0_in, u_in).y
    return model.scaler.y_out(y.double().cpu().numpy())


def check_shapes(model: Model, is_batch: bool, x0: Sequence[int], u: Sequence[int]) -> None:
    """ValueError unless x0 is (B, nx) and u (B, T, nu), or both without B."""
    B = tuple(u[:1]) if is_batch else ()
    if tuple(x0) != (*B, model.nx) or len(u) != len(B) + 2 or u[-1] != model.nu:
        raise ValueError(
            f"x0 has shape {tuple(x0)}, u {tuple(u)}; with nx = {model.nx} and nu = {model.nu} they are (nx,) and "
            "(T, nu), or (B, nx) and (B, T, nu)"
        )


def newton(
    model: Model, p: Params, x0: Tensor, u: Tensor, tolerance: float, iterations: int
) -> tuple[Tensor, Tensor, Tensor]:
    """The states x (B, T+1, nx), the number of steps (B,), and whether the residual is small enough (B,)."""
    x = x0[:, None].expand(-1, u.shape[1] + 1, -1).clone()
    x[:, 1:] = images(model, p, x, u)
    r, counts = residual(model, p, x, u), torch.zeros(len(x), dtype=torch.int64, device=x.device)
    is_stuck = torch.zeros(len(x), dtype=torch.bool, device=x.device)
    while True:
        is_open = ~(largest(r) <= tolerance * largest(x).clamp(min=1))
        rows = (is_open & ~is_stuck & (counts < iterations)).nonzero()[:, 0]
        if not len(rows):
            return x, counts, ~is_open
        x[rows], r[rows], is_stuck[rows] = descended(model, p, x[rows], u[rows], r[rows])
        counts[rows] += 1


def descended(model: Model, p: Params, x: Tensor, u: Tensor, r: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """One damped step: the states, their residuals, and whether none was found that lowers these (B,)."""
    d, t, is_stuck = scan(jacobians(model, p, x, u), r), 1.0, torch.ones(len(x), dtype=torch.bool, device=x.device)
    best, left = x.clone(), r.clone()
    for _ in range(HALVINGS):
        tried = torch.cat([x[:, :1], x[:, 1:] + t * d], 1)
        of_tried = residual(model, p, tried, u)
        is_better = is_stuck & (largest(of_tried) <= (1 - t / 2) * largest(r))
        best[is_better], left[is_better] = tried[is_better], of_tried[is_better]
        is_stuck, t = is_stuck & ~is_better, t / 2
        if not is_stuck.any():
            break
    return best, left, is_stuck


def scan(J: Tensor, r: Tensor, d0: Tensor | None = None) -> Tensor:
    """d(1) .. d(T), (B, T, nx), of d(k+1) = J(k) d(k) + r(k); J (B, T, nx, nx), r (B, T, nx), d0 (B, nx), by default 0.

    Two steps are one of the same kind, d(k+2) = J(k+1) J(k) d(k) + J(k+1) r(k) + r(k+1): half as many, and so on.

    Reference: G. E. Blelloch (1990), "Prefix sums and their applications", Carnegie Mellon University CS-90-190.
    """
    if d0 is not None:
        r = torch.cat([r[:, :1] + applied(J[:, :1], d0[:, None]), r[:, 1:]], 1)
    T = r.shape[1]
    if T == 1:
        return r
    first, second = slice(0, T - T % 2, 2), slice(1, None, 2)
    at_even = scan(J[:, second] @ J[:, first], applied(J[:, second], r[:, first]) + r[:, second])  # d(2), d(4) ..
    after = applied(J[:, 2::2], at_even[:, : (T - 1) // 2]) + r[:, 2::2]  # d(3), d(5) ..
    at_odd = torch.cat([r[:, :1], after], 1)
    pairs = torch.stack([at_odd[:, : T // 2], at_even], 2).flatten(1, 2)
    return pairs if T % 2 == 0 else torch.cat([pairs, at_odd[:, -1:]], 1)


def applied(J: Tensor, d: Tensor) -> Tensor:
    """J(k) d(k) for every k."""
    return (J @ d[..., None])[..., 0]


def columns(a: Tensor) -> Tensor:
    """(B, T, n) as columns (n, B T), for f and g."""
    return a.flatten(0, 1).T


def images(model: Model, p: Params, x: Tensor, u: Tensor) -> Tensor:
    """f(x(k), u(k)), (B, T, nx)."""
    return model.f(p, columns(x[:, :-1]), columns(u)).T.unflatten(0, u.shape[:2])


def residual(model: Model, p: Params, x: Tensor, u: Tensor) -> Tensor:
    """f(x(k), u(k)) - x(k+1), (B, T, nx)."""
    return images(model, p, x, u) - x[:, 1:]


def jacobians(model: Model, p: Params, x: Tensor, u: Tensor) -> Tensor:
    """df/dx at x(k), u(k), (B, T, nx, nx): all samples are columns of one f, differentiated row by row."""
    X, U, n = columns(x[:, :-1]), columns(u), model.nx
    rows = torch.eye(n, dtype=X.dtype, device=X.device)[:, :, None].expand(n, n, X.shape[1])
    J = vmap(vjp(lambda X: model.f(p, X, U), X)[1])(rows)[0]
    return J.permute(2, 0, 1).contiguous().unflatten(0, u.shape[:2])


def largest(a: Tensor) -> Tensor:
    """The largest absolute value of each record, (B,)."""
    return a.abs().amax((1, 2))
