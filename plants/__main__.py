"""python -m plants list: the plants there are.   python -m plants show NAME: one in full."""

import argparse

from . import PLANTS, Plant


def describe(plant: Plant) -> str:
    """One line: name, states, inputs, outputs, with units."""
    pairs = (
        zip(plant.x_names, plant.x_units, strict=True),
        zip(plant.u_names, plant.u_units, strict=True),
        zip(plant.y_names, plant.y_units, strict=True),
        zip(plant.disturbance_names, plant.disturbance_units, strict=True),
    )
    cells = [", ".join(f"{name} [{unit}]" for name, unit in pair) for pair in pairs]
    return "{:14}{:48}{:24}{:26}{}".format(plant.name, *cells)


def constants(plant: Plant) -> str:
    """A line for each physical constant: name, value, unit, meaning, source."""
    row = "{0.name:6}{0.value:<12g}{0.unit:14}{0.about:34}{0.source}"
    return "\n".join(row.format(c) for c in plant.constants)


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m plants", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="a table of all plants")
    show = commands.add_parser("show", help="signals and physical constants of one plant")
    show.add_argument("name", choices=list(PLANTS))
    arguments = parser.parse_args(argv)
    print("{:14}{:48}{:24}{:26}{}".format("plant", "states", "inputs", "outputs", "disturbances"))
    if arguments.command == "list":
        print("\n".join(describe(plant()) for plant in PLANTS.values()))
    else:
        plant = PLANTS[arguments.name]()
        print(f"{describe(plant)}\n\n{constants(plant)}")


if __name__ == "__main__":
    main()
