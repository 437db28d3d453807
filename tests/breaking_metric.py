"""Parameter sets trained to break the matrix inequality: P and tau of a random set prove others around it as well.

The shipped search finds P and tau once a random set; then parameters climb away from there to where trajectories
expand most in P, and shrink back to the last ones of which the shipped check says that P and tau prove them too.
"""

import numpy as np
import torch
from breaking import (
    Judged,
    Outcome,
    Rule,
    Stack,
    Trial,
    draw,
    judge,
    onto,
    outcome,
    random_trial,
    rule_of,
    shrunk,
    thetas,
    trace,
)
from torch import Tensor

from rnn_control import Model
from rnn_control.barrier import Point
from rnn_control.bounds import Bound
from rnn_control.certify import is_proved
from rnn_control.lmi import bounded_channels, metric_bound
from rnn_control.model import Params

KIN = 20
"""Sets trained from one random set: each from its own trajectories."""


def proved_by(bound: Bound) -> Rule:
    """What P, tau and the rate of a bound prove of other parameters: nothing, of those with other channels."""
    assert bound.metric is not None and bound.multipliers is not None
    rate, point = float(bound.rate), Point(bound.metric.numpy(), bound.multipliers.numpy())

    def rule(model, p, u_max):
        box = model.comparison(p, u_max).state_box
        c = bounded_channels(model, p, u_max, box)
        if c is None or len(c.p) != len(point.tau):
            return bound._replace(residual=torch.tensor(torch.inf, dtype=torch.float64))
        return metric_bound(c, rate, point, box)

    return rule


def climb(model: Model, free: Stack, said: Judged, u_max: Tensor, trial: Trial, ascents: int, steps: int = 6):
    """Parameters and trajectories whose distances exceed the promises most, whether these still hold or not."""
    free = {k: v.clone().requires_grad_(True) for k, v in free.items()}
    trial = Trial(*(v.clone().requires_grad_(True) for v in trial))
    adam = torch.optim.Adam([dict(params=list(free.values()), lr=0.05), dict(params=list(trial), lr=0.2)])
    for _ in range(ascents):
        adam.zero_grad()
        ratios = trace(model, thetas(model, free), said, u_max, trial, steps)
        (-ratios.clamp(min=1e-12).log().amax((0, 2)).sum()).backward()
        for v in (*free.values(), *trial):
            v.grad = None if v.grad is None else torch.nan_to_num(v.grad)
        adam.step()
    return {k: v.detach() for k, v in free.items()}, Trial(*(v.detach() for v in trial))


def break_metric(model: Model, sets: int, seed: int, ascents: int = 10, long: int = 150, rounds: int = 2):
    """Outcomes for random sets that the search certifies, and for KIN trained ones from each; about `sets` in all."""
    rng, parents, rule, bounds = np.random.default_rng(seed), -(-sets // (KIN + 1)), rule_of("lmi"), []
    u_max, free = torch.from_numpy(rng.uniform(0.3, 2.0, (parents, model.nu))), draw(model, parents, rng)
    free = shrunk(model, free, torch.from_numpy(rng.uniform(0, 1, parents)))
    for s in range(parents):
        with torch.no_grad():
            p = thetas(model, {k: v[s : s + 1] for k, v in free.items()})
            bounds.append(rule(model, Params({k: v[0] for k, v in p.items()}), u_max[s]))
    kept = [s for s, bound in enumerate(bounds) if is_proved(bound)]
    free, u_max, rules = {k: v[kept] for k, v in free.items()}, u_max[kept], [proved_by(bounds[s]) for s in kept]
    if not kept:
        return Outcome(0, 0, 0.0), Outcome(0, 0, 0.0)
    said = judge(rules, model, thetas(model, free), u_max)
    before = outcome(model, thetas(model, free), said, u_max, [random_trial(model, len(kept), 8, rng, 4.0)], long)
    free = {k: v.repeat_interleave(KIN, 0) for k, v in free.items()}
    u_max, rules = u_max.repeat_interleave(KIN, 0), [rule for rule in rules for _ in range(KIN)]
    said, trial = said.repeated(KIN), random_trial(model, len(u_max), 4, rng, 1.0)
    for _ in range(rounds):
        moved, trial = climb(model, free, said, u_max, trial, ascents)
        path = {k: (v, moved[k] - v) for k, v in free.items()}
        free, said = onto(rules, model, lambda share, path=path: along(path, share), u_max)
    blind = random_trial(model, len(u_max), 8, rng, 4.0)
    return before, outcome(model, thetas(model, free), said, u_max, [trial, blind], long)


def along(path: dict[str, tuple[Tensor, Tensor]], share: Tensor) -> Stack:
    """Starts plus that share of the way."""
    return {k: v + way * share.view(-1, *[1] * (v.ndim - 1)) for k, (v, way) in path.items()}
