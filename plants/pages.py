"""A page about each plant: equations, signals, constants, operating points, and a figure, all from the plant itself."""

import inspect
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from .plant import Plant
from .tables import constants, markdown, points, signals

ROWS = 3  # outputs a figure has room for: the last ones, where the product leaves
STEP = 0.25  # of the width of the region
SAMPLES = 30
MAP_POINTS = 9
SVG: Any = {"svg.fonttype": "none", "svg.hashsalt": "plants", "path.simplify": True}  # small, and the same every time
UNDATED: Any = {"Date": None, "Creator": None}


def write_page(plant: Plant, folder: Path) -> None:
    """NAME.md and NAME.svg into the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{plant.name}.md").write_text(page(plant), encoding="utf-8")
    with matplotlib.rc_context(SVG):
        figure = plot(plant)
        figure.savefig(folder / f"{plant.name}.svg", metadata=UNDATED)
        plt.close(figure)


def page(plant: Plant) -> str:
    """The page as Markdown."""
    family = [c for c in type(plant).__mro__ if issubclass(c, Plant) and c is not Plant]
    equations = "\n\n".join(inspect.cleandoc(c.__doc__ or "") for c in family)
    module = inspect.getmodule(type(plant))
    return "\n\n".join(
        [
            f"# {plant.name}",
            inspect.cleandoc((module and module.__doc__) or ""),
            "## Equations",
            f"```\n{equations}\n```",
            f"![steps and steady states]({plant.name}.svg)",
            f"Left: {', '.join(plant.y_names[-ROWS:])} after a step of one input by {STEP:.0%} of its region, from the "
            f"nominal point. Right: the same at rest, along the region of one input, the others nominal.",
            "## Signals",
            markdown(signals(plant)),
            "## Constants",
            markdown(constants(plant)),
            "## Operating points",
            "As printed in the source, what the equations leave there, and their own steady state nearby.",
            *(f"**{label}** ({source})\n\n{markdown(rows)}" for label, source, rows in points(plant)),
            f"Written by `python -m plants page {plant.name}`.\n",
        ]
    )


def plot(plant: Plant) -> Figure:
    """Step responses (left) and steady-state map (right) of the last outputs, a line for each input."""
    shown = range(max(plant.ny - ROWS, 0), plant.ny)
    size = (9, 1 + 1.6 * len(shown))
    figure, axes = plt.subplots(len(shown), 2, sharex="col", squeeze=False, figsize=size, layout="constrained")
    for i, name in enumerate(plant.u_names):
        (t, y), (position, rest) = step_response(plant, i), steady_map(plant, i)
        for ax, k in zip(axes, shown, strict=True):
            ax[0].plot(t, y[:, k], lw=1, color=f"C{i}", label=name)
            ax[1].plot(position, rest[:, k], lw=1, color=f"C{i}")
    for ax, k in zip(axes, shown, strict=True):
        ax[0].set_ylabel(f"{plant.y_names[k]} [{plant.y_units[k]}]")
    axes[-1, 0].set_xlabel("time [s]")
    axes[-1, 1].set_xlabel("input, from the lower to the upper end of its region [%]")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=plant.nu)
    return figure


def step_response(plant: Plant, i: int) -> tuple[np.ndarray, np.ndarray]:
    """t (T,) in s, y (T, ny) after a step of input i, from the nominal steady state until the slow modes are over."""
    u = np.array(plant.nominal.u)
    width = plant.u_region_max[i] - plant.u_region_min[i]
    x = plant.equilibrium(u, plant.nominal.d)
    slowest = -1 / float(np.max(np.real(plant.linearise(x, u, plant.nominal.d).poles())))
    dt = 5 * slowest / SAMPLES
    u[i] += STEP * width if u[i] + STEP * width <= plant.u_region_max[i] else -STEP * width
    run = plant.experiment(np.tile(u, (SAMPLES, 1)), dt, x0=x, noise=False)
    return dt * np.arange(SAMPLES), np.asarray(run.y)


def steady_map(plant: Plant, i: int) -> tuple[np.ndarray, np.ndarray]:
    """Position of input i in its region (n,) in %, steady y (n, ny), followed from the nominal equilibrium."""
    position, g = np.linspace(0.0, 1.0, MAP_POINTS), plant.output_function()
    u = np.clip(plant.nominal.u, plant.u_region_min, plant.u_region_max)
    levels = plant.u_region_min[i] + position * (plant.u_region_max[i] - plant.u_region_min[i])
    start = int(np.argmin(np.abs(levels - u[i])))
    rest = np.zeros((MAP_POINTS, plant.ny))
    for order in (range(start, MAP_POINTS), range(start, -1, -1)):
        x = plant.equilibrium(u)
        for k in order:
            x = plant.equilibrium([*u[:i], levels[k], *u[i + 1 :]], guess=x)
            rest[k] = np.asarray(g(x)).ravel()
    return 100 * position, rest
