"""Tables for notebooks: what _repr_html_ returns. Everything that a user named is escaped."""

from collections.abc import Iterable, Sequence
from html import escape


def html_table(title: str, rows: Iterable[Sequence], header: Sequence[str] = ()) -> str:
    """A table with a caption; numbers with 5 digits, strings as they are."""
    head = "".join(f"<th>{escape(name)}</th>" for name in header)
    body = "".join("<tr>" + "".join(f"<td>{_cell(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    head = f"<thead><tr>{head}</tr></thead>" if header else ""
    return f"<table><caption>{escape(title)}</caption>{head}<tbody>{body}</tbody></table>"


def _cell(value) -> str:
    return escape(f"{value:.5g}" if isinstance(value, float) else str(value))
