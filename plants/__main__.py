"""python -m plants list: the plants there are.   show NAME: one in full.   page [NAME] [--to FOLDER]: its page."""

import argparse
import inspect
import sys
from pathlib import Path

from . import PLANTS, Plant
from .pages import write_page
from .tables import constants, signals, text


def summary(plant: Plant) -> tuple[str, ...]:
    """Name, numbers of signals, sampling time, and what the plant's own module says it is."""
    sizes = (plant.nx, plant.nu, plant.ny, plant.nd)
    about = (sys.modules[type(plant).__module__].__doc__ or "").partition("\n")[0]
    return plant.name, *map(str, sizes), f"{plant.sampling_time:g}", about


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m plants", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="a table of all plants")
    show = commands.add_parser("show", help="signals and physical constants of one plant")
    show.add_argument("name", choices=list(PLANTS))
    pages = commands.add_parser("page", help="write the page and figure of one plant, or of all")
    pages.add_argument("name", nargs="?", choices=list(PLANTS))
    pages.add_argument("--to", type=Path, default=Path("docs/plants"), help="folder (default: docs/plants)")
    arguments = parser.parse_args(argv)
    if arguments.command == "list":
        heading = ("plant", "states", "inputs", "outputs", "disturbances", "dt [s]", "")
        print(text([heading, *(summary(plant()) for plant in PLANTS.values())]))
    elif arguments.command == "page":
        for name in [arguments.name] if arguments.name else PLANTS:
            write_page(PLANTS[name](), arguments.to)
    else:
        plant = PLANTS[arguments.name]()
        print(f"{plant.name}: {inspect.getdoc(plant)}\n\n{text(signals(plant))}\n\n{text(constants(plant))}")


if __name__ == "__main__":
    main()
