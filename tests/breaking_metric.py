"""Parameter sets trained to break the matrix inequality: P and tau of a random set prove others around it as well.

The shipped search finds P and tau once a random set; then parameters climb away from there to where trajectories
expand most in P, and shrink back to the last ones of which the shipped check says that P and tau prove them too.
"""

import breaking
import numpy as np
import torch
from breaking import Judged, Outcome, Rule, Stack, Trial
from torch import Tensor

from rnn_control import Model
from rnn_control.barrier import Inequality, Point
from rnn_control.bounds import Bound
from rnn_control.conditions import is_proved
from rnn_control.lmi import bounded_channels, least_t, metric_bound
from rnn_control.model import Params

SPARE = 1e-6
"""Relative, of the least rate: the proof needs some room for rounding."""


def proved_by(bound: Bound, is_iss: bool) -> Rule:
    """The least rate that P and tau of a bound prove of other parameters; nothing, of those with other channels."""
    assert bound.metric is not None and bound.multipliers is not None
    P, multipliers = bound.metric.numpy(), bound.multipliers.numpy()

    def rule(model, p, u_max):
        box = model.comparison(p, u_max).state_box
        c = bounded_channels(model, p, u_max, box, is_iss=is_iss)
        point = Point(P, multipliers if c is None or len(c.kept) != len(multipliers) else multipliers[c.kept])
        if c is None or len(c.p) != len(point.tau):
            return bound._replace(residual=torch.tensor(torch.inf, dtype=torch.float64))
        t = least_t(Inequality(c.without_inputs(), 0 * point.P), point)
        return metric_bound(c, max(t, 1e-6) ** 0.5 * (1 + SPARE), point, box, is_iss)

    return rule


def climb(model: Model, free: Stack, said: Judged, u_max: Tensor, trial: Trial, ascents: int, steps: int = 6):
    """Parameters and trajectories whose distances exceed the promises most, whether these still hold or not."""
    free = {k: v.clone().requires_grad_(True) for k, v in free.items()}
    trial = Trial(*(v.clone().requires_grad_(True) for v in trial))
    adam = torch.optim.Adam([dict(params=list(free.values()), lr=0.05), dict(params=list(trial), lr=0.2)])
    for _ in range(ascents):
        adam.zero_grad()
        ratios = breaking.trace(model, breaking.thetas(model, free), said, u_max, trial, steps)
        (-ratios.clamp(min=1e-12).log().amax((0, 2)).sum()).backward()
        for v in (*free.values(), *trial):
            v.grad = None if v.grad is None else torch.nan_to_num(v.grad)
        adam.step()
    return {k: v.detach() for k, v in free.items()}, Trial(*(v.detach() for v in trial))


@torch.no_grad()
def certified(model: Model, sets: int, rng, property: str) -> tuple[Stack, Tensor, list[Rule]]:
    """Free parameters and boxes of inputs of random sets that the search certifies, at most `sets`; its P and tau."""
    u_max, free = torch.from_numpy(rng.uniform(0.3, 2.0, (sets, model.nu))), breaking.draw(model, sets, rng)
    free = breaking.shrunk(model, free, torch.from_numpy(rng.uniform(0, 1, sets)))
    p, rule = breaking.thetas(model, free), breaking.rule_of("lmi", property)
    bounds = [rule(model, Params({k: v[s] for k, v in p.items()}), u) for s, u in enumerate(u_max)]
    kept = [s for s, bound in enumerate(bounds) if is_proved(bound)]
    return {k: v[kept] for k, v in free.items()}, u_max[kept], [proved_by(bounds[s], property == "iss") for s in kept]


def break_metric(
    model: Model, sets: int, seed: int, property: str, ascents=10, long=150, rounds=2, kin=20
) -> tuple[Outcome, Outcome]:
    """Outcomes for random sets that the search certifies, and for `kin` trained from each: at most `sets` in all."""
    rng = np.random.default_rng(seed)
    free, u_max, rules = certified(model, max(sets // (kin + 1), 1), rng, property)
    if not rules:
        return Outcome(0, 0, 0.0), Outcome(0, 0, 0.0)
    p = breaking.thetas(model, free)
    said = breaking.judge(rules, model, p, u_max)
    before = breaking.outcome(model, p, said, u_max, [breaking.random_trial(model, len(rules), 8, rng, 4.0)], long)
    of = torch.arange(len(rules)).repeat_interleave(kin)
    free, u_max, said = {k: v[of] for k, v in free.items()}, u_max[of], said.of(of)
    rules = [rules[s] for s in of]
    trial = breaking.random_trial(model, len(rules), 4, rng, 1.0)
    for _ in range(rounds):
        moved, trial = climb(model, free, said, u_max, trial, ascents)
        path = {k: (v, moved[k] - v) for k, v in free.items()}
        free, said = breaking.onto(rules, model, lambda share, path=path: along(path, share), u_max)
    blind = breaking.random_trial(model, len(rules), 8, rng, 4.0)
    return before, breaking.outcome(model, breaking.thetas(model, free), said, u_max, [trial, blind], long)


def along(path: dict[str, tuple[Tensor, Tensor]], share: Tensor) -> Stack:
    """Starts plus the cube of that share of the way: a coarse bisection finds small steps, too."""
    return {k: v + way * (share**3).view(-1, *[1] * (v.ndim - 1)) for k, (v, way) in path.items()}
