"""Stretches of a record in which every input is held: where a plant must come to one rest if it forgets."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from .data import Experiment

SHORTEST = 20  # samples of a stretch
STRETCHES = 400  # at most, the longest
SAME_INPUT = 0.01  # of the range of each input
APART = 0.25  # of the range of an output: two rests, or a cycle, and not noise or a gain
SETTLED = 0.02  # change over the last two quarters, likewise


class Stretch(NamedTuple):
    """u (nu,) held, y (L, ny) meanwhile, and where: record and first sample."""

    u: np.ndarray
    y: np.ndarray
    record: str
    start: int


def limit_cycle(experiment: Experiment) -> str:
    """Sentence about an output that goes on swinging while every input is held, or ''."""
    y_range = np.ptp(np.concatenate(experiment.ys), axis=0)
    for s in stretches(experiment):
        half = s.y[len(s.y) // 2 :]
        first, last = np.array_split(half, 2)
        centred = half - half.mean(0)
        crossings = np.sum(np.diff(centred > 0, axis=0), axis=0)
        swings = (np.ptp(last, axis=0) > APART * y_range) & (np.ptp(last, axis=0) > 0.8 * np.ptp(first, axis=0))
        smooth = np.var(np.diff(half, axis=0), axis=0) < 0.5 * np.var(half, axis=0)
        for i in np.flatnonzero(swings & smooth & (crossings >= 4)):
            return (
                f'output "{experiment.y_names[i]}" swings by {np.ptp(last[:, i]):.4g} {experiment.y_units[i]}'.rstrip()
                + f" while every input is held ({s.record}, from sample {s.start}; "
                f"{_inputs(experiment, s.u)}) and does not calm down: a limit cycle, or a disturbance not recorded; "
                f"a deltaISS model comes to rest there. Keep the inputs where the plant is stable, or record it in "
                f"closed loop"
            )
    return ""


def two_rests(experiment: Experiment) -> str:
    """Sentence about two rests of an output at the same held inputs, or ''."""
    found = [s for s in stretches(experiment) if _is_settled(s, experiment)]
    if len(found) < 2:
        return ""
    u_range = np.maximum(np.ptp(np.concatenate(experiment.us), axis=0), 1e-300)
    y_range = np.maximum(np.ptp(np.concatenate(experiment.ys), axis=0), 1e-300)
    u = np.array([s.u for s in found]) / u_range
    rest = np.array([s.y[-(len(s.y) // 4) :].mean(0) for s in found]) / y_range
    same = np.abs(u[:, None] - u).max(2) <= SAME_INPUT
    gap = np.where(same[:, :, None], np.abs(rest[:, None] - rest), 0.0)
    a, b, i = np.unravel_index(int(np.argmax(gap)), gap.shape)
    if gap[a, b, i] < APART:
        return ""
    values = " and ".join(f"{rest[k, i] * y_range[i]:.6g} ({found[k].record}, sample {found[k].start})" for k in (a, b))
    return (
        f'output "{experiment.y_names[i]}" comes to rest at {values} {experiment.y_units[i]}'.rstrip()
        + f" for the same inputs ({_inputs(experiment, found[a].u)}): several equilibria, or a disturbance not "
        f"recorded; a deltaISS model has one rest for each input. Keep to the records and inputs of one branch, record "
        f"the disturbance as an input, or identify the plant in closed loop"
    )


def stretches(experiment: Experiment) -> list[Stretch]:
    """The longest stretches of at least SHORTEST samples."""
    found = sorted(_stretches(experiment), key=lambda s: -len(s.y))
    return found[:STRETCHES]


def _stretches(experiment: Experiment) -> Iterator[Stretch]:
    slack = 1e-6 * np.ptp(np.concatenate(experiment.us), axis=0)
    for u, y, name in zip(experiment.us, experiment.ys, experiment.names, strict=True):
        moves = np.flatnonzero(np.any(np.abs(np.diff(u, axis=0)) > slack, axis=1)) + 1
        edges = np.concatenate([[0], moves, [len(u)]])
        for start, stop in zip(edges[:-1], edges[1:], strict=True):
            if stop - start >= SHORTEST:  # u(k) shows in y(k+1) first
                yield Stretch(u[start], y[start + 1 : stop], name, int(start))


def _is_settled(s: Stretch, experiment: Experiment) -> bool:
    second, third, last = (part.mean(0) for part in np.array_split(s.y, 4)[1:])
    y_range = np.ptp(np.concatenate(experiment.ys), axis=0)
    return bool(np.all(np.abs(np.array([last - third, last - second])) <= SETTLED * y_range))


def _inputs(experiment: Experiment, u: np.ndarray) -> str:
    named = zip(experiment.u_names, u, experiment.u_units, strict=True)
    return ", ".join(f"{name} = {value:.6g} {unit}".rstrip() for name, value, unit in named)
