"""What goes to a device as one batch, here on one thread of a CPU: all samples of a free run, and many starts at once.

    python benchmarks/batch_speed.py [--quick] [--json PATH]

A free run, all samples at once by Newton's method (rnn_control.parallel), against the literal loop and the compiled
kernel. A training step of many models (rnn_control.stack), milliseconds of one model's step, against the same by torch
one model after the other, and against the compiled kernel: routes for CUDA, which on a CPU lose to the kernel.

Interleaved in one process; CPU time, the median over rounds of blocks of calls. A row is printed only if the numbers
are the same.
"""

from functools import partial

import numpy as np
import torch
from speed import arguments, medians, problem, write

from rnn_control import MODELS
from rnn_control.contract import contract
from rnn_control.kernel import CompiledKernel
from rnn_control.parallel import simulate_parallel
from rnn_control.simulate import simulate
from rnn_control.stack import Stack

args = arguments(__doc__, "three cases, three rounds")
AT_ONCE, STARTS = [("gru", 8, 2000)], [("gru", 8, 16, 1), ("gru", 8, 16, 8)]  # kind, size, models, windows
if not args.quick:
    AT_ONCE += [("gru", 8, 20000), ("gru", 32, 2000), ("lstm", 8, 2000)]
    STARTS += [("gru", 8, 16, 32), ("gru", 32, 16, 8), ("lstm", 8, 16, 8), ("ren", 8, 16, 8)]
WINDOW = 200  # samples


def at_once(kind, size, samples):
    """Free runs of a certified model from rest: all samples at once, and the rivals by name."""
    model, _, x0, data = problem(kind, size, samples, 1)
    contract(model, "delta_iss", "weighted", 0.01)
    p, compiled = model.theta(), CompiledKernel(model, ())
    start, u = torch.from_numpy(x0), torch.from_numpy(np.stack(data.u))
    ours = partial(torch.no_grad()(simulate_parallel), model, p, start, u)
    rivals = {
        "literal": partial(torch.no_grad()(simulate), model, p, start, u),
        "our kernel": partial(compiled.simulate, p, x0, data.u),
    }
    run, (_, expected) = ours(), compiled.simulate(p, x0, data.u)[0]
    if not run.converged.all() or not np.allclose(run.y[0], expected, atol=1e-9):
        raise SystemExit(f"{kind} {size}: all samples at once is not the free run")
    return ours, rivals, int(run.iterations.max())


def many_starts(kind, size, count, windows):
    """A step of all models at once, the same model after model, and by the compiled kernel."""
    _, _, x0, data = problem(kind, size, WINDOW, windows)
    models = [MODELS[kind](2, 2, size, seed=seed) for seed in range(count)]
    stacks = [Stack(part, None, "cpu", torch.float64) for part in (models, *([m] for m in models))]
    steps = [partial(s.slopes, s.start(windows), s.windows(data)) for s in stacks]
    compiled = CompiledKernel(models[0], tuple(k for k, v in models[0].theta().items() if v.requires_grad))

    def by_kernel():
        found = []
        for model in models:
            p, back = model.linearised()
            loss, slopes, _ = compiled.loss_grad(p, x0, data)
            found.append((loss, back(slopes)))
        return found

    ours, theirs = steps[0]()[0], [loss / (windows * WINDOW * 2) for loss, _ in by_kernel()]
    if not np.allclose(ours, theirs, rtol=1e-9):
        raise SystemExit(f"{kind} {size}: the batch is not what its models are alone")
    return steps[0], {"one by one": lambda: [step() for step in steps[1:]], "our kernel": by_kernel}


rows = []
print(f"{'all samples at once':34s}{'rival':>14s}{'rival ms':>10s}{'ours ms':>9s}{'ratio':>7s}{'iterations':>12s}")
for kind, size, samples in AT_ONCE:
    step, rivals, iterations = at_once(kind, size, samples)
    ours, *others = medians([step, *rivals.values()], args.rounds)
    for rival, theirs in zip(rivals, others, strict=True):
        name, ratio = f"{kind} {size}, T = {samples}, free run", theirs / ours
        print(f"{name:34s}{rival:>14s}{theirs:10.3f}{ours:9.3f}{ratio:7.3f}{iterations:12d}", flush=True)
        rows.append(dict(name=name, value=ours, unit="ms", rival=rival, ratio=ratio, goal=None, met=None))

print(f"\n{f'many starts, windows of {WINDOW}':44s}{'rival':>14s}{'rival ms':>10s}{'ours ms':>9s}{'ratio':>7s}")
for kind, size, count, windows in STARTS:
    step, rivals = many_starts(kind, size, count, windows)
    ours, *others = (each / count for each in medians([step, *rivals.values()], args.rounds))
    for rival, theirs in zip(rivals, others, strict=True):
        name, ratio = f"{kind} {size}, {count} models, {windows} window" + "s" * (windows > 1), theirs / ours
        print(f"{name:44s}{rival:>14s}{theirs:10.3f}{ours:9.3f}{ratio:7.3f}", flush=True)
        rows.append(dict(name=name, value=ours, unit="ms", rival=rival, ratio=ratio, goal=None, met=None))
write(args.json, rows)
