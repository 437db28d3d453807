"""The main job, end to end: record -> certified GRU -> CasADi -> offset-free NMPC that regulates a chemical reactor.

The van de Vusse reactor is excited, a GRU is identified from the record under a deltaISS certificate, exported, and put
into a predictive controller. The controller meets set-point changes, a feed disturbance and a saturating input, and is
compared with the same controller around the true equations (the bound) and with the best of a family of PI loops.

    python examples/reactor.py [--quick] [--out FOLDER]
"""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np

from mpc import NMPC, PI, OffsetFreeObserver, closed_loop_report, compare, run, tune_pi
from plants import PLANTS, random_steps
from rnn_control import GRU, Experiment, Report, certify, fit, identification_report, plot_forgetting

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--quick", action="store_true", help="a shorter record and training, for a check in a minute")
parser.add_argument("--out", type=Path, default=Path("out"), help="folder for figures and report (default: out)")
args = parser.parse_args()

DT = 30.0  # s
SAMPLES, EPOCHS, POLISH = (1500, 60, 300) if args.quick else (3000, 150, 1500)
HORIZON = 20  # samples, 10 min
STEPS = 360  # 3 h
REFERENCE = {  # (s, mol/L) and (s, degC)
    "C_B": [(0, 0.90), (1800, 1.00), (3600, 0.95), (7200, 1.05), (9000, 0.85)],
    "T": [(0, 134.1), (1800, 136.0), (3600, 138.0), (7200, 133.0), (9000, 135.0)],
}
DISTURBANCE = {"C_A0": [(0, 5.1), (5400, 5.4)]}  # mol/L in the feed
SATURATED = 4  # fifth stretch, 7200 .. 9000 s: no input reaches this pair of set-points, Q ends at its bound
PI_TIMES = (120, 360) if args.quick else (120, 240, 480)  # s, closed-loop times tried for each PI loop

plant = PLANTS["van_de_vusse"]()
u_min, u_max = plant.u_region_min, plant.u_region_max

# 1 identify: excite the reactor within its operating region, train on 60 %, choose on 20 %, judge on 20 %
excitation = random_steps(u_min, u_max, SAMPLES, hold=(10, 50), seed=1)
data = Experiment.from_object(plant.experiment(excitation, DT, seed=1))
train, valid, test = data.split(0.6, 0.2)
options = dict(margin=0.03, u_min=u_min, u_max=u_max, epochs=EPOCHS, polish=POLISH)
result = fit(GRU(nu=2, ny=2, size=8), train, valid, certificate="delta_iss", **options)
score = result.model.score(test)
print(f"\nFree run on the test record, trained in {result.seconds:.0f} s\n{score}\n")

# 2 check, in exact arithmetic for the weights as they are stored
certificate = certify(result.model, rigorous=True)
proved = replace(result, certificate=certificate)  # both pages show what is proved, not what was trained with
print(f"{certificate}\n")

# 3 design: the same equations in CasADi, an observer, a controller; and two rivals
system, truth = result.model.to_casadi(), plant.discretise(DT)
bounds = {"u": dict(zip(plant.u_names, zip(u_min, u_max, strict=True), strict=True))}
y_range = dict(zip(plant.y_names, np.ptp(data.y, axis=0), strict=True))
start = plant.nominal.u


def regulate(controller, observer, noise=True):
    process = plant.process(DT, noise=noise, seed=2)
    return run(process, controller, observer, REFERENCE, STEPS, disturbances=DISTURBANCE, u0=start)


def error(record):
    """Integrated squared error of the outputs, each over its range squared, summed, in s."""
    return sum(value / y_range[name] ** 2 for name, value in record.ise().items())


def pi(time_C_B, time_T):
    times = {"C_B": time_C_B, "T": time_T}
    return PI(truth, tune_pi(truth, {"C_B": "F", "T": "Q"}, start, closed_loop_time=times), bounds)


def nmpc(model, noise=True):
    return regulate(NMPC(model, HORIZON, bounds=bounds, y_range=y_range), OffsetFreeObserver(model), noise)


records = {
    "NMPC, certified GRU": nmpc(system),
    "NMPC, true model": nmpc(truth),
    "PI, best tuning": min((regulate(pi(a, b), None) for a in PI_TIMES for b in PI_TIMES), key=error),
}
# what the mean over a stretch's end keeps of the noise is no offset: the same run without noise shows what is
quiet = nmpc(system, noise=False)

# 4 judge
header = ["controller", "error [s]", "to the true model", "largest mean error at the end [% of range]",
          "inputs out of bounds", "steps not ok", "step median [ms]", "step max [ms]"]  # fmt: skip
rows = []


def left(record):
    """Largest mean error at the end of a stretch that can be reached, in % of the output's range."""
    return max(100 * abs(o) / y_range[c] for c, e in record.offset().items() for i, o in enumerate(e) if i != SATURATED)


for name, record in records.items():
    m = record.metrics()
    ratio = error(record) / error(records["NMPC, true model"])
    times = 1e3 * m["solve_time_median"], 1e3 * m["solve_time_max"]
    rows.append([name, error(record), ratio, left(record), m["input_violations"], m["failed_steps"], *times])
    print(f"{name:20s} error {ratio:5.2f} x, mean error at the end {left(record):.2f} %, step {times[0]:.1f} ms")
print(f"offset of the certified GRU, its run without noise: {left(quiet):.3f} % of range")

args.out.mkdir(parents=True, exist_ok=True)
result.model.save(args.out / "reactor.safetensors")
(args.out / "certificate.json").write_text(certificate.to_json())
report = Report("Van de Vusse reactor: identified, certified, controlled")
report.key_numbers([(f"FIT {c}", f, "%") for c, f in zip(score.y_names, score.fit, strict=True)])
report.key_numbers(
    [
        ("offset without noise", left(quiet), "% of range"),
        ("rate per step", certificate.rate),
        ("99 % forgotten after", certificate.seconds_to_forget, "s"),
    ]
)
report.heading("Record").figure(data.plot(), "Excitation of the reactor and its response")
report.heading("Model").text(
    f"GRU, {system.nx} states, trained in {result.seconds:.0f} s on {train.n_samples} samples."
)
report.figure(result.model.plot(test), "Free run on the test record; grey: samples that give the initial state")
report.figure(result.plot(), "Training")
report.heading("Certificate").table(["", "proved"], certificate.rows()).figure(
    plot_forgetting(result.model, certificate, test.u[:300]), "Two extreme initial states, and the certified envelope"
)
report.heading("Closed loop").table(
    header, rows, "Error and ratio count every instant; the end of a stretch, with noise, of the reachable set-points"
)
report.figure(
    compare(list(records.values()), list(records)), "Set-points, feed disturbance at 90 min, saturation at 120"
)
path = report.save(args.out / "report.html")
pages = [
    identification_report(proved, train, valid, test, args.out / "identification.html"),
    closed_loop_report(next(iter(records.values())), Report("NMPC, certified GRU")).save(args.out / "closed_loop.html"),
]
compare(list(records.values()), list(records)).savefig(args.out / "closed_loop.png", dpi=150)
files = f"{args.out / 'reactor.safetensors'} {args.out / 'certificate.json'}"
print(f"report: {path}; more: {pages[0]} {pages[1]}\nto prove it again: python -m rnn_control.check {files}")
