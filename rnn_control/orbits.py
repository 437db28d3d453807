"""Periodic orbits of a model, and the periodic inputs under which it forgets most slowly.

Let x be an orbit of period T under an admissible periodic input and J the Jacobian of T steps at x. If all pairs of
trajectories contract as mu rate^k, then so do the derivatives, hence |J^m| <= mu rate^(mT) for every m, and
rate >= rho(J)^(1/T), in whatever norm. Two different orbits under one input even show rate >= 1.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from .certificate import Certificate
from .model import Model, Params
from .scaler import Scaler

PERIODS = (1, 2, 3, 4)
WIDE = 100.0  # normalised starts, where the certificate speaks of all and no invariant box is known
CLOSED = 1e-10  # an orbit closes to this times the size of its states


class Domain(NamedTuple):
    """|u_i| <= u_max_i (nu,) and starts in |x_i| <= box_i (nx,), normalised."""

    u_max: Tensor
    box: Tensor

    def corners(self, count: int, rng) -> Tensor:
        """Random corners (nx, count) of the box, the first all positive, each followed by its opposite."""
        signs = torch.from_numpy(rng.choice([-1.0, 1.0], (len(self.box), count)))
        signs[:, 0] = 1
        signs[:, 1::2] = -signs[:, : count - 1 : 2]
        return self.box[:, None] * signs


def certified_domain(
    model: Model, p: Params, certificate: Certificate, scaler: Scaler
) -> tuple[Params, Domain, np.ndarray]:
    """Where the certificate speaks; an invariant box, or a wide one, where it speaks of all initial states.

    Inputs are those around the middle (nu,) of their box, normalised, and the parameters those that see them so.
    """
    ends = scaler.u_in(np.array(certificate.input_box).T)
    middle = ends.mean(0) if model.inputs else np.zeros(model.nu)
    u_max, p = torch.from_numpy(abs(ends - middle).max(0)), model.moved(p, torch.from_numpy(middle))
    box = model.state_box(p, u_max).detach()
    if certificate.state_box is not None:
        box = torch.tensor(certificate.state_box, dtype=torch.float64)
    return p, Domain(u_max, torch.nan_to_num(box, nan=WIDE, posinf=WIDE)), middle


class Orbit(NamedTuple):
    """A periodic input (T, nu), a state (nx,) on its orbit, and the rate (1 also if the orbit is not the only one)."""

    rate: float
    pattern: Tensor
    x: Tensor


def cycle(model: Model, p: Params, x: Tensor, pattern: Tensor) -> Tensor:
    """State (nx, B) once through the inputs (T, nu, B)."""
    for u in pattern:
        x = model.f(p, x, u)
    return x


def linearise(model: Model, p: Params, x: Tensor, pattern: Tensor) -> tuple[Tensor, Tensor]:
    """The state (nx, B) after one cycle and its Jacobian (B, nx, nx), by one backward pass over nx copies."""
    n, B = x.shape
    is_needed = torch.is_grad_enabled()
    with torch.enable_grad():
        wide = pattern[:, :, None].expand(-1, -1, n, -1).flatten(2)
        copies = x[:, None].expand(n, n, B).flatten(1)
        copies = copies if copies.requires_grad else copies.requires_grad_(True)
        x_next = cycle(model, p, copies, wide).unflatten(1, (n, B))
        own = x_next.diagonal()  # (B, n): entry i of copy i
        (rows,) = torch.autograd.grad(own.sum(), copies, create_graph=is_needed)
    x_next, J = x_next[:, 0], rows.unflatten(1, (n, B)).permute(2, 1, 0)
    return (x_next, J) if is_needed else (x_next.detach(), J.detach())


def newton_step(x: Tensor, x_next: Tensor, J: Tensor) -> Tensor:
    """x + (I - J)^-1 (x_next - x), columns."""
    eye = torch.eye(len(x), dtype=x.dtype)
    return x + torch.linalg.solve_ex(eye - J, (x_next - x).T[:, :, None])[0][:, :, 0].T


@torch.no_grad()
def close(model: Model, p: Params, x: Tensor, pattern: Tensor, box: Tensor, iterations: int = 12):
    """Newton's method from x (nx, B): states on orbits inside the box, and which columns close (B,)."""
    for _ in range(iterations):
        x, last = newton_step(x, *linearise(model, p, x, pattern)).clamp(-box[:, None], box[:, None]), x
        x = torch.nan_to_num(x)
        if bool(((x - last).abs() <= 1e-14 * (1 + x.abs())).all()):
            break
    gap = (cycle(model, p, x, pattern) - x).abs().amax(0)
    return x, gap <= CLOSED * (1 + x.abs().amax(0))


def log_radius(M: Tensor) -> Tensor:
    """ln of the spectral radius of each matrix (B, n, n); gradient Re w' dM v / (w' v lambda), w' left, v right."""
    values, right = torch.linalg.eig(M.detach())
    adjoint, left = torch.linalg.eig(M.detach().mT)
    most = values.abs().argmax(1)
    rows = torch.arange(len(M))
    value, v = values[rows, most], right[rows, :, most]
    w = left[rows, :, (adjoint - value[:, None]).abs().argmin(1)]
    moved = torch.einsum("bi,bij,bj->b", w, M.to(w.dtype), v) / ((w * v).sum(1) * value)
    smooth = torch.nan_to_num(moved.real)
    return value.abs().clamp(min=1e-30).log() + smooth - smooth.detach()


def log_growth(model: Model, p: Params, x: Tensor, pattern: Tensor) -> tuple[Tensor, Tensor]:
    """Orbits next to x (nx, B) and their ln rho(J) / T (B,), differentiable in the pattern: the orbit moves with it."""
    with torch.no_grad():
        x_next, J = linearise(model, p, x, pattern)
        x = torch.nan_to_num(newton_step(x, x_next, J))
    x = newton_step(x, cycle(model, p, x, pattern), J)
    return x.detach(), log_radius(linearise(model, p, x, pattern)[1]) / len(pattern)


def slowest_orbit(model: Model, p: Params, domain: Domain, rng, restarts: int, ascents: int) -> Orbit:
    """Gradient ascent on periodic inputs of every period, from bang-bang and random ones; the worst orbit of all."""
    found = [_ascend(model, p, domain, period, rng, restarts, ascents) for period in PERIODS]
    return max(found, key=lambda orbit: orbit.rate)


def _ascend(model, p, domain: Domain, period: int, rng, restarts: int, ascents: int) -> Orbit:
    limit, start = domain.u_max[:, None], domain.corners(restarts, rng)
    raw = torch.from_numpy(rng.choice([-1.5, 1.5], (period, model.nu, restarts)))
    raw[..., ::3] *= torch.from_numpy(rng.uniform(0, 1, (period, model.nu, len(range(0, restarts, 3)))))
    raw.requires_grad_(True)
    adam, x = torch.optim.Adam([raw], lr=0.3), settle(model, p, start, limit * raw.detach().tanh())
    for _ in range(ascents):
        x, growth = log_growth(model, p, x, limit * raw.tanh())
        x = x.clamp(-domain.box[:, None], domain.box[:, None])
        raw.grad = torch.nan_to_num(torch.autograd.grad(-growth.sum(), raw)[0])
        adam.step()
    pattern = limit * raw.detach().tanh()
    both = torch.cat([pattern, limit * raw.detach().sign()], -1)  # and the corners next to them
    return _worst(model, p, domain, both, torch.cat([x, x], 1))


@torch.no_grad()
def settle(model: Model, p: Params, x: Tensor, pattern: Tensor, steps: int = 60) -> Tensor:
    """The state after some 60 steps of a periodic input: near an orbit, unless memory is long."""
    for _ in range(-(-steps // len(pattern))):
        x = cycle(model, p, x, pattern)
    return x


@torch.no_grad()
def _worst(model, p, domain: Domain, pattern: Tensor, x: Tensor) -> Orbit:
    """The largest rate over patterns, each with the orbits next to x and to where opposite corners lead."""
    corner = domain.box[:, None].expand_as(x)
    ends = [x, *(settle(model, p, sign * corner, pattern) for sign in (1, -1))]
    orbits, closed = zip(*(close(model, p, end, pattern, domain.box) for end in ends), strict=True)
    rates = [
        torch.where(ok, log_radius(linearise(model, p, o, pattern)[1]).div(len(pattern)).exp(), -1.0)
        for o, ok in zip(orbits, closed, strict=True)
    ]
    apart = (orbits[1] - orbits[2]).abs().amax(0) > 1e-6 * (1 + orbits[1].abs().amax(0))
    rates[1] = torch.where(apart & closed[1] & closed[2], rates[1].clamp(min=1.0), rates[1])
    table = torch.nan_to_num(torch.stack(rates), nan=-1.0)
    kind, column = divmod(int(table.argmax()), x.shape[1])
    rate = max(float(table.max()), 0.0)
    return Orbit(rate, pattern[:, :, column], orbits[kind][:, column])
