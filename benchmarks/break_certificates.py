"""Parameter sets trained to break each deltaISS condition, and wrong conditions that the same attack must break.

    python benchmarks/break_certificates.py [--quick] [--sets N] [--family NAME ..] [--method NAME ..] [--json PATH]

For every family and method at least N sets (10^4) just inside the condition, random, and then moved by gradient ascent
to where trajectories come closest to what is promised (or beyond). Printed is the largest ratio of distance to promise
and how many sets exceed one by more than 1e-9; none may. Wrong conditions are reported with the share they lose.
"""

import argparse
import json
import sys
import time
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))  # the attack is a tool of the tests

from breaking import break_rule, rule_of  # noqa: E402
from wrong_rules import WRONG  # noqa: E402
from zoo import ZOO  # noqa: E402

from rnn_control.certify import METHODS  # noqa: E402

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--quick", action="store_true", help="100 sets each, few ascents")
parser.add_argument("--sets", type=int, help="sets for each family and method, random and trained together")
parser.add_argument("--family", nargs="*", default=list(ZOO), choices=list(ZOO))
parser.add_argument("--method", nargs="*", default=list(METHODS["delta_iss"]), choices=METHODS["delta_iss"])
parser.add_argument("--json", type=Path, help="write the rows here")
args = parser.parse_args()

torch.set_num_threads(1)
SETS = args.sets or (100 if args.quick else 10_000)
BATCH = min(1000, max(SETS // 2, 1))  # drawn at a time
OPTIONS = dict(ascents=8, long=60) if args.quick else dict(ascents=40, long=300)
SHAPES = ((1, 1, 2), (2, 2, 4), (1, 1, 1))  # small nets come closest to the bounds
MOST_BATCHES = 60


def attacked(rule, makers, batch_size, options):
    """Sets, broken ones, largest ratio of random and of trained sets, until there are enough; and the seconds taken."""
    total, broken, worst, start = 0, 0, [0.0, 0.0], time.perf_counter()
    for batch in range(MOST_BATCHES):
        found = break_rule(rule, makers[batch % len(makers)](), batch_size, batch, **options)
        total, broken = total + sum(o.sets for o in found), broken + sum(o.broken for o in found)
        worst = [max(w, o.worst) for w, o in zip(worst, found, strict=True)]
        if total >= SETS:
            break
    return total, broken, worst, time.perf_counter() - start


def report(name, total, broken, worst, seconds, met):
    print(f"{name:44s}{total:8d}{broken:8d}{worst[0]:14.9g}{worst[1]:14.9g}{seconds:8.1f}  {'ok' if met else 'MISSED'}",
          flush=True)  # fmt: skip
    rows.append(dict(name=name, value=broken, unit=f"broken of {total}", rival="1 + 1e-9", ratio=max(worst),
                     goal=int(name.startswith("wrong")), met=met))  # fmt: skip


rows = []
print(f"{'condition':44s}{'sets':>8s}{'broken':>8s}{'random':>14s}{'trained':>14s}{'s':>8s}")
for kind in args.family:
    for method in args.method:
        makers = [lambda shape=shape, kind=kind: ZOO[kind](*shape) for shape in SHAPES]
        total, broken, worst, seconds = attacked(rule_of(method), makers, BATCH, OPTIONS)
        report(f"{kind}, {method}", total, broken, worst, seconds, broken == 0 and total >= SETS)
for name, (rule, make) in WRONG.items():
    total, broken, worst, seconds = attacked(rule, [make], max(BATCH, 300), dict(ascents=40, long=20))
    report(f"wrong: {name}", total, broken, worst, seconds, broken > 0)
print("random, trained: largest distance of two trajectories over the promised one; s: seconds")
if args.json:
    args.json.write_text(json.dumps(rows, indent=1))
