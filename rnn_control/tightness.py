"""What is certified beside what an adversary has found: how tight a certificate is."""

import dataclasses
import json
from dataclasses import dataclass

from .certificate import Certificate, strict

LEFT = (0.5, 0.1, 0.01)
"""Shares of an initial difference whose forgetting is timed."""


def aligned(rows: list[tuple[str, str, str, str]]) -> str:
    """What is certified, what was seen and their ratio as a table of text."""
    table = [("", "certified", "seen", "ratio"), *rows]
    widths = [max(len(row[k]) for row in table) for k in range(4)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in table]
    return "\n".join(line.rstrip() for line in lines)


@dataclass(frozen=True)
class Tightness:
    """A certificate, and what trajectories inside its domain were seen to do; the truth lies in between.

    rate: no certificate in any norm can promise less (from a periodic orbit). `gain[output][input]`: differences of
    this size per unit of input difference exist, in the units of the channels. steps: the longest times after which a
    difference was still larger than the shares LEFT (None: after `longest` steps it was larger yet).
    worst_input (T, nu): the periodic input, in the units of the channels, that is forgotten most slowly.
    """

    certificate: Certificate
    rate: float
    gain: tuple[tuple[float, ...], ...]
    steps: tuple[int | None, ...]
    worst_input: tuple[tuple[float, ...], ...]
    seed: int
    longest: int

    def rate_gap(self) -> float | None:
        """(1 - rate) / (1 - certified rate): how much faster the model may forget than is proved; None if refused."""
        return (1 - self.rate) / (1 - self.certificate.rate) if self.certificate.holds else None

    def gain_gaps(self) -> tuple[tuple[float, ...], ...]:
        """Certified over seen gain, as `gain[output][input]`; infinite where no effect was seen."""
        pairs = zip(self.certificate.gain, self.gain, strict=True)
        return tuple(tuple(c / g if g > 0 else float("inf") for c, g in zip(*rows, strict=True)) for rows in pairs)

    def refutes(self, tolerance: float = 1e-9) -> bool:
        """Whether something was seen that the certificate excludes."""
        c = self.certificate
        if not c.holds:
            return False
        least = (self.longest + 1 if seen is None else seen for seen in self.steps)
        times = any(steps > c.forgetting(left)[0] for steps, left in zip(least, LEFT, strict=True))
        gains = any(gap < 1 - tolerance for row in self.gain_gaps() for gap in row)
        return times or gains or self.rate > c.rate * (1 + tolerance)

    def rows(self) -> list[tuple[str, str, str, str]]:
        """(name, certified, seen, ratio) as text, with units."""
        c, gap = self.certificate, self.rate_gap()
        rows = [("decay rate per step", f"{c.rate:.6f}" if c.holds else "refused", f"{self.rate:.6f}", "")]
        rows += [("1 - rate", *((f"{c.margin():.3g}", f"{1 - self.rate:.3g}", f"{gap:.3g}") if gap is not None else
                               ("refused", f"{1 - self.rate:.3g}", "")))]  # fmt: skip
        for left, seen in zip(LEFT, self.steps, strict=True):
            promised = c.forgetting(left)[0] if c.holds else None
            ratio = f"{promised / seen:.3g}" if promised and seen else ""
            late = f"more than {self._time(self.longest)}" if seen is None else self._time(seen)
            rows += [(f"{100 * (1 - left):g} % forgotten after", self._time(promised), late, ratio)]
        for j, y in enumerate(c.y_names):
            for i, u in enumerate(c.u_names):
                unit = f"{c.y_units[j] or '-'} per {c.u_units[i] or '-'}"
                promised, seen = c.gain[j][i], self.gain[j][i]
                rows += [(f"gain {u} -> {y}", f"{promised:.4g} {unit}", f"{seen:.4g} {unit}",
                          f"{self.gain_gaps()[j][i]:.3g}")]  # fmt: skip
        return rows

    def _time(self, steps: int | None) -> str:
        if steps is None:
            return "-"
        return f"{steps} steps" + ("" if self.certificate.dt is None else f" = {steps * self.certificate.dt:.6g} s")

    def __str__(self) -> str:
        return aligned(self.rows())

    def to_json(self) -> str:
        """All fields and the ratios, as strict JSON."""
        fields = dataclasses.asdict(self) | dict(rate_gap=self.rate_gap(), gain_gaps=self.gain_gaps())
        return json.dumps(strict(fields), indent=1, allow_nan=False)
