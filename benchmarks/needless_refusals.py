"""Nets around the border of their conditions: how many contract, as far as an adversary can see, and yet are refused.

    python benchmarks/needless_refusals.py [--quick] [--nets N] [--json PATH]

Per family N nets of their own initialisation, the recurrent weights scaled to between 0.6 and 4 times what the
published deltaISS condition accepts. A net counts as contracting if the slowest periodic orbit found has a rate below
0.999. Every method is tried on the same nets; a richer one must refuse fewer than the one before it.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch

from rnn_control import MODELS, CertificateError, attack, certify
from rnn_control.certify import METHODS
from rnn_control.contract import contract

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--quick", action="store_true", help="8 nets of each family")
parser.add_argument("--nets", type=int, default=60, help="nets of each family")
parser.add_argument("--json", type=Path, help="write the rows here")
args = parser.parse_args()

torch.set_num_threads(1)
NETS = 8 if args.quick else args.nets
SEARCH = dict(restarts=6, ascents=4 if args.quick else 8, longest=1)
CONTRACTS = 0.999


@torch.no_grad()
def scale(model, factor):
    named = dict(model.named_parameters()) | dict(model.named_buffers())
    for name in model.recurrent:
        named[name].mul_(factor)


def net_near_the_border(kind, seed):
    """A net, or None where even no recurrence is accepted."""
    model, rng = MODELS[kind](1, 1, 4, seed=seed), np.random.default_rng(seed)
    scale(model, 10.0)
    try:
        contract(model, "delta_iss", "published", 1e-6)
    except CertificateError:
        return None
    scale(model, 10 ** rng.uniform(-0.2, 0.6))
    return model


def verdicts(kind):
    """(nets, methods) whether certified; (nets,) the rates that the adversary found."""
    methods, certified, rates = METHODS["delta_iss"], [], []
    for model in filter(None, (net_near_the_border(kind, seed) for seed in range(NETS))):
        found = {m: certify(model, method=m) for m in methods}
        certified.append([found[m].holds for m in methods])
        rates.append(attack(model, found["published"], **SEARCH).rate)
    return np.array(certified).reshape(-1, len(methods)), np.array(rates)


rows = []
print(f"{'family':20s}{'method':12s}{'nets':>6s}{'contracting':>13s}{'certified':>11s}{'refused needlessly':>20s}")
for kind in MODELS:
    certified, rates = verdicts(kind)
    contracting = rates < CONTRACTS
    before = None
    for method, holds in zip(METHODS["delta_iss"], certified.T, strict=True):
        refused = 100 * float((contracting & ~holds).sum() / max(contracting.sum(), 1))
        met = bool(before is None or refused < before or refused == 0)
        print(f"{kind:20s}{method:12s}{len(rates):6d}{contracting.sum():13d}{holds.sum():11d}{refused:18.1f} %"
              f"{'' if met else '  not fewer'}", flush=True)  # fmt: skip
        ratio = None if not before else refused / before
        rival = "none" if before is None else "the method above"
        rows.append(dict(name=f"{kind}, {method}", value=refused, unit="% refused", rival=rival, ratio=ratio,
                         goal=before, met=met))  # fmt: skip
        before = refused
    false = int((certified.any(1) & (rates >= 1)).sum())
    if false:
        print(f"{kind}: {false} certified nets do not contract: A CERTIFICATE IS FALSE")
    rows.append(dict(name=f"{kind}, false certificates", value=false, unit="nets", rival="none", ratio=None, goal=0,
                     met=false == 0))  # fmt: skip
if args.json:
    args.json.write_text(json.dumps(rows, indent=1))
