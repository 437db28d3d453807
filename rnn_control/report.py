"""Report: text, tables and figures in one HTML file that needs nothing else to be read."""

import base64
import io
import os
import re
from collections.abc import Sequence
from html import escape
from pathlib import Path

import matplotlib
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from .page import PAGE, SCRIPT, STYLE

LARGEST_SVG = 600_000  # bytes: long records are drawn as pixels instead
VERDICTS = {"good": "Good", "care": "Take care", "bad": "Bad"}


class Report:
    """Blocks in the order they are added; the same blocks give the same file, byte for byte.

    Every method that adds a block returns the report, so calls can be chained.
    """

    def __init__(self, title: str):
        self.title = title
        self._blocks: list[str] = []
        self._n_figures = 0

    def heading(self, text: str) -> "Report":
        """A section title."""
        return self._add(f"<h2>{escape(text)}</h2>")

    def text(self, text: str) -> "Report":
        """Plain text; an empty line starts a new paragraph, a line break is kept."""
        paragraphs = [p.strip("\n") for p in re.split(r"\n\s*\n", text) if p.strip()]
        return self._add("\n".join(f"<p>{escape(p)}</p>" for p in paragraphs))

    def key_numbers(self, numbers: Sequence[tuple]) -> "Report":
        """Tiles of (label, value) or (label, value, unit)."""
        tiles = []
        for label, value, *unit in numbers:
            shown = " ".join([_cell(value), *map(str, unit)]).strip()
            tiles.append(f"<div><dt>{escape(str(label))}</dt><dd>{escape(shown)}</dd></div>")
        return self._add(f'<dl class="numbers">{"".join(tiles)}</dl>')

    def checks(self, checks: Sequence[tuple[str, str, str]]) -> "Report":
        """Cards of (name, verdict, text); the verdict is "good", "care" or "bad"."""
        cards = []
        for name, verdict, text in checks:
            if verdict not in VERDICTS:
                raise ValueError(f'the verdict of "{name}" is {verdict!r}; it is one of {", ".join(VERDICTS)}')
            title = f"<dt>{escape(VERDICTS[verdict])}: {escape(name)}</dt>"
            cards.append(f'<div class="{verdict}">{title}<dd>{escape(text)}</dd></div>')
        return self._add(f'<dl class="checks">{"".join(cards)}</dl>')

    def table(self, header: Sequence[str], rows: Sequence[Sequence], caption: str = "") -> "Report":
        """A table; numbers are shown with 4 digits, strings as they are."""
        rows = [list(row) for row in rows]
        for i, row in enumerate(rows):
            if len(row) != len(header):
                raise ValueError(f"row {i} has {len(row)} cells, the header {len(header)}")
        head = "".join(f'<th scope="col">{escape(_cell(h))}</th>' for h in header)
        body = "\n".join("<tr>" + "".join(_td(_cell(c)) for c in row) + "</tr>" for row in rows)
        title = f"<caption>{escape(caption)}</caption>" if caption else ""
        table = f"<table>{title}<thead><tr>{head}</tr></thead><tbody>\n{body}\n</tbody></table>"
        return self._add(_scrollable(table, caption or "table"))

    def figure(self, figure: Figure, caption: str = "") -> "Report":
        """A matplotlib figure as it is now, on a white card; pyplot then forgets it, so that many pages can be made."""
        self._n_figures += 1
        prefix = f"f{self._n_figures}"
        label = escape(caption or f"figure {self._n_figures}")
        svg = _svg(figure, prefix, label)
        image = svg if len(svg) <= LARGEST_SVG else _png(figure, label)
        plt.close(figure)
        title = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
        card = _scrollable(image, caption or f"figure {self._n_figures}")
        return self._add(f"<figure>{card}{title}</figure>")

    def to_html(self) -> str:
        """The whole page."""
        return PAGE.format(title=escape(self.title), style=STYLE, script=SCRIPT, body="\n".join(self._blocks))

    def save(self, path) -> Path:
        """Write the page; an interrupted write leaves what was there before."""
        path = Path(path)
        partial = path.with_name(f".{path.name}.{os.getpid()}.part")
        try:
            with open(partial, "w", encoding="utf-8", newline="\n") as file:
                file.write(self.to_html())
                file.flush()
                os.fsync(file.fileno())
            os.replace(partial, path)
        finally:
            partial.unlink(missing_ok=True)
        return path

    def _add(self, block):
        self._blocks.append(block)
        return self


def _td(text):
    kind = ' class="number"' if re.fullmatch(r"[-+.\de ]*\d[-+.\de ]*", text) else ""  # broken at no hyphen
    return f"<td{kind}>{escape(text)}</td>"


def _cell(value):
    return value.replace("->", "\u2192") if isinstance(value, str) else _number(value)


def _number(value):
    """Four digits; whole numbers, and what is large and yet written out, with all of theirs."""
    if value is None:
        return ""
    try:
        whole = int(value) == value
    except (TypeError, ValueError, OverflowError):
        return "undefined" if value != value else f"{value:.4g}" if isinstance(value, float) else str(value)
    if whole and not isinstance(value, float):
        return str(value)
    return f"{float(value):.0f}" if 1e4 <= abs(value) < 1e7 else f"{float(value):.4g}"


def _scrollable(block, label):
    return f'<div class="wide" tabindex="0" role="region" aria-label="{escape(label)}">{block}</div>'


def _svg(figure, prefix, label):
    """Inline SVG, without date, its ids made unique in the page."""
    text = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": prefix, "svg.fonttype": "path"}):
        figure.savefig(text, format="svg", facecolor="white", metadata={"Date": None, "Creator": None})
    svg = text.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r'\bid="', f'id="{prefix}-', svg)
    svg = re.sub(r'(href="|url\()#', rf"\g<1>#{prefix}-", svg)
    return svg.replace("<svg", f'<svg role="img" aria-label="{label}"', 1)


def _png(figure, label):
    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=150, facecolor="white", metadata={"Software": None})
    coded = base64.b64encode(data.getvalue()).decode("ascii")
    return f'<img alt="{label}" src="data:image/png;base64,{coded}">'
