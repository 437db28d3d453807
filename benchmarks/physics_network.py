"""Does a network wired like the flowsheet need less data? Two reactors and a separator, at equal parameter count.

    python benchmarks/physics_network.py [--quick] [--docs] [--jobs N] [--out FOLDER] [--json PATH]

Black-box GRU, deep GRU and a Network of one GRU a vessel, with the recycle, in which every block writes the measured
outputs of its vessel and reads the inputs of the vessel and what flows into it. Set of Liu et al., 1 s sampling, sensor
noise; the first 10, 30 and 100 % of one record, a fifth of which picks the iterate (`fit` without validation part).
Scored: free run against the outputs without noise, on a record of the same region and on one whose inputs leave it by
half of its width. Same iterations for all. --docs writes docs/physics_networks.md and its figure.
"""

import argparse
import functools
import json
import statistics
import warnings
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib import pyplot as plt
from resumable import run_all

from plants import PLANTS, random_steps
from rnn_control import GRU, Cascade, CertificateError, Experiment, Network, fit

DOCS = Path(__file__).parents[1] / "docs"
DT = 1.0  # s; time constants are 0.6 to 17 s
LOW, HIGH = np.array([2.0, 2.0, 2.0, 0.1]), np.array([25.0, 25.0, 25.0, 2.0])  # kJ/s and m3/s: where it is operated
WIDE = np.array([0.0, 0.0, 0.0, 0.0]), np.array([36.5, 36.5, 36.5, 2.95])  # half a width more, as far as there is room
HOLD = (3, 25)  # samples
BLACK_BOX, THIRD = "black-box GRU", 1 / 3


def vessel(i):
    return [f"x_A{i}", f"x_B{i}", f"T{i}"]


def black_box(seed):
    return GRU(4, 9, 8, seed=seed)


def deep(seed):
    return Cascade(GRU(4, 4, 5, seed=seed), GRU(4, 9, 5, seed=seed + 100))


def flowsheet(seed):
    blocks = {
        "reactor 1": (["Q1", *vessel(3)], GRU(4, 3, 4, seed=seed), vessel(1)),
        "reactor 2": (["Q2", "F_20", *vessel(1)], GRU(5, 3, 4, seed=seed + 100), vessel(2)),
        "separator": (["Q3", "F_20", *vessel(2)], GRU(5, 3, 4, seed=seed + 200), vessel(3)),
    }
    return Network(["Q1", "Q2", "Q3", "F_20"], blocks, vessel(1) + vessel(2) + vessel(3))


MODELS = {BLACK_BOX: black_box, "deep GRU": deep, "physics-based network": flowsheet}


@functools.cache
def record(samples, seed, is_wide=False, is_measured=True):
    plant = PLANTS["reactors_separator_liu"]()
    u = random_steps(*(WIDE if is_wide else (LOW, HIGH)), samples, hold=HOLD, seed=seed)
    run = plant.experiment(u, DT, seed=seed)
    y = run.y if is_measured else run.y_true
    return Experiment(run.u, y, DT, run.u_names, run.y_names, run.u_units, run.y_units)


def train(task):
    """FIT inside and outside of the training region, rate, seconds of one model; FIT None if none was certified."""
    warnings.simplefilter("ignore")  # of poor models: they are the result here
    whole, n = record(task["samples"], 1), round(task["share"] * task["samples"])
    part = Experiment(whole.u[:n], whole.y[:n], DT, whole.u_names, whole.y_names, whole.u_units, whole.y_units)
    budget = dict(epochs=task["epochs"], polish=task["polish"], seed=task["seed"], progress=False)
    model = MODELS[task["model"]](task["seed"])
    found = dict(parameters=sum(p.numel() for p in model.parameters()), inside=None, outside=None, rate=None)
    try:
        result = fit(model, part, certificate=task["certificate"], u_min=LOW, u_max=HIGH, **budget)
    except CertificateError:
        return {**found, "seconds": None}
    for where, is_wide, seed in (("inside", False, 2), ("outside", True, 3)):
        found[where] = result.model.score(record(600, seed, is_wide, False)).mean_fit
    proof = result.certificate
    return {**found, "rate": proof.rate if proof and proof.holds else None, "seconds": result.seconds}


def tasks(quick):
    """Free models for each amount of data, certified ones on all of it."""
    budget = dict(samples=300, epochs=10, polish=30) if quick else dict(samples=1000, epochs=100, polish=600)
    shares, seeds = ((0.3, 1.0), (0,)) if quick else ((0.1, 0.3, 1.0), (0, 1, 2))
    cases = [(None, share) for share in shares] + [("delta_iss", 1.0)]
    return [
        dict(model=model, certificate=certificate, share=share, seed=seed, **budget)
        for certificate, share in cases for seed in seeds for model in MODELS
    ]  # fmt: skip


def median(rows, column, **where):
    values = [r[column] for r in rows if all(r[k] == v for k, v in where.items()) and r[column] is not None]
    return statistics.median(values) if values else None


def data_needed(rows, model, goal):
    """Share of the record at which the median FIT of a model reaches `goal`, linear over log share; None if never."""
    shares = sorted({r["share"] for r in rows})
    curve = [(s, median(rows, "inside", model=model, share=s, certificate=None)) for s in shares]
    if curve[0][1] >= goal:
        return curve[0][0]
    for (s0, f0), (s1, f1) in zip(curve, curve[1:], strict=False):
        if f1 >= goal:
            return float(np.exp(np.interp(goal, [f0, f1], np.log([s0, s1]))))
    return None


def verdict(rows):
    """Two sentences that follow from the numbers, and the share of the data that the network needs (or None)."""
    whole = dict(share=1.0, certificate=None)
    goal = median(rows, "inside", model=BLACK_BOX, **whole)
    needed, network = data_needed(rows, "physics-based network", goal), dict(model="physics-based network")
    if needed is None:
        text = (
            f"The network does not reach the {goal:.1f} % of the black box on the whole record: "
            f"{median(rows, 'inside', **network, **whole):.1f} %. It does not need less data."
        )
    else:
        claim = "needs at most a third" if needed <= THIRD else "does not get by with a third"
        text = (
            f"The network {claim} of the data of the black box: it reaches the {goal:.1f} % of the black box on "
            f"the whole record with {100 * needed:.0f} % of it."
        )
    a, b = (median(rows, "outside", model=m, **whole) for m in ("physics-based network", BLACK_BOX))
    text += f" Outside of the training region it fits {abs(a - b):.1f} points {'better' if a > b else 'worse'} "
    text += f"({a:.1f} against {b:.1f} %)."
    a, b = (median(rows, "inside", model=m, certificate="delta_iss") for m in ("physics-based network", BLACK_BOX))
    if a is None or b is None:
        return text + " With a certificate, not each of the two gave a model.", needed
    text += f" Trained under a deltaISS certificate it fits {abs(a - b):.1f} points {'better' if a > b else 'worse'} "
    return text + f"({a:.1f} against {b:.1f} %).", needed


HEADER = ["model", "parameters", "certificate", "data", "FIT", "range", "outside", "rate", "seconds"]


def table(rows):
    """A row for each model, certificate and amount of data: medians over the seeds."""
    cases = dict.fromkeys((r["model"], r["certificate"], r["share"]) for r in rows)
    lines = []
    for model, certificate, share in cases:
        where = dict(model=model, certificate=certificate, share=share)
        own = [r["inside"] for r in rows if all(r[k] == v for k, v in where.items()) and r["inside"] is not None]
        fits = f"{min(own):.1f} .. {max(own):.1f}" if own else "none found"
        digits = dict(inside=1, outside=1, rate=4, seconds=0)
        inside, outside, rate, seconds = (shown(median(rows, c, **where), n) for c, n in digits.items())
        setting = [model, str(median(rows, "parameters", **where)), certificate or "none", f"{100 * share:.0f} %"]
        lines.append([*setting, inside, fits, outside, rate, seconds])
    return lines


def shown(value, digits):
    return "-" if value is None else f"{value:.{digits}f}"


def plot(rows):
    """FIT over the amount of data, inside and outside of the training region; every seed a dot, lines join medians."""
    figure, axes = plt.subplots(1, 2, sharey=True, figsize=(9, 3.6), layout="constrained")
    samples = rows[0]["samples"]
    for ax, where, title in zip(axes, ("inside", "outside"), ("training region", "inputs beyond it"), strict=True):
        for c, model in enumerate(MODELS):
            own = [r for r in rows if r["model"] == model and r["certificate"] is None]
            shares = sorted({r["share"] for r in own})
            line = [median(own, where, share=s) for s in shares]
            ax.plot([samples * s for s in shares], line, color=f"C{c}", label=model)
            ax.plot([samples * r["share"] for r in own], [r[where] for r in own], ".", color=f"C{c}", alpha=0.5)
            held = [r[where] for r in rows if r["model"] == model and r["certificate"] and r[where] is not None]
            ax.plot([samples * 1.1] * len(held), held, "x", color=f"C{c}", alpha=0.8)
        ax.set_xscale("log")
        ax.set_xticks([samples * s for s in shares], [f"{samples * s:.0f}" for s in shares])
        ax.minorticks_off()
        ax.set_xlabel("training samples of 1 s")
        ax.set_title(title)
        ax.grid(alpha=0.3)
    axes[0].set_ylabel("FIT of the free run [%]")
    axes[0].set_ylim(-10, 100)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False)
    return figure


PAGE = """# Networks wired like the flowsheet

Two stirred reactors and a flash separator with recycle ([set of Liu et al.](plants/reactors_separator_liu.md)), sampled
every second, with sensor noise. Three models of about equal size: one GRU; two GRUs in series; and a `Network` of three
GRUs, one a vessel, that pass on the measured outputs of the vessels as the plant passes on what flows. All are trained
by `fit` with the same number of iterations, {seeds} seeds each, on the first part of one record of {samples} samples.
Before, `fit` sets the read-outs by least squares: those of the black box, and of each vessel on what was measured
around it; the first layer of the deep GRU has no measured output. Where a certificate is enforced only the black box
has that start, for in a network the read-outs are part of the loop whose gain must be small.

{verdict}

![FIT over the amount of data](physics_networks.svg)

Dots are seeds, lines join medians, crosses at the right are models with a certificate. Scores are mean FIT of the nine
outputs in free run against the outputs without noise. Outside: inputs drawn from a box half a width larger than the one
of training on either side, as far as the actuators allow. Seconds were measured on a shared machine and are no more
than an order of magnitude.

{table}

FIT, outside: medians over the seeds in %. The certificate of a network counts the recycle as a gain of absolute values
(small gain), so that effects of one vessel that cancel in the next are added up; a black box has no signals in between
that would have to be bounded. A model without a certificate may still be stable: nothing is proved.

Regenerated by `make physics-network`, that is `python benchmarks/physics_network.py --docs`.
"""


def markdown(header, lines):
    return "\n".join("| " + " | ".join(line) + " |" for line in (header, ["---"] * len(header), *lines))


def write_docs(rows, text):
    seeds, samples = len({r["seed"] for r in rows}), rows[0]["samples"]
    page = PAGE.format(seeds=seeds, samples=samples, verdict=text, table=markdown(HEADER, table(rows)))
    (DOCS / "physics_networks.md").write_text(page, encoding="utf-8")
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "physics"}):
        plot(rows).savefig(DOCS / "physics_networks.svg", metadata={"Date": None, "Creator": None})


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one seed, short records and trainings")
    parser.add_argument("--docs", action="store_true", help="write the page of the documentation")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder of the runs and the figure")
    parser.add_argument("--json", type=Path, help="write the rows here")
    args = parser.parse_args()
    rows = run_all(train, tasks(args.quick), args.out / "physics_network.jsonl", args.jobs)
    text, needed = verdict(rows)
    for line in (HEADER, *table(rows)):
        print("".join(f"{cell:>{w}s}" for cell, w in zip(line, (22, 11, 12, 7, 8, 18, 9, 8, 9), strict=True)))
    print(text)
    plot(rows).savefig(args.out / "physics_network.png", dpi=120)
    if args.docs:
        write_docs(rows, text)
    if args.json:
        ratio = None if needed is None else needed / THIRD
        row = dict(name="data for the FIT of the black box", value=needed, unit="share", rival=BLACK_BOX, ratio=ratio,
                   goal=THIRD, met=needed is not None and needed <= THIRD)  # fmt: skip
        args.json.write_text(json.dumps([row], indent=1))


if __name__ == "__main__":
    from physics_network import (
        main as run_it,  # the processes import the module; they could not find what __main__ caches
    )

    run_it()
