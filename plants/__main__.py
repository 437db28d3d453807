"""python -m plants list: the plants there are.   python -m plants show NAME: one in full."""

import argparse
import inspect
import math
import sys
from collections.abc import Iterable, Sequence

from . import PLANTS, Plant


def table(rows: Iterable[Sequence[str]]) -> str:
    """Rows of cells, in columns as wide as they need."""
    rows = list(rows)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    return "\n".join(line.rstrip() for line in lines)


def summary(plant: Plant) -> tuple[str, ...]:
    """Name, numbers of signals, sampling time, and what the plant's own module says it is."""
    sizes = (plant.nx, plant.nu, plant.ny, plant.nd)
    about = (sys.modules[type(plant).__module__].__doc__ or "").partition("\n")[0]
    return plant.name, *map(str, sizes), f"{plant.sampling_time:g}", about


def signals(plant: Plant) -> str:
    """A line for each signal: kind, name, unit, limits, region, nominal value or noise, meaning."""
    rows = [("", "name", "unit", "limits", "region", "nominal", "noise", "")]
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
    return table(rows)


def constants(plant: Plant) -> str:
    """A line for each physical constant: name, value, unit, meaning, source."""
    return table((c.name, f"{c.value:g}", c.unit, c.about, c.source) for c in plant.constants)


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m plants", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="a table of all plants")
    show = commands.add_parser("show", help="signals and physical constants of one plant")
    show.add_argument("name", choices=list(PLANTS))
    arguments = parser.parse_args(argv)
    if arguments.command == "list":
        heading = ("plant", "states", "inputs", "outputs", "disturbances", "dt [s]", "")
        print(table([heading, *(summary(plant()) for plant in PLANTS.values())]))
    else:
        plant = PLANTS[arguments.name]()
        print(f"{plant.name}: {inspect.getdoc(plant)}\n\n{signals(plant)}\n\n{constants(plant)}")


if __name__ == "__main__":
    main()
