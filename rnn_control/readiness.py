"""Control-readiness: what makes a model that fits well a bad one to control with, looked for before it is."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from .certificate import Certificate
from .coverage import coverage
from .data import Experiment
from .identified import IdentifiedModel
from .steady_map import STARTS, SteadyMap, steady_map

SMALL = 0.01  # of the largest scaled gain, or of the range of an output: as good as nothing
ROUNDING = 1e-9
LEFT = 0.01  # of the standard deviation of an output: an initial state that shows less is forgotten
SLOW = 0.2  # of the record: an initial state that shows longer spoils it
STRANGE = 0.05  # share of samples beyond the data


class Check(NamedTuple):
    """verdict: "good", "care" (a controller can live with it if its designer knows), or "bad"."""

    name: str
    verdict: str
    text: str


@dataclass(frozen=True, eq=False)
class Readiness:
    """The checks, and the map they were made on."""

    checks: tuple[Check, ...]
    steady: SteadyMap

    @property
    def verdict(self) -> str:
        """The worst of the checks."""
        return max((c.verdict for c in self.checks), key=("good", "care", "bad").index)

    def gains(self) -> list[tuple[str, str, str, str]]:
        """(pair, gain in the middle of the box, range over it, unit) of the model at rest."""
        m, G = self.steady.model, self.steady.gain
        middle = G[(len(G[self.steady.sweep(0)]) - 1) // 2]
        return [
            (f"{u} -> {y}", f"{middle[j, i]:.4g}", f"{G[:, j, i].min():.4g} .. {G[:, j, i].max():.4g}",
             f"{m.y_units[j] or '-'} per {m.u_units[i] or '-'}")
            for j, y in enumerate(m.y_names) for i, u in enumerate(m.u_names)
        ]  # fmt: skip

    def __str__(self) -> str:
        return "\n".join(f"{c.verdict:<4}  {c.name}: {c.text}" for c in self.checks)


def control_readiness(
    model: IdentifiedModel, train: Experiment, test: Experiment | None = None, certificate: Certificate | None = None
) -> Readiness:
    """Look at what a controller will lean on: rests, gains, zeros, memory of the start, and the reach of the data.

    train: what the model learned from; test: whose inputs it is run on (default: train). certificate: a deltaISS one
    that holds proves that rests are unique, which is otherwise only tried from several states.
    """
    test = train if test is None else test
    steady = steady_map(model)
    proved = certificate is not None and certificate.holds and certificate.property == "delta_iss"
    return Readiness(
        (
            _rests(steady, proved), _gains(steady), _monotone(steady), _zeros(steady), _memory(model, test),
            _reach(steady, train, test),
        ),
        steady,
    )  # fmt: skip


def _rests(steady: SteadyMap, proved: bool) -> Check:
    name = "one steady state for each input"
    if proved:
        return Check(name, "good", "proved for the whole input box by the deltaISS certificate")
    if not steady.settled.all():
        share = 100 * np.mean(~steady.settled)
        return Check(name, "bad", f"at {share:.0f} % of the inputs tried the model does not come to rest")
    if not steady.is_unique:
        return Check(name, "bad", "where the model comes to rest depends on where it starts: a plan may end at either")
    return Check(name, "good", f"found, from {STARTS} starts at {len(steady.u)} inputs; not proved")


def _pairs(steady: SteadyMap, mask: np.ndarray) -> str:
    m = steady.model
    return ", ".join(f"{m.u_names[i]} -> {m.y_names[j]}" for j, i in np.argwhere(mask))


def _gains(steady: SteadyMap) -> Check:
    """Signs and sizes of dy/du at rest, in units of the box and of the deviation of y."""
    name, scaler = "static gains", steady.model.scaler
    G = steady.gain * scaler.u_half / scaler.y_std[:, None]
    low, high = G.min(0), G.max(0)
    floor = max(SMALL * abs(G).max(), ROUNDING)
    turns, tiny = (low < -floor) & (high > floor), np.maximum(-low, high) <= floor
    texts = []
    if turns.any():
        texts += [f"the sign of {_pairs(steady, turns)} changes in the box: two inputs give one output there, and a "
                  f"controller that pushes the right way on one side pushes the wrong way on the other"]  # fmt: skip
    if tiny.all(1).any():
        names = [y for y, dead in zip(steady.model.y_names, tiny.all(1), strict=True) if dead]
        return Check(name, "bad", "; ".join([*texts, f"no input moves {', '.join(names)} at rest"]))
    if tiny.any():
        texts += [f"{_pairs(steady, tiny)} is nearly zero"]
    return Check(name, "care" if texts else "good", "; ".join(texts) or "every sign is the same over the whole box")


def _monotone(steady: SteadyMap) -> Check:
    """Along each input, the others in the middle: what an output falls and rises by, against its range."""
    m = steady.model
    bends = np.zeros((m.model.ny, m.model.nu), bool)
    for i in range(m.model.nu):
        d = np.diff(steady.y[steady.sweep(i)], axis=0)
        bends[:, i] = np.minimum(d.clip(0).sum(0), (-d).clip(0).sum(0)) > SMALL * np.ptp(steady.y, axis=0)
    if not bends.any():
        return Check("monotone steady-state map", "good", "along every input, the others in the middle of the box")
    return Check("monotone steady-state map", "care", f"{_pairs(steady, bends)} turns round inside the box")


def _zeros(steady: SteadyMap) -> Check:
    name, dt = "zeros outside the unit circle", steady.model.dt
    if np.isnan(steady.zero_time).all():
        return Check(name, "good", "not looked for: the numbers of inputs and outputs differ")
    worst, half = steady.zero_time.max(), np.median(steady.zero_time)
    if worst <= dt:
        return Check(name, "good", "none that a sampled loop would notice")
    share = 100 * np.mean(steady.zero_time > dt)
    text = (
        f"at {share:.0f} % of the inputs tried: outputs may first go the wrong way, and the loop cannot be faster than "
        f"{half:.3g} s (median) to {worst:.3g} s (worst); let the horizon reach well beyond"
    )
    return Check(name, "care", text)


@torch.no_grad()
def _memory(model: IdentifiedModel, test: Experiment) -> Check:
    """How long starts in opposite corners of the state box show in the outputs, under the inputs of the record."""
    cell = model.model
    p = cell.theta()
    box = torch.nan_to_num(cell.state_box(p, cell.input_box()), nan=3.0, posinf=3.0)[:, None]
    signs = torch.from_numpy(np.random.default_rng(0).choice([-1.0, 1.0], (cell.nx, 8)))
    a, b, last = box * signs, -box * signs, 0
    record = max(test.us, key=len)
    for k, u in enumerate(torch.from_numpy(model.scaler.u_in(record))):
        u = u[:, None].expand(-1, a.shape[1])
        if float((cell.g(p, a) - cell.g(p, b)).abs().max()) > LEFT:
            last = k + 1
        a, b = cell.f(p, a, u), cell.f(p, b, u)
    name, seconds = "memory of the initial state", f"{last} samples, {last * model.dt:.6g} s"
    if last == len(record):
        return Check(name, "bad", f"it still shows in the outputs at the end of the record, {seconds}")
    verdict = "care" if last > SLOW * len(record) else "good"
    return Check(name, verdict, f"it shows in the outputs, by more than 1 % of their deviation, for {seconds}")


def _reach(steady: SteadyMap, train: Experiment, test: Experiment) -> Check:
    """Share of the steady states, and of the simulated test record, that the training data never came near."""
    scaler = steady.model.scaler
    seen = coverage(train, u_min=scaler.u_min, u_max=scaler.u_max)
    rests = 100 * seen.extrapolates(steady.u, steady.y).mean()
    washout = min(50, min(map(len, test.us)) // 2)
    runs = zip(test.us, steady.model.predict(test, washout), strict=True)
    run = 100 * np.concatenate([seen.extrapolates(u, y) for u, y in runs]).mean()
    verdict = "good" if max(rests, run) <= 100 * STRANGE else "care"
    text = f"{rests:.0f} % of the steady states and {run:.0f} % of the simulated record are where the data never were"
    return Check("reach of the data", verdict, text)
