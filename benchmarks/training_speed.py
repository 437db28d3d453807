"""One training step (simulation of the records, squared error, all gradients): ours against what else steps in time.

Then what stability adds: the penalty of a violated condition with its gradient as a share of our own step, the record
as long as said, 32 units (goal: 5 %); a step of a model certified by construction over that of the same cell whose
explicit parameters are free, at the border of the certified set where the construction has most to do (goal: 1.3); and
the seconds that the matrix inequality takes for 16 units (goal: 30).

    python benchmarks/training_speed.py [--quick] [--json PATH]

Last the free run alone, all samples at once by Newton's method (rnn_control.parallel), against the literal loop and the
compiled kernel: a route for CUDA, which on one thread of a CPU loses to the kernel.

Interleaved in one process on one thread; CPU time (other work on the machine hardly shows), the median over rounds of
blocks of calls. A row is printed only if loss and gradients agree with the literal loop. Rivals: the literal torch
loop; torch.nn.GRU / LSTM (the GRU is another equation, the nearest built-in), the LSTM in float32 as well; JAX
`lax.scan` under jit with the same equations, in both precisions, if JAX is installed (named as absent otherwise).
"""

import argparse
import importlib
import importlib.util
import json
import statistics
import time
from functools import partial
from itertools import cycle
from pathlib import Path

import numpy as np
import torch

from rnn_control import MODELS, Contracting, certify, construct, kernel
from rnn_control.certify import TRAINABLE
from rnn_control.contract import contract
from rnn_control.kernel import Batch, CompiledKernel, LiteralKernel
from rnn_control.model import Model
from rnn_control.models.ren import EquilibriumNetwork
from rnn_control.objective import Objective
from rnn_control.parallel import simulate_parallel
from rnn_control.penalty import PAYS, Penalty
from rnn_control.simulate import simulate
from rnn_control.starts import estimated

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--quick", action="store_true", help="four cases, three rounds")
parser.add_argument("--json", type=Path, help="write the rows here")
args = parser.parse_args()

torch.set_num_threads(1)
kernel.THREADS_PAY = 10**12  # one thread, for everybody
ROUNDS = 3 if args.quick else 9
CASES = [("gru", 8, 500, 1), ("lstm", 8, 500, 1), ("lipschitz_rnn", 8, 500, 1), ("gru", 8, 500, 16), ("ren", 8, 500, 1)]
if not args.quick:
    CASES += [("gru", 8, 2000, 1), ("gru", 32, 500, 1), ("gru", 32, 2000, 1), ("gru", 64, 500, 1), ("lstm", 32, 500, 1)]
    CASES += [("nnarx", 12, 500, 1), ("esn", 100, 500, 1), ("gru", 32, 500, 16), ("lstm", 64, 500, 16)]
PENALTIES = [("gru", 2000)]
INEQUALITIES, AT_ONCE = ["gru"], [("gru", 8, 2000)]
if not args.quick:
    AT_ONCE += [("gru", 8, 20000), ("gru", 32, 2000), ("lstm", 8, 2000)]
    PENALTIES = [(kind, T) for kind in ("gru", "lstm", "esn", "nnarx", "lipschitz_rnn") for T in (500, 2000, 8000)]
    INEQUALITIES += ["lstm"]
CONSTRUCTED = [("gru", 2000), ("ren", 2000)]
if not args.quick:
    by_construction = ("gru", "lstm", "esn", "nnarx", "lipschitz_rnn", "ren", "lipschitz_ren")
    CONSTRUCTED = [(kind, T) for kind in by_construction for T in (500, 2000)]
SHARE, STEP, SECONDS = 0.05, 1.3, 30  # of a step for a penalty, steps for a construction, for a matrix inequality
MEDIANS = {"float64": 3, "float32": 2}  # over the rows against JAX
LITERAL_GOALS = {8: 400, 32: 100, 64: 25}  # for one record
JAX = importlib.import_module("jax") if importlib.util.find_spec("jax") else None


def goal(rival, kind, size, records):
    """Ratio asked for; None where none is."""
    if rival == "literal" and kind == "ren":
        return 300
    if rival == "literal":
        return LITERAL_GOALS.get(size) if records == 1 and kind != "esn" else None
    if rival == "nn float64":
        return 250 if size == 8 and records == 1 else 2
    return 1 if rival == "nn float32" else 1.1 if rival.endswith("float32") else 1.5


def problem(kind, size, samples, records):
    rng, shape = np.random.default_rng(0), (samples, 2)
    model = MODELS[kind](2, 2, size)
    data = Batch(
        [rng.uniform(-1, 1, shape) for _ in range(records)],
        [rng.normal(size=shape) for _ in range(records)],
        [np.ones(shape)] * records,
    )
    return model, model.theta(), np.zeros((records, model.nx)), data


def builtin(kind, size, data, dtype):
    """Forward and backward of torch's own layer with a linear read-out."""
    layer = {"gru": torch.nn.GRU, "lstm": torch.nn.LSTM}[kind](2, size, batch_first=True, dtype=dtype)
    read = torch.nn.Linear(size, 2, dtype=dtype)
    u, y = (torch.from_numpy(np.stack(a)).to(dtype) for a in (data.u, data.y))

    def step():
        for p in (*layer.parameters(), *read.parameters()):
            p.grad = None
        ((read(layer(u)[0]) - y) ** 2).sum().backward()

    return step


def jax_scan(kind, p, data, dtype):
    """value_and_grad of lax.scan over the same equations, compiled; None for a cell not written down here."""
    JAX.config.update("jax_enable_x64", True)
    jnp, sig = JAX.numpy, JAX.nn.sigmoid

    def gru(p, x, u):
        z = sig(x @ p["Uz"].T + u @ p["Wz"].T + p["bz"][:, 0])
        f = sig(x @ p["Uf"].T + u @ p["Wf"].T + p["bf"][:, 0])
        r = jnp.tanh((f * x) @ p["Ur"].T + u @ p["Wr"].T + p["br"][:, 0])
        return z * x + (1 - z) * r, x @ p["C"].T + p["b_y"][:, 0]

    def lstm(p, x, u):
        c, h = jnp.split(x, 2, -1)
        f, i, o = (sig(h @ p[f"U{k}"].T + u @ p[f"W{k}"].T + p[f"b{k}"][:, 0]) for k in "fio")
        c = f * c + i * jnp.tanh(h @ p["Uc"].T + u @ p["Wc"].T + p["bc"][:, 0])
        return jnp.concatenate([c, o * jnp.tanh(c)], -1), h @ p["C"].T + p["b_y"][:, 0]

    def lipschitz_rnn(p, x, u):
        h = jnp.tanh(x @ p["W"].T + u @ p["U"].T + p["b"][:, 0])
        return x + 0.5 * (x @ p["A"].T + h), x @ p["C"].T + p["b_y"][:, 0]

    cell = {"gru": gru, "lstm": lstm, "lipschitz_rnn": lipschitz_rnn}.get(kind)
    if cell is None:
        return None
    values = {k: jnp.asarray(v.detach().numpy(), dtype) for k, v in p.items()}
    u, y = (jnp.asarray(np.stack(a, 1), dtype) for a in (data.u, data.y))
    x0 = jnp.zeros((u.shape[1], values["C"].shape[1] * (1 + (kind == "lstm"))), dtype)

    def loss(values):
        yhat = JAX.lax.scan(lambda x, u: cell(values, x, u), x0, u)[1]
        return ((yhat - y) ** 2).sum()

    step = JAX.jit(JAX.value_and_grad(loss))
    return lambda: JAX.block_until_ready(step(values))


def milliseconds(step, budget=0.05):
    """Mean CPU time of a block of calls that lasts about `budget` s."""
    start = time.process_time()
    step()
    calls = max(1, int(budget / max(time.process_time() - start, 1e-6)))
    start = time.process_time()
    for _ in range(calls):
        step()
    return 1e3 * (time.process_time() - start) / calls


def agree(a, b, tolerance=1e-8):
    return abs(a[0] / b[0] - 1) < tolerance and all(
        np.allclose(a[1][k], b[1][k], rtol=tolerance, atol=tolerance * abs(np.asarray(b[1][k])).max() + 1e-300)
        for k in a[1]
    )


def contestants(kind, size, model, p, x0, data):
    """(name of the rival, its step, our step against it); refused where the numbers are not the same."""
    wrt = tuple(k for k, v in p.items() if v.requires_grad)
    ours, literal = CompiledKernel(model, wrt), LiteralKernel(model, wrt)
    double, expected = partial(ours.loss_grad, p, x0, data), literal.loss_grad(p, x0, data)
    if not agree(double(), expected):
        raise SystemExit(f"{kind} {size}: the compiled kernel does not equal the literal loop")
    if len(data.u) == 1:  # it takes records one by one: no rival for many
        yield "literal", partial(literal.loss_grad, p, x0, data), double
    if kind in ("gru", "lstm"):
        yield "nn float64", builtin(kind, size, data, torch.float64), double
    single = partial(CompiledKernel(model, wrt, "float32").loss_grad, p, x0, data)
    if not agree(single(), expected, 1e-3):
        raise SystemExit(f"{kind} {size}: the float32 kernel is not near the literal loop")
    if kind == "lstm":
        yield "nn float32", builtin(kind, size, data, torch.float32), single
    for dtype, step, tolerance in (("float64", double, 1e-8), ("float32", single, 1e-3)):
        scan = jax_scan(kind, p, data, dtype) if JAX else None
        if scan is not None:
            if not agree(step(), scan(), tolerance):
                raise SystemExit(f"{kind} {size}: JAX computes something else in {dtype}")
            yield f"jax {dtype}", scan, step


def penalties(kind, samples):
    """Our step, and the penalties of the conditions by name, each as late in a training as it gets."""
    model, p, x0, data = problem(kind, 32, samples, 1)
    double = CompiledKernel(model, tuple(k for k, v in p.items() if v.requires_grad))
    found = {}
    for method in TRAINABLE["delta_iss"]:
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


def constructions(kind, samples):
    """A step of a training of a model certified by construction, and of the same cell without."""
    free = certified = MODELS[kind](2, 2, 32)
    if certified.by_construction("delta_iss"):
        free = Explicit(certified)
    else:
        certified = Contracting(MODELS[kind](2, 2, 32))
        weights = dict(certified.inner.named_parameters()) | dict(certified.inner.named_buffers())
        with torch.no_grad():
            for name in certified.inner.recurrent:
                weights[name].mul_(10)
        for _ in range(construct.PAYS):
            certified.linearised()
    return [training(model, samples) for model in (certified, free)]


def training(model, samples):
    """A step of a training, a little elsewhere every time."""
    data = problem("gru", 1, samples, 1)[-1]
    property = "delta_iss" if model.by_construction("delta_iss") else None
    objective = Objective(
        model, kernel.make_kernel(model), data, property=property, method=model.by_construction("delta_iss") or "",
        margin=0.01, starts=estimated(data, model.nx),
    )  # fmt: skip
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


rows = []
print(f"{'case':34s}{'rival':>14s}{'rival ms':>10s}{'ours ms':>9s}{'ratio':>7s}{'goal':>6s}")
for kind, size, samples, records in CASES:
    model, p, x0, data = problem(kind, size, samples, records)
    rivals = list(contestants(kind, size, model, p, x0, data))
    times = [[(milliseconds(rival), milliseconds(ours)) for _, rival, ours in rivals] for _ in range(ROUNDS)]
    name = f"{kind} {size}, T = {samples}, {records} record" + "s" * (records > 1)
    for (rival, _, _), pairs in zip(rivals, zip(*times, strict=True), strict=True):
        theirs, ours = (statistics.median(side) for side in zip(*pairs, strict=True))
        ratio, asked = theirs / ours, goal(rival, kind, size, records)
        met = None if asked is None else ratio >= asked
        print(
            f"{name:34s}{rival:>14s}{theirs:10.3f}{ours:9.3f}{ratio:7.1f}{asked or '':>6}{' missed' * (met is False)}"
        )
        rows.append(dict(name=name, value=ours, unit="ms", rival=rival, ratio=ratio, goal=asked, met=met))
if JAX is None:
    print("jax lax.scan: absent (JAX is not installed), not compared")
    rows.append(dict(name="jax lax.scan", value=None, unit="ms", rival="absent", ratio=None, goal=3, met=None))
else:
    for dtype, asked in MEDIANS.items():
        ratio = statistics.median(row["ratio"] for row in rows if row["rival"] == f"jax {dtype}")
        name = f"jax {JAX.__version__} lax.scan, {dtype}, median"
        print(f"{name}: ratio {ratio:.1f} (goal {asked})")
        rows.append(dict(name=name, value=None, unit="-", rival="jax", ratio=ratio, goal=asked, met=ratio >= asked))

print(f"\n{'what stability adds':34s}{'step ms':>24s}{'ms':>9s}{'share':>7s}{'goal':>6s}")
for kind, samples in PENALTIES:
    step, found = penalties(kind, samples)
    times = [(milliseconds(step), *map(milliseconds, found.values())) for _ in range(ROUNDS)]
    base, *costs = (statistics.median(side) for side in zip(*times, strict=True))
    for method, cost in zip(found, costs, strict=True):
        name, share = f"{kind} 32, T = {samples}, {method}", cost / base
        met = share <= SHARE
        print(f"{name:34s}{base:24.3f}{cost:9.3f}{share:7.1%}{SHARE:6.0%}{' missed' * (not met)}", flush=True)
        rows.append(dict(name=name, value=cost, unit="ms", rival="training step", ratio=share, goal=SHARE, met=met))
for kind, samples in CONSTRUCTED:
    step, free = constructions(kind, samples)
    times = [(milliseconds(free), milliseconds(step)) for _ in range(ROUNDS)]
    base, ours = (statistics.median(side) for side in zip(*times, strict=True))
    name, ratio = f"{kind} 32, T = {samples}, by construction", ours / base
    met = ratio <= STEP
    print(f"{name:40s}{base:18.3f}{ours:9.3f}{ratio:7.2f}{STEP:6.1f}{' missed' * (not met)}", flush=True)
    rows.append(dict(name=name, value=ours, unit="ms", rival="free parameters", ratio=ratio, goal=STEP, met=met))
for kind in INEQUALITIES:
    seconds = statistics.median(inequality(kind) for _ in range(1 if args.quick else 3))
    name, met = f"{kind} 16, matrix inequality", seconds <= SECONDS
    print(f"{name:34s}{seconds:32.1f}s{SECONDS:12d}s{' missed' * (not met)}", flush=True)
    rows.append(dict(name=name, value=seconds, unit="s", rival="none", ratio=None, goal=SECONDS, met=met))

print(f"\n{'all samples at once':34s}{'rival':>14s}{'rival ms':>10s}{'ours ms':>9s}{'ratio':>7s}{'iterations':>12s}")
for kind, size, samples in AT_ONCE:
    step, rivals, iterations = at_once(kind, size, samples)
    times = [(milliseconds(step), *map(milliseconds, rivals.values())) for _ in range(ROUNDS)]
    ours, *others = (statistics.median(side) for side in zip(*times, strict=True))
    for rival, theirs in zip(rivals, others, strict=True):
        name, ratio = f"{kind} {size}, T = {samples}, free run", theirs / ours
        print(f"{name:34s}{rival:>14s}{theirs:10.3f}{ours:9.3f}{ratio:7.3f}{iterations:12d}", flush=True)
        rows.append(dict(name=name, value=ours, unit="ms", rival=rival, ratio=ratio, goal=None, met=None))
if args.json:
    args.json.write_text(json.dumps(rows, indent=1))
