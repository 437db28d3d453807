"""Parameter sets trained to break each stability condition, and wrong conditions that the same attack must break.

    python benchmarks/break_certificates.py [--quick] [--sets N] [--family NAME ..] [--method NAME ..] [--json PATH]

For every family and method at least N sets (10^4) just inside the condition, random, and then moved by gradient ascent
to where trajectories come closest to what is promised (or beyond). Where a check takes milliseconds a set, N / 20 have
to do: for "sharpest", the comparison system that `certify` takes for "weighted", and for the matrix inequality, which
is solved for one set in 21; its P and tau are attacked with 20 others. Printed is the largest
ratio of distance to promise and how many sets exceed one by more than 1e-9; none may. Wrong conditions are reported
with the sets they lose.
"""

import argparse
import json
import sys
import time
from functools import partial
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))  # the attack is a tool of the tests

from breaking import break_rule, rule_of, sharpest, sharpest_iss  # noqa: E402
from breaking_metric import break_metric  # noqa: E402
from wrong_rules import WRONG  # noqa: E402
from zoo import ZOO  # noqa: E402

ATTACKS = {
    "published": partial(break_rule, rule_of("published")),
    "weighted": partial(break_rule, rule_of("weighted")),
    "sharpest": partial(break_rule, sharpest),
    "lmi": partial(break_metric, property="delta_iss"),
    "iss-published": partial(break_rule, rule_of("published", "iss")),
    "iss-weighted": partial(break_rule, rule_of("weighted", "iss")),
    "iss-sharpest": partial(break_rule, sharpest_iss),
    "iss-lmi": partial(break_metric, property="iss"),
}
SLOW = "sharpest", "lmi", "iss-sharpest", "iss-lmi"

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--quick", action="store_true", help="200 sets each, few ascents")
parser.add_argument("--sets", type=int, help="sets for each family and method, random and trained together")
parser.add_argument("--family", nargs="*", default=list(ZOO), choices=list(ZOO))
parser.add_argument("--method", nargs="*", default=list(ATTACKS), choices=list(ATTACKS))
parser.add_argument("--json", type=Path, help="write the rows here")
args = parser.parse_args()

torch.set_num_threads(1)
SETS = args.sets or (200 if args.quick else 10_000)
ROW = dict(ascents=8, long=60) if args.quick else dict(ascents=30, long=100)
MATRIX = dict(ascents=6, long=60, rounds=1) if args.quick else dict(ascents=10, long=100, rounds=2)
SHAPES = ((1, 1, 2), (2, 2, 4), (1, 1, 1))  # small nets come closest to the bounds
MOST_BATCHES = 120


def attacked(attack, makers, wanted, batch_size, options):
    """Sets, broken ones, largest ratio of random and of trained sets, until there are enough; and the seconds taken."""
    total, broken, worst, start = 0, 0, [0.0, 0.0], time.perf_counter()
    for batch in range(MOST_BATCHES):
        found = attack(makers[batch % len(makers)](), batch_size, batch, **options)
        total, broken = total + sum(o.sets for o in found), broken + sum(o.broken for o in found)
        worst = [max(w, o.worst) for w, o in zip(worst, found, strict=True)]
        if total >= wanted:
            break
    return total, broken, worst, time.perf_counter() - start


def report(name, total, broken, worst, seconds, met):
    print(f"{name:44s}{total:8d}{broken:8d}{worst[0]:14.9g}{worst[1]:14.9g}{seconds:8.1f}  {'ok' if met else 'MISSED'}",
          flush=True)  # fmt: skip
    rows.append(dict(name=name, value=broken, unit=f"broken of {total}", rival="largest ratio", ratio=max(worst),
                     goal=int(name.startswith("wrong")), met=met))  # fmt: skip


rows = []
print(f"{'condition':44s}{'sets':>8s}{'broken':>8s}{'random':>14s}{'trained':>14s}{'s':>8s}")
for kind in args.family:
    for method in args.method:
        makers = [lambda shape=shape, kind=kind: ZOO[kind](*shape) for shape in SHAPES]
        is_slow = method in SLOW
        wanted = max(SETS // 20, 40) if is_slow else SETS
        size = min(wanted // 2 + 2, 170 if is_slow else 1000)  # drawn at a time
        options = MATRIX if method.endswith("lmi") else ROW
        total, broken, worst, seconds = attacked(ATTACKS[method], makers, wanted, size, options)
        report(f"{kind}, {method}", total, broken, worst, seconds, broken == 0 and total >= wanted)
for name, (rule, make) in WRONG.items():
    attack, size = partial(break_rule, rule), min(1000, max(SETS // 2, 300))
    total, broken, worst, seconds = attacked(attack, [make], SETS, size, dict(ascents=40, long=20))
    report(f"wrong: {name}", total, broken, worst, seconds, broken > 0)
print("random, trained: largest distance of two trajectories over the promised one; s: seconds")
if args.json:
    args.json.write_text(json.dumps(rows, indent=1))
