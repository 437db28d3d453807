"""How far inputs can drive the outputs for good, beside the band in which ISS proves that they end up."""

import dataclasses
import json
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from .certificate import Certificate, strict
from .identified import IdentifiedModel, unwrapped
from .model import Model, Params
from .orbits import Domain, certified_domain, close, cycle
from .tightness import aligned

STEPS = 40
"""Samples of an input that is sought; before them it rests, as long."""
REPEATS = 12
"""Times the found input is repeated; what the last half of them all reach counts."""


@dataclass(frozen=True)
class Reached:
    """A certificate for ISS, and what outputs were seen to do inside its domain; the truth lies in between.

    band[output] = (low, high): periodic inputs in the box bring the output down to low, and others up to high, period
    after period; in the units of the outputs. `ultimate` of the certificate has to contain it.
    """

    certificate: Certificate
    band: tuple[tuple[float, float], ...]
    seed: int

    def gaps(self) -> tuple[float | None, ...]:
        """Certified over seen width of each output's band; None if refused, infinite where nothing moved."""
        c = self.certificate
        if not c.holds:
            return (None,) * len(self.band)
        widths = ((b - a, high - low) for (a, b), (low, high) in zip(c.ultimate, self.band, strict=True))
        return tuple(proved / seen if seen > 0 else float("inf") for proved, seen in widths)

    def refutes(self, tolerance: float = 1e-9) -> bool:
        """Whether something was seen that the certificate excludes."""
        if not self.certificate.holds:
            return False
        pairs = zip(self.certificate.ultimate, self.band, strict=True)
        return any(low < a - tolerance * (b - a) or high > b + tolerance * (b - a) for (a, b), (low, high) in pairs)

    def rows(self) -> list[tuple[str, str, str, str]]:
        """(name, certified, seen, ratio) as text, with units."""
        c, rows = self.certificate, []
        for j, (y, unit, gap) in enumerate(zip(c.y_names, c.y_units, self.gaps(), strict=True)):
            ends = [_span(c.ultimate[j] if c.holds else None, unit), _span(self.band[j], unit)]
            rows.append((f"{y} ends up in", *ends, "" if gap is None else f"{gap:.3g}"))
        return rows

    def __str__(self) -> str:
        return aligned(self.rows())

    def to_json(self) -> str:
        """All fields and the ratios, as strict JSON."""
        return json.dumps(strict(dataclasses.asdict(self) | dict(gaps=self.gaps())), indent=1, allow_nan=False)


def _span(ends, unit: str) -> str:
    return "refused" if ends is None else f"[{ends[0]:.4g}, {ends[1]:.4g}] {unit or '-'}"


def attack_iss(
    model: Model | IdentifiedModel, certificate: Certificate, *, seed: int = 0, restarts: int = 8, ascents: int = 30
) -> Reached:
    """Search by gradient ascent for the inputs that drive each output lowest and highest, again and again.

    certificate: one of `model` for ISS; it may be refused. restarts: starting points for each end of each output;
    ascents: gradient steps. An input found is repeated; only what the output reaches in every later period counts, so
    that no initial state is left in it. Raises ValueError for a deltaISS certificate.
    """
    if certificate.property != "iss":
        raise ValueError("the certificate is for delta_iss, which speaks of pairs of trajectories: give it to attack")
    plain, scaler = unwrapped(model)
    p, rng = Params({k: v.detach().double() for k, v in plain.theta().items()}), np.random.default_rng(seed)
    p, domain, _ = certified_domain(plain, p, certificate, scaler)
    ends = furthest(plain, p, domain, rng, restarts, ascents)
    low, high = scaler.y_out(ends.T.numpy())
    return Reached(certificate, tuple(zip(low.tolist(), high.tolist(), strict=True)), seed)


def furthest(model: Model, p: Params, domain: Domain, rng, restarts: int, ascents: int) -> Tensor:
    """(ny, 2): lowest and highest value of each output, normalised, that a repeated input was seen to reach."""
    sign = torch.tensor([-1.0, 1.0], dtype=torch.float64).repeat_interleave(restarts).repeat(model.ny)
    output = torch.arange(model.ny).repeat_interleave(2 * restarts)
    B, limit = len(sign), domain.u_max[:, None]
    still = torch.from_numpy(rng.choice([-3.0, 3.0], (model.nu, B)))
    still[:, ::2] = torch.from_numpy(rng.uniform(-2, 2, (model.nu, B)))[:, ::2]
    x0, _ = close(model, p, torch.zeros(model.nx, B, dtype=torch.float64), (limit * still.tanh())[None], domain.box)
    raw = still.repeat(STEPS, 1, 1).requires_grad_(True)
    adam = torch.optim.Adam([raw], lr=0.3)
    for _ in range(ascents):
        y = sign * model.g(p, cycle(model, p, x0, limit * raw.tanh()))[output, torch.arange(B)]
        raw.grad = torch.nan_to_num(torch.autograd.grad(-y.sum(), raw)[0])
        adam.step()
    rest = (limit * still.tanh()).repeat(STEPS, 1, 1)
    found = [torch.cat([rest, limit * ends]) for ends in (raw.detach().tanh(), raw.detach().sign())]
    peaks = torch.stack([recurring(model, p, x0, pattern, sign, output) for pattern in found]).amax(0)
    return (sign * peaks).unflatten(0, (model.ny, 2, restarts)).mul(torch.tensor([[-1.0], [1.0]])).amax(-1).mul(
        torch.tensor([-1.0, 1.0]))  # fmt: skip


@torch.no_grad()
def recurring(model: Model, p: Params, x: Tensor, pattern: Tensor, sign: Tensor, output: Tensor) -> Tensor:
    """The value of sign y_output (B,) that every one of the later periods of the inputs (T, nu, B) reaches."""
    columns, peaks = torch.arange(len(sign)), []
    for _ in range(REPEATS):
        peak = torch.full_like(sign, -torch.inf)
        for u in pattern:
            peak = torch.maximum(peak, sign * model.g(p, x)[output, columns])
            x = model.f(p, x, u)
        peaks.append(peak)
    return torch.stack(peaks[REPEATS // 2 :]).amin(0)
