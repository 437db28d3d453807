"""Five families of recurrent models, free, ISS and deltaISS: accuracy, proof, time, and the control they give.

    python benchmarks/study.py [--quick] [--docs] [--jobs N] [--seeds N] [--data FOLDER] [--out FOLDER] [--json PATH]

Simulated pH neutralisation (15 s) and two reactors with separator (Liu et al., 2 s), with sensor noise; and from FOLDER
ph_bonassi/Dataset_large.mat, without closed loop; absent is said to be absent. GRU, LSTM, ESN, NNARX and Lipschitz RNN
of about equal numbers of trained parameters, and REN, which is certified by construction. Same budget of iterations for
all, `fit` with its defaults, margin 0.01. FIT: mean over the outputs on a test record, free run. Then the model of the
median seed goes into an offset-free NMPC on the simulated plant: squared error of the controlled outputs, each over its
range squared, beside the NMPC that knows the true equations. Every run is kept as one line of OUT/study.jsonl: a study
that was stopped goes on. Writes OUT/study.html; --docs also docs/study.md.
"""

import argparse
import functools
import json
import statistics
import warnings
from pathlib import Path

import numpy as np
from resumable import run_all
from study_page import print_table, rows_of_contract, write_docs, write_page

from mpc import NMPC, OffsetFreeObserver, run
from plants import PLANTS, random_steps
from rnn_control import MODELS, CertificateError, Experiment, IdentifiedModel, fit

BY_CONSTRUCTION = ("ren",)
CERTIFICATES = (None, "iss", "delta_iss")
SIZES = {  # of each family, for about 150 trained parameters (one input and output) and about 400 (four and nine)
    "ph": dict(gru=6, lstm=5, esn=60, nnarx=15, lipschitz_rnn=8, ren=4),
    "separator": dict(gru=8, lstm=7, esn=44, nnarx=8, lipschitz_rnn=11, ren=6),
}
SIZES["ph_bonassi"] = SIZES["ph"]
PLANT = {"ph": "ph_neutralisation", "separator": "reactors_separator_liu"}
DT = {"ph": 15.0, "separator": 2.0}  # s
CONTROLLED = {"ph": ("pH",), "separator": ("T1", "T2", "T3")}
HORIZON = {"ph": 12, "separator": 12}  # samples
LEVELS = ((0.5, 0.5), (0.75, 0.6), (0.3, 0.7), (0.6, 0.35))
"""Set-points: rests of the plant at these shares of the input ranges, odd inputs and even ones."""


def box(record):
    plant = PLANTS[PLANT[record]]()
    if record == "separator":  # the region of the library moves x_B by its noise only
        return np.array([2.0, 2.0, 2.0, 0.1]), np.array([25.0, 25.0, 25.0, 2.0])
    return plant.u_region_min, plant.u_region_max


@functools.cache
def parts(record, samples, data):
    """Training, validation and test Experiment, and the input box."""
    if record == "ph_bonassi":
        path = Path(data) / "ph_bonassi" / "Dataset_large.mat"
        read = [Experiment.from_mat(path, f"U_{p}", f"Y_{p}", dt=15.0) for p in ("train", "val", "test")]
        u = np.concatenate([u for part in read[:2] for u in part.us])
        return (*read, (u.min(0), u.max(0)))
    plant, low_high = PLANTS[PLANT[record]](), box(record)
    runs = [(samples, 1), (samples // 2, 2), (600, 3)]
    made = [plant.experiment(random_steps(*low_high, n, hold=(3, 25), seed=s), DT[record], seed=s) for n, s in runs]
    return (*(Experiment.from_object(r) for r in made), low_high)


def model_path(task):
    name = "-".join(str(task[k]) for k in ("record", "family", "certificate", "seed"))
    return Path(task["out"]) / "models" / f"{name}-{task['samples']}-{task['epochs']}-{task['polish']}.safetensors"


def train(task):
    """One training: FIT % on the test record (None: no model), certificate, seconds; the model is saved."""
    warnings.simplefilter("ignore")  # of poor models: they are the result here
    *records, (u_min, u_max) = parts(task["record"], task["samples"], task["data"])
    learned, valid, test = records
    size = SIZES[task["record"]][task["family"]]
    model = MODELS[task["family"]](learned.nu, learned.ny, size=size, seed=task["seed"])
    count = sum(p.numel() for p in model.parameters() if p.requires_grad)
    nothing = dict(fit=None, seconds=None, holds=None, rate=None, parameters=count)
    options = {k: task[k] for k in ("certificate", "epochs", "polish", "seed")}
    try:
        result = fit(model, learned, valid, u_min=u_min, u_max=u_max, progress=False, **options)
    except CertificateError:
        return nothing
    path = model_path(task)
    path.parent.mkdir(parents=True, exist_ok=True)
    result.model.save(path)
    proof = result.certificate
    found = dict(fit=result.model.score(test).mean_fit, seconds=result.seconds)
    return {**nothing, **found, "holds": bool(proof and proof.holds), "rate": proof.rate if proof else None}


def control(task):
    """Closed loop of one model, or of the true equations: error in s, share of steps that were not ok."""
    warnings.simplefilter("ignore")
    name, family = task["record"], task["family"]
    plant, (u_min, u_max), dt = PLANTS[PLANT[name]](), box(name), DT[name]
    true = plant.discretise(dt)
    system = true if family == "true equations" else IdentifiedModel.load(model_path(task)).to_casadi()
    spread = dict(zip(plant.y_names, np.ptp(parts(name, task["samples"], task["data"])[0].y, axis=0), strict=True))
    weights = {"y": {y: (y in CONTROLLED[name]) / spread[y] ** 2 for y in plant.y_names}}
    bounds = {"u": dict(zip(plant.u_names, zip(u_min, u_max, strict=True), strict=True))}
    controller = NMPC(system, HORIZON[name], weights, bounds, y_range=spread)
    start = u_min + 0.5 * (u_max - u_min)
    each, g = task["steps"] // len(LEVELS), plant.output_function()
    shares = [np.resize(level, len(start)) for level in LEVELS]
    rests = [np.asarray(g(plant.equilibrium(u_min + s * (u_max - u_min)))).ravel() for s in shares]
    points = [dict(zip(plant.y_names, rest, strict=True)) for rest in rests]
    reference = {y: [(k * each * dt, point[y]) for k, point in enumerate(points)] for y in CONTROLLED[name]}
    process = plant.process(dt, seed=5)
    record = run(process, controller, OffsetFreeObserver(system), reference, task["steps"], u0=start, progress=False)
    error = sum(value / spread[y] ** 2 for y, value in record.ise().items() if y in CONTROLLED[name])
    done = len(record) == task["steps"] and bool(np.isfinite(error))
    return dict(error=float(error) if done else None, not_ok=float(1 - np.mean(record.ok)))


def trainings(args):
    """Seeds outermost, so that a study that was stopped has every combination as often."""
    budget = dict(samples=300, epochs=15, polish=30) if args.quick else dict(samples=600, epochs=60, polish=300)
    common = dict(**budget, data=str(args.data), out=str(args.out))
    pairs = [(f, c) for f in SIZES["ph"] for c in CERTIFICATES if f not in BY_CONSTRUCTION or c == "delta_iss"]
    return [
        dict(record=record, family=family, certificate=certificate, seed=seed, **common)
        for seed in range(args.seeds) for record in args.records for family, certificate in pairs
    ]  # fmt: skip


def loops(rows, args):
    """The model of the median seed of each combination, and the true equations of each plant."""
    tasks, steps = [], 40 if args.quick else 120
    for record in (r for r in args.records if r in PLANT):
        own = [r for r in rows if r["record"] == record]
        common = {k: own[0][k] for k in ("record", "samples", "epochs", "polish", "data", "out")}
        tasks.append(dict(**common, family="true equations", certificate=None, seed=0, steps=steps))
        for family, certificate in dict.fromkeys((r["family"], r["certificate"]) for r in own):
            group = [
                r for r in own if (r["family"], r["certificate"]) == (family, certificate) and r["fit"] is not None
            ]
            if group:
                middle = statistics.median_low(r["fit"] for r in group)
                seed = next(r["seed"] for r in group if r["fit"] == middle)
                tasks.append(dict(**common, family=family, certificate=certificate, seed=seed, steps=steps))
    return tasks


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="pH alone, one seed, short records, trainings and loops")
    parser.add_argument("--docs", action="store_true", help="write the page of the documentation")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--data", type=Path, default=Path("data"), help="folder of the records")
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder of the runs and the page")
    parser.add_argument("--json", type=Path, help="write the rows here")
    args = parser.parse_args()
    args.seeds = 1 if args.quick else args.seeds
    args.records = ["ph"] if args.quick else ["ph", "separator"]
    if not args.quick and (args.data / "ph_bonassi" / "Dataset_large.mat").exists():
        args.records.append("ph_bonassi")
    elif not args.quick:
        print(f"ph_bonassi: absent, no {args.data}/ph_bonassi/Dataset_large.mat")
    rows = run_all(train, trainings(args), args.out / "study.jsonl", args.jobs)
    closed = run_all(control, loops(rows, args), args.out / "study.jsonl", args.jobs)
    print_table(rows, closed)
    print(f"page: {write_page(rows, closed, args.out / 'study.html')}")
    if args.docs:
        write_docs(rows, closed)
    if args.json:
        args.json.write_text(json.dumps(rows_of_contract(rows, closed), indent=1))


if __name__ == "__main__":
    from study import main as run_it  # the processes import the module; they could not find what __main__ caches

    run_it()
