"""Figures of closed-loop records."""

from collections.abc import Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from .names import labelled

# Time units of the axis: the largest in which the record lasts at least three.
TIME_UNITS = ((86400.0, "d"), (3600.0, "h"), (60.0, "min"), (1.0, "s"))


def compare(records: Sequence[Any], labels: Sequence[str] | None = None) -> Figure:
    """Records over one another: an axis per output and per input, units on each, legend on top.

    References are dashed, bounds dotted, inputs steps. Records must share names and units.

    Raises: ValueError for no records, another number of labels, or channels that differ.
    """
    records = list(records)
    _check(records, labels)
    first = records[0]
    ny, nu = len(first.y_names), len(first.u_names)
    span = max(float(r.t[-1]) if len(r) else 0.0 for r in records)
    seconds, unit = next((u for u in TIME_UNITS if span >= 3 * u[0]), TIME_UNITS[-1])
    figure, grid = plt.subplots(ny + nu, 1, sharex=True, squeeze=False, figsize=(8, 1.8 * (ny + nu) + 0.6))
    axes = grid[:, 0]
    for i, record in enumerate(records):
        label = labels[i] if labels is not None else "measured" if len(records) == 1 else f"{i + 1}"
        _draw(axes, record, record.t / seconds, label, f"C{i}")
    for j in range(ny):
        time, r = first.t / seconds, first.reference[:, j]
        axes[j].step(time, r, "k--", lw=1, where="post", label="reference" if j == 0 else None)
        _limits(axes[j], [r_.bounds.y_min[j] for r_ in records], "bound" if j == 0 else None)
        _limits(axes[j], [r_.bounds.y_max[j] for r_ in records], None)
        axes[j].set_ylabel(labelled(first.y_names[j], first.y_units[j]))
    for j in range(nu):
        _limits(axes[ny + j], [r_.bounds.u_min[j] for r_ in records], "bound" if j == 0 else None)
        _limits(axes[ny + j], [r_.bounds.u_max[j] for r_ in records], None)
        axes[ny + j].set_ylabel(labelled(first.u_names[j], first.u_units[j]))
    axes[-1].set_xlabel(f"time [{unit}]")
    _legend(figure, axes)
    return figure


def _draw(axes: Any, record: Any, time: np.ndarray, label: str, color: str) -> None:
    ny = len(record.y_names)
    for j in range(ny):
        axes[j].plot(time, record.y[:, j], color=color, lw=1.4, label=label if j == 0 else None)
    for j in range(len(record.u_names)):
        axes[ny + j].step(time, record.u[:, j], color=color, lw=1.4, where="post")


def _limits(axis: Any, levels: Sequence[float], label: str | None) -> None:
    for level in sorted({float(v) for v in levels if np.isfinite(v)}):
        axis.axhline(level, color="0.4", ls=":", lw=1, label=label)
        label = None


def _legend(figure: Figure, axes: Any) -> None:
    found = {}
    for axis in axes:
        for handle, label in zip(*axis.get_legend_handles_labels(), strict=True):
            found.setdefault(label, handle)
    figure.align_ylabels()
    inches = figure.get_size_inches()[1]
    figure.tight_layout(rect=(0, 0, 1, 1 - 0.4 / inches))
    figure.legend(list(found.values()), list(found), loc="upper center", ncols=6, frameon=False)


def _check(records: Sequence[Any], labels: Sequence[str] | None) -> None:
    if not records:
        raise ValueError("no records to compare")
    if labels is not None and len(labels) != len(records):
        raise ValueError(f"{len(labels)} labels for {len(records)} records")
    for name in ("u_names", "y_names", "u_units", "y_units"):
        for record in records[1:]:
            if getattr(record, name) != getattr(records[0], name):
                raise ValueError(
                    f"records differ in {name}: {getattr(records[0], name)} and "
                    f"{getattr(record, name)}; compare runs of one process"
                )
