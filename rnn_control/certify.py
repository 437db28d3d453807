"""Certificates: what a model's stability conditions promise, in numbers an engineer can use."""

import dataclasses
import hashlib
import math
from typing import Any

import numpy as np
import torch

from .bounds import Bound, perron_weights, steady_gain, weighted_bound
from .certificate import Certificate
from .identified import IdentifiedModel
from .model import Model, Params
from .scaler import Scaler

PROPERTIES = ("delta_iss", "iss")
METHODS = {"delta_iss": ("published", "weighted"), "iss": ("published",)}
ROUNDING = 1e-9
"""A residual must lie this far below zero: the sums behind it are evaluated in float64, to about 1e-13."""


def certify(
    model: Model | IdentifiedModel,
    property: str = "delta_iss",
    method: str = "best",
    input_box: np.ndarray | None = None,
) -> Certificate:
    """Check a model's stability and say what is proved.

    property: "delta_iss" or "iss". method: "published" (the condition of the paper), "weighted" (row-wise comparison
    system in a weighted infinity norm, deltaISS only), or "best": all of them, the best rate wins, the rest is kept in
    `others`. input_box: (nu, 2) lower and upper bounds in the model's units; by default the box of the model's scaling.
    Raises ValueError for an unknown property or method. A model that is not stable gives `holds = False`, no error.
    """
    if property not in METHODS:
        raise ValueError(f"property is {property!r}; choose from {', '.join(PROPERTIES)}")
    if method != "best" and method not in METHODS[property]:
        raise ValueError(f"method is {method!r}; for {property} choose best, {', '.join(METHODS[property])}")
    plain = model.model if isinstance(model, IdentifiedModel) else model
    u_max = _normalised_box(model, input_box)
    p = Params({k: v.detach().double() for k, v in plain.theta().items()})
    tried = METHODS[property] if method == "best" else (method,)
    found = [_describe(model, plain, p, u_max, property, m) for m in tried]
    found.sort(key=lambda c: (not c.holds, c.rate))
    return dataclasses.replace(found[0], others=tuple(found[1:]))


def condition(model: Model, p: Params, u_max: torch.Tensor, property: str, method: str, w=None) -> Bound:
    """The bound of one condition, differentiable in p (and in the weights w > 0 of the weighted one, if given)."""
    if method == "published":
        return model.iss(p, u_max) if property == "iss" else model.delta_iss(p, u_max)
    system = model.comparison(p, u_max)
    return weighted_bound(system, perron_weights(system) if w is None else w)


def is_proved(bound: Bound) -> bool:
    """All residuals negative and the rate below one, with room for rounding; NaN and inf are refused."""
    worst, rate = float(bound.residual.detach().max()), float(bound.rate.detach())
    return bool(worst < -ROUNDING and 0 <= rate < 1 - ROUNDING and torch.isfinite(bound.residual).all())


def weights_hash(p: Params) -> str:
    """sha256 of the explicit parameters: names, shapes, float64 values."""
    digest = hashlib.sha256()
    for name in sorted(p):
        value = np.ascontiguousarray(p[name].detach().double().numpy())
        digest.update(f"{name}{value.shape}".encode() + value.tobytes())
    return digest.hexdigest()


def _normalised_box(model, input_box) -> torch.Tensor:
    plain = model.model if isinstance(model, IdentifiedModel) else model
    if input_box is None:
        return torch.ones(plain.nu, dtype=torch.float64)
    box = np.asarray(input_box, float)
    if box.shape != (plain.nu, 2) or not np.isfinite(box).all() or (box[:, 0] > box[:, 1]).any():
        raise ValueError(f"input_box is {input_box!r}; it must be (nu, 2) = ({plain.nu}, 2): lower, upper per input")
    if isinstance(model, IdentifiedModel):
        box = model.scaler.u_in(box.T).T
    return torch.from_numpy(np.abs(box).max(1))


def _describe(model, plain: Model, p: Params, u_max, property: str, method: str) -> Certificate:
    bound = condition(plain, p, u_max, property, method)
    # a NaN in a bias or read-out enters no condition, and yet no trajectory
    holds = is_proved(bound) and all(bool(torch.isfinite(v).all()) for v in p.values())
    rate = float(bound.rate)
    scaler, labels = _units(model, plain)
    radius, scale = scaler.u_half * u_max.numpy(), bound.scale.numpy()
    overshoot = float(scale.max() / scale.min())
    gain = np.full((plain.ny, plain.nu), math.inf)
    steps = None
    if holds:
        gain = _gain(plain, p, u_max, bound, method) * scaler.y_std[:, None] / scaler.u_half
        steps = max(1, math.ceil(math.log(0.01 / overshoot) / math.log(max(rate, 1e-300))))
    return Certificate(
        kind=plain.kind,
        property=property,
        method=method,
        holds=holds,
        residual=float(bound.residual.max()),
        rate=rate,
        overshoot=overshoot,
        gain=_rows(gain),
        offset=float(bound.offset * bound.scale.max()),
        scale=tuple(scale.tolist()),
        blocks=tuple((size, str(order)) for size, order in bound.blocks),
        input_box=_rows(np.stack([scaler.u_mid - radius, scaler.u_mid + radius], 1)),
        state_box=None if bound.state_box is None else tuple(bound.state_box.tolist()),
        steps_to_forget=steps,
        seconds_to_forget=None if steps is None or labels["dt"] is None else steps * labels["dt"],
        weights_sha256=weights_hash(p),
        **labels,
    )


def _gain(plain: Model, p: Params, u_max, bound: Bound, method: str) -> np.ndarray:
    """Steady gains (ny, nu), normalised; the weighted condition has a sharper one, column by column."""
    C = plain.output_map(p)
    if method == "weighted":
        return (C @ steady_gain(plain.comparison(p, u_max))).numpy()
    return (bound.seen_through(C) @ bound.gain())[:, None].repeat(1, plain.nu).numpy()


def _units(model, plain: Model) -> tuple[Scaler, dict[str, Any]]:
    """Scaling and labels; those of normalised channels if the model has no units."""
    if isinstance(model, IdentifiedModel):
        return model.scaler, {k: getattr(model, k) for k in ("dt", "u_names", "y_names", "u_units", "y_units")}
    u, y = tuple(f"u{i}" for i in range(plain.nu)), tuple(f"y{j}" for j in range(plain.ny))
    labels = dict(dt=None, u_names=u, y_names=y, u_units=("",) * plain.nu, y_units=("",) * plain.ny)
    return Scaler(np.zeros(plain.nu), np.ones(plain.nu), np.zeros(plain.ny), np.ones(plain.ny)), labels


def _rows(a: np.ndarray) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(row) for row in a.tolist())
