"""How far the controller is from its sampling time: every plant, the estimator, one iteration a sample, long horizons.

    python benchmarks/mpc_real_time.py [--quick] [--only PART ...] [--json PATH]

plants: every plant, set-points that change, N = 20: NMPC around a GRU identified from a simulated record, with its
    observer; NMPC and moving horizon estimation (over 10 samples) on the plant's own equations, which two plants
    integrate in longer steps there than where they play the process (SUBSTEP below); the 99 % quantile of the time of a
    step, the first two left out, as a share of the plant's recommended sampling time; goal: a tenth
iteration: one iteration a sample against convergence, GRU with 32 states, noise on them: time of the solve and of the
    whole step, all at once and prepared before the measurement, and what the loop costs more
build: seconds until a controller stands, GRU with 64 states, N = 40: compiled, and from the cache
growth: roll-out and step at N = 20, 40, 80, GRU with 32 states: exponents of N
esn: median step of an ESN with 300 states, N = 40, to convergence and as one prepared iteration
Processor time of one core, which is the wall time where nothing else runs; iterations, which are shorter than that
clock's call, and builds, whose compiler is another process, in wall time. Loops that are compared are interleaved.
"""

import argparse
import json
import os
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
from stopwatch import Stopwatch

from mpc import MHE, NMPC, OffsetFreeObserver
from mpc.cell import build_cell
from mpc.fast_call import FastCall
from plants import PLANTS, random_steps
from rnn_control import ESN, GRU, Experiment, IdentifiedModel, Scaler, fit

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--quick", action="store_true", help="two plants, few steps, a smaller ESN")
parser.add_argument("--only", nargs="+", help="some of: plants iteration build growth esn")
parser.add_argument("--json", type=Path, help="write the rows here")

WEIGHTS = {"y": 1.0, "u": 0.0, "du": 0.1}
HOLD = 8  # samples between set-points
# s, of the integrators inside controller and observer; a controller's has to bear all of the inputs' box, where the
# ranges of the outputs are looked for; an observer's errs by two thirds of the sensors' noise at most where inputs jump
# within the region, and by a twentieth in half of such jumps
SUBSTEP = {"reactors_separator_liu": (0.5, 0.5), "reactors_separator_stewart": (0.07, 0.15)}


def learned(model):
    scaler = Scaler(u_mid=[0, 0], u_half=[1, 1], y_mean=[0, 0], y_std=[1, 1])
    names = dict(u_names=("a", "b"), y_names=("y", "z"), u_units=("-", "-"), y_units=("-", "-"))
    return IdentifiedModel(model, scaler, 1.0, **names).to_casadi()


def controller(system, horizon, **options):
    return NMPC(system, horizon, weights=WEIGHTS, terminal=None, y_range=1.0, **options)


def step(function, *arguments):
    return function(*arguments).full().ravel()


def set_points(system, steps, low=None, high=None, seed=0):
    """Outputs at rest under random inputs, (steps, ny): all of them can be reached."""
    rng, x, found = np.random.default_rng(seed), np.array(system.x0), []
    low, high = system.u_min if low is None else low, system.u_max if high is None else high
    middle, half = (high + low) / 2, (high - low) / 2
    for _ in range(-(-steps // HOLD)):
        u = middle + 0.5 * half * rng.uniform(-1, 1, system.nu)
        for _ in range(100):
            x = step(system.f, x, u)
        found.append(step(system.g, x))
    return np.repeat(found, HOLD, axis=0)[:steps]


def row(name, value, unit, goal=None, rival=None, ratio=None):
    met = None if goal is None else bool((value if ratio is None else ratio) <= goal)
    shown = value if ratio is None else ratio
    print(f"{name}: {shown:.3g} {unit if ratio is None else 'x ' + rival}" + ("" if goal is None else f", goal {goal}"
          f": {'met' if met else 'NOT met'}"), flush=True)  # fmt: skip
    return dict(name=name, value=float(value), unit=unit, rival=rival, ratio=ratio, goal=goal, met=met)


def identified(plant, quick):
    """GRU with 8 states from a record around the operating region, as a system."""
    box = dict(u_min=plant.u_region_min, u_max=plant.u_region_max)
    u = random_steps(*box.values(), 600 if quick else 1500, hold=(10, 50), seed=1)
    train, valid, _ = Experiment.from_object(plant.experiment(u, plant.sampling_time, seed=1)).split(0.6, 0.2)
    budget = dict(epochs=20, polish=100) if quick else dict(epochs=60, polish=300)
    result = fit(GRU(plant.nu, plant.ny, 8), train, valid, certificate="delta_iss", progress=False, **box, **budget)
    return result.model.to_casadi()


def seconds(plant, control, observer, r):
    """Of observer and controller on the plant under noise, (steps - 2, 2): two steps warm up."""
    system, noise = plant.discretise(plant.sampling_time), np.maximum(plant.y_noise, 1e-6)
    x, u, times = np.array(system.x0), np.array(plant.nominal.u), []
    observer.reset(step(system.g, x), u)
    rng = np.random.default_rng(0)
    for k, r_k in enumerate(r):
        y = step(system.g, x) + noise * rng.standard_normal(system.ny)
        start = time.process_time()
        estimate = observer.update(u if k else None, y)
        middle = time.process_time()
        u = control.step(estimate.x, estimate.d, r_k, u, estimate.v).u
        times.append((middle - start, time.process_time() - middle))
        x = step(system.f, x, u)
    return np.array(times[2:])


def plants(quick):
    rows = []
    for name in list(PLANTS)[:2] if quick else PLANTS:
        plant = PLANTS[name]()
        system, noise = plant.discretise(plant.sampling_time), np.maximum(plant.y_noise, 1e-6)
        r = set_points(system, 24 if quick else 96, plant.u_region_min, plant.u_region_max)
        spans = np.ptp(r, axis=0) + noise
        model, longer = identified(plant, quick), SUBSTEP.get(name, (None, None))
        planned, seen = (plant.discretise(plant.sampling_time, substep=s) for s in longer)
        window = MHE(seen, noise, 0.1 * spans, 1e-3 * np.maximum(np.abs(system.x0), 1e-3), window=10)
        learned_, own = (
            seconds(plant, NMPC(s, 20), observer, r)
            for s, observer in ((model, OffsetFreeObserver(model)), (planned, window))
        )
        each = {"learned model, NMPC and observer": learned_.sum(1), "own equations, MHE": own[:, 0],
                "own equations, NMPC": own[:, 1]}  # fmt: skip
        for what, times in each.items():
            p99 = float(np.percentile(times, 99))
            label, share = f"{name}, {what}, 99 % of its steps", p99 / plant.sampling_time
            rows.append(row(label, 1e3 * p99, "ms", 0.1, "sampling time", share))
    return rows


def iteration(quick):
    system, steps = learned(GRU(2, 2, 32, seed=1)), 48 if quick else 240
    r, noise = set_points(system, steps), 0.01 * np.random.default_rng(7).standard_normal((steps, system.nx))
    made = (controller(system, 20), *(controller(system, 20, iterations=1) for _ in range(2)))
    solving = [Stopwatch(c._solvers, "solve") for c in made]
    x, u, costs, times = [np.array(system.x0)] * 3, [np.zeros(2)] * 3, np.zeros(3), []
    for k in range(steps):
        spent = np.zeros((3, 3))
        for i in np.random.default_rng(k).permutation(3):
            before, start = u[i], time.perf_counter()
            u[i] = made[i].step(x[i], None, r[k], before).u
            spent[:2, i] = time.perf_counter() - start, solving[i].last
            if i == 2:
                start = time.perf_counter()
                made[i].prepare()
                spent[2, i] = time.perf_counter() - start
            x[i] = step(system.f, x[i], u[i]) + noise[k]
            e, du = step(system.g, x[i]) - r[k], u[i] - before
            costs[i] += e @ e + 0.1 * du @ du
        times.append(spent)
    steps_, solves, prepared = 1e3 * np.median(times[2:], axis=0)
    rows = []
    for i, what in ((1, "one iteration"), (2, "one iteration, prepared")):
        loss = 100 * float(costs[i] / costs[0] - 1)
        rows += [
            row(f"{what}, solve", solves[i], "ms", 0.25, "converged", float(solves[i] / solves[0])),
            row(f"{what}, whole step", steps_[i], "ms", None, "converged", float(steps_[i] / steps_[0])),
            row(f"{what}, closed loop costs more by", loss, "%", 1.0),
        ]
    return [*rows, row("preparation, between the samples", prepared[2], "ms")]


def build(quick):
    system, rows = learned(GRU(2, 2, 64, seed=1)), []
    for what, goal in (("compiled", 2.0), ("from the cache", 0.1)):
        start = time.perf_counter()
        controller(system, 40)
        rows.append(row(f"build, 64 states, N = 40, {what}", time.perf_counter() - start, "s", goal))
    return rows


def growth(quick):
    system, horizons = learned(GRU(2, 2, 32, seed=1)), (20, 40, 80)
    r, made = set_points(system, HOLD), [controller(system, N) for N in horizons]
    rolls = []
    for c, N in zip(made, horizons, strict=True):
        rolls.append(FastCall(build_cell(c.system, c.scales).roll.mapaccum("roll", N)))
    spent = np.empty((10 if quick else 50, 2, len(horizons)))
    for times in spent:
        for i, (c, roll, N) in enumerate(zip(made, rolls, horizons, strict=True)):
            start = time.process_time()
            roll(np.zeros(system.nx), np.zeros(2 * N))
            middle = time.process_time()
            c.reset(np.zeros(2))
            c.step(system.x0, None, r[0], np.zeros(2))
            times[:, i] = middle - start, time.process_time() - middle
    median = np.log(np.median(spent, axis=0))
    powers = [np.polyfit(np.log(horizons), m, 1)[0] for m in median]
    return [row("roll-out, power of N", powers[0], "-", 1.1), row("cold step, power of N", powers[1], "-")]


def esn(quick):
    system, rows = learned(ESN(2, 2, 60 if quick else 300, seed=1)), []
    r = set_points(system, 32)
    for what, options in (("step", {}), ("one iteration, prepared", {"iterations": 1})):
        c, x, u, times = controller(system, 40, **options), np.array(system.x0), np.zeros(2), []
        for r_k in r:
            start = time.process_time()
            u = c.step(x, None, r_k, u).u
            times.append(time.process_time() - start)
            c.prepare()
            x = step(system.f, x, u)
        goal = None if quick else 50.0
        rows.append(row(f"ESN, {system.nx} states, N = 40, {what}", 1e3 * np.median(times[2:]), "ms", goal))
    return rows


PARTS = {"plants": plants, "iteration": iteration, "build": build, "growth": growth, "esn": esn}


def main(args):
    warnings.simplefilter("ignore")
    os.environ["RNN_CONTROL_CACHE"] = tempfile.mkdtemp()
    rows = [r for name in args.only or PARTS for r in PARTS[name](args.quick)]
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main(parser.parse_args())
