"""What the words of a command line mean: columns, schedules, intervals, known names, files."""

import difflib
import math
from collections.abc import Callable, Iterable
from pathlib import Path

import click
from click.shell_completion import CompletionItem

INPUT_FILE = click.Path(exists=True, dir_okay=False, readable=True, path_type=Path)
FOLDER = click.Path(file_okay=False, writable=True, path_type=Path)
SEED = click.IntRange(min=0)
as_json = click.option("--json", "as_json", is_flag=True, help="One JSON object instead of text.")


def nearest(name: str, known: Iterable[str]) -> str:
    """The known name nearest to an unknown one, or all of them when none is near."""
    known = list(known)
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f'did you mean "{near[0]}"?' if near else f"there are: {', '.join(known)}"


class Columns(click.ParamType):
    """Comma-separated names."""

    name = "NAME,NAME,..."

    def convert(self, value, param, ctx):
        if not isinstance(value, str):
            return value
        names = [name.strip() for name in value.split(",")]
        if not all(names):
            self.fail(f'"{value}" has an empty name; separate names with one comma', param, ctx)
        return names


class Known(click.ParamType):
    """One of the names that `load()` finds; it runs when a value is given or completed, never for --help."""

    name = "NAME"

    def __init__(self, what: str, load: Callable[[], Iterable[str]]):
        self.what, self.load = what, load

    def convert(self, value, param, ctx):
        names = list(self.load())
        if value not in names:
            self.fail(f'there is no {self.what} "{value}"; {nearest(value, names)}', param, ctx)
        return value

    def shell_complete(self, ctx, param, incomplete):
        return [CompletionItem(n) for n in self.load() if n.startswith(incomplete)]


class Schedule(click.ParamType):
    """NAME=VALUE, or NAME=TIME:VALUE,TIME:VALUE,... with times in s: (name, [(time, value), ...])."""

    name = "NAME=[TIME:]VALUE,..."

    def convert(self, value, param, ctx):
        if not isinstance(value, str):
            return value
        name, _, steps = value.rpartition("=")
        try:
            pairs = [tuple(map(float, s.split(":"))) if ":" in s else (0.0, float(s)) for s in steps.split(",")]
        except ValueError:
            pairs = []
        if not name or not pairs or any(len(pair) != 2 or not all(map(math.isfinite, pair)) for pair in pairs):
            self.fail(f'"{value}" is not NAME=VALUE or NAME=TIME:VALUE,TIME:VALUE, e.g. T=0:134,1800:136', param, ctx)
        return name, pairs


class Interval(click.ParamType):
    """NAME=LOW:HIGH, either side may be empty: (name, (low, high)) with None for a free side."""

    name = "NAME=LOW:HIGH"

    def convert(self, value, param, ctx):
        if not isinstance(value, str):
            return value
        name, _, ends = value.rpartition("=")
        try:
            pair = tuple(float(end) if end else None for end in ends.split(":"))
        except ValueError:
            pair = ()
        if not name or len(pair) != 2:
            self.fail(f'"{value}" is not NAME=LOW:HIGH, e.g. T=:140 or F=5:30', param, ctx)
        return name, pair


class OutputFile(click.ParamType):
    """A file to write: its folder must be there, before any work is done."""

    name = "FILE"

    def __init__(self, suffix: str):
        self.suffix = suffix

    def convert(self, value, param, ctx):
        path = Path(value)
        path = path if path.suffix == self.suffix else path.with_name(path.name + self.suffix)
        if path.is_dir() or not path.parent.is_dir():
            reason = "it is a folder" if path.is_dir() else f'there is no folder "{path.parent}"'
            self.fail(f'cannot write "{path}": {reason}', param, ctx)
        return path

    def shell_complete(self, ctx, param, incomplete):
        return [CompletionItem(incomplete, type="file")]


def model_kinds() -> Iterable[str]:
    from rnn_control import MODELS

    return MODELS


def plant_names() -> Iterable[str]:
    from plants import PLANTS

    return PLANTS


def example(*lines: str) -> str:
    """The epilog of a command's --help."""
    return "\b\nExample:\n" + "\n".join(f"  {line}" for line in lines)
