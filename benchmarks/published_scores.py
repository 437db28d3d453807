"""Free-run scores of the default recipe on public records, certified and free, beside the published ones.

    python benchmarks/published_scores.py --data FOLDER [--quick] [--records NAME ..] [--kinds NAME ..] [--sizes N ..]
                                          [--seeds N] [--json PATH]

FOLDER holds cascaded_tanks/dataBenchmark.csv, daisy/*.dat, ph_bonassi/Dataset_large.mat, silverbox/SNLS80mV.mat,
wiener_hammerstein_2009/WienerHammerBenchmark.csv, f16_gvt/F16Data_FullMSine_*.mat; a record that is not there is named
as absent. One recipe for all: `fit` with its defaults on the estimation part, whole (pH has a validation part of its
own, which `fit` is given); medians over seeds of the score on the test part, after the 50 samples that give the initial
state. A REN is certified by construction, so it has no free twin, and stands for a choice in both columns. "chosen" is,
seed by seed, the class and the number of states (--sizes; by default each class has its own) that err least on the last
quarter of the estimation part when trained on what comes before (`fit` is given both, as training and validation part):
the test part has no say.

Published values: Champneys et al. (2024, arXiv 2405.10779) for GRUs and for the tanks; SUBNET: Beintema et al. (2021,
notebooks of SS-encoder-WH-Silver, nx = 4); jax-sysid 1.1.0 run by us for pH and Silverbox; dynoNet: Forgione, Piga
(2021); for DaISy the linear model that `fit_linear` finds on the same part, output by output. F16 as Revay et al.
(2023) take it: full multisines, force and voltage as inputs, NRMSE sqrt(mean e^2 / mean y^2) of the three
accelerations, standardised with level 4; their value is read off a figure.
"""

import argparse
import json
import os
import statistics
from functools import partial
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.io import loadmat

from rnn_control import MODELS, Experiment, fit, fit_linear

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--data", type=Path, required=True, help="folder of the records")
parser.add_argument("--quick", action="store_true", help="one seed, the tanks only")
parser.add_argument("--records", nargs="*", help="names to run, such as cstr; default all")
parser.add_argument("--kinds", nargs="*", default=["gru", "lstm", "ren"], help="classes to run")
parser.add_argument("--sizes", nargs="*", type=int, default=[None], help="numbers of states; default that of the class")
parser.add_argument("--seeds", type=int, default=3)
parser.add_argument("--json", type=Path, help="write the rows here")
args = parser.parse_args()

SEEDS = range(1 if args.quick else args.seeds)
FOR_CHOICE = (0.75, 0.24)  # training and validation shares of the estimation part; a test part has to be left


class Record(NamedTuple):
    """Training and test parts, what is measured on each test part (scale times the score, or the REN's NRMSE), and the
    validation part where the record has one of its own."""

    train: Experiment
    tests: list[Experiment]
    measure: str
    scale: float
    published: dict
    goals: dict
    valid: Experiment | None = None

    def scores(self, model):
        if self.measure == "nrmse":
            return [statistics.mean(nrmse(model, test) for test in self.tests)]
        return [self.scale * value for test in self.tests for value in getattr(model.score(test), self.measure)]


def like(train, u, y):
    """A test part with the channels of the training part."""
    return Experiment(u, y, train.dt, train.u_names, train.y_names, train.u_units, train.y_units)


def tanks():
    path = args.data / "cascaded_tanks" / "dataBenchmark.csv"
    est, val = (Experiment.from_csv(path, u=f"u{p}", y=f"y{p}", dt=4.0, y_units=["V"]) for p in ("Est", "Val"))
    goals = {None: [0.35], "delta_iss": [0.40]}
    return Record(est, [like(est, val.u, val.y)], "rmse", 1, {"GRU": 0.396, "best black box": 0.306}, goals)


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
    published = {"linear": tuple(round(f, 1) for f in linear)}
    return Record(train, [test], "fit", 1, published, dict.fromkeys((None, "delta_iss"), linear))


def ph():
    path, dt = args.data / "ph_bonassi" / "Dataset_large.mat", 15.0
    parts = (Experiment.from_mat(path, f"U_{part}", f"Y_{part}", dt=dt) for part in ("train", "val", "test"))
    train, valid, test = parts
    goals = {None: [0.030], "delta_iss": [0.040]}
    published = {"jax-sysid": 0.050, "linear": 0.37}
    return Record(train, [like(train, test.u, test.y)], "rmse", 1, published, goals, like(train, valid.u, valid.y))


def silverbox():
    file = loadmat(args.data / "silverbox" / "SNLS80mV.mat")
    u, y = file["V1"][0], file["V2"][0]
    train = Experiment(u[40650:105712], y[40650:105712], 1 / 610.35, u_units=["V"], y_units=["V"])
    tests = [like(train, u[part], y[part]) for part in (slice(105712, 127400), slice(100, 40575), slice(100, 32100))]
    published = {"GRU": (1.49, 2.80, 0.95), "jax-sysid": (0.455, 1.131, 0.403), "SUBNET": (0.36, 1.4, 0.32)}
    return Record(train, tests, "rmse", 1e3, published, dict.fromkeys((None, "delta_iss"), [0.36, 1.1, 0.32]))


def wiener_hammerstein():
    path = args.data / "wiener_hammerstein_2009" / "WienerHammerBenchmark.csv"
    u, y = np.loadtxt(path, delimiter=",", skiprows=1, usecols=(0, 1)).T
    train = Experiment(u[5200:105200], y[5200:105200], 1 / 51200, u_units=["V"], y_units=["V"])
    published = {"GRU": 3.97, "dynoNet": 0.452, "SUBNET": 0.241}
    goals = dict.fromkeys((None, "delta_iss"), [1.0])
    return Record(train, [like(train, u[105200:184000], y[105200:184000])], "rmse", 1e3, published, goals)


def f16():
    def level(name):
        file = loadmat(args.data / "f16_gvt" / f"F16Data_FullMSine_Level{name}.mat")
        return np.vstack([file["Force"], file["Voltage"]]).T, file["Acceleration"].T

    unit, (us, ys) = level("4_Validation")[1].std(0), zip(*map(level, "1357"), strict=True)
    train = Experiment(list(us), [y / unit for y in ys], 1 / 400)
    tests = [like(train, u, y / unit) for u, y in (level(f"{k}_Validation") for k in (2, 4, 6))]
    goals = dict.fromkeys((None, "delta_iss"), [0.15])
    return Record(train, tests, "nrmse", 1, {"REN, read off a figure": 0.15}, goals)


def nrmse(model, test):
    error = model.predict(test)[0][50:] - test.y[50:]
    return float(np.sqrt((error**2).mean() / (test.y[50:] ** 2).mean()))


def shown(values):
    return " / ".join(f"{v:.4g}" for v in values)


RECORDS = {"tanks [V]": tanks, "pH [pH]": ph} | {f"DaISy {name} [FIT %]": partial(daisy, name) for name in DAISY}
RECORDS |= {"Silverbox [mV]": silverbox, "Wiener-Hammerstein [mV]": wiener_hammerstein, "F16 [-]": f16}


def judged(record, kind, size, certificate, seed):
    """Scores, error on the validation part, wall and CPU seconds of one seed."""
    options = {} if size is None else {"size": size}

    def trained(*parts):
        model = MODELS[kind](record.train.nu, record.train.ny, seed=seed, **options)
        return fit(model, *parts, certificate=certificate, seed=seed)

    started = sum(os.times()[:4])
    result = trained(record.train, record.valid)
    spent = sum(os.times()[:4]) - started
    by = result if record.valid else trained(*record.train.split(*FOR_CHOICE)[:2])
    return record.scores(result.model), by.history["valid"][by.best_iteration], result.seconds, spent


def medians(scores):
    return [statistics.median(column) for column in zip(*scores, strict=True)]


def rows_of(name, record):
    tried = {"certified": [], "free": []}
    for kind, size in product(args.kinds, args.sizes):
        which = kind if size is None else f"{kind} of {size}"
        for certificate in ("delta_iss",) if kind == "ren" else ("delta_iss", None):
            found = [judged(record, kind, size, certificate, seed) for seed in SEEDS]
            scores, held, walls, cpus = zip(*found, strict=True)
            median, (wall, cpu) = medians(scores), medians(zip(walls, cpus, strict=True))
            label = f"{name}, {which}, {'certified' if certificate else 'free'}"
            seeds = ", ".join(map(shown, scores))
            print(f"  {label:45s} {shown(median):>16s}   each seed: {seeds}   {wall:.0f} s, {cpu:.0f} s of CPU")
            for key in tried if kind == "ren" else ["certified" if certificate else "free"]:
                tried[key].append([(error, which, score) for error, score in zip(held, scores, strict=True)])
            for value, goal in zip(median, record.goals[certificate], strict=True):
                met = value >= goal if record.measure == "fit" else value <= goal
                about = dict(rival=str(record.published), ratio=value / goal, goal=goal, met=bool(met), seconds=wall)
                yield dict(name=label, value=value, unit=record.measure, cpu_seconds=cpu, **about)
    for key, kinds in tried.items():
        best = [min(one) for one in zip(*kinds, strict=True)]
        if best:
            print(f"  chosen, {key}: {', '.join(which for _, which, _ in best)}: {shown(medians(s for *_, s in best))}")


wanted = args.records or (["tanks"] if args.quick else [""])
rows = []
for name, read in RECORDS.items():
    if not any(part in name for part in wanted):
        continue
    try:
        record = read()
    except OSError:
        print(f"{name}: absent")
        continue
    print(f"{name}: published {record.published}")
    rows += rows_of(name, record)
if args.json:
    args.json.write_text(json.dumps(rows, indent=1))
