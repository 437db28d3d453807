"""What stability adds to a training step: penalties, constructions, and the seconds of a matrix inequality.

The penalty of a violated condition with its gradient as a share of our own step, the record as long as said, 32 units
(goal: 5 %); a step of a model certified by construction over that of the same cell whose explicit parameters are free,
at the border of the certified set where the construction has most to do (goal: 1.3); and the seconds that the matrix
inequality takes for 16 units (goal: 30).

    python benchmarks/certificate_cost.py [--quick] [--json PATH]

Interleaved in one process on one thread; CPU time, the median over rounds of blocks of calls.
"""

import statistics
import time
from functools import partial
from itertools import cycle

import numpy as np
import torch
from speed import arguments, medians, problem, write

from rnn_control import MODELS, Contracting, certify, explicit, kernel
from rnn_control.conditions import TRAINABLE
from rnn_control.contract import contract
from rnn_control.kernel import CompiledKernel
from rnn_control.model import Model
from rnn_control.models.ren import EquilibriumNetwork
from rnn_control.objective import Objective
from rnn_control.penalty import PAYS, Penalty
from rnn_control.starts import estimated

args = arguments(__doc__, "four cases, three rounds")
PENALTIES, CONSTRUCTED, INEQUALITIES = [("gru", 2000)], [("gru", 2000), ("ren", 2000)], ["gru"]
if not args.quick:
    FAMILIES = ("gru", "lstm", "esn", "nnarx", "lipschitz_rnn")
    PENALTIES = [(kind, T) for kind in FAMILIES for T in (500, 2000, 8000)]
    CONSTRUCTED = [(kind, T) for kind in (*FAMILIES, "ren", "lipschitz_ren") for T in (500, 2000)]
    INEQUALITIES += ["lstm"]
SHARE, STEP, SECONDS = 0.05, 1.3, 30  # of a step for a penalty, steps for a construction, for a matrix inequality


def penalties(kind, samples):
    """Our step, and the penalties of the conditions by name, each as late in a training as it gets."""
    model, p, x0, data = problem(kind, 32, samples, 1)
    double = CompiledKernel(model, tuple(k for k, v in p.items() if v.requires_grad))
    found = {}
    for method in TRAINABLE:
        cost = Penalty(model, "delta_iss", method, margin=0.5)
        found[method] = partial(cost, p, np.zeros(model.nx if method == "weighted" else 0))
        for _ in range(PAYS):
            found[method]()
    return partial(double.loss_grad, p, x0, data), found


class Explicit(EquilibriumNetwork):
    """A recurrent equilibrium network whose explicit matrices are free."""

    kind, recurrent = "explicit", ()
    theta = Model.theta

    def __init__(self, network):
        super().__init__(network.nu, network.ny, network.nx, network.neurons, network.rate, None, None, {})
        for name, value in network.theta().items():
            if name not in ("P", "lam"):
                self.register_parameter(name, torch.nn.Parameter(value.detach().clone()))

    def delta_iss(self, p, u_max):
        return self.contraction(p)

    @torch.no_grad()
    def start_from(self, p):
        for name, value in self.named_parameters():
            value.copy_(p[name])


def constructions(kind, samples):
    """A step of a training of a model certified by construction, and of the same cell without."""
    free = certified = MODELS[kind](2, 2, 32, **({"neurons": 64} if "ren" in kind else {}))
    if certified.by_construction("delta_iss"):
        free = Explicit(certified)
    else:
        certified = Contracting(MODELS[kind](2, 2, 32))
        weights = dict(certified.inner.named_parameters()) | dict(certified.inner.named_buffers())
        with torch.no_grad():
            for name in certified.inner.recurrent:
                weights[name].mul_(10)
    return [training(model, samples) for model in (certified, free)]


def training(model, samples):
    """A step of a training, a little elsewhere every time."""
    data = problem("gru", 1, samples, 1)[-1]
    property = "delta_iss" if model.by_construction("delta_iss") else None
    objective = Objective(
        model, kernel.make_kernel(model), data, property=property, method=model.by_construction("delta_iss") or "",
        margin=0.01, starts=estimated(data, model.nx),
    )  # fmt: skip
    for _ in range(explicit.PAYS):
        objective.linearised()
    at = cycle([objective.start(), 1.001 * objective.start()])
    return lambda: objective(next(at))


def inequality(kind):
    """Certifying a model of 16 units by a matrix inequality; CPU time in s."""
    model = MODELS[kind](2, 2, 16)
    contract(model, "delta_iss", "weighted", 0.02)
    start = time.process_time()
    if not certify(model, method="lmi").holds:
        raise SystemExit(f"{kind} 16: the matrix inequality certifies nothing")
    return time.process_time() - start


rows = []
print(f"{'what stability adds':34s}{'step ms':>24s}{'ms':>9s}{'share':>7s}{'goal':>6s}")
for kind, samples in PENALTIES:
    step, found = penalties(kind, samples)
    base, *costs = medians([step, *found.values()], args.rounds)
    for method, cost in zip(found, costs, strict=True):
        name, share = f"{kind} 32, T = {samples}, {method}", cost / base
        met = share <= SHARE
        print(f"{name:34s}{base:24.3f}{cost:9.3f}{share:7.1%}{SHARE:6.0%}{' missed' * (not met)}", flush=True)
        rows.append(dict(name=name, value=cost, unit="ms", rival="training step", ratio=share, goal=SHARE, met=met))
for kind, samples in CONSTRUCTED:
    ours, base = medians(constructions(kind, samples), args.rounds)
    name, ratio = f"{kind} 32, T = {samples}, by construction", ours / base
    met = ratio <= STEP
    print(f"{name:40s}{base:18.3f}{ours:9.3f}{ratio:7.2f}{STEP:6.1f}{' missed' * (not met)}", flush=True)
    rows.append(dict(name=name, value=ours, unit="ms", rival="free parameters", ratio=ratio, goal=STEP, met=met))
for kind in INEQUALITIES:
    seconds = statistics.median(inequality(kind) for _ in range(1 if args.quick else 3))
    name, met = f"{kind} 16, matrix inequality", seconds <= SECONDS
    print(f"{name:34s}{seconds:32.1f}s{SECONDS:12d}s{' missed' * (not met)}", flush=True)
    rows.append(dict(name=name, value=seconds, unit="s", rival="none", ratio=None, goal=SECONDS, met=met))

write(args.json, rows)
