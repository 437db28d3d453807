"""An adversary who looks, inside the domain of a certificate, for the trajectories that come closest to it."""

import numpy as np
import torch
from torch import Tensor

from .certificate import Certificate
from .forgetting import size
from .identified import IdentifiedModel, unwrapped
from .model import Model, Params
from .orbits import Domain, Orbit, certified_domain, close, linearise, slowest_orbit
from .tightness import LEFT, Tightness

PAIRS = 64  # of corners


def attack(
    model: Model | IdentifiedModel, certificate: Certificate, *, seed: int = 0, restarts: int = 16, ascents: int = 15,
    longest: int = 3000,
) -> Tightness:  # fmt: skip
    """Search for slow forgetting and large gains by gradient ascent from random and bang-bang inputs.

    certificate: one of `model` for deltaISS; it may be refused, then the search tells whether needlessly. restarts:
    starting points a search; ascents: gradient steps each; longest: steps to wait for a difference to be forgotten.
    Raises ValueError for an ISS certificate.
    """
    if certificate.property != "delta_iss":
        raise ValueError(
            f"the certificate is for {certificate.property}, not for pairs of trajectories: give it to attack_iss"
        )
    plain, scaler = unwrapped(model)
    p, rng = Params({k: v.detach().double() for k, v in plain.theta().items()}), np.random.default_rng(seed)
    p, domain, middle = certified_domain(plain, p, certificate, scaler)
    worst = slowest_orbit(plain, p, domain, rng, restarts, ascents)
    gain = largest_gain(plain, p, domain, worst, rng, max(2, restarts // 4), ascents).numpy()
    steps = slowest_forgetting(plain, p, domain, worst, rng, certificate, longest)
    return Tightness(
        certificate,
        worst.rate,
        tuple(map(tuple, (gain * scaler.y_std[:, None] / scaler.u_half).tolist())),
        steps,
        tuple(map(tuple, scaler.u_out(worst.pattern.numpy() + middle).tolist())),
        seed,
        longest,
    )


def largest_gain(model: Model, p: Params, domain: Domain, worst: Orbit, rng, restarts: int, ascents: int) -> Tensor:
    """(ny, nu): largest |dy_j| / max |du_i| seen, normalised: the sum of an impulse response along a trajectory.

    sum_k |dy_j(K)/du_i(k)| is reached by small differences of the inputs with the signs of the derivatives. The
    trajectories start on orbits of constant inputs, whose infinite past counts as well.
    """
    pairs = [(j, i) for j in range(model.ny) for i in range(model.nu)]
    j, i = (torch.tensor(index).repeat_interleave(restarts) for index in zip(*pairs, strict=True))
    samples = int(np.clip(np.log(0.1) / np.log(max(min(worst.rate, 0.999), 1e-3)), 8, 50))
    limit, still = domain.u_max[:, None], torch.from_numpy(rng.uniform(-2, 2, (model.nu, len(j))))
    still[:, ::2] = torch.from_numpy(rng.choice([-3.0, 3.0], (model.nu, len(j))))[:, ::2]
    past = limit * still.tanh()
    x0, closed = close(model, p, torch.zeros(model.nx, len(j), dtype=torch.float64), past[None], domain.box)
    raw = still.repeat(samples, 1, 1).requires_grad_(True)
    adam, best = torch.optim.Adam([raw], lr=0.3), torch.zeros(len(j), dtype=torch.float64)
    for step in range(ascents + 1):
        is_last = step == ascents
        before, inputs = x0.clone().requires_grad_(True), limit * raw.tanh()
        ds, dx = _impulses(model, p, before, inputs, j, is_last)
        seen = ds[:, i, torch.arange(len(i))].abs().sum(0)
        whole = seen.detach() + torch.where(closed, _past(model, p, x0, past, dx.detach(), i), 0.0)
        best = torch.fmax(best, torch.where(closed, whole, 0.0))
        if not is_last:
            raw.grad = torch.nan_to_num(torch.autograd.grad(-seen.clamp(min=1e-30).log().sum(), raw)[0])
            adam.step()
    return best.unflatten(0, (model.ny, model.nu, restarts)).amax(-1)


def _impulses(model, p, x, u, j, is_last: bool) -> tuple[Tensor, Tensor]:
    """Derivatives of y_j at the end with respect to u (T, nu, B) and the initial state x (nx, B)."""
    end = x
    for u_k in u:
        end = model.f(p, end, u_k)
    y = model.g(p, end)[j, torch.arange(len(j))]
    du, dx = torch.autograd.grad(y.sum(), (u, x), create_graph=not is_last)
    return du, dx


@torch.no_grad()
def _past(model, p, x, u, dx, i, longest: int = 2000) -> Tensor:
    """sum_m |dx' J^m B_i| on the orbit of the constant input u (nu, B): what differences before the start add."""
    _, J = linearise(model, p, x, u[None])
    with torch.enable_grad():
        column = u.clone().requires_grad_(True)
        x_next = model.f(p, x, column)
        rows = [torch.autograd.grad(row.sum(), column, retain_graph=True)[0] for row in x_next]
    B = torch.stack(rows)[:, i, torch.arange(len(i))]
    total, d, first = torch.zeros(len(i), dtype=x.dtype), dx, None
    for _ in range(longest):
        term = (d * B).sum(0).abs()
        total, d = total + term, torch.einsum("ib,bij->jb", d, J)
        first = term if first is None else first
        if float(d.abs().max()) <= 1e-6 * float(dx.abs().max()):
            break
    return torch.nan_to_num(total, nan=0.0, posinf=0.0)


@torch.no_grad()
def slowest_forgetting(model, p, domain: Domain, worst: Orbit, rng, certificate: Certificate, longest: int):
    """Steps after which ||e(k)|| was last seen above the shares LEFT of ||e(0)||, from pairs of corners of the box."""
    xa, xb = domain.corners(PAIRS, rng), domain.corners(PAIRS, rng)
    xb[:, : PAIRS // 2] = -xa[:, : PAIRS // 2]
    xb = torch.where((xa == xb).all(0), -xa, xb)
    inputs = _inputs(domain, worst, rng, longest)
    start = torch.from_numpy(size(certificate, (xa - xb).T.numpy()))
    last, left = torch.zeros(len(LEFT), dtype=torch.long), torch.tensor(LEFT)
    quiet = min(LEFT) / (certificate.overshoot if certificate.holds else 1.0)
    for k in range(1, longest + 1):
        u = inputs(k)
        xa, xb = model.f(p, xa, u), model.f(p, xb, u)
        share = float((torch.from_numpy(size(certificate, (xa - xb).T.numpy())) / start).max())
        last = torch.where(share > left, k, last)
        if not share > quiet:
            break
    return tuple(None if k == longest else int(k) + 1 for k in last)


def _inputs(domain: Domain, worst: Orbit, rng, longest: int):
    """Step -> inputs (nu, PAIRS): the worst orbit's, bang-bang ones held for a while, and constants of the corners."""
    levels = torch.from_numpy(rng.choice([-1.0, 1.0], (longest + 1, len(domain.u_max), PAIRS)))
    column = torch.arange(PAIRS)
    held = torch.tensor([1, 3, 10, longest + 1])[column % 4]

    def at(k: int) -> Tensor:
        u = domain.u_max * levels[k // held, :, column]
        u[::5] = worst.pattern[k % len(worst.pattern)]
        return u.T

    return at
