"""Which part of the input and output region a record visits, so that whoever leaves it can be told."""

import itertools
from dataclasses import dataclass, field

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from .checks import moving
from .data import Experiment

PANELS = 6  # channels a plot has room for


@dataclass(frozen=True, eq=False)
class Coverage:
    """Occupancy of a grid by (u(k), y(k)), two channels at a time.

    names, units    of the channels, inputs first
    edges           (channel, cells + 1) borders of the cells, in the unit of the channel
    occupied        for each pair (i, j), i < j, of channels: samples in each cell, (cells, cells)
    """

    names: tuple[str, ...]
    units: tuple[str, ...]
    edges: np.ndarray
    occupied: dict[tuple[int, int], np.ndarray] = field(repr=False)

    def fraction(self) -> dict[tuple[str, str], float]:
        """Share of the cells visited, for each pair of channels by name; 1 is a full box."""
        return {(self.names[i], self.names[j]): float(np.mean(n > 0)) for (i, j), n in self.occupied.items()}

    def extrapolates(self, u: np.ndarray, y: np.ndarray) -> np.ndarray:
        """(T,) bool: whether (u, y), (T, nu) and (T, ny) or one sample each, is somewhere the record never was.

        True where a pair of channels is in a cell that was not visited, nor any of its eight neighbours; so also beyond
        the range of a channel by more than a cell. Where y is NaN, only the rest is looked at.
        """
        points = np.column_stack([np.atleast_2d(u), np.atleast_2d(y)])
        if points.shape[1] != len(self.names):
            raise ValueError(f"u and y have {points.shape[1]} columns together, the record has {self.names}")
        cell, known = _cells(points, self.edges), np.isfinite(points)
        cell = np.clip(cell, -2, self.edges.shape[1])  # far away is as good as two cells away
        outside = np.zeros(len(points), bool)
        for (i, j), n in self.occupied.items():
            near = _grown(np.pad(n > 0, 3))
            outside |= known[:, i] & known[:, j] & ~near[cell[:, i] + 3, cell[:, j] + 3]
        return outside

    def __str__(self) -> str:
        width = max(len(f"{a}, {b}") for a, b in self.fraction())
        rows = [f"  {f'{a}, {b}':<{width}}  {100 * share:3.0f} %" for (a, b), share in self.fraction().items()]
        return "\n".join([f"cells visited, of {self.edges.shape[1] - 1} by {self.edges.shape[1] - 1}:", *rows])

    def plot(self) -> Figure:
        """Samples in each cell, a panel for each pair (of the first six channels); white was never visited."""
        shown = min(len(self.names), PANELS)
        size = 1.2 + 1.7 * (shown - 1)
        figure, axes = plt.subplots(
            shown - 1, shown - 1, squeeze=False, sharex="col", sharey="row", figsize=(size, size), layout="constrained"
        )
        for i, j in itertools.combinations(range(shown), 2):
            counts, ax = self.occupied[i, j], axes[j - 1, i]
            ax.pcolormesh(
                self.edges[i], self.edges[j], np.where(counts > 0, np.log1p(counts), np.nan).T, cmap="viridis"
            )
        for i, j in itertools.combinations(range(shown - 1), 2):
            axes[i, j].set_axis_off()
        for k in range(shown - 1):
            axes[-1, k].set_xlabel(self._axis(k))
            axes[k, 0].set_ylabel(self._axis(k + 1))
        return figure

    def _axis(self, i):
        return f"{self.names[i]} [{self.units[i]}]" if self.units[i] else self.names[i]


def coverage(
    experiment: Experiment,
    cells: int = 12,
    u_min: np.ndarray | None = None,
    u_max: np.ndarray | None = None,
) -> Coverage:
    """Count the samples of all records in a grid of cells by cells over every pair of channels.

    u_min, u_max (nu,): the range of the inputs the grid spans, in their units; default: what the records span. The
    outputs span what they span. Pairs are looked at and not all channels together: those boxes are empty in any record.
    """
    if cells < 2:
        raise ValueError(f"cells is {cells}; a grid has at least 2")
    u, y = np.concatenate(experiment.us), np.concatenate(experiment.ys)
    is_measured = np.isfinite(y).all(axis=1)
    u, y = u[is_measured], y[is_measured]
    seen = np.column_stack([u, y])
    around = np.where(moving(seen), 0.0, 1e-6 * np.maximum(abs(seen[0]), 1.0))  # of what stands still: cells around it
    low, high = seen.min(0) - around, seen.max(0) + around
    low[: experiment.nu] = low[: experiment.nu] if u_min is None else u_min
    high[: experiment.nu] = high[: experiment.nu] if u_max is None else u_max
    if not np.all(low < high):
        raise ValueError(f"u_min, u_max span from {low.tolist()} to {high.tolist()}; every channel needs min < max")
    edges = np.linspace(low, high, cells + 1).T
    cell = _cells(seen, edges)
    inside = (cell >= 0) & (cell < cells)
    occupied = {}
    for i, j in itertools.combinations(range(len(low)), 2):
        rows = inside[:, i] & inside[:, j]
        occupied[i, j] = np.zeros((cells, cells), int)
        np.add.at(occupied[i, j], (cell[rows, i], cell[rows, j]), 1)
    names, units = experiment.u_names + experiment.y_names, experiment.u_units + experiment.y_units
    return Coverage(names, units, edges, occupied)


def _cells(points: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Index of the cell of each channel (T, channel): 0 .. cells - 1 inside, the upper border included."""
    low, high, cells = edges[:, 0], edges[:, -1], edges.shape[1] - 1
    position = np.nan_to_num((points - low) / (high - low) * cells, posinf=1e9, neginf=-1e9)
    slack = 1e-9 * cells  # rounding of a range that was computed
    on_top = (position >= cells) & (position <= cells + slack)
    return np.where(on_top, cells - 1, np.floor(np.clip(position + slack, -1e9, 1e9))).astype(int)


def _grown(visited: np.ndarray) -> np.ndarray:
    """Visited cells and their eight neighbours; the border of the array is never visited."""
    wide = visited.copy()
    for axis in (0, 1):
        wide = wide | np.roll(wide, 1, axis) | np.roll(wide, -1, axis)
    return wide
