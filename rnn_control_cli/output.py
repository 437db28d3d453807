"""What a command says and writes: tables for people, one JSON object for scripts, files that are whole."""

import json
import math
import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click


def show(result: dict[str, Any], tables: Iterable["Rows"], as_json: bool) -> None:
    """The result as JSON, or the tables."""
    if as_json:
        click.echo(json.dumps(plain(result), indent=1))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=200)  # a pipe has no width to wrap at
    with console.capture() as text:
        for rows in tables:
            if rows.title:
                console.print(Text(rows.title, style="bold"))
            table = Table(box=None, pad_edge=False, show_header=bool(rows.header))
            for name in rows.header or [""] * rows.width:
                table.add_column(Text(name), overflow="fold")
            for row in rows.rows:
                table.add_row(*(Text(cell if isinstance(cell, str) else f"{cell:.5g}") for cell in row))
            if rows.rows:
                console.print(table)
    click.echo("\n".join(line.rstrip() for line in text.get().splitlines()))


class Rows:
    """A table: title, header (may be empty), rows of strings and numbers."""

    def __init__(self, title: str, header: Sequence[str], rows: Iterable[Sequence]):
        self.title, self.header, self.rows = title, header, [list(row) for row in rows]
        self.width = max((len(row) for row in self.rows), default=1)


def plain(value: Any) -> Any:
    """What JSON knows: arrays as lists, numbers that are not finite as null."""
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def score_rows(score, **others) -> Rows:
    """FIT and RMSE of a Score; others: Scores of other models by name, for their FIT beside it."""
    from rnn_control.metrics import percent

    rows = [
        (name, percent(f), f"{r:.5g} {unit}".strip(), *(percent(other.fit[j]) for other in others.values()))
        for j, (name, unit, f, r) in enumerate(zip(score.y_names, score.y_units, score.fit, score.rmse, strict=True))
    ]
    header = ("output", "FIT", "RMSE", *(f"FIT of a {name} model" for name in others))
    return Rows(f"Free run, {score.n_samples} samples", header, rows)


def score_dict(score) -> dict[str, Any]:
    """FIT in % and RMSE in the unit of each output, by name."""
    names = score.y_names
    return {"fit": dict(zip(names, score.fit, strict=True)), "rmse": dict(zip(names, score.rmse, strict=True))}


@contextmanager
def replacing(*paths: Path) -> Iterator[list[Path]]:
    """Paths to write to, which become `paths` when the block ends well; otherwise nothing is left of them."""
    with tempfile.TemporaryDirectory(dir=paths[0].parent, prefix=".rnn-control-") as folder:
        partial = [Path(folder, path.name) for path in paths]
        yield partial
        for source, path in zip(partial, paths, strict=True):
            os.replace(source, path)
