"""Plants of the library driven with the inputs of records that others simulated: do two independent simulations agree?

    python benchmarks/plants_against_records.py --data FOLDER [--quick] [--json PATH]

FOLDER holds ph_bonassi/Dataset_large.mat and daisy/cstr.dat; a record that is not there is named as absent. The reactor
runs with its published constants from the first sample of the record, which is its whole state. The pH plant starts at
rest at the first input, and 50 samples in which it forgets that start do not count; one constant, pK2, is fitted to the
training part (the record's own is not published) and judged on the other two, beside the plant with Henson and Seborg's
10.25. Rivals of the reactor: linear models identified from the record itself (Markovsky, per channel, recomputed).
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy.io import loadmat
from scipy.optimize import minimize_scalar

from plants import CoolantFlowCSTR, PHNeutralisation, Plant

WASHOUT = 50  # samples of 15 s: eight time constants of the slow modes but one, three of the slowest
RMSE_GOAL, FIT_GOAL = 0.02, 95.0
LINEAR = (83.7, 91.8)  # FIT, %, of C_A and T

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--data", type=Path, required=True, help="folder of the records")
parser.add_argument("--quick", action="store_true", help="fit pK2 to 1000 samples instead of 5000")
parser.add_argument("--json", type=Path, help="write the rows here")
args = parser.parse_args()
rows = []


def simulated(plant: Plant, u: np.ndarray, x0: np.ndarray, dt: float) -> np.ndarray:
    """y (T, ny) at the instants of u (T, nu), without noise."""
    system = plant.discretise(dt)
    x = np.array(system.f.mapaccum(len(u))(x0, u.T))
    return np.array(system.g.map(len(u))(np.column_stack([x0, x[:, :-1]]))).T


def rmse(plant: Plant, u: np.ndarray, y: np.ndarray) -> float:
    """Of pH, after the washout."""
    error = simulated(plant, u, plant.equilibrium(u[0]), 15.0) - y
    return float(np.sqrt(np.mean(error[WASHOUT:] ** 2)))


def row(name: str, value: float, unit: str, rival: str, ratio: float, goal: float) -> None:
    is_met = value <= goal if unit == "pH" else value >= goal
    rows.append(dict(name=name, value=value, unit=unit, rival=rival, ratio=ratio, goal=goal, met=bool(is_met)))
    print(f"{name:42s} {value:9.4f} {unit:3s}  goal {goal:g}  {'met' if is_met else 'MISSED'}   rival: {rival}")


def neutralisation(data: dict) -> None:
    published = PHNeutralisation()
    u, y = (data[f"{name}_train"][: 1000 if args.quick else None] for name in "UY")
    fit = minimize_scalar(lambda pK2: rmse(replace(published, pK2=pK2), u, y), bounds=(10.0, 10.8), method="bounded")
    fitted = replace(published, pK2=float(fit.x))
    print(f"pH: pK2 = {fit.x:.3f} by the training part, {published.pK2} published")
    for part in ("train", "val", "test"):
        u, y = data[f"U_{part}"], data[f"Y_{part}"]
        ours, rival = rmse(fitted, u, y), rmse(published, u, y)
        row(f"pH neutralisation, {part}", ours, "pH", f"published constants {rival:.4f}", ours / rival, RMSE_GOAL)


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
