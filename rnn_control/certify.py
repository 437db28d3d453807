"""Certificates: what a model's stability conditions promise, in numbers an engineer can use."""

import dataclasses
import json
import math
from fractions import Fraction
from typing import Any

import numpy as np
import torch

from . import check
from .bounds import Bound
from .boxes import above, cover, invariant, settled
from .certificate import Certificate, steps_until
from .conditions import METHODS, PROPERTIES, SLACK, TRAINABLE, condition, is_proved
from .identified import IdentifiedModel, unwrapped
from .model import Model, Params
from .perron import steady_gain
from .regional import sharpest_bound
from .scaler import Scaler
from .stored import stored, weights_hash

AFFORDABLE, LARGEST = 20, 80
"""States up to which "best" tries the matrix inequality (seconds), and up to which it is tried at all (minutes)."""
PROVABLE = 2e-9
"""Relative room for what the proof of ends rounds: overshoot and offset of a metric are stated 1e-9 larger."""
LEAST = 1e-28
"""Added to rates, gains, offsets, what an output sees of a state: what is zero is proved only up to a last digit."""


def certify(
    model: Model | IdentifiedModel,
    property: str = "delta_iss",
    method: str = "best",
    input_box: np.ndarray | None = None,
    state_box: np.ndarray | str | None = None,
    rigorous: bool = False,
) -> Certificate:
    """Check a model's stability and say what is proved.

    property: "delta_iss", of any two runs, or "iss", of one. method: "published" (the condition of the paper),
    "weighted" (row-wise comparison system, the sharper of that of the class and that of its channels, in a weighted
    infinity norm), "lmi" (matrix inequality, quadratic norm), or "best": all of them in order of cost, "lmi" up to
    AFFORDABLE states; the best rate wins, the rest is kept in `others`.
    input_box: (nu, 2) lower and upper bounds in the model's units; by default the box of the model's scaling. For ISS,
    and for cells without `inputs` (not GRU, LSTM, and networks that begin with them), what is proved is for the
    smallest box around it that is symmetric about the middle of the scaling, as `input_box` of the certificate says.
    state_box: radii (nx,) of a smaller invariant box of normalised states from which all trajectories start, or
    "smallest" to have one found; it sharpens "weighted" and "lmi". By default the model's own box, or none where none
    is needed.
    rigorous: certify only what `check.prove` proves in exact arithmetic, for the weights as they would be saved.
    Raises ValueError for an unknown property or method, or a box that is not invariant. A model that is not stable
    gives `holds = False`, no error.
    """
    if property not in PROPERTIES:
        raise ValueError(f"property is {property!r}; choose from {', '.join(PROPERTIES)}")
    if method not in ("best", *METHODS):
        raise ValueError(f"method is {method!r}; choose from best, {', '.join(METHODS)}")
    plain, scaler = unwrapped(model)
    if method == "lmi" and plain.nx > LARGEST:
        raise ValueError(f"{plain.nx} states are too many for the matrix inequality ({LARGEST}); take another method")
    box, u_max, middle = cover(plain, scaler, input_box, property)
    p = Params({k: v.detach().double() for k, v in plain.theta().items()})
    p = p if middle is None else plain.moved(p, middle)
    region = None if state_box is None else invariant(plain, p, u_max, state_box, rigorous)
    affordable = METHODS if plain.nx <= AFFORDABLE else TRAINABLE
    methods = affordable if method == "best" else (method,)
    bounds = {m: condition(plain, p, u_max, property, m, region=region) for m in methods if m != "weighted"}
    if "weighted" in methods:
        bounds["weighted"] = sharpest_bound(plain, p, u_max, region, property == "iss")
    found = [_describe(model, plain, p, box, bound, u_max, property, m) for m, bound in bounds.items()]
    found = [_proved(model, plain, c) if rigorous and c.holds else c for c in found]
    found.sort(key=lambda c: (not c.holds, c.rate))
    return dataclasses.replace(found[0], others=tuple(found[1:]))


def _proved(model, plain: Model, c: Certificate) -> Certificate:
    """The certificate, with the reason for a refusal if exact arithmetic does not prove it."""
    scaler, labels = _units(model, plain)
    spec, text, raw = stored(plain)
    header = json.loads(json.dumps(dict(spec=spec, equations=text, scaler=scaler.to_dict(), **labels)))
    try:
        check.prove(header, raw, json.loads(c.to_json()))
    except Exception as error:  # whatever it is, nothing is proved
        nothing = tuple((math.inf,) * plain.nu for _ in range(plain.ny))
        times = dict(steps_to_forget=None, seconds_to_forget=None)
        return dataclasses.replace(
            c, holds=False, gain=nothing, ultimate=(), memory=(), proof=f"refused: {error}", **times
        )
    return dataclasses.replace(c, proof="exact arithmetic")


def _describe(model, plain: Model, p: Params, box, bound: Bound, u_max, property: str, method: str) -> Certificate:
    # a NaN in a bias or read-out enters no condition, and yet no trajectory
    holds = is_proved(bound) and all(bool(torch.isfinite(v).all()) for v in p.values())
    rate, scale = float(bound.rate) * (1 + SLACK) + LEAST, bound.scale.numpy()
    slack = SLACK / (1 - rate) if holds else 0.0  # what that of the rate makes of gains
    overshoot = _overshoot(bound)
    scaler, labels = _units(model, plain)
    gain, steady, ends, steps = np.full((plain.ny, plain.nu), math.inf), np.empty((0, plain.nu)), (), None
    memory, offset, is_iss = (), 0.0, property == "iss"
    if holds:
        levels = _levels(bound, plain.nu, is_iss)
        steady, levels = _steady(bound, levels, property), levels * (1 + slack)
        found = ((bound.seen_through(plain.output_map(p)) + LEAST) @ levels[:, : plain.nu]).numpy()
        found = found * scaler.y_std[:, None] / scaler.u_half
        offset = _offset(bound, levels) if is_iss else 0.0
        holds = bool(np.isfinite([*found.flat, offset, overshoot]).all())  # numbers so large promise nothing
    if holds:
        gain, steps = found, steps_until(0.01, rate, overshoot)
        ends = _ultimate(plain, p, u_max, bound, levels, scaler) if is_iss else ()
        memory = tuple((_memory(plain.output_map(p), bound) * scaler.y_std).tolist())
    return Certificate(
        kind=plain.kind,
        property=property,
        method=method,
        holds=holds,
        residual=float(bound.residual.max()),
        rate=rate,
        overshoot=overshoot,
        gain=_rows(gain),
        offset=offset,
        scale=tuple(scale.tolist()),
        metric=None if bound.metric is None else _rows(bound.metric.numpy()),
        multipliers=() if bound.multipliers is None else tuple(bound.multipliers.tolist()),
        blocks=tuple((size, str(order)) for size, order in bound.blocks),
        steady=_rows(steady),
        input_box=_rows(box),
        state_box=None if bound.state_box is None else tuple(bound.state_box.tolist()),
        steps_to_forget=steps,
        seconds_to_forget=None if steps is None or labels["dt"] is None else steps * labels["dt"],
        weights_sha256=weights_hash(plain),
        ultimate=ends,
        memory=memory,
        **labels,
    )


def _overshoot(bound: Bound) -> float:
    """max ||e|| / V(e) over min ||e|| / V(e)."""
    if bound.metric is not None:
        values = torch.linalg.eigvalsh(bound.metric)
        return float((values[-1] / values[0]).sqrt()) * (1 + 1e-9) if values[0] > 0 else math.inf
    scale = bound.scale.numpy()
    return above(Fraction(scale.max()) / Fraction(scale.min())) if np.isfinite(scale).all() else math.inf


def _memory(C: torch.Tensor, bound: Bound) -> np.ndarray:
    """Largest |C e(k)| / (rate^k || e(0) ||), normalised (ny,): |C e| <= seen_through V(e), V(e) <= most || e ||."""
    most = 1 / bound.scale.min() if bound.metric is None else torch.linalg.eigvalsh(bound.metric)[-1].sqrt()
    return ((bound.seen_through(C) + LEAST).sum(1) * most * (1 + 1e-9)).numpy()


def _levels(bound: Bound, nu: int, is_iss: bool) -> torch.Tensor:
    """What inputs, and (ISS) the constant, sustain of V in each block in the end: (blocks, nu + is_iss)."""
    if bound.system is not None:
        return steady_gain(bound.system, bound.scale) / bound.scale[:, None] + LEAST
    inputs = bound.gain()[:, None].expand(-1, nu) if bound.input_gains is None else bound.input_gains[None]
    offset = torch.as_tensor(bound.offset, dtype=inputs.dtype).expand(len(inputs))[:, None]
    return torch.cat([inputs, offset], 1)[:, : nu + is_iss] + LEAST


def _steady(bound: Bound, levels: torch.Tensor, property: str) -> np.ndarray:
    """The levels behind gains in units of the scale, a row for a state.

    In a metric: the r of V(e+)^2 <= r^2 V^2 + g^2 |du_i|^2, and the factor of the multipliers, instead; that of the
    offset, if it has none of its own, is r^2 = rate, which (rate V + h)^2 <= rate V^2 + h^2 / (1 - rate) gives.
    """
    if bound.gain_rates is None:
        return levels.repeat_interleave(torch.tensor([size for size, _ in bound.blocks]), 0).numpy()
    rows, rate = np.stack([bound.gain_rates, np.ones(len(bound.gain_rates))]), float(bound.rate) * (1 + SLACK)
    last = [[math.sqrt(rate)], [1 / rate]]
    return np.hstack([rows, last]) if property == "iss" and rows.shape[1] < levels.shape[1] else rows


def _offset(bound: Bound, levels: torch.Tensor) -> float:
    """Of the unscaled norm of the state."""
    size = bound.scale.max() if bound.metric is None else 1 / torch.linalg.eigvalsh(bound.metric)[0].sqrt() * (1 + 1e-9)
    return float(levels[:, -1].max() * size)


def _ultimate(plain: Model, p: Params, u_max, bound: Bound, levels, scaler: Scaler) -> tuple[tuple[float, ...], ...]:
    """(low, high) per output, physical, between which it ends up: by ISS, and by images of where states end up.

    limsup |C x|_j <= sum_b seen_through_jb (levels_b (u_max; 1)), states with C = I: docs/theory.md, section 2.
    """
    C, at_rest = plain.output_map(p), plain.g(p, torch.zeros(plain.nx, 1, dtype=u_max.dtype)).flatten()
    level = levels @ torch.cat([u_max, u_max.new_ones(1)]) * (1 + PROVABLE)
    radius, states = ((bound.seen_through(M) + LEAST) @ level for M in (C, torch.eye(plain.nx, dtype=C.dtype)))
    if bound.state_box is not None:
        states = torch.fmin(states, bound.state_box * (1 + SLACK))
    low, high = settled(plain, p, u_max, states)
    ends = np.stack([np.fmax((at_rest - radius).numpy(), low), np.fmin((at_rest + radius).numpy(), high)])
    nothing = 10 * LEAST * float(states.sum())  # read-outs so small are seen larger, here and by the checker
    spare = scaler.y_std * (PROVABLE * abs(ends) + nothing) + SLACK * abs(scaler.y_mean)
    return _rows((scaler.y_out(ends) + spare * [[-1], [1]]).T)


def _units(model, plain: Model) -> tuple[Scaler, dict[str, Any]]:
    """Scaling and labels; those of normalised channels if the model has no units."""
    if isinstance(model, IdentifiedModel):
        return model.scaler, {k: getattr(model, k) for k in ("dt", "u_names", "y_names", "u_units", "y_units")}
    u, y = tuple(f"u{i}" for i in range(plain.nu)), tuple(f"y{j}" for j in range(plain.ny))
    labels = dict(dt=None, u_names=u, y_names=y, u_units=("",) * plain.nu, y_units=("",) * plain.ny)
    return Scaler.none(plain.nu, plain.ny), labels


def _rows(a: np.ndarray) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(row) for row in a.tolist())
