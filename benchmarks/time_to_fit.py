"""Seconds from a record to a model that reproduces it: free run of the training record at 98 % FIT, GRU of 8 units.

    python benchmarks/time_to_fit.py [--quick] [--json PATH]

Records of 2000 samples with 1 % noise: two tanks in cascade (square-root outflow, second level measured) and the van de
Vusse reactor (two outputs). CPU time of one call of `fit`, stopped when the kept model reaches the level: cold is
the first call of a process with an empty kernel cache (tracing, C compiler and what torch imports to trace counted),
warm the second one; the default recipe, free and certified. Medians over seeds. Rivals get the same record, their
compilation counted: jax-sysid (the same equations, the shortest of a ladder of L-BFGS budgets that reaches the level)
if installed, deepSI (SUBNET, default training, steps of a ladder) if installed; named as absent otherwise.
"""

import argparse
import contextlib
import importlib
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from plants import PLANTS, random_steps
from rnn_control import GRU, Experiment, fit

LEVEL, SIZE, SAMPLES, NOISE, WASHOUT = 98.0, 8, 2000, 0.01, 50  # %, units, samples, share of the deviation, samples
GOALS = {"cold": 2.0, "warm": 0.5}  # s, free models
RATIOS = {"jax-sysid": 3.0, "deepSI": 100.0}
ONE_THREAD = {"XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"}
BUDGETS = (100, 300, 1000, 3000)


def two_tanks(seed):
    """h1' = u - sqrt(h1), 3 h2' = sqrt(h1) - sqrt(h2), by Euler steps; dimensionless, y = h2."""
    u, h, y = random_steps(0.2, 1.0, SAMPLES, hold=(10, 40), seed=seed), np.array([0.36, 0.36]), []
    for u_k in u[:, 0]:
        y.append(h[1])
        for _ in range(10):
            outflow = np.sqrt(h)
            h = np.maximum(h + 0.03 * np.array([u_k - outflow[0], (outflow[0] - outflow[1]) / 3]), 1e-6)
    return u, np.array(y)[:, None], 1.0


def reactor(seed):
    plant = PLANTS["van_de_vusse"]()
    u = random_steps(plant.u_region_min, plant.u_region_max, SAMPLES, hold=(10, 50), seed=seed)
    return u, plant.experiment(u, 30.0, seed=seed).y_true, 30.0


RECORDS = {"two tanks": two_tanks, "CSTR": reactor}


def record(name, seed):
    u, y, dt = RECORDS[name](seed)
    return Experiment(u, y + NOISE * y.std(0) * np.random.default_rng(seed).normal(size=y.shape), dt)


def stop_when_good(step):
    """Interrupts the search, as Ctrl-C does, once the kept model is good enough."""
    if step.best_fit >= LEVEL:
        raise KeyboardInterrupt


def cpu_seconds():
    """Of this process and of the compilers it started: other work on the machine hardly shows."""
    return sum(os.times()[:4])


def ours(name, seed, certificate):
    """Twice, with an empty cache of kernels at first."""
    data, found = record(name, seed), []
    for _ in GOALS:
        model, started = GRU(data.nu, data.ny, SIZE, seed=seed), cpu_seconds()
        result = fit(model, data, data, certificate=certificate, seed=seed, progress=False, log=stop_when_good)
        found.append((cpu_seconds() - started, float(np.min(result.model.score(data, WASHOUT).fit))))
    return found


def jax_sysid(name, seed, certificate):
    """The same GRU in their Model class; their y(k) is that of x(k) before the update, as ours."""
    jax, jnp = importlib.import_module("jax"), importlib.import_module("jax.numpy")
    models = importlib.import_module("jax_sysid.models")
    jax.config.update("jax_enable_x64", True)
    data = record(name, seed)
    u = (data.u - data.u.mean(0)) / (np.ptp(data.u, axis=0) / 2)
    y = (data.y - data.y.mean(0)) / data.y.std(0)
    start = [v.detach().numpy() for v in GRU(data.nu, data.ny, SIZE, seed=seed).parameters()]

    def step(x, u, p):
        Wz, Uz, bz, Wf, Uf, bf, Wr, Ur, br = p[:9]
        z, f = jax.nn.sigmoid(Wz @ u + Uz @ x + bz[:, 0]), jax.nn.sigmoid(Wf @ u + Uf @ x + bf[:, 0])
        return z * x + (1 - z) * jnp.tanh(Wr @ u + Ur @ (f * x) + br[:, 0])

    spent = 0.0
    for budget in BUDGETS:
        model = models.Model(SIZE, data.ny, data.nu, state_fcn=step, output_fcn=lambda x, u, p: p[9] @ x + p[10][:, 0])
        model.init(params=[v.copy() for v in start])
        model.loss(rho_x0=1e-4, rho_th=1e-7)
        model.optimization(adam_epochs=0, lbfgs_epochs=budget, iprint=-1)
        started = cpu_seconds()
        model.fit(y, u)
        spent = cpu_seconds() - started
        error = (np.asarray(model.predict(model.x0, u)[0]) - y)[WASHOUT:]
        reached = 100 * (1 - np.sqrt((error**2).mean(0)) / y[WASHOUT:].std(0)).min()
        if reached >= LEVEL:
            break
    return [(spent, float(reached))]


def deep_si(name, seed, certificate):
    """SUBNET of deepSI 0.4 with its default nets, 8 states and lags of 20, on sections of 50; ten times the budgets."""
    deepsi, torch = importlib.import_module("deepSI"), importlib.import_module("torch")
    data = record(name, seed)
    own, spent = deepsi.Input_output_data(data.u, data.y, sampling_time=data.dt), 0.0
    for budget in BUDGETS:
        torch.manual_seed(seed)
        model = deepsi.SUBNET(*deepsi.get_nu_ny_and_auto_norm(own), nx=SIZE, nb=20, na=20)
        started = cpu_seconds()
        with contextlib.redirect_stdout(sys.stderr):
            deepsi.fit(model, own, own, n_its=10 * budget, T=50)
        spent = cpu_seconds() - started
        error = (model.simulate(own).y - data.y)[WASHOUT:]
        reached = 100 * (1 - np.sqrt((error**2).mean(0)) / data.y[WASHOUT:].std(0)).min()
        if reached >= LEVEL:
            break
    return [(spent, float(reached))]


ENGINES = {"ours": ours, "jax-sysid": jax_sysid, "deepSI": deep_si}


def measure(engine, name, seed, certificate):
    """[(seconds, FIT %), ..] in a process of its own."""
    command = [sys.executable, __file__, "--one", json.dumps([engine, name, seed, certificate])]
    with tempfile.TemporaryDirectory() as cache:
        environment = {**os.environ, "RNN_CONTROL_CACHE": cache, "OMP_NUM_THREADS": "1", **ONE_THREAD}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def rows_of(name, seeds, rivals):
    """Ours, cold and warm, free and certified; then every rival against the warm free one."""
    times = {}
    for certificate in (None, "delta_iss"):
        for seed in seeds:
            for state, found in zip(GOALS, measure("ours", name, seed, certificate), strict=True):
                times.setdefault((certificate, state), []).append(found)
    for (certificate, state), found in times.items():
        seconds, level = (statistics.median(column) for column in zip(*found, strict=True))
        goal = GOALS[state] if certificate is None else None
        label = f"{name}, {'certified' if certificate else 'free'}, {state}"
        yield label, seconds, level, "", None, goal, None if goal is None else seconds < goal and level >= LEVEL
    mine = statistics.median(seconds for seconds, _ in times[None, "warm"])
    for rival in rivals:
        found = [measure(rival, name, seed, None)[0] for seed in seeds]
        seconds, level = (statistics.median(column) for column in zip(*found, strict=True))
        yield f"{name}, {rival}", seconds, level, rival, seconds / mine, RATIOS[rival], seconds / mine >= RATIOS[rival]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one seed, the tanks only")
    parser.add_argument("--json", type=Path, help="write the rows here")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        engine, *case = json.loads(args.one)
        print(json.dumps(ENGINES[engine](*case)))
        sys.exit()
    packages = {"jax-sysid": "jax_sysid", "deepSI": "deepSI"}
    rivals = [rival for rival, package in packages.items() if importlib.util.find_spec(package)]
    rows = []
    print(f"{'case':34s}{'seconds':>9s}{'FIT %':>8s}{'ratio':>8s}{'goal':>7s}")
    for name in list(RECORDS)[: 1 if args.quick else None]:
        for label, seconds, level, rival, ratio, goal, met in rows_of(name, range(1 if args.quick else 3), rivals):
            shown = "" if ratio is None else f"{ratio:.1f}"
            print(f"{label:34s}{seconds:9.2f}{level:8.2f}{shown:>8s}{goal or '':>7}{' missed' * (met is False)}")
            rows.append(dict(name=label, value=seconds, unit="s", rival=rival, ratio=ratio, goal=goal, met=met))
    for rival in packages:
        if rival not in rivals:
            print(f"{rival}: absent (not installed), not compared")
            rows.append(
                dict(name=rival, value=None, unit="s", rival="absent", ratio=None, goal=RATIOS[rival], met=None)
            )
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1))
