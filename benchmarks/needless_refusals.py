"""Nets around the border of their conditions: how many contract, as far as an adversary can see, and yet are refused.

    python benchmarks/needless_refusals.py [--quick] [--families NAME ..] [--nets N] [--json PATH]

Per family, a series and a feedback of two blocks among them, N nets of their own initialisation, the recurrent weights
scaled to between 0.6 and 4 times what the published deltaISS condition accepts. A net counts as contracting if the
slowest periodic orbit found has a rate below 0.999. Every method is tried on the same nets: `alone`, and `together`
with those above it, as method="best" takes them.

All methods know of a net no more than the ranges of its slopes and gates (the channels of Theorem 15). Where constant
values in these ranges, which the net itself may never have all at once, make an unstable linear system, no method of
this kind can prove anything: `hopeless`. Together, a method must refuse fewer nets than those above it, or only these.
An ESN is the example: its Wx is a multiple r of an orthogonal matrix, of determinant -1 for even sizes, so r is an
eigenvalue of Wx, and the published condition r < 1 is necessary as soon as all slopes may be one.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch

from rnn_control import GRU, LSTM, MODELS, Cascade, CertificateError, Network, attack, certify
from rnn_control.conditions import METHODS
from rnn_control.contract import contract
from rnn_control.lmi import bounded_channels

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--quick", action="store_true", help="8 nets of each family")
parser.add_argument("--nets", type=int, default=60, help="nets of each family")
parser.add_argument("--families", nargs="+", help="names to run; default all")
parser.add_argument("--json", type=Path, help="write the rows here")
args = parser.parse_args()

torch.set_num_threads(1)
NETS = 8 if args.quick else args.nets
SEARCH = dict(restarts=6, ascents=4 if args.quick else 8, longest=1)
CONTRACTS = 0.999
CORNERS = 200


def series(nu, ny, size, seed):
    return Cascade(GRU(nu, 1, size // 2, seed=seed), LSTM(1, ny, size // 2, seed=seed + 1))


def feedback(nu, ny, size, seed):
    """Two blocks in a ring: each reads the input and the other's output."""
    first, second = GRU(nu + 1, ny, size // 2, seed=seed), LSTM(nu + 1, 1, size // 2, seed=seed + 1)
    return Network(("u",), {"a": (("u", "back"), first, ("y",)), "b": (("u", "y"), second, ("back",))}, ("y",))


FAMILIES = {**MODELS, "cascade": series, "network": feedback}


@torch.no_grad()
def scale(model, factor):
    named = dict(model.named_parameters()) | dict(model.named_buffers())
    for name in model.recurrent:
        named[name].mul_(factor)


def net_near_the_border(kind, seed):
    """A net, or None where even no recurrence is accepted."""
    model, rng = FAMILIES[kind](1, 1, 4, seed=seed), np.random.default_rng(seed)
    scale(model, 10.0)
    try:
        contract(model, "delta_iss", "published", 1e-6)
    except CertificateError:
        return None
    scale(model, 10 ** rng.uniform(-0.2, 0.6))
    return model


@torch.no_grad()
def is_hopeless(model):
    """Whether some constant theta in the corners of the ranges of the channels makes x+ = A(theta) x unstable."""
    p, u_max = model.theta(), model.input_box()
    c = bounded_channels(model, p, u_max, model.comparison(p, u_max).state_box)
    if c is None:
        return False
    n, rng = len(c.F), np.random.default_rng(0)
    (F, Fq), (p, pq) = (np.split(M[:, : n + len(c.p)], [n], 1) for M in (c.F, c.p))
    chosen = np.vstack([np.ones((1, len(c.p))), rng.integers(0, 2, (CORNERS, len(c.p)))])
    thetas = np.where(chosen > 0, c.hi, c.lo)[:, :, None]
    A = F + Fq @ np.linalg.solve(np.eye(len(c.p)) - thetas * pq, thetas * p)
    return bool(abs(np.linalg.eigvals(A)).max() >= 1)


def verdicts(kind):
    """(nets, methods) whether certified; (nets,) the rates that the adversary found; (nets,) whether hopeless."""
    methods, certified, rates, hopeless = METHODS, [], [], []
    for model in filter(None, (net_near_the_border(kind, seed) for seed in range(NETS))):
        found = {m: certify(model, method=m) for m in methods}
        certified.append([found[m].holds for m in methods])
        rates.append(attack(model, found["published"], **SEARCH).rate)
        hopeless.append(is_hopeless(model))
    return np.array(certified).reshape(-1, len(methods)), np.array(rates), np.array(hopeless, bool)


def percent(nets, of):
    return 100 * float((nets & of).sum() / max(of.sum(), 1))


rows = []
print(f"{'':51s}refused needlessly, %\n{'family':20s}{'method':12s}{'contracting':>11s}{'certified':>11s}"
      f"{'alone':>9s}{'together':>9s}{'hopeless':>9s}")  # fmt: skip
for kind in args.families or FAMILIES:
    certified, rates, hopeless = verdicts(kind)
    contracting = rates < CONTRACTS
    before, left = None, np.ones(len(rates), bool)
    for method, holds in zip(METHODS, certified.T, strict=True):
        left &= ~holds
        alone, refused, least = (percent(nets, contracting) for nets in (~holds, left, hopeless))
        met = bool(before is None or refused < before or refused <= least)
        print(f"{kind:20s}{method:12s}{contracting.sum():5d} of{len(rates):3d}{holds.sum():11d}{alone:9.1f}"
              f"{refused:9.1f}{least:9.1f}{'' if met else '  not fewer'}", flush=True)  # fmt: skip
        rival, ratio = ("none", None) if before is None else ("the methods above", refused / before if before else None)
        rows.append(dict(name=f"{kind}, {method}", value=refused, unit="% refused", rival=rival, ratio=ratio,
                         goal=before, met=met))  # fmt: skip
        before = refused
    false = int((certified.any(1) & (rates >= 1)).sum())
    broken = int((certified.any(1) & hopeless).sum())
    for count, what in ((false, "do not contract"), (broken, "have slopes that diverge")):
        if count:
            print(f"{kind}: {count} certified nets {what}: A CERTIFICATE IS FALSE")
    rows.append(dict(name=f"{kind}, false certificates", value=false + broken, unit="nets", rival="none", ratio=None,
                     goal=0, met=false + broken == 0))  # fmt: skip
if args.json:
    args.json.write_text(json.dumps(rows, indent=1))
