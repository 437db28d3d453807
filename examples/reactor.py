"""The main job, end to end: record -> certified GRU -> CasADi -> offset-free NMPC that regulates a chemical reactor.

The van de Vusse reactor is excited, a GRU is identified from the record under a deltaISS certificate, exported, and put
into a predictive controller. The controller meets set-point changes, a feed disturbance and a saturating input, and is
compared with the same controller around the true equations (the bound) and with the best of a family of PI loops.

    python examples/reactor.py [--quick] [--out FOLDER]
"""

import argparse
from pathlib import Path

import numpy as np

from mpc import NMPC, PI, OffsetFreeObserver, compare, run, tune_pi
from plants import PLANTS, random_steps
from rnn_control import GRU, Experiment, certify, fit

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--quick", action="store_true", help="a shorter record and training, for a check in a minute")
parser.add_argument("--out", type=Path, default=Path("out"), help="folder for figures and report (default: out)")
args = parser.parse_args()

DT = 30.0  # s
SAMPLES, EPOCHS, POLISH = (1500, 60, 300) if args.quick else (3000, 150, 1500)
HORIZON = 20  # samples, 10 min
REFERENCE = {  # s, mol/L and degC
    "C_B": [(0, 0.90), (1800, 1.00), (9000, 0.80)],
    "T": [(0, 134.1), (1800, 135.0), (3600, 132.5), (7200, 142.0), (9000, 133.0)],
}
DISTURBANCES = {"C_A0": [(0, 5.1), (5400, 5.4)]}  # mol/L in the feed
STEPS = 360  # 3 h; from 7200 to 9000 s the set-point of T cannot be reached: Q saturates
UNREACHABLE = 7200.0, 9000.0

plant = PLANTS["van_de_vusse"]()
u_min, u_max = plant.u_region_min, plant.u_region_max

# 1 identify: excite the reactor within its operating region, train on 60 %, choose on 20 %, judge on 20 %
excitation = random_steps(u_min, u_max, SAMPLES, hold=(10, 50), seed=1)
data = Experiment.from_object(plant.experiment(excitation, DT, seed=1))
train, valid, test = data.split(0.6, 0.2)
result = fit(
    GRU(nu=2, ny=2, size=8), train, valid, certificate="delta_iss", margin=0.03, u_min=u_min, u_max=u_max,
    epochs=EPOCHS, polish=POLISH,
)  # fmt: skip
score = result.model.score(test)
print(f"\nfree run on the test record, trained in {result.seconds:.0f} s\n{score}\n")

# 2 check
certificate = certify(result.model)
print(f"{certificate}\n")

# 3 design: the same equations in CasADi, an observer, a controller
system = result.model.to_casadi()
truth = plant.discretise(DT)
bounds = {"u": dict(zip(plant.u_names, zip(u_min, u_max, strict=True), strict=True)), "y": {"T": (None, 140.0)}}
y_range = dict(zip(plant.y_names, np.ptp(data.y, axis=0), strict=True))


def regulate(label, controller, observer):
    print(f"closed loop: {label}")
    process = plant.process(DT, seed=2)
    return run(process, controller, observer, REFERENCE, STEPS, disturbances=DISTURBANCES, u0=plant.nominal.u)


def best_pi():
    """The loop tuning (closed-loop time of each loop) with the smallest error on this very scenario."""
    pairs, times = {"C_B": "F", "T": "Q"}, [(a, b) for a in (120, 240, 480) for b in (120, 240, 480)]
    records = []
    for a, b in times:
        loops = tune_pi(truth, pairs, plant.nominal.u, closed_loop_time={"C_B": a, "T": b})
        records.append(regulate(f"PI, closed-loop times {a} s and {b} s", PI(truth, loops, bounds), None))
    return min(records, key=relative_error)


def relative_error(record):
    """Sum over outputs of the integrated squared error, each in units of its range squared, in s."""
    return sum(value / y_range[name] ** 2 for name, value in record.ise().items())


records = {
    "NMPC, certified GRU": regulate("NMPC, certified GRU", NMPC(system, HORIZON, bounds=bounds, y_range=y_range), OffsetFreeObserver(system)),
    "NMPC, true model": regulate("NMPC, true model", NMPC(truth, HORIZON, bounds=bounds, y_range=y_range), OffsetFreeObserver(truth)),
    "PI": best_pi(),
}  # fmt: skip

# 4 judge
learned, best = records["NMPC, certified GRU"], records["NMPC, true model"]
print(vars(learned.metrics) if False else learned.table())
for name, r in records.items():
    print(name, relative_error(r), {k: [f"{100*o/y_range[k]:.2f}" for o in v] for k, v in r.offset().items()}, r.metrics()["solve_time_median"], r.metrics()["input_violations"], r.metrics()["failed_steps"])
args.out.mkdir(parents=True, exist_ok=True)
compare(list(records.values()), list(records)).savefig(args.out / "closed_loop.png", dpi=150)
result.model.plot(test).savefig(args.out / "fit.png", dpi=150)
result.plot().savefig(args.out / "training.png", dpi=150)
