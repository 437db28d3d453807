"""What a record tells, before any training, against a model that forgets."""

import math
import warnings
from typing import NamedTuple

import numpy as np

from .checks import moving
from .data import Experiment
from .held import limit_cycle, two_rests
from .output_error import OutputError, error_with, growth, limited, output_error

LONGEST = 5000  # samples looked at
RADIUS = 0.99  # pole beyond the rate that `fit` aims for: 99 % forgotten in 460 samples
UNSTABLE = 1.01  # pole, after three standard deviations
NEEDED = 1.2  # error without that pole / error with it
EXPLAINED = 0.6  # variance a linear model may leave, for its poles to mean anything
AT_ONCE = 0.05  # share of the changes of y that the input one sample ago leaves unexplained
RINGING = 0.5  # of an oscillation left after its period
COMFORTABLE = 0.9  # pole that the sampling time recommended gives


class Finding(NamedTuple):
    """kind: "unstable", "integrator", "rings", "too fast", "too slow", "limit cycle" or "several rests".

    text: what was seen, and what to do about it.
    """

    kind: str
    text: str

    def __str__(self) -> str:
        return self.text


def diagnose(experiment: Experiment) -> list[Finding]:
    """Reasons why a deltaISS model cannot represent the plant of these records, or only badly; empty if none shows.

    Two trajectories of a deltaISS model at the same inputs meet, at its rate lambda < 1 a sample. So it has one rest
    for each constant input, and none that grows. An integrator keeps its initial state; samples much shorter than the
    time constants force lambda towards 1; samples much longer leave nothing to identify. It takes milliseconds, sees
    what the records show and no more: that nothing is found proves nothing.
    """
    experiment = experiment.interpolated()
    longest = max(range(len(experiment)), key=lambda i: len(experiment.us[i]))
    u, y = experiment.us[longest][:LONGEST], experiment.ys[longest][:LONGEST]
    moves, y_moves = moving(u), moving(y)
    found: list[Finding] = []
    if len(u) > 20 and moves.any():
        u = (u[:, moves] - u[:, moves].mean(0)) / u[:, moves].std(0)
        for name, column, is_moving in zip(experiment.y_names, y.T, y_moves, strict=True):
            if is_moving:
                found += _speed(name, u, (column - column.mean()) / column.std(), experiment.dt)
    if any(finding.kind in ("integrator", "unstable", "too fast") for finding in found):
        return found  # what they do to held inputs is no news
    for kind, look in (("limit cycle", limit_cycle), ("several rests", two_rests)):
        seen = look(experiment)
        found += [Finding(kind, seen)] if seen else []
    return found


def warn(experiment: Experiment) -> None:
    """Every finding as a warning, but that of slow samples: a deltaISS model can represent those."""
    for finding in diagnose(experiment):
        if finding.kind != "too slow":
            warnings.warn(finding.text, stacklevel=3)


def _speed(name: str, u: np.ndarray, y: np.ndarray, dt: float) -> list[Finding]:
    """Integrator, too fast or too slow: u (T, nu) and y (T,) standardised."""
    if _at_once(u, y):
        text = (
            f'output "{name}" follows the inputs within one sample of {dt:g} s: its dynamics are between the samples, '
            f"and a model of them would be a static map; sample faster if they matter"
        )
        return [Finding("too slow", text)]
    if growth(u, y) > UNSTABLE:
        text = (
            f'output "{name}" is unstable: a deviation grows {growth(u, y):.3g} times or more in a sample of {dt:g} s, '
            f"and what holds it is a controller; a deltaISS model cannot grow. Let the set-point of that controller be "
            f"the input, so that the stable loop is identified, or ask for no certificate"
        )
        return [Finding("unstable", text)]
    bent = np.column_stack([u, u**2])
    model = _slow_model(u, y) or _slow_model(bent, y)  # what bends may hide what is slow
    if model is None or _is_bent(np.column_stack([bent, u**3]), y, model.error):
        return []
    p = max(model.poles, key=abs)
    if abs(p.imag) < 1e-6 and abs(p) > 1 - 2 / len(y):
        text = (
            f'output "{name}" integrates, or is slower than the record of {len(y) * dt:g} s (pole {abs(p):.5f} a '
            f"sample): it keeps its initial state, which a deltaISS model forgets; identify its change y(k+1) - y(k) "
            f"and add it up, record it in closed loop with the controller as part of the plant, or ask for no "
            f"certificate"
        )
        return [Finding("integrator", text)]
    if abs(p.imag) > 1e-6 and abs(p) ** (2 * np.pi / abs(np.angle(p))) > RINGING:
        text = (
            f'output "{name}" rings, with a period of {2 * np.pi / abs(np.angle(p)):.3g} samples: its poles of modulus '
            f"{abs(p):.5f} force the rate of a deltaISS model to 1, for it must be as lightly damped; no sampling time "
            f"mends that. Damp the plant by a controller and identify both, or ask for no certificate"
        )
        return [Finding("rings", text)]
    every = math.ceil(math.log(COMFORTABLE) / math.log(abs(p)))
    text = (
        f'output "{name}" is slow beside the samples of {dt:g} s: its pole {abs(p):.5f} forces the rate of a deltaISS '
        f"model to 1; keep every {every}th sample (dt = {every * dt:.3g} s), each the mean of those it stands for"
    )
    return [Finding("too fast", text)]


def _slow_model(u: np.ndarray, y: np.ndarray) -> OutputError | None:
    """The linear model, if its slowest pole is beyond RADIUS and no other explains y (T,) as well."""
    model = output_error(u, y)
    if np.abs(model.poles).max() <= RADIUS or model.error > EXPLAINED:
        return None
    return model if error_with(limited(model.poles, RADIUS), u, y) > NEEDED * model.error else None


def _is_bent(u: np.ndarray, y: np.ndarray, error: float) -> bool:
    """Whether a static curve before a faster model explains y (T,) better: long rests off the line look like memory."""
    model = output_error(u, y)
    return bool(np.abs(model.poles).max() <= RADIUS and NEEDED * model.error < error)


def _at_once(u: np.ndarray, y: np.ndarray) -> bool:
    """Whether the changes of y (T,) are those of a quadratic map of u one sample ago."""
    changes, dy = np.diff(np.column_stack([u, u**2]), axis=0)[:-1], np.diff(y)[1:]
    rest = dy - changes @ np.linalg.lstsq(changes, dy, rcond=None)[0]
    return bool(np.sum(rest**2) < AT_ONCE * np.sum(dy**2))
