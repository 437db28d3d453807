"""The page of a closed loop: blocks for any page that takes them, so that this package needs no writer of its own."""

from collections.abc import Sequence
from typing import Any, Protocol, TypeVar

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from .metrics import TAIL, stretches
from .record import Record


class Page(Protocol):
    """What rnn_control.Report offers, for one: blocks in the order they are added."""

    def heading(self, text: str, /) -> Any: ...
    def text(self, text: str, /) -> Any: ...
    def key_numbers(self, numbers: Sequence[tuple], /) -> Any: ...
    def table(self, header: Sequence[str], rows: Sequence[Sequence], caption: str = "", /) -> Any: ...
    def figure(self, figure: Figure, caption: str = "", /) -> Any: ...


P = TypeVar("P", bound=Page)


def closed_loop_report(record: Record, page: P) -> P:
    """Add the run to the page: set-points and bounds, errors, offsets of every stretch, statuses, times. Returns it.

    closed_loop_report(record, Report("My loop")).save("loop.html")
    """
    m = record.metrics()
    page.key_numbers(
        [
            ("lasted", len(record) * record.dt, "s"),
            ("steps", len(record)),
            ("steps not ok", m["failed_steps"]),
            ("inputs out of bounds", m["input_violations"]),
            ("step median", 1e3 * m["solve_time_median"], "ms"),
            ("step max", 1e3 * m["solve_time_max"], "ms"),
        ]
    )
    if record.stopped:
        page.text(f"The run ended early: {record.stopped}")
    page.heading("Trajectories")
    page.figure(record.plot(), "References dashed, bounds dotted, inputs as steps")
    page.heading("Outputs")
    rows = [
        (n, unit or "-", m["ise"][n], m["offset"][n][-1] if m["offset"][n] else None, m["output_violations"][n])
        for n, unit in zip(record.y_names, record.y_units, strict=True)
    ]
    page.table(["output", "unit", "ISE [unit^2 s]", "last offset", "samples out of bounds"], rows)
    header = ["from [s]", *(f"{n} [{u or '-'}]" for n, u in zip(record.y_names, record.y_units, strict=True))]
    page.table(header, _offsets(record, m["offset"]), f"Offset: mean error over the last {TAIL:.0%} of each stretch")
    page.heading("Controller")
    page.table(["status", "steps"], _statuses(record))
    page.figure(_plot_effort(record), "Time of each step, and the output disturbance that the observer estimates")
    return page


def _offsets(record: Record, offset: dict[str, list[float]]) -> list[tuple]:
    """A row for each stretch of constant references and disturbances."""
    starts = [float(record.t[first]) for first, _ in stretches(record)]
    return list(zip(starts, *(offset[name] for name in record.y_names), strict=True))


def _statuses(record: Record) -> list[tuple[str, int]]:
    names, counts = np.unique(record.status, return_counts=True)
    return [(str(name), int(count)) for name, count in zip(names, counts, strict=True)]


def _plot_effort(record: Record) -> Figure:
    figure, axes = plt.subplots(1 + len(record.y_names), sharex=True, figsize=(8, 1 + 1.4 * (1 + len(record.y_names))),
                                layout="constrained")  # fmt: skip
    axes[0].plot(record.t, 1e3 * record.solve_time, ".", ms=3)
    axes[0].set_ylabel("step [ms]")
    for j, ax in enumerate(axes[1:]):
        ax.plot(record.t, record.d_hat[:, j], lw=1.2)
        ax.set_ylabel(f"d of {record.y_names[j]}\n[{record.y_units[j] or '-'}]")
    axes[-1].set_xlabel("time [s]")
    return figure
