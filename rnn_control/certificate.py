"""The certificate: a result that can be printed, saved, compared and re-checked."""

import dataclasses
import json
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Certificate:
    """What is proved of a model, under |u_i| <= input_box_i and starts in |x_i| <= state_box_i.

        || e(k) || <= overshoot rate^k || e(0) || + ...      |y_a(k) - y_b(k)|_j -> at most sum_i gain[j, i] max |du_i|

    e is the difference of two trajectories (deltaISS) or the state itself (ISS, then plus `offset`). The norm is the
    largest over `blocks` (size, order) of the block's norm; in the blocks scaled by `scale` there is no overshoot, nor
    in sqrt(e' P e) with P = `metric`, if there is one (`multipliers` are then those of the matrix inequality).
    `steady` [state][input] bounds the differences that unit differences of the inputs sustain (infinity norms only).
    States are normalised (no unit); gain, input_box and times are physical if the model knows its units.
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
    proof: str = "floating point"
    others: tuple["Certificate", ...] = ()

    def margin(self) -> float:
        """1 - rate."""
        return 1 - self.rate

    def to_json(self) -> str:
        """All fields, as JSON."""
        return json.dumps(dataclasses.asdict(self), indent=1)

    @classmethod
    def from_json(cls, text: str) -> "Certificate":
        """The certificate that `to_json` wrote."""
        return cls._from_dict(json.loads(text))

    @classmethod
    def _from_dict(cls, fields: dict) -> "Certificate":
        names = {f.name for f in dataclasses.fields(cls)}
        if set(fields) != names:
            raise ValueError(f"not a certificate: fields {sorted(set(fields) ^ names)} are missing or unknown")
        others = tuple(cls._from_dict(other) for other in fields["others"])
        return cls(**{k: _tuples(v) for k, v in fields.items() if k != "others"}, others=others)

    def __str__(self) -> str:
        rows = self.rows()
        width = max(len(left) for left, _ in rows)
        return "\n".join([f"Certificate of a {self.kind} model", *(f"  {a:<{width}}  {b}" for a, b in rows)])

    def rows(self) -> list[tuple[str, str]]:
        """What an engineer wants to know, as (name, value) pairs."""
        name = {"delta_iss": "deltaISS", "iss": "ISS"}[self.property]
        rows = [("property", f"{name}: {'holds' if self.holds else 'NOT certified'}"), ("method", self.method)]
        if self.holds:
            rows += [
                ("decay rate per step", f"{self.rate:.6f}   (margin {self.margin():.2e})"),
                ("overshoot", f"{self.overshoot:.4g}"),
                ("99 % forgotten after", self._forgetting()),
            ]
            if self.property == "iss":
                rows += [("offset at zero input", f"{self.offset:.4g} (normalised state, scaled norm)")]
            rows += [(f"gain bound {u} -> {y}", value) for u, y, value in self._gains()]
        else:
            rows += [("largest residual", f"{self.residual:+.3e}   (must be negative)")]
        rows += [(f"domain, {u}", f"{a:.6g} .. {b:.6g} {unit}") for u, (a, b), unit in self._domain()]
        start = "any" if self.state_box is None else f"|x_i| <= {max(self.state_box):.4g} (normalised)"
        rows += [("domain, initial state", start)]
        rows += [("proof", self.proof)]
        return rows + [(f"also tried: {o.method}", f"rate {o.rate:.6f}" if o.holds else "refused") for o in self.others]

    def _forgetting(self) -> str:
        seconds = self.seconds_to_forget
        return f"{self.steps_to_forget} steps" + ("" if seconds is None else f" = {seconds:.6g} s")

    def _gains(self):
        for j, y in enumerate(self.y_names):
            for i, u in enumerate(self.u_names):
                yield u, y, f"{self.gain[j][i]:.4g} {self.y_units[j] or '-'} per {self.u_units[i] or '-'}"

    def _domain(self):
        return zip(self.u_names, self.input_box, self.u_units, strict=True)


def _tuples(value) -> Any:
    return tuple(_tuples(v) for v in value) if isinstance(value, list) else value
