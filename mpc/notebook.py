"""What a notebook shows of a closed-loop record."""

from html import escape
from typing import Any

from . import metrics


def record_html(record: Any) -> str:
    """Table of the outputs, and how the steps went; what a user named is escaped."""
    s = metrics.summary(record)
    header = ("output", "unit", "ISE [unit^2 s]", "last offset", "out of bounds")
    rows = []
    for name, unit in zip(record.y_names, record.y_units, strict=True):
        last = f"{s['offset'][name][-1]:.3g}" if s["offset"][name] else ""
        rows.append((name, unit, f"{s['ise'][name]:.5g}", last, s["output_violations"][name]))
    ok = f"{len(record) - s['failed_steps']} of {len(record)} steps ok, median {1e3 * s['solve_time_median']:.1f} ms"
    title = f"Closed loop, {ok}" + (f"; stopped early: {record.stopped}" if record.stopped else "")
    head = "".join(f"<th>{name}</th>" for name in header)
    body = "".join("<tr>" + "".join(f"<td>{escape(str(c))}</td>" for c in row) + "</tr>" for row in rows)
    return f"<table><caption>{escape(title)}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
