"""How tight certificates of trained models are: certified against what an adversary finds, on the simulated reactor.

    python benchmarks/certificate_gap.py [--quick] [--json PATH]

Small models of every family, trained under deltaISS (margin 0.03) on a record of the van de Vusse reactor, then
certified by every method and attacked. gap is (1 - seen rate) / (1 - certified rate): one is perfect, the goal for the
median of the best method is 3. The gains are the medians over channel pairs of certified over seen.
"""

import argparse
import json
import statistics
import time
import warnings
from pathlib import Path

from plants import PLANTS, random_steps
from rnn_control import MODELS, CertificateError, Experiment, attack, certify, fit
from rnn_control.conditions import METHODS

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--quick", action="store_true", help="a short record and training")
parser.add_argument("--json", type=Path, help="write the rows here")
args = parser.parse_args()

SAMPLES, EPOCHS, POLISH = (800, 20, 60) if args.quick else (3000, 150, 1500)
SIZES = {"gru": (6, 12), "esn": (20,)}

warnings.simplefilter("ignore", UserWarning)  # short trainings are poor, and it is not the point
plant = PLANTS["van_de_vusse"]()
box = dict(u_min=plant.u_region_min, u_max=plant.u_region_max)
excitation = random_steps(*box.values(), SAMPLES, hold=(10, 50), seed=1)
train, valid, test = Experiment.from_object(plant.experiment(excitation, 30.0, seed=1)).split(0.6, 0.2)

rows, gaps = [], {"best": []}
print(f"{'model':20s}{'FIT %':>14s}  {'method':12s}{'certified':>10s}{'seen':>10s}{'gap':>8s}{'99 %, steps':>14s}"
      f"{'gain':>8s}{'attack':>9s}")  # fmt: skip
CASES = [(kind, size) for kind in MODELS for size in SIZES.get(kind, (6,))]
for kind, size in CASES:
    try:
        result = fit(MODELS[kind](2, 2, size), train, valid, margin=0.03, epochs=EPOCHS, polish=POLISH, progress=False,
                     **box)  # fmt: skip
    except CertificateError as error:
        print(f"{kind} {size}: {error}")
        continue
    accuracy = " / ".join(f"{f:.1f}" for f in result.model.score(test).fit)
    start = time.perf_counter()
    best = attack(result.model, certify(result.model))
    seconds = time.perf_counter() - start
    gaps["best"].append(best.rate_gap())
    for method in METHODS:
        c = certify(result.model, method=method)
        name = f"{kind} {size}"
        if not c.holds:
            print(f"{name:20s}{accuracy:>14s}  {method:12s}{'refused':>10s}{best.rate:10.4f}")
            continue
        gap = (1 - best.rate) / (1 - c.rate)
        felt = 1e-9 * max(map(max, best.gain))  # an input that moves nothing has no gain to compare with
        gain = statistics.median(p / s for ps, ss in zip(c.gain, best.gain, strict=True)
                                 for p, s in zip(ps, ss, strict=True) if s > felt)  # fmt: skip
        gaps.setdefault(method, []).append(gap)
        times = f"{c.steps_to_forget} / {best.steps[-1]}"
        print(f"{name:20s}{accuracy:>14s}  {method:12s}{c.rate:10.4f}{best.rate:10.4f}{gap:8.2f}{times:>14s}{gain:8.1f}"
              f"{seconds:8.1f}s", flush=True)  # fmt: skip
        rows.append(dict(name=f"{name}, {method}", value=gap, unit="(1 - seen) / (1 - certified)", rival="adversary",
                         ratio=gap, goal=None, met=None))  # fmt: skip
for method, values in gaps.items():
    median, goal = statistics.median(values), 3 if method == "best" else None
    met = None if goal is None else median < goal
    print(f"median gap, {method}: {median:.2f} over {len(values)} models" + (" (goal: below 3)" if goal else ""))
    rows.append(dict(name=f"median gap, {method}", value=median, unit="(1 - seen) / (1 - certified)",
                     rival="adversary", ratio=median, goal=goal, met=met))  # fmt: skip
if args.json:
    args.json.write_text(json.dumps(rows, indent=1))
