"""Free-run scores of the default recipe on public records, certified and free, beside the published ones.

    python benchmarks/published_scores.py --data FOLDER [--quick] [--json PATH]

FOLDER holds cascaded_tanks/dataBenchmark.csv, daisy/cstr.dat, ph_bonassi/Dataset_large.mat; a record that is not there
is named as absent. One recipe for all: `fit` with its defaults on the estimation part, whole; medians over seeds of the
score on the test part, after the 50 samples that give the initial state. Published values: Champneys et al. (2024,
arXiv 2405.10779) for the tanks, Markovsky for DaISy (per channel, recomputed), jax-sysid 1.1.0 run by us for pH.
"""

import argparse
import json
import statistics
from pathlib import Path

from rnn_control import MODELS, Experiment, fit

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--data", type=Path, required=True, help="folder of the records")
parser.add_argument("--quick", action="store_true", help="one seed, the tanks only")
parser.add_argument("--json", type=Path, help="write the rows here")
args = parser.parse_args()

SEEDS = range(1 if args.quick else 3)


def tanks():
    path = args.data / "cascaded_tanks" / "dataBenchmark.csv"
    est, val = (Experiment.from_csv(path, u=f"u{p}", y=f"y{p}", dt=4.0, y_units=["V"]) for p in ("Est", "Val"))
    test = Experiment(val.u, val.y, 4.0, est.u_names, est.y_names, est.u_units, est.y_units)
    return est, test, "rmse", {"GRU": 0.396, "best black box": 0.306}, {None: 0.35, "delta_iss": 0.40}


def cstr():
    columns = ["t [min]", "q [L/min]", "Ca [mol/L]", "T [K]"]
    record = Experiment.from_csv(args.data / "daisy" / "cstr.dat", u="q", y=["Ca", "T"], time="t", columns=columns)
    train, valid, test = record.split(0.6, 0.1)
    return train.join(valid), test, "fit", {"linear": (83.7, 91.8)}, {None: (83.7, 91.8), "delta_iss": (83.7, 91.8)}


def ph():
    path, dt = args.data / "ph_bonassi" / "Dataset_large.mat", 15.0
    train, test = (Experiment.from_mat(path, f"U_{part}", f"Y_{part}", dt=dt) for part in ("train", "test"))
    test = Experiment(test.u, test.y, dt, train.u_names, train.y_names, train.u_units, train.y_units)
    return train, test, "rmse", {"jax-sysid": 0.050, "linear": 0.37}, {None: 0.030, "delta_iss": 0.040}


def shown(values):
    return " / ".join(f"{v:.4g}" for v in values)


rows, records = (
    [],
    {"cascaded tanks [V]": tanks}
    if args.quick
    else {"cascaded tanks [V]": tanks, "DaISy cstr [FIT %]": cstr, "pH [pH]": ph},
)
for name, read in records.items():
    try:
        train, test, measure, published, goals = read()
    except (FileNotFoundError, OSError):
        print(f"{name}: absent")
        continue
    print(f"{name}: published {published}")
    for kind in ("gru", "lstm"):
        for certificate in ("delta_iss", None):
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
