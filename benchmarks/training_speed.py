"""One training step (simulation of a record, squared error, all gradients): ours against what else steps through time.

    python benchmarks/training_speed.py [--quick] [--json PATH]

Interleaved in one process, one thread, float64, batch 1; the median over rounds of blocks of calls. A row is printed
only if loss and gradients agree with the literal loop. Rivals: the literal torch loop; torch.nn.GRU / LSTM (the GRU is
another equation, the nearest built-in); JAX `lax.scan` under jit, if JAX is installed (named as absent otherwise).
"""

import argparse
import importlib.util
import json
import statistics
import time
from functools import partial
from pathlib import Path

import numpy as np
import torch

from rnn_control import MODELS
from rnn_control.kernel import Batch, CompiledKernel, LiteralKernel

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--quick", action="store_true", help="three sizes, three rounds")
parser.add_argument("--json", type=Path, help="write the rows here")
args = parser.parse_args()

torch.set_num_threads(1)
ROUNDS = 3 if args.quick else 9
CASES = [("gru", 8, 500), ("lstm", 8, 500), ("lipschitz_rnn", 8, 500)]
if not args.quick:
    CASES += [("gru", 8, 2000), ("gru", 32, 500), ("gru", 32, 2000), ("gru", 64, 500), ("lstm", 32, 500)]
    CASES += [("nnarx", 12, 500), ("esn", 100, 500)]
GOALS = {8: 400, 32: 100, 64: 25}  # times the literal loop


def problem(kind, size, samples):
    rng = np.random.default_rng(0)
    model = MODELS[kind](2, 2, size)
    data = Batch([rng.uniform(-1, 1, (samples, 2))], [rng.normal(size=(samples, 2))], [np.ones((samples, 2))])
    return model, model.theta(), np.zeros((1, model.nx)), data


def builtin(kind, size, data):
    """Forward and backward of torch's own layer with a linear read-out; None where there is no such layer."""
    if kind not in ("gru", "lstm"):
        return None
    layer = {"gru": torch.nn.GRU, "lstm": torch.nn.LSTM}[kind](2, size, batch_first=True, dtype=torch.float64)
    read = torch.nn.Linear(size, 2, dtype=torch.float64)
    u, y = torch.from_numpy(data.u[0])[None], torch.from_numpy(data.y[0])[None]

    def step():
        for p in (*layer.parameters(), *read.parameters()):
            p.grad = None
        ((read(layer(u)[0]) - y) ** 2).sum().backward()

    return step


def milliseconds(step, budget=0.05):
    """Mean of a block of calls that lasts about `budget` s."""
    start = time.perf_counter()
    step()
    calls = max(1, int(budget / max(time.perf_counter() - start, 1e-6)))
    start = time.perf_counter()
    for _ in range(calls):
        step()
    return 1e3 * (time.perf_counter() - start) / calls


def agree(a, b):
    return abs(a[0] / b[0] - 1) < 1e-10 and all(np.allclose(a[1][k], b[1][k], rtol=1e-8, atol=1e-10) for k in a[1])


rows = []
print(f"{'case':26s}{'ours':>10s}{'literal':>10s}{'ratio':>8s}{'built-in':>10s}{'ratio':>8s}{'compile':>9s}")
for kind, size, samples in CASES:
    model, p, x0, data = problem(kind, size, samples)
    wrt = tuple(k for k, v in p.items() if v.requires_grad)
    start = time.perf_counter()
    ours, literal = CompiledKernel(model, wrt), LiteralKernel(model, wrt)
    first = time.perf_counter() - start
    name = f"{kind} {size}, T = {samples}"
    if not agree(ours.loss_grad(p, x0, data), literal.loss_grad(p, x0, data)):
        print(f"{name:26s} refused: it does not equal the literal loop")
        continue
    steps = {"ours": partial(ours.loss_grad, p, x0, data), "literal": partial(literal.loss_grad, p, x0, data)}
    native = builtin(kind, size, data)
    if native is not None:
        steps["built-in"] = native
    times = {who: [] for who in steps}
    for _ in range(ROUNDS):
        for who, step in steps.items():
            times[who].append(milliseconds(step))
    median = {who: statistics.median(t) for who, t in times.items()}
    ratio = {who: median[who] / median["ours"] for who in median}
    built = f"{median['built-in']:10.2f}{ratio['built-in']:8.0f}" if native else f"{'-':>10s}{'-':>8s}"
    print(f"{name:26s}{median['ours']:10.3f}{median['literal']:10.1f}{ratio['literal']:8.0f}{built}{first:8.1f}s")
    for who in ratio.keys() - {"ours"}:
        goal = GOALS.get(size) if who == "literal" and kind != "esn" else None
        met = None if goal is None else ratio[who] >= goal
        rows.append(dict(name=name, value=median["ours"], unit="ms", rival=who, ratio=ratio[who], goal=goal, met=met))
print("ms per step; compile: trace and C compiler, or the disk cache")
if importlib.util.find_spec("jax") is None:
    print("jax.lax.scan: absent (JAX is not installed), not compared")
    rows.append(dict(name="jax.lax.scan", value=None, unit="ms", rival="absent", ratio=None, goal=3, met=None))
if args.json:
    args.json.write_text(json.dumps(rows, indent=1))
