"""One training step (simulation of the records, squared error, all gradients): ours against what else steps in time.

    python benchmarks/training_speed.py [--quick] [--json PATH]

Interleaved in one process on one thread; CPU time (other work on the machine hardly shows), the median over rounds of
blocks of calls. A row is printed only if loss and gradients agree with the literal loop. Rivals: the literal torch
loop; torch.nn.GRU / LSTM (the GRU is another equation, the nearest built-in), the LSTM in float32 as well; JAX
`lax.scan` under jit with the same equations, in both precisions, if JAX is installed (named as absent otherwise).
"""

import importlib
import importlib.util
import statistics
from functools import partial

import numpy as np
import torch
from speed import arguments, medians, problem, write

from rnn_control.kernel import CompiledKernel, LiteralKernel

args = arguments(__doc__, "five cases, three rounds")
CASES = [("gru", 8, 500, 1), ("lstm", 8, 500, 1), ("lipschitz_rnn", 8, 500, 1), ("gru", 8, 500, 16), ("ren", 8, 500, 1)]
if not args.quick:
    CASES += [("gru", 8, 2000, 1), ("gru", 32, 500, 1), ("gru", 32, 2000, 1), ("gru", 64, 500, 1), ("lstm", 32, 500, 1)]
    CASES += [("nnarx", 12, 500, 1), ("esn", 100, 500, 1), ("gru", 32, 500, 16), ("lstm", 64, 500, 16)]
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
        return x @ p["L"].T + 0.5 * h, x @ p["C"].T + p["b_y"][:, 0]

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


rows = []
print(f"{'case':34s}{'rival':>14s}{'rival ms':>10s}{'ours ms':>9s}{'ratio':>7s}{'goal':>6s}")
for kind, size, samples, records in CASES:
    model, p, x0, data = problem(kind, size, samples, records)
    rivals = list(contestants(kind, size, model, p, x0, data))
    times = medians([step for _, *pair in rivals for step in pair], args.rounds)
    name = f"{kind} {size}, T = {samples}, {records} record" + "s" * (records > 1)
    for (rival, _, _), theirs, ours in zip(rivals, times[::2], times[1::2], strict=True):
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

write(args.json, rows)
