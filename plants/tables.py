"""What a plant declares, as tables: for a terminal and for a page."""

import math
from collections.abc import Iterable, Sequence

import numpy as np

from .plant import Plant

Rows = list[tuple[str, ...]]


def text(rows: Iterable[Sequence[str]]) -> str:
    """Rows of cells, in columns as wide as they need."""
    rows = list(rows)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    return "\n".join(line.rstrip() for line in lines)


def markdown(rows: Iterable[Sequence[str]]) -> str:
    """The same, the first row a heading."""
    heading, *rest = ("| " + " | ".join(row) + " |" for row in rows)
    return "\n".join([heading, "|" + "---|" * (heading.count(" | ") + 1), *rest])


def signals(plant: Plant) -> Rows:
    """A heading, and a row for each signal: kind, name, unit, limits, region, nominal value or noise, meaning."""
    rows: Rows = [("", "name", "unit", "limits", "region", "nominal", "noise", "")]
    kinds = {
        "state": (plant.states, plant.nominal.x),
        "input": (plant.inputs, plant.nominal.u),
        "output": (plant.outputs, [math.nan] * plant.ny),
        "disturbance": (plant.disturbances, plant.disturbance_vector()),
    }
    for kind, (group, values) in kinds.items():
        for s, value in zip(group, values, strict=True):
            region = "" if math.isnan(s.region[0]) else f"{s.region[0]:g} .. {s.region[1]:g}"
            limits = "" if math.isinf(s.low) and math.isinf(s.high) else f"{s.low:g} .. {s.high:g}"
            nominal = "" if math.isnan(value) else f"{value:.6g}"
            rows.append((kind, s.name, s.unit, limits, region, nominal, f"{s.noise:g}" if s.noise else "", s.about))
    return rows


def constants(plant: Plant) -> Rows:
    """A heading, and a row for each physical constant: name, value, unit, meaning, source."""
    rows = [(c.name, f"{c.value:g}", c.unit, c.about, c.source) for c in plant.constants]
    return [("name", "value", "unit", "", "source"), *rows]


def points(plant: Plant) -> list[tuple[str, str, Rows]]:
    """Label and source of each operating point, and a row for each state: printed, residual, steady state nearby."""
    tables = []
    for label, point in plant.operating_points.items():
        steady = plant.equilibrium(point.u, point.d, guess=point.x)
        rows: Rows = [("state", "unit", "printed", "residual [1/s]", "steady state")]
        columns = zip(plant.x_names, plant.x_units, point.x, point.residual, np.asarray(steady), strict=True)
        rows += [(name, unit, f"{x:g}", f"{r:.3g}", f"{x_s:.5g}") for name, unit, x, r, x_s in columns]
        tables.append((label, point.source, rows))
    return tables
