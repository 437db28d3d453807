"""A controller under random faults: no exception, no NaN, no input out of its box or rate, whatever happens.

    python benchmarks/mpc_faults.py [--quick] [--steps N] [--seed N] [--json PATH]

Closed loops around a GRU, one per solver, with IPOPT standing in and without; real-time iterations are prepared before
every other step. At every step a fault is drawn: none, NaN or infinite measurements, a NaN or absurd state estimate,
references out of reach, huge or NaN, a solver that fails, returns NaN or runs out of time, an input that the actuator
did not take, a manual phase, a restart from saved state. Prints how often each rung of the ladder was used, and ends
with status 1 at the first violation.
"""

import argparse
import collections
import json
import sys
from pathlib import Path

import numpy as np

from mpc import NMPC, OffsetFreeObserver
from rnn_control import GRU, IdentifiedModel, Scaler

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--quick", action="store_true", help="300 steps")
parser.add_argument(
    "--steps", type=int, default=20000, help="steps in all (default 20000; the goal is a million: hours)"
)
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--json", type=Path, help="write the rows here")
args = parser.parse_args()
STEPS = 300 if args.quick else args.steps
FAULTS = ("measurement", "state", "absurd state", "reference", "far reference", "solver", "NaN plan", "no time",
          "actuator", "manual", "restart")  # fmt: skip
SHARE = 0.5  # of the steps have a fault
N = 8

rng = np.random.default_rng(args.seed)
scaler = Scaler(u_mid=[300, 2], u_half=[20, 1.5], y_mean=[0.9, 130], y_std=[0.1, 4])
names = dict(u_names=("Tc", "q"), y_names=("c", "T"), u_units=("K", "L/s"), y_units=("mol/L", "degC"))
system = IdentifiedModel(GRU(2, 2, 4, seed=1), scaler, 10.0, **names).to_casadi()
RATE = np.array([5.0, 0.4])
bounds = {"du": RATE, "y": {"c": (0.8, 1.05)}}


class Fails:
    """Stands in for a solver: fails, or gives a plan of NaN, or one that took too long."""

    def __init__(self, solver, kind):
        self._solver, self._kind = solver, kind

    def solve(self, now, guess):
        plan, cost, reason, ok = self._solver.solve(now, guess)
        if self._kind == "NaN plan":
            return plan._replace(u=plan.u * np.nan, x=plan.x * np.nan), np.nan, "Invalid_Number_Detected", False
        return plan, cost, "Time limit reached" if self._kind == "no time" else "Restoration_Failed", False


def played(controller, observer, x, u, fault):
    """One step with a fault; the input that came out."""
    y = system.g(x).full().ravel() + 0.01 * rng.normal(size=2)
    if fault == "measurement":
        y[rng.integers(2)] = rng.choice([np.nan, np.inf, -np.inf])
    estimate = observer.update(u, y)
    state = estimate.x.copy()
    if fault == "state":
        state[rng.integers(system.nx)] = np.nan
    if fault == "absurd state":
        state = 10.0 ** rng.uniform(0, 12) * rng.normal(size=system.nx)
    r = np.array([0.9, 130]) + rng.normal(size=2) * [0.05, 3]
    if fault == "reference":
        r = rng.choice([np.nan, np.inf, r[0]], 2)
    if fault == "far reference":
        r = r * 10.0 ** rng.uniform(0, 9, 2)
    inner = controller._solvers
    honest = inner._first
    if fault in ("solver", "NaN plan", "no time"):
        inner._first = Fails(honest, fault)
    result = controller.step(state, estimate.d, r, u)
    inner._first = honest
    return result


def allowed(u, last):
    """Whether u keeps box and rates from what was applied last, to rounding."""
    inside = np.isfinite(u).all() and (u >= system.u_min).all() and (u <= system.u_max).all()
    from_box = np.clip(last, system.u_min, system.u_max)
    return bool(inside and (np.abs(u - from_box) <= RATE * (1 + 1e-9)).all())


def loop(controller, steps):
    observer, rungs = OffsetFreeObserver(system), collections.Counter()
    x, u = np.array(system.x0), np.array([300.0, 2.0])
    observer.reset(system.g(x).full().ravel(), u)
    controller.reset(u)
    for k in range(steps):
        fault = rng.choice(FAULTS) if rng.random() < SHARE else "none"
        if fault == "manual":
            u = rng.uniform(system.u_min, system.u_max)
            controller.follow(u)
        if fault == "restart":
            controller.restore(controller.state())
        result = played(controller, observer, x, u, fault)
        if not allowed(result.u, u):
            print(f"step {k}: fault {fault!r}, input {result.u} after {u}, status {result.status!r}")
            return rungs, False
        rungs[result.status.split(";")[0]] += 1
        u = result.u if fault != "actuator" else rng.uniform(system.u_min, system.u_max)
        x = system.f(x, u).full().ravel()
        if rng.random() < 0.5:
            controller.prepare()
    return rungs, True


controllers = {  # and their share of the steps
    "condensed": (0.1, dict()),
    "condensed alone": (0.4, dict(solver="condensed alone")),
    "real time": (0.04, dict(iterations=1)),
    "real time alone": (0.26, dict(solver="condensed alone", iterations=1)),
    "short of time": (0.18, dict(max_time=2e-4)),
    "IPOPT": (0.02, dict(solver="ipopt", max_time=0.05)),
}
rows, fine = [], True
for name, (share, options) in controllers.items():
    rungs, kept = loop(NMPC(system, N, bounds=bounds, **options), round(share * STEPS))
    fine = fine and kept
    used = ", ".join(f"{r} {n}" for r, n in rungs.most_common())
    print(f"{name:14s} {sum(rungs.values())} steps: {used}", flush=True)
    rows.append(
        dict(name=f"violations, {name}", value=int(not kept), unit="-", rival=None, ratio=None, goal=0, met=kept)
    )
if args.json:
    args.json.write_text(json.dumps(rows, indent=1))
sys.exit(0 if fine else 1)
