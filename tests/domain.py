"""Many random parameter sets that satisfy a stability condition, and trajectories inside the domain it speaks of."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from zoo import tensors

from rnn_control import Model
from rnn_control.conditions import condition, is_proved
from rnn_control.model import Params

SHAPES = ((1, 1, 1), (2, 2, 4))  # (nu, ny, size); small nets come closest to the bounds
SETS = 120  # scaled onto the certified set, per shape
ENOUGH = 200  # of the 2 * 120 that must be proved


class Sets(NamedTuple):
    """S parameter sets of one architecture and what one condition promises for each of them."""

    model: Model
    property: str
    p: dict[str, Tensor]  # explicit parameters, each (S, ...)
    u_max: Tensor  # (S, nu)
    box: Tensor  # (S, nx), starts inside; where no box is asked for, a wide one
    rate: Tensor  # (S, 1)
    scale: Tensor  # (S, nx, 1)
    blocks: tuple[tuple[int, float], ...]
    drive: Tensor  # (S, 1)
    gain: Tensor  # (blocks, S, 1)
    offset: Tensor  # (S, 1)
    input_ord: float
    metric: Tensor | None  # (S, nx, nx), for conditions in a quadratic norm


@torch.no_grad()
def thetas(model: Model, free: list[dict[str, Tensor]], factors: Tensor) -> dict[str, Tensor]:
    """Explicit parameters (S, ...) of free ones whose recurrent weights are multiplied by factors (S,)."""
    target, found = tensors(model), []
    for values, factor in zip(free, factors, strict=True):
        for name, value in values.items():
            target[name].copy_(value * factor if name in model.recurrent else value)
        found.append({k: v.clone() for k, v in model.theta().items()})
    return {k: torch.stack([one[k] for one in found]) for k in found[0]}


def draw(model: Model, rng) -> dict[str, Tensor]:
    """Dense normal parameters far from any initialisation: every tensor has its own size, 0.03 to 3."""
    return {
        k: torch.from_numpy(rng.normal(size=v.shape) * 10 ** rng.uniform(-1.5, 0.5)) for k, v in tensors(model).items()
    }


def weights(model: Model, p: Params, u_max: Tensor) -> Tensor:
    """A few power iterations: any weights prove, these nearly the most."""
    system, w = model.comparison(p, u_max), torch.ones(model.nx, dtype=u_max.dtype)
    for _ in range(25):
        w = (w + system.T(w)) / 2
        w = (w / w.max()).clamp(min=1e-3)
    return w


def residual(model, p, u_max, property, method) -> Tensor:
    w = weights(model, Params(p), u_max) if method == "weighted" else None
    return condition(model, Params(p), u_max, property, method, w).residual.max()


def residuals(model, p, u_max, property, method) -> Tensor:
    """(S,); all sets at once where the condition can be mapped over them."""
    try:
        return torch.vmap(lambda d, u: residual(model, d, u, property, method))(p, u_max)
    except RuntimeError:
        rows = [{k: v[s] for k, v in p.items()} for s in range(len(u_max))]
        return torch.stack([residual(model, d, u, property, method) for d, u in zip(rows, u_max, strict=True)])


LOG_FACTORS = (-2.0, 0.6)  # of the recurrent weights: where the bisection starts


def feasible(model, rng, property, method):
    """SETS draws, boxes of inputs (S, nu) that satisfy the condition with little recurrence, and its residuals (S,)."""
    free, u_max, least = [], torch.empty(0, model.nu, dtype=torch.float64), torch.empty(0, dtype=torch.float64)
    little = torch.full((SETS,), 10 ** LOG_FACTORS[0])
    while len(free) < SETS:
        drawn = [draw(model, rng) for _ in range(SETS)]
        boxes = torch.from_numpy(rng.uniform(0.3, 2.0, (SETS, model.nu)))
        found = residuals(model, thetas(model, drawn, little), boxes, property, method)
        keep = (found < -1e-3).nonzero().flatten()
        free += [drawn[i] for i in keep]
        u_max, least = torch.cat([u_max, boxes[keep]]), torch.cat([least, found[keep]])
    return free[:SETS], u_max[:SETS], least[:SETS]


def factors(model, free, u_max, property, method, aim) -> Tensor:
    """Recurrent factors (S,) for which the residuals are below `aim`, by a coarse bisection."""
    low, high = (torch.full((len(free),), log, dtype=torch.float64) for log in LOG_FACTORS)
    for _ in range(3):
        mid = (low + high) / 2
        inside = residuals(model, thetas(model, free, 10**mid), u_max, property, method) < aim
        low, high = torch.where(inside, mid, low), torch.where(inside, high, mid)
    return 10**low


@torch.no_grad()
def violate(model: Model, property: str, method: str) -> None:
    """Scale the recurrent weights to where the residual is slightly positive, or, if there is no such size, by 1000."""
    full = {name: tensors(model)[name].clone() for name in model.recurrent}
    u_max, low, high = model.input_box(), -3.0, 3.0
    for _ in range(14):
        mid = (low + high) / 2
        for name, value in full.items():
            tensors(model)[name].copy_(value * 10**mid)
        bound = condition(model, model.theta(), u_max, property, method)
        low, high = (mid, high) if float(bound.residual.max()) < 0 else (low, mid)
    for name, value in full.items():
        tensors(model)[name].copy_(value * 10 ** (high + 1e-3))


def sample(factory, property: str, method: str, shape, seed: int) -> Sets:
    """Random draws, recurrent weights scaled to margins from almost none to nearly all; those that are proved.

    Draws that no shrinkage of the recurrence would certify are passed over.
    """
    rng, model = np.random.default_rng(seed), factory(*shape)
    free, u_max, least = feasible(model, rng, property, method)
    share = torch.from_numpy(10 ** rng.uniform(-3, 0, len(free)))
    inside = factors(model, free, u_max, property, method, share * least)
    p = thetas(model, free, inside)
    keep, bounds = [], []
    for s in range(len(free)):
        q = Params({k: v[s] for k, v in p.items()})
        w = weights(model, q, u_max[s]) if method == "weighted" else None
        bound = condition(model, q, u_max[s], property, method, w)
        if is_proved(bound):
            keep.append(s)
            bounds.append(bound)
    wide = torch.from_numpy(10 ** rng.uniform(-1, 1, (len(free), 1))).expand(-1, model.nx)
    boxes = [wide[s] if b.state_box is None else b.state_box for s, b in zip(keep, bounds, strict=True)]
    first, column = bounds[0], lambda values: torch.stack([torch.as_tensor(v, dtype=torch.float64) for v in values])
    return Sets(
        model, property, {k: v[keep] for k, v in p.items()}, u_max[keep], torch.stack(boxes),
        column([b.rate for b in bounds])[:, None], column([b.scale for b in bounds])[:, :, None], first.blocks,
        column([b.drive for b in bounds])[:, None], column([b.gain() for b in bounds]).T[:, :, None],
        column([torch.as_tensor(b.offset).max() for b in bounds])[:, None], first.input_ord,
        None if first.metric is None else column([b.metric for b in bounds]),
    )  # fmt: skip


def block_norms(sets: Sets, e: Tensor) -> Tensor:
    """(blocks, S, B) of e (S, nx, B), scaled; one block in a quadratic norm."""
    if sets.metric is not None:
        return (e * (sets.metric @ e)).sum(1).clamp(min=1e-300).sqrt()[None]
    parts = torch.split(e / sets.scale, [n for n, _ in sets.blocks], 1)
    return torch.stack(
        [torch.linalg.vector_norm(part, order, 1) for part, (_, order) in zip(parts, sets.blocks, strict=True)]
    )


def step(sets: Sets, x: Tensor, u: Tensor) -> Tensor:
    """Next states (S, nx, B) from states and inputs (S, nu, B)."""
    return torch.vmap(lambda d, x, u: sets.model.f(Params(d), x, u))(sets.p, x, u)


class Start(NamedTuple):
    """Two trajectories a, b: numbers in [-1, 1] that are multiplied by the boxes."""

    xa: Tensor  # (S, nx, B)
    xb: Tensor
    ua: Tensor  # (T, S, nu, B)
    ub: Tensor


def random_start(sets: Sets, samples: int, columns: int, rng, *, bang_bang: bool) -> Start:
    """Every other pair has equal inputs; half of the pairs start close together."""
    S, nx, nu = len(sets.rate), sets.model.nx, sets.model.nu
    xa, xb = (torch.from_numpy(rng.uniform(-1, 1, (S, nx, columns))) for _ in range(2))
    ua, ub = (torch.from_numpy(rng.uniform(-1, 1, (samples, S, nu, columns))) for _ in range(2))
    if bang_bang:
        xa, ua, ub = xa.sign(), ua.sign(), ub.sign()
    xb[..., : columns // 2] = (xa + 0.01 * xb)[..., : columns // 2].clamp(-1, 1)
    ub[..., ::2] = ua[..., ::2]
    return Start(xa, xb, ua, ub)


def ratios(sets: Sets, start: Start) -> Tensor:
    """Norms of e(k) over what the condition promises, (T + 1, 2, blocks, S, B): at most one if it is true.

    Row 0: rate^k V(e(0)) + gain_b max |du| + offset, block by block.  Row 1: the same with drive / (1 - rate), for V.
    e is the difference a - b and du that of the inputs (deltaISS); e is x_a and du is u_a (ISS).
    """
    single = sets.property == "iss"
    xa, xb = start.xa * sets.box[:, :, None], start.xb * sets.box[:, :, None]
    ua, ub = start.ua * sets.u_max[:, :, None], start.ub * sets.u_max[:, :, None]
    d = torch.linalg.vector_norm(ua if single else ua - ub, sets.input_ord, 2).amax(0)
    v0, rows, power = None, [], torch.ones_like(sets.rate)
    for k in range(len(ua) + 1):
        norms = block_norms(sets, xa if single else xa - xb)
        v0 = norms.amax(0) if v0 is None else v0
        sharp = power * v0 + sets.gain * d + sets.offset
        plain = power * v0 + (1 - power) / (1 - sets.rate) * sets.drive * d + sets.offset
        rows.append(torch.stack([norms / (sharp + 1e-9), norms / (plain + 1e-9)]))
        if k < len(ua):
            xa = step(sets, xa, ua[k])
            xb = xb if single else step(sets, xb, ub[k])
            power = power * sets.rate
    return torch.stack(rows)


def searched_start(sets: Sets, samples: int, columns: int, rng, ascents: int = 12) -> Start:
    """Gradient ascent on the ratio at the end: starts and inputs that come as close to the bound as they can."""
    raw = [v.clamp(-0.95, 0.95).atanh() for v in random_start(sets, samples, columns, rng, bang_bang=False)]
    raw = [v.clone().requires_grad_(True) for v in raw]
    adam = torch.optim.Adam(raw, lr=0.3)

    def start():
        xa, xb, ua, ub = (torch.tanh(v) for v in raw)
        return Start(xa, xb, ua, torch.cat([ua[..., : columns // 2], ub[..., columns // 2 :]], -1))

    for _ in range(ascents):
        adam.zero_grad()
        (-ratios(sets, start())[1:, 0].amax(1).clamp(min=1e-12).log().sum()).backward()
        adam.step()
    return Start(*(v.detach() for v in start()))
