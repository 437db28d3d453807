"""Plants of the library driven with the inputs of records that others simulated: do two independent simulations agree?

    python benchmarks/plants_against_records.py --data FOLDER [--quick] [--json PATH]

FOLDER holds ph_bonassi/Dataset_large.mat and daisy/cstr.dat; a record that is not there is named as absent. The reactor
runs with its published constants from the first sample of the record, which is its whole state. The pH plant starts at
rest at the first input, and 50 samples in which it forgets that start do not count. What the record's authors did not
publish is fitted to the training part: pK2, and the acid flow q1, which drifts there (over every 500 samples the same
flow leaves 0.010 to 0.012 pH, the noise). The validation and test parts are judged with that pK2 and q1 as published.
Rivals: the plant with Henson and Seborg's constants; for the reactor linear models identified from the record itself
(Markovsky, per channel, recomputed).
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy.io import loadmat
from scipy.optimize import least_squares

from plants import CoolantFlowCSTR, PHNeutralisation, Plant

WASHOUT = 50  # samples of 15 s: eight time constants of the slow modes but one, three of the slowest
RMSE_GOAL, FIT_GOAL = 0.02, 95.0
LINEAR = (83.7, 91.8)  # FIT, %, of C_A and T

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--data", type=Path, required=True, help="folder of the records")
parser.add_argument("--quick", action="store_true", help="fit to 1500 samples instead of 5000")
parser.add_argument("--json", type=Path, help="write the rows here")
args = parser.parse_args()
rows = []


def simulated(plant: Plant, u: np.ndarray, x0: np.ndarray, dt: float, d: np.ndarray | None = None) -> np.ndarray:
    """y (T, ny) at the instants of u (T, nu) and of the disturbances d (T, nd), nominal if None, without noise."""
    step, g = plant.step(plant.ode_function(), dt, plant.substep), plant.output_function()
    d = np.tile(plant.disturbance_vector(), (len(u), 1)) if d is None else d
    x = np.array(step.mapaccum(len(u))(x0, u.T, d.T))
    return np.array(g.map(len(u))(np.column_stack([x0, x[:, :-1]]))).T


def errors(plant: Plant, u: np.ndarray, y: np.ndarray, q1: tuple[float, float] = (16.6, 16.6)) -> np.ndarray:
    """Of pH after the washout, the acid flow going from q1[0] to q1[1], mL/s."""
    d = np.tile(plant.disturbance_vector(), (len(u), 1))
    d[:, 0] = np.linspace(*q1, len(u))
    x0 = plant.equilibrium(u[0], {"q1": q1[0]})
    return (simulated(plant, u, x0, 15.0, d) - y)[WASHOUT:].ravel()


def rms(error: np.ndarray) -> float:
    return float(np.sqrt(np.mean(error**2)))


def row(name: str, value: float, unit: str, rival: str, ratio: float, goal: float) -> None:
    is_met = value <= goal if unit == "pH" else value >= goal
    rows.append(dict(name=name, value=value, unit=unit, rival=rival, ratio=ratio, goal=goal, met=bool(is_met)))
    print(f"{name:42s} {value:9.4f} {unit:3s}  goal {goal:g}  {'met' if is_met else 'MISSED'}   rival: {rival}")


def neutralisation(data: dict) -> None:
    published = PHNeutralisation()
    parts = {name: (data[f"U_{name}"], data[f"Y_{name}"]) for name in ("train", "val", "test")}
    u, y = (signal[: 1500 if args.quick else None] for signal in parts["train"])
    start = [published.pK2, 16.6, 16.6]
    fit = least_squares(lambda v: errors(replace(published, pK2=v[0]), u, y, (v[1], v[2])), start, diff_step=1e-4)
    fitted, q1 = replace(published, pK2=float(fit.x[0])), (float(fit.x[1]), float(fit.x[2]))
    print(f"pH: pK2 = {fit.x[0]:.3f} (10.25 published), q1 from {q1[0]:.4f} to {q1[1]:.4f} mL/s (16.6 published)")
    scores = {"training part": (rms(fit.fun), rms(errors(published, u, y)))}
    scores["training part, q1 as published"] = (rms(errors(fitted, u, y)), scores["training part"][1])
    for name, label in (("val", "validation part"), ("test", "test part")):
        scores[label] = tuple(rms(errors(plant, *parts[name])) for plant in (fitted, published))
    for label, (ours, rival) in scores.items():
        row(f"pH, {label}", ours, "pH", f"published constants {rival:.4f}", ours / rival, RMSE_GOAL)


def reactor(data: np.ndarray) -> None:
    u, y = data[:, 1:2], data[:, 2:]
    error = simulated(CoolantFlowCSTR(), u, y[0], 6.0) - y
    scores = 100 * (1 - np.sqrt(np.mean(error**2, axis=0)) / y.std(axis=0))
    for name, score, rival in zip(("C_A", "T"), scores, LINEAR, strict=True):
        row(
            f"coolant-flow reactor, DaISy, {name}", float(score), "%", f"linear {rival}", float(score / rival), FIT_GOAL
        )


ph, cstr = args.data / "ph_bonassi" / "Dataset_large.mat", args.data / "daisy" / "cstr.dat"
if ph.exists():
    neutralisation(loadmat(ph))
else:
    print(f"{ph}: absent")
if cstr.exists():
    reactor(np.loadtxt(cstr))
else:
    print(f"{cstr}: absent")
if args.json:
    args.json.write_text(json.dumps(rows, indent=1))
