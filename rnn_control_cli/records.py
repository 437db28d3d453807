"""Options that say how a record is read, shared by the commands that read one."""

from pathlib import Path
from typing import Any

import click

OPTIONS = (
    click.option("--dt", type=float, help="Sampling time in s."),
    click.option("--time", help="Column with the time, instead of --dt."),
    click.option("--time-unit", help="Unit of the time column, where its header has none (default s)."),
    click.option(
        "--gaps",
        type=click.Choice(["error", "split", "mask", "split-inputs"]),
        default="error",
        help="split: a record per gap; mask: outputs may be missing; split-inputs: they may, inputs split.",
    ),
    click.option("--sep", help="What separates the columns (default: found)."),
)


def reading(command):
    """Adds the options to a command, which takes them as **how."""
    for option in reversed(OPTIONS):
        command = option(command)
    return command


def read_record(path: Path, u, y, how: dict[str, Any], **units) -> Any:
    """The Experiment of a CSV file."""
    from rnn_control import Experiment

    if how["dt"] is not None and how["time"] is not None:
        raise click.UsageError("give --dt or --time, not both")
    return Experiment.from_csv(path, u=u, y=y, **how, **units)


def read_for_model(path: Path, model, how: dict[str, Any]) -> Any:
    """The record of a model's own channels; its dt where neither --dt nor --time is given."""
    how = how | ({"dt": model.dt} if how["dt"] is None and how["time"] is None else {})
    return read_record(path, list(model.u_names), list(model.y_names), how)
