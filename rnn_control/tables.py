"""Delimited text as named columns of cells; only the columns that are used have to be clean."""

import csv
import re
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from .columns import is_datum, name_and_unit

COMMENTS = ("#", "%", "//")
UNIT_CELL = re.compile(r"[\[(].*[\])]|ms|s|sec|min|h|%|", re.IGNORECASE)


class Table(NamedTuple):
    """Text of a file: one name, unit and full header per column, cells row by row."""

    file: str
    names: tuple[str, ...]
    units: tuple[str, ...]
    headers: tuple[str, ...]
    cells: list[list[str]]
    rows: list[int]  # 1-based row of the file for each sample
    is_comma_decimal: bool

    def place(self, i: int) -> str:
        return f"row {self.rows[i]} (sample {i})"


def read_table(path, sep: str | None = None, columns=None) -> Table:
    """Read a delimited file: separator, header, units and comments are found, or given."""
    file = Path(path).name
    lines = [(i, s) for i, s in enumerate(_text(path).splitlines(), 1) if s.strip()]
    kept = [(i, s) for i, s in lines if not s.lstrip().startswith(COMMENTS)]
    if not kept:
        raise ValueError(f"{file} holds no data rows; it is empty, or only comments")
    if sep is not None and len(sep) != 1:
        raise ValueError(f"{path}: sep is {sep!r}; it must be one character, e.g. a semicolon")
    sep = _separator([s for _, s in kept[:50]]) if sep is None else sep
    rows = [i for i, _ in kept]
    cells = _cells([s for _, s in kept], sep)
    header, units = [], []
    if not any(is_datum(c) for c in cells[0]):
        header, cells, rows = cells[0], cells[1:], rows[1:]
        if cells and any(cells[0]) and all(UNIT_CELL.fullmatch(c) for c in cells[0]):
            units, cells, rows = cells[0], cells[1:], rows[1:]
    elif rows[0] > 1:
        header = _commented_header([s for i, s in lines if i < rows[0]], sep, len(cells[0]))
    if not cells:
        raise ValueError(f"{file} has a header but no data rows")
    while header and not header[-1]:
        header = header[:-1]
    width = _width(header, cells)
    cells = _rectangular(cells, rows, width, file)
    headers = _headers(header, columns, width, file)
    split = [name_and_unit(h) for h in headers]
    found = [u.strip("[]() ") for u in units] + [""] * len(split)
    return Table(
        file,
        tuple(n for n, _ in split),
        tuple(u or v for (_, u), v in zip(split, found, strict=False)),
        tuple(headers),
        cells,
        rows,
        is_comma_decimal=sep != ",",
    )


def _text(path):
    raw = Path(path).read_bytes()
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return raw.decode("utf-16")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return raw.decode("cp1252", errors="replace")


def _separator(lines):
    for sep in (";", "\t", ","):
        width, count = Counter(len(r) for r in _cells(lines, sep)).most_common(1)[0]
        if width > 1 and count >= 0.8 * len(lines):
            return sep
    return " "


def _cells(lines, sep):
    if sep.isspace() and sep != "\t":
        return [re.split(r"\s+(?![\[(])", line.strip()) for line in lines]
    reader = csv.reader(lines, delimiter=sep, skipinitialspace=True)
    return [[c.strip() for c in row] for row in reader]


def _commented_header(lines, sep, width):
    cells = _cells([lines[-1].strip().lstrip("#%/ ")], sep)[0]
    return cells if len(cells) == width and not any(is_datum(c) for c in cells) else []


def _width(header, cells):
    if header:
        return len(header)
    width = Counter(len(row) for row in cells).most_common(1)[0][0]
    while width > 1 and not any(row[width - 1] for row in cells if len(row) >= width):
        width -= 1
    return width


def _rectangular(cells, rows, width, file):
    for row, number in zip(cells, rows, strict=True):
        if any(row[width:]):
            raise ValueError(
                f"{file}, row {number} has {len(row)} cells where the table has {width}; "
                f'is the separator right (sep=";"), or is the row broken?'
            )
    return [row[:width] + [""] * (width - len(row)) for row in cells]


def _headers(header, columns, width, file):
    if columns is None:
        return header or [f"column {i}" for i in range(width)]
    if len(columns) != width:
        raise ValueError(f"columns = {list(columns)} names {len(columns)}, {file} has {width}")
    return list(columns)
