"""The certificate: a result that can be printed, saved, compared and re-checked."""

import dataclasses
import json
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from .notebook import html_table

WORDS = {"kind", "property", "method", "blocks", "u_names", "y_names", "u_units", "y_units", "weights_sha256", "proof"}
"""Fields whose texts are texts; elsewhere a text is a number that JSON cannot write: Infinity, NaN."""


def steps_until(left: float, rate: float, overshoot: float) -> int:
    """The least k >= 1 with overshoot rate^k <= left, for 0 < left < 1."""
    return max(1, math.ceil(math.log(left / overshoot) / math.log(max(rate, 1e-300))))


def rate_of(settling: float, dt: float | None) -> float:
    """The rate with rate^(settling / dt) = 0.02: 98 % forgotten after `settling` seconds."""
    if dt is None or not dt > 0 or not settling > 0:
        raise ValueError(f"settling = {settling} s, dt = {dt} s: give both, and positive")
    return math.exp(math.log(0.02) * dt / settling)


@dataclass(frozen=True)
class Certificate:
    """What is proved of a model, under |u_i| <= input_box_i and starts in |x_i| <= state_box_i.

        || e(k) || <= overshoot rate^k || e(0) || + ...      |y_a(k) - y_b(k)|_j -> at most sum_i gain[j, i] max |du_i|

    e is the difference of two trajectories (deltaISS) or the state itself (ISS, then plus `offset`). The norm is the
    largest over `blocks` (size, order) of the block's norm; in the blocks scaled by `scale` there is no overshoot, nor
    in sqrt(e' P e) with P = `metric`, if there is one (`multipliers` are then those of the matrix inequality).
    `steady[state][input]` bounds, in units of `scale`, the differences that unit differences of the inputs sustain;
    with a metric its two rows are r and s of Theorem 11 (b) instead. For ISS its last column is the offset's.
    `weights_sha256` is of architecture, equations and weights.
    `memory[output]` is what a wrong initial state costs an output, for states a distance of one apart (for ISS of one
    run, |y - g(0)|, and plus what the offset sustains):

        |y_a(k) - y_b(k)|_j <= memory[j] rate^k || e(0) || + sum_i gain[j, i] max |du_i|

    `ultimate[output]` = (low, high) is where ISS says that every output ends up under inputs of the box (ISS only).
    States are normalised (no unit); gain, memory, ultimate, input_box, times are physical if the model knows its units.
    """

    kind: str
    property: str
    method: str
    holds: bool
    residual: float
    rate: float
    overshoot: float
    gain: tuple[tuple[float, ...], ...]
    offset: float
    scale: tuple[float, ...]
    blocks: tuple[tuple[int, str], ...]
    metric: tuple[tuple[float, ...], ...] | None
    multipliers: tuple[float, ...]
    steady: tuple[tuple[float, ...], ...]
    input_box: tuple[tuple[float, ...], ...]
    state_box: tuple[float, ...] | None
    steps_to_forget: int | None
    seconds_to_forget: float | None
    dt: float | None
    u_names: tuple[str, ...]
    y_names: tuple[str, ...]
    u_units: tuple[str, ...]
    y_units: tuple[str, ...]
    weights_sha256: str
    ultimate: tuple[tuple[float, ...], ...] = ()
    memory: tuple[float, ...] = ()
    proof: str = "floating point"
    others: tuple["Certificate", ...] = ()

    def margin(self) -> float:
        """1 - rate."""
        return 1 - self.rate

    def forgetting(self, left: float) -> tuple[int, float | None]:
        """Steps, and seconds if dt is known, after which at most the share `left` of ||e(0)|| is left: 0.5, 0.1 .."""
        if not (self.holds and 0 < left < 1):
            raise ValueError(f"left is {left}, holds is {self.holds}; ask a certificate that holds for 0 < left < 1")
        steps = steps_until(left, self.rate, self.overshoot)
        return steps, None if self.dt is None else steps * self.dt

    def plot(self) -> Figure:
        """What is left of an initial error at most, overshoot rate^k, over time; dotted: 50, 10 and 1 % of it."""
        last, _ = self.forgetting(0.005)
        unit, dt = ("steps", 1.0) if self.dt is None else ("s", self.dt)
        k = np.unique(np.linspace(0, last, 300).round())
        figure, ax = plt.subplots(figsize=(7, 3))
        ax.semilogy(k * dt, 100 * self.overshoot * self.rate**k, lw=1.4)
        for left in (0.5, 0.1, 0.01):
            time = self.forgetting(left)[0] * dt
            ax.plot([time, time, 0], [0.5, 100 * left, 100 * left], color="0.5", lw=0.8, ls=":")
            ax.annotate(f" {time:.6g} {unit}", (time, 100 * left))
        ax.set(xlabel=f"time [{unit}]", ylabel="left of an initial error,\nat most [%]", xlim=(0, last * dt))
        ax.set_ylim(0.5, None)
        figure.tight_layout()
        return figure

    def to_json(self) -> str:
        """All fields, as JSON; numbers that are not finite as texts."""
        return json.dumps(strict(dataclasses.asdict(self)), indent=1, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> "Certificate":
        """The certificate that `to_json` wrote; fields that are younger than the file get their defaults."""
        return cls._from_dict(json.loads(text))

    @classmethod
    def _from_dict(cls, fields: dict) -> "Certificate":
        known = {f.name for f in dataclasses.fields(cls)}
        needed = {f.name for f in dataclasses.fields(cls) if f.default is dataclasses.MISSING}
        odd = needed - set(fields) | set(fields) - known
        if odd:
            raise ValueError(f"not a certificate, or a newer version's: fields {sorted(odd)} are missing or unknown")
        others = tuple(cls._from_dict(other) for other in fields.get("others", ()))
        values = {k: v if k in WORDS else _numbers(v) for k, v in fields.items() if k != "others"}
        return cls(**{k: _tuples(v) for k, v in values.items()}, others=others)

    def __str__(self) -> str:
        rows = self.rows()
        width = max(len(left) for left, _ in rows)
        return "\n".join([f"Certificate of a {self.kind} model", *(f"  {a:<{width}}  {b}" for a, b in rows)])

    def _repr_html_(self) -> str:
        return html_table(f"Certificate of a {self.kind} model", self.rows())

    def rows(self) -> list[tuple[str, str]]:
        """What an engineer wants to know, as (name, value) pairs."""
        name = {"delta_iss": "deltaISS", "iss": "ISS"}[self.property]
        rows = [("property", f"{name}: {'holds' if self.holds else 'NOT certified'}"), ("method", self.method)]
        if self.holds:
            rows += [
                ("decay rate per step", f"{self.rate:.6f}   (margin {self.margin():.2e})"),
                ("overshoot", f"{self.overshoot:.4g}"),
                ("50, 90, 99 % forgotten after", self._forgetting()),
            ]
            rows += [
                (f"{y} forgets a state off by one", f"from {a:.4g} {unit or '-'}") for y, a, unit in self._memory()
            ]
            if self.property == "iss":
                rows += [("offset at zero input", f"{self.offset:.4g} (normalised state, scaled norm)")]
            rows += [(f"{y} ends within", f"{a:.6g} .. {b:.6g} {unit}") for y, (a, b), unit in self._ends()]
            rows += [(f"gain bound {u} -> {y}", value) for u, y, value in self._gains()]
        else:
            rows += [("largest residual", f"{self.residual:+.3e}   (must be negative)")]
        rows += [(f"domain, {u}", f"{a:.6g} .. {b:.6g} {unit}") for u, (a, b), unit in self._domain()]
        start = "any" if self.state_box is None else f"|x_i| <= {max(self.state_box):.4g} (normalised)"
        rows += [("domain, initial state", start)]
        rows += [("proof", self.proof)]
        return rows + [(f"also tried: {o.method}", f"rate {o.rate:.6f}" if o.holds else "refused") for o in self.others]

    def _forgetting(self) -> str:
        steps, seconds = zip(*map(self.forgetting, (0.5, 0.1, 0.01)), strict=True)
        text = ", ".join(map(str, steps)) + " steps"
        return text + ("" if self.dt is None else " = " + ", ".join(f"{s:.6g}" for s in seconds) + " s")

    def _ends(self):
        return zip(self.y_names, self.ultimate, self.y_units, strict=bool(self.ultimate))

    def _memory(self):
        return zip(self.y_names, self.memory, self.y_units, strict=bool(self.memory))

    def _gains(self):
        for j, y in enumerate(self.y_names):
            for i, u in enumerate(self.u_names):
                yield u, y, f"{self.gain[j][i]:.4g} {self.y_units[j] or '-'} per {self.u_units[i] or '-'}"

    def _domain(self):
        return zip(self.u_names, self.input_box, self.u_units, strict=True)


def strict(value) -> Any:
    """Infinity and NaN as the texts that float() reads."""
    if isinstance(value, dict):
        return {k: strict(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [strict(v) for v in value]
    return {math.inf: "Infinity", -math.inf: "-Infinity"}.get(value, "NaN") if _is_odd(value) else value


def _is_odd(value) -> bool:
    return isinstance(value, float) and not math.isfinite(value)


def _numbers(value) -> Any:
    return [_numbers(v) for v in value] if isinstance(value, list) else float(value) if type(value) is str else value


def _tuples(value) -> Any:
    return tuple(_tuples(v) for v in value) if isinstance(value, list) else value
