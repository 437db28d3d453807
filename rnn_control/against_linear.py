"""What the network adds to linear theory: its scores beside those of the best linear model of the same records."""

from dataclasses import dataclass

from .data import Experiment
from .fit_result import FitResult
from .linear import LinearModel, fit_linear
from .notebook import html_table

HEADER = ("part", "output", "linear FIT %", "network FIT %", "gain, points")


@dataclass(frozen=True, eq=False)
class AgainstLinear:
    """Rows (part, output, FIT % of the linear model, FIT % of the network) of free runs, and the linear model."""

    rows: tuple[tuple[str, str, float, float], ...]
    linear: LinearModel

    def __str__(self) -> str:
        lines = [f"{HEADER[0]:8s}{HEADER[1]:>12s}" + "".join(f"{name:>16s}" for name in HEADER[2:])]
        for part, output, linear, network in self.rows:
            numbers = (f"{linear:.2f}", f"{network:.2f}", f"{network - linear:+.2f}")
            shown = numbers if network == network else ("undefined", "undefined", "")
            lines.append(f"{part:8s}{output:>12s}" + "".join(f"{text:>16s}" for text in shown))
        return "\n".join([*lines, f"linear model: {self.linear.order} states, order chosen without the test part"])

    def _repr_html_(self) -> str:
        rows = [(part, output, a, b, b - a) for part, output, a, b in self.rows]
        return html_table(f"Against a linear model of {self.linear.order} states", rows, HEADER)


def compare_with_linear(
    result: FitResult,
    train: Experiment,
    valid: Experiment | None = None,
    test: Experiment | None = None,
    *,
    linear: LinearModel | None = None,
    washout: int = 50,
) -> AgainstLinear:
    """FIT of a result and of a linear model on every part; without `linear` the one that `fit` met, or a new one."""
    linear = linear or result.linear or fit_linear(train, valid)
    parts = {name: part for name, part in (("train", train), ("valid", valid), ("test", test)) if part is not None}
    rows = [
        (name, *row)
        for name, part in parts.items()
        for row in zip(
            part.y_names, linear.score(part, washout).fit, result.model.score(part, washout).fit, strict=True
        )
    ]
    return AgainstLinear(tuple(rows), linear)
