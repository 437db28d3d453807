"""What the study found: table, figures, and the sentences that follow from the numbers."""

import statistics
from pathlib import Path

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

from rnn_control import Report

DOCS = Path(__file__).parents[1] / "docs"
NAMES = {"gru": "GRU", "lstm": "LSTM", "esn": "ESN", "nnarx": "NNARX", "lipschitz_rnn": "Lipschitz RNN", "ren": "REN",
         "true equations": "true equations"}  # fmt: skip
PROPERTIES = {None: "free", "iss": "ISS", "delta_iss": "deltaISS"}
TITLES = {
    "ph": "pH neutralisation",
    "separator": "two reactors and separator",
    "ph_bonassi": "pH, record of Bonassi",
}
GOAL = 0.3  # FIT points that a certificate may cost
CLOSE = 1.1  # ratio of closed-loop errors that is no difference
HEADER = ["plant", "family", "certificate", "FIT", "worst", "best", "holds", "rate", "seconds", "closed loop"]


def combinations(rows):
    return list(dict.fromkeys((r["record"], r["family"], r["certificate"]) for r in rows))


def group(rows, record, family, certificate):
    return [r for r in rows if (r["record"], r["family"], r["certificate"]) == (record, family, certificate)]


def middle(values):
    values = [v for v in values if v is not None]
    return statistics.median(values) if values else None


def median_fit(rows, *case):
    return middle(r["fit"] for r in group(rows, *case))


def ratio(closed, record, family, certificate):
    """Closed-loop error over that of the controller that knows the plant; None if it did not get to its end."""
    own = group(closed, record, family, certificate)
    true = group(closed, record, "true equations", None)
    if not own or not true or own[0]["error"] is None or not true[0]["error"]:
        return None
    return own[0]["error"] / true[0]["error"]


def table(rows, closed):
    """A row of HEADER for every combination; numbers, or None where there is none."""
    lines = []
    for case in combinations(rows):
        own = group(rows, *case)
        fits = [r["fit"] for r in own if r["fit"] is not None]
        holds = f"{sum(bool(r['holds']) for r in own)} of {len(own)}" if case[2] else "-"
        worst, best = (min(fits), max(fits)) if fits else (None, None)
        rate, seconds = (middle(r[k] for r in own) for k in ("rate", "seconds"))
        names = [TITLES[case[0]], NAMES[case[1]], PROPERTIES[case[2]]]
        lines.append([*names, middle(fits), worst, best, holds, rate, seconds, ratio(closed, *case)])
    return lines


def shown(line):
    digits = [None, None, None, 1, 1, 1, None, 4, 0, 2]
    return [
        c if isinstance(c, str) else "-" if c is None else f"{c:.{d}f}" for c, d in zip(line, digits, strict=True)
    ]  # fmt: skip


def print_table(rows, closed):
    for line in (HEADER, *map(shown, table(rows, closed))):
        widths = (28, 14, 12, 7, 7, 7, 8, 8, 8, 12)
        print("".join(f"{cell:>{w}s}" for cell, w in zip(line, widths, strict=True)))
    for text in sentences(rows, closed):
        print(text)


def sentences(rows, closed):
    """The reading, a paragraph for each plant: who wins, what the proof costs whom, who loses, what control makes."""
    return [" ".join(map(str.strip, _reading(rows, closed, r))) for r in dict.fromkeys(row["record"] for row in rows)]


def _reading(rows, closed, record):
    fits = {case[1:]: median_fit(rows, *case) for case in combinations(rows) if case[0] == record}
    fits = {case: f for case, f in fits.items() if f is not None}
    free = {family: f for (family, certificate), f in fits.items() if certificate is None}
    proved = {family: f for (family, certificate), f in fits.items() if certificate == "delta_iss"}
    yield f"On {TITLES[record]}:"
    if free:
        best, worst = max(free, key=free.__getitem__), min(free, key=free.__getitem__)
        yield f"without certificate {NAMES[best]} is the best ({free[best]:.1f} %) and {NAMES[worst]} the worst "
        yield f"({free[worst]:.1f} %)."
    if free and proved:
        best = max(proved, key=proved.__getitem__)
        lost = max(free.values()) - proved[best]
        yield f"Under deltaISS it is {NAMES[best]} ({proved[best]:.1f} %), {_points(-lost)} the best free one."
    lost = {family: free[family] - proved[family] for family in proved if family in free}
    losers = [f"{NAMES[k]} {v:.1f}" for k, v in sorted(lost.items(), key=lambda kv: -kv[1]) if v > GOAL]
    if losers:
        yield f"The deltaISS condition costs more than {GOAL} FIT points: {', '.join(losers)}."
    elif lost:
        yield f"No family loses more than {GOAL} FIT points to the deltaISS condition."
    yield from _seeds(rows, record)
    yield from _control(closed, record)


def _points(value):
    return f"{abs(value):.1f} points {'better' if value > 0 else 'worse'} than"


def _seeds(rows, record):
    """Which combinations failed or depend on luck."""
    own = [r for r in rows if r["record"] == record]
    failed = [f"{NAMES[c[1]]} {PROPERTIES[c[2]]}" for c in combinations(own)
              if any(r["fit"] is None or (r["certificate"] and not r["holds"]) for r in group(own, *c))]  # fmt: skip
    if failed:
        yield f"Not every seed gave a proved model: {', '.join(failed)}."
    ranges = {c: [r["fit"] for r in group(own, *c) if r["fit"] is not None] for c in combinations(own)}
    spread = {c: max(f) - min(f) for c, f in ranges.items() if len(f) > 1}
    if spread:
        c = max(spread, key=spread.__getitem__)
        yield f"The seed matters most to {NAMES[c[1]]} {PROPERTIES[c[2]]}: {spread[c]:.1f} points between its seeds."


def _control(closed, record):
    found = {c[1:]: ratio(closed, *c) for c in combinations(closed) if c[0] == record and c[1] != "true equations"}
    if not found:
        return
    reached = {c: v for c, v in found.items() if v is not None}
    stopped = [f"{NAMES[c[0]]} {PROPERTIES[c[1]]}" for c, v in found.items() if v is None]
    if stopped:
        yield f"In closed loop these did not get to the end: {', '.join(stopped)}."
    if not reached:
        return
    best, worst = min(reached, key=reached.__getitem__), max(reached, key=reached.__getitem__)
    close = sum(v <= CLOSE for v in reached.values())
    yield f"In closed loop {close} of {len(found)} models come within {100 * (CLOSE - 1):.0f} % of the controller that "
    yield f"knows the equations; the best is {NAMES[best[0]]} {PROPERTIES[best[1]]} ({reached[best]:.2f} times its "
    yield f"error), the worst {NAMES[worst[0]]} {PROPERTIES[worst[1]]} ({reached[worst]:.2f} times)."


COLORS = {None: "0.6", "iss": "C0", "delta_iss": "C1"}


def plot_fits(rows, record):
    """FIT of every seed (dots) and its median (bar) for each family and certificate."""
    return _plot(rows, record, "FIT on the test record [%]", lambda *case: [r["fit"] for r in group(rows, *case)])


def plot_times(rows, record):
    """Seconds of each training."""
    of = lambda *case: [r["seconds"] for r in group(rows, *case)]  # noqa: E731
    return _plot(rows, record, "training [s]", of, is_log=True)


def plot_loops(closed, record):
    """Closed-loop error over that of the controller that knows the plant."""
    figure = _plot(closed, record, "error / that of the true equations [-]", lambda *case: [ratio(closed, *case)])
    figure.axes[0].axhline(1, color="0.3", lw=0.8, ls="--")
    return figure


def _plot(rows, record, label, values, is_log=False):
    figure, ax = plt.subplots(figsize=(8, 3.2), layout="constrained")
    families = list(dict.fromkeys(r["family"] for r in rows if r["record"] == record and r["family"] in NAMES))
    families = [f for f in families if f != "true equations"]
    for _, family, certificate in (c for c in combinations(rows) if c[0] == record and c[1] in families):
        found = [v for v in values(record, family, certificate) if v is not None and np.isfinite(v)]
        x = families.index(family) + 0.26 * (list(PROPERTIES).index(certificate) - 1)
        color = COLORS[certificate]
        if found:
            ax.plot([x] * len(found), found, "o", color=color, ms=4, alpha=0.6)
            ax.hlines(statistics.median(found), x - 0.1, x + 0.1, color=color, lw=3)
    if is_log:
        ax.set_yscale("log")
        ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        ax.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        ax.yaxis.set_minor_formatter(NullFormatter())
    elif ax.get_ylim()[0] < -20:
        ax.set_ylim(bottom=-20)
    ax.set_xticks(range(len(families)), [NAMES[f] for f in families])
    ax.set_ylabel(label)
    ax.grid(axis="y", alpha=0.3)
    handles = [ax.plot([], [], "o", color=c, label=PROPERTIES[k])[0] for k, c in COLORS.items()]
    figure.legend(handles=handles, loc="outside upper center", ncols=3, frameon=False)
    return figure


SETTING = (
    "Simulated records with sensor noise, {samples} samples, {seeds} seeds, the same iterations for all: {epochs} of "
    "Adam, then {polish} of L-BFGS, or a tenth as many Levenberg-Marquardt steps where nothing is enforced (free "
    "models and REN). FIT is the mean over the outputs on a test record, free run, in %: median, worst and best seed. "
    "Rate: certified, per sample. Seconds: median, wall time with other work on the machine, an order of magnitude. "
    "Closed loop: squared error of the controlled outputs under offset-free NMPC with the model of the median seed, "
    "over that of the controller that knows the equations of the plant."
)


def setting(rows):
    budget = {k: rows[0][k] for k in ("samples", "epochs", "polish")}
    return SETTING.format(seeds=len({r["seed"] for r in rows}), **budget)


def write_page(rows, closed, path):
    """The report: reading, table, figures."""
    page = Report("Five families, free and proved: what is lost, and who loses")
    page.heading("What the numbers say").text("\n\n".join(sentences(rows, closed)))
    page.heading("Setting").text(setting(rows))
    for record in dict.fromkeys(r["record"] for r in rows):
        page.heading(TITLES[record])
        lines = [shown(line)[1:] for line in table([r for r in rows if r["record"] == record], closed)]
        page.table(HEADER[1:], lines, "FIT in %, seconds of training; closed loop: 1 is the true model's")
        for plot, caption in ((plot_fits, "Accuracy: dots are seeds, bars medians"), (plot_times, "Time of training")):
            page.figure(plot(rows, record), caption)
        if group(closed, record, "true equations", None):
            page.figure(plot_loops(closed, record), "Closed loop with the model of the median seed")
        plt.close("all")
    return page.save(path)


def write_docs(rows, closed):
    """docs/study.md: reading and table."""
    cells = (HEADER, ["---"] * len(HEADER), *map(shown, table(rows, closed)))
    parts = [
        "# Five families, free and proved",
        setting(rows),
        *sentences(rows, closed),
        "\n".join("| " + " | ".join(line) + " |" for line in cells),
        "Regenerated, with figures on a page of its own (`out/study.html`), by `make study`.",
    ]
    (DOCS / "study.md").write_text("\n\n".join(parts) + "\n", encoding="utf-8")


def rows_of_contract(rows, closed):
    """name, value, unit, rival, ratio, goal, met: what deltaISS costs each family, and each closed loop."""
    out = []
    for record, family, certificate in combinations(rows):
        name = f"{record}, {family}, {PROPERTIES[certificate]}"
        fit, free = median_fit(rows, record, family, certificate), median_fit(rows, record, family, None)
        if certificate and free is not None:
            lost = None if fit is None else free - fit
            met = lost is not None and lost <= GOAL
            out.append(dict(name=f"FIT lost, {name}", value=lost, unit="FIT points", rival=f"{family} free", ratio=None,
                            goal=GOAL, met=met))  # fmt: skip
        if group(closed, record, family, certificate):
            value = ratio(closed, record, family, certificate)
            out.append(dict(name=f"closed loop, {name}", value=value, unit="times its error", rival="true equations",
                            ratio=value, goal=CLOSE, met=value is not None and value <= CLOSE))  # fmt: skip
    return out
