"""What a certificate costs in accuracy: every family free, with the published penalty, and certified by us.

    python benchmarks/price_of_certificate.py [--data FOLDER] [--records reactor ph ...] [--kinds gru ren ...]
                                              [--seeds N] [--quick] [--json PATH]

Records: the van de Vusse reactor (simulated here), and from FOLDER ph_bonassi/Dataset_large.mat,
cascaded_tanks/dataBenchmark.csv, daisy/cstr.dat; one that is not there is named as absent. Same budget for all: `fit`
with its defaults, margin 0.01, on the training part; where a record has one part to identify and one to test (tanks),
on all of the former, as README advises. Each model is scored on the test part, FIT as a mean over the outputs; medians
over the seeds. Lost is the FIT of the best free family minus that of the best certified one, and of each family to
itself free; a REN is never free: it is certified by construction, and compared with the best of the others.
"""

import argparse
import json
import statistics
import time
import warnings
from pathlib import Path

from plants import PLANTS, random_steps
from rnn_control import MODELS, CertificateError, Experiment, fit

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--data", type=Path, default=Path("data"), help="folder of the records")
parser.add_argument("--records", nargs="+", help="some of: reactor ph tanks cstr")
parser.add_argument("--kinds", nargs="+", default=["gru", "lstm", "nnarx", "lipschitz_rnn", "esn", "ren"])
parser.add_argument("--seeds", type=int, default=5)
parser.add_argument("--quick", action="store_true", help="one seed, GRU and REN, a short training on the reactor")
parser.add_argument("--json", type=Path, help="write the rows here")
args = parser.parse_args()
if args.quick:
    args.records, args.kinds, args.seeds = ["reactor"], ["gru", "ren"], 1
GOAL = 0.3  # FIT points that the best certified family may lose
FREE = ("ren", "lipschitz_ren")  # families without a free version
WAYS = {"free": dict(certificate=None), "published": dict(method="published"), "ours": {}}
BUDGET = dict(epochs=60, polish=300) if args.quick else {}


def reactor():
    plant = PLANTS["van_de_vusse"]()
    u = random_steps(plant.u_region_min, plant.u_region_max, 1000 if args.quick else 3000, hold=(10, 50), seed=1)
    return Experiment.from_object(plant.experiment(u, 30.0, seed=1)).split(0.6, 0.2)


def ph():
    path = args.data / "ph_bonassi" / "Dataset_large.mat"
    train, valid, test = (
        Experiment.from_mat(path, f"U_{part}", f"Y_{part}", dt=15.0) for part in ("train", "val", "test")
    )
    names = (train.dt, train.u_names, train.y_names, train.u_units, train.y_units)
    return train, *(Experiment(part.u, part.y, *names) for part in (valid, test))


def tanks():
    path = args.data / "cascaded_tanks" / "dataBenchmark.csv"
    est, val = (Experiment.from_csv(path, u=f"u{p}", y=f"y{p}", dt=4.0, y_units=["V"]) for p in ("Est", "Val"))
    return est, None, Experiment(val.u, val.y, est.dt, est.u_names, est.y_names, est.u_units, est.y_units)


def cstr():
    columns = ["t [min]", "q [L/min]", "Ca [mol/L]", "T [K]"]
    path = args.data / "daisy" / "cstr.dat"
    return Experiment.from_csv(path, u="q", y=["Ca", "T"], time="t", columns=columns).split(0.6, 0.1)


def score(kind, way, seed, train, valid, test):
    """Mean FIT over the outputs on the test part and seconds; NaN where no certified model was found."""
    started = time.perf_counter()
    try:
        result = fit(MODELS[kind](train.nu, train.ny, seed=seed), train, valid, seed=seed, **BUDGET, **WAYS[way])
    except CertificateError:
        return float("nan"), time.perf_counter() - started
    return statistics.mean(result.model.score(test).fit), result.seconds


def row(name, lost, rival):
    return dict(
        name=name, value=lost, unit="FIT points lost", rival=rival, ratio=lost / GOAL, goal=GOAL, met=bool(lost <= GOAL)
    )  # fmt: skip


warnings.simplefilter("ignore")
rows = []
for name, read in dict(reactor=reactor, ph=ph, tanks=tanks, cstr=cstr).items():
    if args.records and name not in args.records:
        continue
    try:
        parts = read()
    except (FileNotFoundError, OSError):
        print(f"{name}: absent")
        continue
    medians = {}
    print(f"{name}: median FIT on the test part over {args.seeds} seeds, and seconds of training")
    for kind in args.kinds:
        for way in WAYS:
            if way != "ours" and kind in FREE:
                continue
            found = [score(kind, way, seed, *parts) for seed in range(args.seeds)]
            medians[kind, way] = statistics.median(f for f, _ in found)
            each = ", ".join(f"{f:.2f}" for f, _ in found)
            seconds = statistics.median(s for _, s in found)
            print(f"  {kind:14s} {way:10s} {medians[kind, way]:7.2f}   each: {each}   {seconds:.0f} s", flush=True)
    free = {k: f for (k, way), f in medians.items() if way == "free"}
    for way in ("published", "ours"):
        certified = {k: f for (k, w), f in medians.items() if w == way and f == f}
        if not certified or not free:
            continue
        for kind in certified.keys() & free.keys():
            rows.append(row(f"{name}, {kind}, {way}", free[kind] - certified[kind], f"{kind} free"))
        best, rival = max(certified, key=certified.__getitem__), max(free, key=free.__getitem__)
        lost = free[rival] - certified[best]
        rows.append(row(f"{name}, best certified ({best}), {way}", lost, f"best free ({rival})"))
        print(f"  {way}: best certified is {best}; it loses {lost:.2f} points to the best free one, {rival}")
if args.json:
    args.json.write_text(json.dumps(rows, indent=1))
