"""Free-run scores of the default recipe on public records, certified and free, beside the published ones.

    python benchmarks/published_scores.py --data FOLDER [--quick] [--records NAME ..] [--seeds N] [--json PATH]

FOLDER holds cascaded_tanks/dataBenchmark.csv, daisy/*.dat, ph_bonassi/Dataset_large.mat; a record that is not there
is named as absent. One recipe for all: `fit` with its defaults on the estimation part, whole; medians over seeds of the
score on the test part, after the 50 samples that give the initial state. A REN is certified by construction, so it has
no free twin. Published values: Champneys et al. (2024, arXiv 2405.10779) for the tanks, jax-sysid 1.1.0 run by us for
pH; for DaISy the linear model that `fit_linear` finds on the same part, output by output.
"""

import argparse
import json
import statistics
from functools import partial
from pathlib import Path

import numpy as np

from rnn_control import MODELS, Experiment, fit, fit_linear

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--data", type=Path, required=True, help="folder of the records")
parser.add_argument("--quick", action="store_true", help="one seed, the tanks only")
parser.add_argument("--records", nargs="*", help="names to run, such as cstr; default all")
parser.add_argument("--seeds", type=int, default=3)
parser.add_argument("--json", type=Path, help="write the rows here")
args = parser.parse_args()

SEEDS = range(1 if args.quick else args.seeds)


def tanks():
    path = args.data / "cascaded_tanks" / "dataBenchmark.csv"
    est, val = (Experiment.from_csv(path, u=f"u{p}", y=f"y{p}", dt=4.0, y_units=["V"]) for p in ("Est", "Val"))
    test = Experiment(val.u, val.y, 4.0, est.u_names, est.y_names, est.u_units, est.y_units)
    return est, test, "rmse", {"GRU": 0.396, "best black box": 0.306}, {None: 0.35, "delta_iss": 0.40}


# columns of inputs, of outputs, sampling time in s (1 where none is stated)
DAISY = {
    "cstr": ([1], [2, 3], 6.0),
    "steamgen": ([1, 2, 3, 4], [5, 6, 7, 8], 3.0),
    "winding": ([0, 1, 2, 3, 4], [5, 6], 0.1),
    "evaporator": ([0, 1, 2], [3, 4, 5], 1.0),
}


def daisy(name):
    u, y, dt = DAISY[name]
    table = np.loadtxt(args.data / "daisy" / f"{name}.dat")
    split = round(0.7 * len(table))
    train, test = (Experiment(part[:, u], part[:, y], dt) for part in (table[:split], table[split:]))
    linear = fit_linear(train).score(test).fit
    return train, test, "fit", {"linear": tuple(round(f, 1) for f in linear)}, {None: linear, "delta_iss": linear}


def ph():
    path, dt = args.data / "ph_bonassi" / "Dataset_large.mat", 15.0
    train, test = (Experiment.from_mat(path, f"U_{part}", f"Y_{part}", dt=dt) for part in ("train", "test"))
    test = Experiment(test.u, test.y, dt, train.u_names, train.y_names, train.u_units, train.y_units)
    return train, test, "rmse", {"jax-sysid": 0.050, "linear": 0.37}, {None: 0.030, "delta_iss": 0.040}


def shown(values):
    return " / ".join(f"{v:.4g}" for v in values)


RECORDS = {"tanks [V]": tanks, "pH [pH]": ph} | {f"DaISy {name} [FIT %]": partial(daisy, name) for name in DAISY}
wanted = args.records or (["tanks"] if args.quick else [""])
records = {name: read for name, read in RECORDS.items() if any(part in name for part in wanted)}
rows = []
for name, read in records.items():
    try:
        train, test, measure, published, goals = read()
    except (FileNotFoundError, OSError):
        print(f"{name}: absent")
        continue
    print(f"{name}: published {published}")
    for kind in ("gru", "lstm", "ren"):
        for certificate in ("delta_iss",) if kind == "ren" else ("delta_iss", None):
            results = [
                fit(MODELS[kind](train.nu, train.ny, seed=s), train, certificate=certificate, seed=s) for s in SEEDS
            ]
            scores = [getattr(r.model.score(test), measure) for r in results]
            median = [statistics.median(column) for column in zip(*scores, strict=True)]
            seconds = statistics.median(r.seconds for r in results)
            label = f"{name}, {kind}, {'certified' if certificate else 'free'}"
            print(f"  {label:45s} {shown(median):>16s}   each seed: {', '.join(map(shown, scores))}   {seconds:.0f} s")
            goal = goals[certificate] if isinstance(goals[certificate], tuple) else (goals[certificate],)
            for value, g in zip(median, goal, strict=True):
                met, rival = (value >= g) if measure == "fit" else (value <= g), str(published)
                rows.append(
                    dict(name=label, value=value, unit=measure, rival=rival, ratio=value / g, goal=g, met=bool(met))
                )
if args.json:
    args.json.write_text(json.dumps(rows, indent=1))
