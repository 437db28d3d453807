"""Parameter sets trained to break a stability condition: certified by it, and yet diverging as fast as can be found.

A rule is (model, p, u_max) -> Bound; what it promises is compared with pairs of trajectories inside its domain. Sets
are handled S at a time, `vmap` over the rule and over f.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from domain import weights
from torch import Tensor
from torch.func import functional_call
from zoo import tensors

from rnn_control import Model
from rnn_control.bounds import Bound
from rnn_control.conditions import ROUNDING, condition
from rnn_control.model import Params
from rnn_control.regional import sharpest_bound

Rule = Callable[[Model, Params, Tensor], Bound]
Stack = dict[str, Tensor]  # parameters, each (S, ...)
FLOOR = 1e-9  # of a distance: below it rounding decides
PERIOD = 3  # of the inputs: the shortest under which 2-norms are known to mislead


def rule_of(method: str, property: str = "delta_iss") -> Rule:
    """The condition of that name; weights of the norm from a few power iterations, any are valid."""

    def rule(model, p, u_max):
        with torch.no_grad():
            w = weights(model, p, u_max) if method == "weighted" else None
        return condition(model, p, u_max, property, method, w)

    return rule


def sharpest(model: Model, p: Params, u_max: Tensor) -> Bound:
    """What `certify` calls weighted: of the class's comparison system and that of the channels, the better one."""
    return sharpest_bound(model, p, u_max, None)


def sharpest_iss(model: Model, p: Params, u_max: Tensor) -> Bound:
    """The same for one trajectory."""
    return sharpest_bound(model, p, u_max, None, is_iss=True)


class Judged(NamedTuple):
    """What a rule says of S sets: promises hold where `is_accepted` (S,)."""

    is_accepted: Tensor
    residual: Tensor  # (S,)
    rate: Tensor  # (S, 1)
    scale: Tensor  # (S, nx, 1)
    metric: Tensor  # (S, nx, nx), or (S, 0)
    gain: Tensor  # (S, 1): of V, per unit of the norm of du
    drive: Tensor  # (S, 1)
    offset: Tensor  # (S, 1)
    box: Tensor  # (S, nx, 1)
    blocks: tuple[tuple[int, float], ...]
    input_ord: float
    is_single: bool  # a promise on one trajectory, ISS, and not on a pair
    is_mapped: bool

    def distance(self, e: Tensor) -> Tensor:
        """V (S, B) of e (S, nx, B)."""
        if self.metric.ndim == 3:
            return (e * (self.metric @ e)).sum(1).clamp(min=1e-300).sqrt()
        parts = torch.split(e / self.scale, [n for n, _ in self.blocks], 1)
        pairs = zip(parts, self.blocks, strict=True)
        return torch.stack([torch.linalg.vector_norm(part, order, 1) for part, (_, order) in pairs]).amax(0)

    def of(self, sets: Tensor) -> "Judged":
        """The same of chosen sets."""
        return Judged(*(v[sets] if isinstance(v, Tensor) else v for v in self))


def judge(rule: Rule | list[Rule], model: Model, p: Stack, u_max: Tensor) -> Judged:
    """One rule on all sets, mapped where it can be, else (and a rule for every set) one by one, without gradient."""
    fixed = []

    def one(rule, p, u):
        bound = rule(model, Params(p), u)
        fixed[:] = [bound.blocks, bound.input_ord, isinstance(bound.offset, Tensor)]  # only ISS has an offset
        box = model.state_box(Params(p), u) if bound.state_box is None else bound.state_box
        metric = torch.empty(0, dtype=u.dtype) if bound.metric is None else bound.metric
        offset = torch.as_tensor(bound.offset, dtype=u.dtype).max()
        return bound.residual.max(), bound.rate, bound.scale, metric, bound.gain().max(), bound.drive, offset, box

    parts = None if isinstance(rule, list) else mapped(lambda d, u: one(rule, d, u), p, u_max)
    is_mapped = parts is not None
    if parts is None:
        rules = rule if isinstance(rule, list) else [rule] * len(u_max)
        with torch.no_grad():
            rows = [one(r, {k: v[s] for k, v in p.items()}, u_max[s]) for s, r in enumerate(rules)]
        parts = [torch.stack([torch.as_tensor(v, dtype=u_max.dtype) for v in row]) for row in zip(*rows, strict=True)]
    residual, rate, scale, metric, gain, drive, offset, box = parts
    good = (residual < -ROUNDING) & (rate >= 0) & (rate < 1 - ROUNDING) & torch.isfinite(gain)
    box = torch.nan_to_num(box, nan=3.0, posinf=3.0)[:, :, None]
    columns = [v[:, None] for v in (gain, drive, offset)]
    return Judged(good, residual, rate[:, None], scale[:, :, None], metric, *columns, box, *fixed, is_mapped)


def mapped(one: Callable, p: Stack, u_max: Tensor):
    """`one` of all sets at once; None if it branches on values."""
    try:
        return torch.vmap(one)(p, u_max)
    except RuntimeError:
        return None


def thetas(model: Model, free: Stack) -> Stack:
    """Explicit parameters (S, ...) of free ones."""
    return torch.vmap(lambda one: dict(functional_call(model, one, ())))(free)


def shrunk(model: Model, free: Stack, share: Tensor) -> Stack:
    """Recurrent weights times 10^(-2 (1 - share)), share (S,) in [0, 1]."""
    factor = 10 ** (2 * share - 2)
    return {k: v * _column(factor, v) if k in model.recurrent else v for k, v in free.items()}


def _column(values: Tensor, like: Tensor) -> Tensor:
    return values.view(-1, *[1] * (like.ndim - 1))


@torch.no_grad()
def onto(rule: Rule | list[Rule], model: Model, path: Callable[[Tensor], Stack], u_max: Tensor) -> tuple[Stack, Judged]:
    """For each set the farthest point found on its path, share 0 to 1, that the rule accepts, and the verdict there."""
    low, high = torch.zeros(len(u_max), dtype=u_max.dtype), torch.ones(len(u_max), dtype=u_max.dtype)
    said = judge(rule, model, thetas(model, path(high)), u_max)
    low = torch.where(said.is_accepted, high, low)
    for _ in range(10 if said.is_mapped else 3):
        mid = (low + high) / 2
        good = judge(rule, model, thetas(model, path(mid)), u_max).is_accepted
        low, high = torch.where(good, mid, low), torch.where(good, high, mid)
    return path(low), judge(rule, model, thetas(model, path(low)), u_max)


class Trial(NamedTuple):
    """Raw pairs of starts (S, nx, B) and of periodic inputs (PERIOD, S, nu, B); tanh maps them into their boxes."""

    xa: Tensor
    xb: Tensor
    ua: Tensor
    ub: Tensor

    def inside(self, box: Tensor, u_max: Tensor) -> "Trial":
        """In the boxes; the inputs of the first half of the pairs are equal, and of them the first half constant."""
        xa, xb, ua, ub = (v.tanh() for v in self)
        half, quarter = ua.shape[-1] // 2, ua.shape[-1] // 4
        ua = torch.cat([ua[:1, ..., :quarter].expand_as(ua[..., :quarter]), ua[..., quarter:]], -1)
        ub = torch.cat([ua[..., :half], ub[..., half:]], -1)
        return Trial(box * xa, box * xb, u_max[:, :, None] * ua, u_max[:, :, None] * ub)


def random_trial(model: Model, sets: int, columns: int, rng, corner: float) -> Trial:
    """Every other one at +-corner (its tanh is the share of the box); half of the pairs start close together."""
    shapes = [(sets, model.nx, columns)] * 2 + [(PERIOD, sets, model.nu, columns)] * 2
    xa, xb, ua, ub = (torch.from_numpy(rng.normal(size=shape)) for shape in shapes)
    for v in (xa, ua, ub):
        v[..., ::2] = corner * v[..., ::2].sign()
    close = torch.arange(columns) % 4 < 2
    return Trial(xa, torch.where(close, xa + 0.05 * xb, xb), ua, ub)


def trace(model: Model, p: Stack, said: Judged, u_max: Tensor, trial: Trial, steps: int) -> Tensor:
    """V(e(k)) over what is promised, (steps, S, B); e is the difference of a pair, or (ISS) the state of its first."""
    xa, xb, ua, ub = trial.inside(said.box, u_max)
    if said.is_single:
        xb, ub = 0 * xb, 0 * ub
    step = torch.vmap(lambda d, x, u: model.f(Params(d), x, u))
    du = torch.linalg.vector_norm(ua - ub, said.input_ord, 2).amax(0)
    first, ratios = said.distance(xa - xb), []
    for k in range(1, steps + 1):
        xa = step(p, xa, ua[(k - 1) % PERIOD])
        xb = xb if said.is_single else step(p, xb, ub[(k - 1) % PERIOD])
        power = said.rate**k
        level = torch.minimum(said.gain, said.drive * (1 - power) / (1 - said.rate))
        ratios.append(said.distance(xa - xb) / (power * first + level * du + said.offset + FLOOR))
    return torch.stack(ratios)


def train(
    rule: Rule, model: Model, free: Stack, u_max: Tensor, rng, ascents: int, steps: int = 6
) -> tuple[Stack, Trial]:
    """Gradient ascent of the excess over the promise, in parameters, starts and inputs together; the rule as penalty.

    Returns parameters and Trial: set by set, the accepted iterate of the largest excess.
    """
    free = {k: v.clone().requires_grad_(True) for k, v in free.items()}
    trial = Trial(*(v.requires_grad_(True) for v in random_trial(model, len(u_max), 4, rng, 1.0)))
    names, best = list(free), torch.full((len(u_max),), -torch.inf, dtype=u_max.dtype)
    adam = torch.optim.Adam([dict(params=list(free.values()), lr=0.05), dict(params=list(trial), lr=0.2)])
    kept, said = [v.detach().clone() for v in (*free.values(), *trial)], None
    for k in range(ascents):
        p = thetas(model, free)
        said = judge(rule, model, p, u_max) if said is None or said.is_mapped or k % 10 == 0 else said
        excess = trace(model, p, said, u_max, trial, steps).clamp(min=1e-12).log().amax(0).amax(1)
        better = (excess > best) & said.is_accepted & (said.is_mapped or k % 10 == 0)
        best = torch.where(better, excess, best).detach()
        for old, new in zip(kept, (*free.values(), *trial), strict=True):
            at = int(old.ndim == 4)  # of the sets: inputs have their period in front
            old.movedim(at, 0)[better] = new.detach().movedim(at, 0)[better]
        adam.zero_grad()
        (-torch.nan_to_num(excess - 10 * (said.residual + 0.01).clamp(min=0)).sum()).backward()
        for v in (*free.values(), *trial):
            v.grad = torch.nan_to_num(v.grad) if v.grad is not None else None
        adam.step()
    return dict(zip(names, kept, strict=False)), Trial(*kept[len(names) :])


class Outcome(NamedTuple):
    """Of `sets` accepted ones, how many broke the promise, and the largest ratio of what was seen to that."""

    sets: int
    broken: int
    worst: float


@torch.no_grad()
def outcome(model: Model, p: Stack, said: Judged, u_max: Tensor, trials: list[Trial], long: int) -> Outcome:
    """The long trial of the accepted sets; what is not finite breaks any promise."""
    ratios = torch.cat([trace(model, p, said, u_max, trial, long).amax(0) for trial in trials], 1)[said.is_accepted]
    worst = torch.nan_to_num(ratios, nan=torch.inf, posinf=torch.inf).amax(1)
    return Outcome(len(worst), int((worst > 1 + 1e-9).sum()), float(worst.max()) if len(worst) else 0.0)


def draw(model: Model, sets: int, rng) -> Stack:
    """Dense normal parameters; every tensor of every set has its own size, 0.03 to 3."""
    return {
        k: torch.from_numpy(rng.normal(size=(sets, *v.shape)) * 10 ** rng.uniform(-1.5, 0.5, (sets, *[1] * v.ndim)))
        for k, v in tensors(model).items()
    }


def break_rule(rule: Rule, model: Model, sets: int, seed: int, ascents: int = 40, long: int = 150):
    """Outcomes for random sets just inside the rule, and for the same ones after training to break it: `long` steps.

    Draws that no shrinkage of the recurrence makes acceptable are passed over: there are fewer sets than asked for.
    """
    rng = np.random.default_rng(seed)
    u_max, drawn = torch.from_numpy(rng.uniform(0.3, 2.0, (sets, model.nu))), draw(model, sets, rng)
    free, said = onto(rule, model, lambda share: shrunk(model, drawn, share), u_max)
    kept = said.is_accepted
    u_max, free, said = u_max[kept], {k: v[kept] for k, v in free.items()}, said.of(kept)
    blind = [random_trial(model, len(u_max), 8, rng, 4.0)]
    before = outcome(model, thetas(model, free), said, u_max, blind, long)
    trained, trial = train(rule, model, free, u_max, rng, ascents)
    p = thetas(model, trained)
    return before, outcome(model, p, judge(rule, model, p, u_max), u_max, [trial, *blind], long)
