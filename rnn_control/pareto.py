"""The price of forgetting faster: accuracy against the certified rate, for models of one record."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter


class Priced(NamedTuple):
    """One trained model: seconds in which 99 % are certainly forgotten, and those that were seen; FIT % on a record.

    `family` says which points are joined. promised is None for a model without certificate.
    """

    family: str
    promised: float | None
    seen: float | None
    fit: float


def frontier(rows: Sequence[Priced]) -> list[Priced]:
    """The rows that no other one beats in both: forgetting for certain at least as soon, and fitting better."""
    held = [(row.promised, -row.fit, row) for row in rows if row.promised is not None]
    ahead = [row for _, _, row in sorted(held, key=lambda ranked: ranked[:2])]
    best, kept = -np.inf, []
    for row in ahead:
        if row.fit > best:
            best, kept = row.fit, [*kept, row]
    return kept


def plot_pareto(rows: Sequence[Priced], record: str = "test record") -> Figure:
    """FIT on the test record over the certified time to forget 99 %; lighter, the time that was seen.

    The line joins the models that no other one beats. Models without certificate are horizontal lines.
    """
    if not any(row.promised is not None for row in rows):
        raise ValueError("no row has a certified time; give at least one model with a certificate that holds")
    figure, ax = plt.subplots(figsize=(7, 4))
    for k, family in enumerate(dict.fromkeys(row.family for row in rows)):
        own = [row for row in rows if row.family == family]
        held = [row for row in own if row.promised is not None]
        ax.plot(_column(held, "promised"), _column(held, "fit"), "o", color=f"C{k}", label=f"{family}, certified")
        seen = [row for row in held if row.seen is not None]
        ax.plot(_column(seen, "seen"), _column(seen, "fit"), "o", mfc="none", color=f"C{k}", alpha=0.5,
                label=f"{family}, seen")  # fmt: skip
        ax.hlines(_column(seen, "fit"), _column(seen, "seen"), _column(seen, "promised"), color=f"C{k}", lw=0.6,
                  alpha=0.5)  # fmt: skip
        for row in (row for row in own if row.promised is None):
            ax.axhline(row.fit, color=f"C{k}", lw=0.8, ls=":", label=f"{family}, no certificate")
    best = frontier(rows)
    ax.plot(_column(best, "promised"), _column(best, "fit"), color="0.5", lw=1, zorder=0)
    ax.set_xscale("log")
    ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.set_xlabel("time to forget 99 % [s]")
    ax.set_ylabel(f"FIT, {record} [%]")
    ax.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=3, frameon=False)
    figure.tight_layout()
    return figure


def _column(rows: Sequence[Priced], name: str) -> np.ndarray:
    return np.array([getattr(row, name) for row in rows], float)
