"""One column of a table: found by name, and its cells turned into numbers or seconds."""

import re
import warnings
from collections.abc import Callable
from datetime import datetime

import numpy as np

from .checks import nearest

MISSING = {"", "nan", "na", "n/a", "null", "none", "<na>", "nat", "-", "--", "?"}
SECONDS = {  # unit of time -> s
    "us": 1e-6,
    "ms": 1e-3,
    **dict.fromkeys(("", "s", "sec", "second", "seconds"), 1.0),
    **dict.fromkeys(("min", "minute", "minutes"), 60.0),
    **dict.fromkeys(("h", "hr", "hour", "hours"), 3600.0),
    **dict.fromkeys(("d", "day", "days"), 86400.0),
}


def name_and_unit(header: str) -> tuple[str, str]:
    """'T [degC]' or 'T (degC)' -> ('T', 'degC'); 'x(1)' is a name without unit."""
    found = re.fullmatch(r"(.*?\S)(?:\s*\[([^\[\]]*)\]|\s+\(([^()]*)\))\s*", header)
    unit = (found[2] or found[3] or "").strip() if found else ""
    if not found or unit.isdigit():
        return header.strip(), ""
    return found[1].strip(), "" if unit in ("-", "1") else unit


def find_column(column: int | str, names, headers, file: str) -> int:
    """0-based index of a column given by index, name or full header."""
    if isinstance(column, int):
        if 0 <= column < len(names):
            return column
        raise ValueError(f"{file} has columns 0 to {len(names) - 1}; there is no {column}")
    hits = [i for i, h in enumerate(headers) if h == column] or [i for i, n in enumerate(names) if n == column]
    if len(hits) == 1:
        return hits[0]
    if hits:
        raise ValueError(
            f'{file}: "{column}" is the name of {len(hits)} columns '
            f"({', '.join(headers[i] for i in hits)}); use the full header or the 0-based index"
        )
    raise ValueError(f'{file} has no column "{column}"; {nearest(column, names)}')


def is_datum(cell):
    return _number(cell.replace(",", ".")) is not None or _instant(cell) is not None


def _number(text):
    try:
        return float(text)
    except ValueError:
        return None


def _instant(text):
    iso = text.replace("/", "-") if text[:4].isdigit() else text
    try:
        return datetime.fromisoformat(iso)
    except ValueError:
        pass
    for form in ("%d.%m.%Y %H:%M:%S.%f", "%d.%m.%Y %H:%M:%S", "%d.%m.%Y %H:%M"):
        try:
            return datetime.strptime(text, form)
        except ValueError:
            continue
    return None


def floats(cells, where: str, gaps: str, place: Callable[[int], str], is_comma_decimal: bool = True) -> np.ndarray:
    """Cells (T,) as float64 (T,), NaN where missing; text is an error, or a gap if gaps="split"."""
    values = np.asarray(cells)
    if values.dtype.kind in "fiub":
        return values.astype(float)
    text = [str(c).strip() for c in cells]
    if is_comma_decimal and not any("." in c for c in text):
        text = [c.replace(",", ".") for c in text]
    parsed = [_number(c) for c in text]
    odd = [i for i, v in enumerate(parsed) if v is None and text[i].lower() not in MISSING]
    if odd:
        first = f"{text[odd[0]]!r}, {place(odd[0])}"
        if gaps == "error" or all(v is None for v in parsed):
            raise ValueError(
                f"{where}, {place(odd[0])}: {text[odd[0]]!r} is not a number"
                + (f" ({len(odd) - 1} more such cells)" if len(odd) > 1 else "")
                + '; choose a numeric column, mend the cell, or let gaps="split" cut it out'
            )
        warnings.warn(f"{where}: {len(odd)} text cells taken as gaps, first {first}", stacklevel=2)
    return np.array([np.nan if v is None else v for v in parsed])


def seconds(
    cells,
    where: str,
    unit: str,
    gaps: str,
    place: Callable[[int], str],
    is_comma_decimal: bool = True,
) -> np.ndarray:
    """Time column (T,) in s: numbers in `unit`, datetimes, or ISO text; NaN where missing."""
    values = np.asarray(cells)
    if values.dtype.kind in "mM":
        return (values - values[0]) / np.timedelta64(1, "ns") * 1e-9
    instants = [_instant(str(c).strip()) for c in cells] if values.dtype.kind not in "fiub" else []
    first = next((t for t in instants if t is not None), None)
    if first is not None:
        _check_instants(cells, instants, where, place)
        return np.array([np.nan if t is None else (t - first).total_seconds() for t in instants])
    if unit.lower() not in SECONDS:
        raise ValueError(
            f"{where}: {unit!r} is no unit of time known here; "
            f"give time_unit= one of {', '.join(u for u in SECONDS if u)}"
        )
    return floats(cells, where, gaps, place, is_comma_decimal) * SECONDS[unit.lower()]


def _check_instants(cells, instants, where, place):
    zoned = [t.tzinfo is not None for t in instants if t is not None]
    if any(zoned) and not all(zoned):
        raise ValueError(f"{where}: some times have a time zone and some have none; mend the file")
    for i, (cell, t) in enumerate(zip(cells, instants, strict=True)):
        if t is None and str(cell).strip().lower() not in MISSING:
            raise ValueError(
                f"{where}, {place(i)}: {str(cell)!r} is no date and time; write "
                f"2024-12-31 23:59:59 or 31.12.2024 23:59:59"
            )
