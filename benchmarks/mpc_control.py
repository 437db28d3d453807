"""What a controller around a learned, certified model costs in closed loop, against the true plant's model and others.

    python benchmarks/mpc_control.py [--quick] [--plants reactor ph tanks] [--runs N] [--rivals N] [--jobs N]
                                     [--json PATH]

Plants of this package with their sensors' noise; a GRU is identified from a simulated record under a deltaISS
certificate. Rivals under the same horizon, weights and bounds: NMPC on the true equations, MPC on their linearisation
(python-control), PI by the SIMC rule, the best of several closed-loop times. All are offset-free.

Cost: mean over the samples of sum ((y - r) / range)^2 + 0.1 sum (du / half box)^2, y the true outputs. The nominal
run has no drawn plant; offset is that of the same run without noise. Then the Monte Carlo: constants of the plant,
noise and disturbances are drawn, N runs of the learned controller; --rivals of the same seeds by the rivals, for
ratios. All goals are upper bounds. Offset: mean error over the last fifth of a stretch between changes, which lasts
several time constants of the plant; what has not settled by then counts, what ends with an input on its bound does not.
"""

import argparse
import dataclasses
import functools
import json
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from mpc import NMPC, PI, OffsetFreeObserver, from_state_space, monte_carlo, run, tune_pi
from mpc.metrics import stretches
from plants import PLANTS, random_steps
from rnn_control import GRU, Experiment, IdentifiedModel, fit

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--quick", action="store_true", help="the reactor, short training, few runs")
parser.add_argument("--plants", nargs="+", help="some of: reactor ph tanks")
parser.add_argument("--runs", type=int, help="Monte-Carlo runs of the learned controller (default 1000; quick 3)")
parser.add_argument("--rivals", type=int, help="of them also by the rivals (default 20; quick 1)")
parser.add_argument("--jobs", type=int, default=1, help="processes, -1 for all cores")
parser.add_argument("--json", type=Path, help="write the rows here")


@dataclass(frozen=True)
class Case:
    """A plant and what is asked of its controller; times in s, values in units of the plant."""

    plant: str
    dt: float
    hold: tuple[int, int]  # samples that a level of the excitation lasts
    horizon: int
    steps: int
    reference: dict
    disturbance: str
    shift: tuple[float, float]  # when the disturbance steps, and by how much
    bounds_y: dict
    rate: float  # largest move a sample, as a share of the box
    pairs: dict  # output -> input of the PI loops
    spread: dict = field(default_factory=dict)  # constant -> relative standard deviation in the Monte Carlo


CASES = {
    "reactor": Case(
        "van_de_vusse", 30.0, (10, 50), 20, 280,
        {"C_B": [(0, 0.90), (1200, 1.00), (2700, 0.95), (6300, 0.85)],
         "T": [(0, 134.1), (1200, 136.0), (2700, 138.0), (6300, 135.0)]},
        "C_A0", (4200.0, 0.3), {"T": (None, 139.0)}, 0.25, {"C_B": "F", "T": "Q"},
        {"k10": 0.02, "k30": 0.02, "Kw": 0.05},
    ),
    "ph": Case(
        "ph_neutralisation", 15.0, (20, 80), 20, 320,
        {"pH": [(0, 7.03), (300, 7.6), (1200, 6.6), (2100, 7.2)]},
        "q2", (2700.0, -0.05), {"pH": (6.0, 8.8)}, 0.25, {"pH": "q3"},
        {"Cv": 0.02, "A": 0.02, "Wb2": 0.02},
    ),
    "tanks": Case(
        "four_tanks", 15.0, (20, 80), 30, 520,
        {"h1": [(0, 0.65), (1200, 0.72), (3300, 0.62)], "h2": [(0, 0.65), (1200, 0.65), (3300, 0.70)]},
        "g_a", (5100.0, 0.02), {"h3": (0.3, 1.1), "h4": (0.3, 1.1)}, 0.25, {"h1": "q_b", "h2": "q_a"},
        {"a1": 0.02, "a2": 0.02, "a3": 0.02, "a4": 0.02},
    ),
}  # fmt: skip


def identify(case: Case, quick: bool):
    """Certified GRU, and the range of every output in its record."""
    plant = PLANTS[case.plant]()
    box = dict(u_min=plant.u_region_min, u_max=plant.u_region_max)
    u = random_steps(box["u_min"], box["u_max"], 1500 if quick else 3000, hold=case.hold, seed=1)
    data = Experiment.from_object(plant.experiment(u, case.dt, seed=1))
    train, valid, test = data.split(0.6, 0.2)
    budget = dict(epochs=60, polish=300) if quick else dict(epochs=150, polish=1500)
    model = GRU(plant.nu, plant.ny, 8)
    result = fit(model, train, valid, certificate="delta_iss", margin=0.02, progress=False, **box, **budget)
    return result, np.ptp(data.y, axis=0), result.model.score(test)


def settings(case: Case, y_range: np.ndarray):
    """Weights, bounds and range of the outputs, the same for every predictive controller."""
    plant = PLANTS[case.plant]()
    low, high = plant.u_region_min, plant.u_region_max
    ranges = dict(zip(plant.y_names, y_range.tolist(), strict=True))
    weights = {"y": {n: 1 / ranges[n] ** 2 for n in case.reference}}
    rates = dict(zip(plant.u_names, (case.rate * (high - low)).tolist(), strict=True))
    bounds = {"u": dict(zip(plant.u_names, zip(low, high, strict=True), strict=True)), "du": rates, "y": case.bounds_y}
    return dict(horizon=case.horizon, weights=weights, bounds=bounds, y_range=ranges)


def learned(case, y_range, path):
    system = IdentifiedModel.load(path).to_casadi()
    return NMPC(system, **settings(case, y_range)), OffsetFreeObserver(system)


def true_model(case, y_range, path):
    system = PLANTS[case.plant]().discretise(case.dt)
    return NMPC(system, **settings(case, y_range)), OffsetFreeObserver(system)


def linear(case, y_range, path):
    plant = PLANTS[case.plant]()
    x, u = plant.equilibrium(plant.nominal.u), np.array(plant.nominal.u)
    y0 = np.asarray(plant.output_function()(x)).ravel()
    box = list(zip(plant.u_region_min, plant.u_region_max, strict=True))
    system = from_state_space(plant.linearise(x, u), box, dt=case.dt, u0=u, y0=y0)
    return NMPC(system, **settings(case, y_range)), OffsetFreeObserver(system)


def pi(case, y_range, path, time=None):
    plant = PLANTS[case.plant]()
    loops = tune_pi(plant.discretise(case.dt), case.pairs, plant.nominal.u, closed_loop_time=time)
    bounds = settings(case, y_range)["bounds"]
    return PI(plant.process(case.dt), loops, bounds, u0=plant.nominal.u), None


LEARNED, TRUE = "NMPC, learned", "NMPC, true model"
CONTROLLERS = {LEARNED: learned, TRUE: true_model, "linear MPC": linear}


def loop(case: Case, make: Callable, y_range: np.ndarray, path: Path, seed: int, noise: bool = True):
    """Closed loop; seed 0 is the nominal plant, any other draws constants, noise and the size of the disturbance."""
    rng, plant = np.random.default_rng(seed), PLANTS[case.plant]()
    drawn = {c: getattr(plant, c) * (1 + s * rng.standard_normal()) for c, s in case.spread.items()}
    by = case.shift[1] * (1.0 if seed == 0 else rng.uniform(-1, 1))
    start = dict(zip(plant.disturbance_names, plant.disturbance_vector(), strict=True))[case.disturbance]
    process = (dataclasses.replace(plant, **drawn) if seed else plant).process(case.dt, noise=noise, seed=seed)
    controller, observer = make(case, y_range, path)
    reference = {**{n: [(0, v)] for n, v in zip(plant.y_names, process.output(), strict=True)}, **case.reference}
    sent = {case.disturbance: [(0.0, start), (case.shift[0], start + by)]}
    return run(process, controller, observer, reference, case.steps, disturbances=sent, u0=plant.nominal.u,
               seed=seed, progress=False)  # fmt: skip


def cost(case: Case, y_range: np.ndarray, record) -> float:
    plant = PLANTS[case.plant]()
    tracked = [plant.y_names.index(n) for n in case.reference]
    e = ((record.y_true - record.reference) / y_range)[:, tracked]
    moves = np.diff(record.u, axis=0) / (plant.u_region_max - plant.u_region_min) * 2
    return float(((e**2).sum() + 0.1 * (moves**2).sum()) / len(record))


def offset(case: Case, y_range: np.ndarray, record) -> float:
    """Largest offset of a tracked output at the end of a stretch, in % of its range; NaN if every one ends on a bound.

    That an input rests on its box is seen in the run: a controller's own word for what is out of reach would excuse it.
    """
    ranges = dict(zip(record.y_names, y_range, strict=True))
    b, ends = record.bounds, np.array([end - 1 for _, end in stretches(record)])
    room = np.minimum(record.u - b.u_min, b.u_max - record.u)[ends]
    free = (room > 1e-6 * (b.u_max - b.u_min)).all(1)
    left = ((n, o) for n, means in record.offset().items() if n in case.reference for o in np.compress(free, means))
    return max((100 * abs(o) / ranges[n] for n, o in left), default=np.nan)


def row(name, value, unit, rival=None, ratio=None, goal=None):
    met = None if goal is None else bool((value if ratio is None else ratio) <= goal)
    return dict(name=name, value=value, unit=unit, rival=rival, ratio=ratio, goal=goal, met=met)


def nominal(name: str, case: Case, y_range: np.ndarray, path: Path, quick: bool) -> tuple[list[dict], dict]:
    """Rows of the nominal runs, and the controllers with the PI tuning that was best in them."""
    price = functools.partial(cost, case, y_range)
    times = (4, 10) if quick else (2, 4, 8, 16)
    tunings = {t: functools.partial(pi, time=t * case.dt) for t in times}
    best = min(tunings, key=lambda t: price(loop(case, tunings[t], y_range, path, 0)))
    makers, rows, costs = {**CONTROLLERS, "PI": tunings[best]}, [], {}
    for kind, make in makers.items():
        started = time.perf_counter()
        record = loop(case, make, y_range, path, 0)
        costs[kind], m, left = price(record), record.metrics(), np.nan
        if kind == LEARNED or not quick:
            left = offset(case, y_range, loop(case, make, y_range, path, 0, noise=False))
            rows.append(row(f"{name}, offset, {kind}", left, "% of range", goal=0.1 if kind == LEARNED else None))
        rows.append(row(f"{name}, nominal cost, {kind}", costs[kind], "-"))
        ms, seconds = 1e3 * m["solve_time_median"], time.perf_counter() - started
        print(f"  {kind:18s} cost {costs[kind]:.5f}, offset {left:.3f} % of range, step {ms:.1f} ms, "
              f"not ok {m['failed_steps']}, {seconds:.0f} s", flush=True)  # fmt: skip
    for kind in list(makers)[1:]:
        ratio = costs[LEARNED] / costs[kind]
        rows.append(row(f"{name}, nominal cost", costs[LEARNED], "-", kind, ratio, 1.1 if kind == TRUE else None))
    return rows, makers


def drawn(name: str, case: Case, y_range: np.ndarray, path: Path, makers: dict, runs: int, rivals: int, jobs: int):
    """Rows of the Monte Carlo."""
    price, rows, found = functools.partial(cost, case, y_range), [], {}
    for kind, make in makers.items():
        count = runs if kind == LEARNED else rivals
        each = functools.partial(loop, case, make, y_range, path)
        found[kind] = m = monte_carlo(each, count, cost=price, first_seed=1, jobs=jobs)
        print(f"  Monte Carlo, {kind}:\n    " + m.table().replace("\n", "\n    "), flush=True)
    m, few = found[LEARNED], found[LEARNED].cost[:rivals]
    for what, goal in (("input_violations", 0), ("rate_violations", 0), ("failed_steps", None)):
        rows.append(row(f"{name}, {runs} runs, {what}", int(getattr(m, what).sum()), "-", goal=goal))
    for n in case.bounds_y:
        j = m.y_names.index(n)
        label, noise = f"{name}, {runs} runs, {n} out of bounds by", float(PLANTS[case.plant]().y_noise[j])
        rows.append(row(label, float(m.output_excess[:, j].max()), m.y_units[j], goal=noise))
    quiet = functools.partial(loop, case, makers[LEARNED], y_range, path, noise=False)
    left = monte_carlo(quiet, rivals, cost=functools.partial(offset, case, y_range), first_seed=1, jobs=jobs).cost
    rows.append(row(f"{name}, {rivals} runs without noise, offset", float(left.max()), "% of range", goal=0.1))
    for share, value in m.percentiles().items():
        rows.append(row(f"{name}, {runs} runs, cost of {share} %", value, "-"))
    for kind in list(makers)[1:]:
        ratio = float(few.sum() / found[kind].cost.sum())
        goal = 1.1 if kind == TRUE else None
        rows.append(row(f"{name}, {rivals} same runs, mean cost", float(few.mean()), "-", kind, ratio, goal))
        print(f"  {rivals} same runs: cost {ratio:.3f} x that of {kind}")
    return rows


def main(args):
    warnings.simplefilter("ignore")
    runs = args.runs or (3 if args.quick else 1000)
    rivals = min(args.rivals or (1 if args.quick else 20), runs)
    rows = []
    for name in args.plants or (["reactor"] if args.quick else CASES):
        case = dataclasses.replace(CASES[name], steps=200) if args.quick else CASES[name]
        result, y_range, score = identify(case, args.quick)
        fits = ", ".join(f"{y} {f:.1f}" for y, f in zip(score.y_names, score.fit, strict=True))
        print(f"{name}: GRU identified in {result.seconds:.0f} s, rate {result.certificate.rate:.4f}, FIT {fits}")
        with tempfile.TemporaryDirectory() as folder:
            path = result.model.save(Path(folder) / "model.safetensors")
            more, makers = nominal(name, case, y_range, path, args.quick)
            rows += more + drawn(name, case, y_range, path, makers, runs, rivals, args.jobs)
    for r in rows:
        if r["goal"] is not None:
            value = r["value"] if r["ratio"] is None else r["ratio"]
            print(f"{r['name']}{'' if r['rival'] is None else ' / ' + r['rival']}: {value:.4g}, goal {r['goal']}: "
                  f"{'met' if r['met'] else 'NOT met'}")  # fmt: skip
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main(parser.parse_args())
