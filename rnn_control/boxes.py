"""Boxes on which a certificate is to hold: the inputs' in physical units, and invariant ones of the states."""

import math
from fractions import Fraction

import numpy as np
import torch
from torch import Tensor

from .channels import images, trace
from .model import Model, Params
from .scaler import Scaler

ROOM = 1e-12
"""Share of a box that its image must leave free: the sums behind the image are rounded."""
INVARIANT = 1 + 1e-12
"""Images are rounded outwards, so that of an invariant box may seem to be this much larger."""

HUGE = 1e9
"""Times a box, beside which inputs and biases are nothing."""

WIDEN = "widen it there, narrow input_box, or leave state_box out"
GROWS = (
    "nor is it within any wider box, where x + A x is bounded by |x| + |A x|; leave state_box out, "
    'or give "smallest" for the box that the model\'s class proves'
)

LEAST = 1e-27
"""Radius of a state that does not move."""


def cover(
    model: Model, scaler: Scaler, asked: np.ndarray | None, property: str
) -> tuple[np.ndarray, Tensor, Tensor | None]:
    """The box (nu, 2) to certify, in the model's units; u_max (nu,) that covers it, and its middle, if any.

    Symmetric around u_mid, but for deltaISS of a cell that can be `moved`: from u_mid ISS counts inputs.
    """
    radius = scaler.u_half
    if asked is not None:
        ends = np.asarray(asked, float)
        if ends.shape != (model.nu, 2) or not np.isfinite(ends).all() or (ends[:, 0] > ends[:, 1]).any():
            raise ValueError(f"input_box is {asked!r}; it must be (nu, 2) = ({model.nu}, 2): lower, upper per input")
        if model.inputs and property == "delta_iss":
            middle = scaler.u_in(ends.mean(1))
            return ends, reach(ends, scaler, middle), torch.from_numpy(middle)
        radius = abs(ends - scaler.u_mid[:, None]).max(1)
    box = np.stack([scaler.u_mid - radius, scaler.u_mid + radius], 1)
    return box, reach(box, scaler, np.zeros(model.nu)), None


def reach(box: np.ndarray, scaler: Scaler, middle: np.ndarray) -> Tensor:
    """(nu,): how far, normalised, the ends of a box are at most from the middle (nu,), normalised."""
    rows = zip(box.tolist(), *(a.tolist() for a in (scaler.u_mid, scaler.u_half, middle)), strict=True)
    far = [max(abs((Fraction(end) - Fraction(m)) / Fraction(h) - Fraction(c)) for end in row) for row, m, h, c in rows]
    return torch.tensor([above(a) for a in far], dtype=torch.float64)


def above(a: Fraction) -> float:
    """The least double that is not smaller."""
    return float(a) if Fraction(float(a)) >= a else math.nextafter(float(a), math.inf)


def invariant(model: Model, p: Params, u_max: Tensor, asked: np.ndarray | str, rigorous: bool) -> Tensor | None:
    """The radii (nx,) asked for, if f maps that box into itself; "smallest": those to which its images shrink.

    By interval evaluation of f (Theorem 15). Raises ValueError for a box that it does not prove invariant; the model's
    own box, which its class proves, is the smallest then, or none if all has to be proved by intervals (`rigorous`).
    """
    if isinstance(asked, str):
        if asked != "smallest":
            raise ValueError(f'state_box is {asked!r}; give radii (nx,), normalised, or "smallest"')
        box = _smallest(model, p, u_max)
    else:
        box = np.asarray(asked, float)
        if box.shape != (model.nx,) or not (np.isfinite(box) & (box > 0)).all():
            raise ValueError(f"state_box is {asked!r}; it must be (nx,) = ({model.nx},) positive radii, normalised")
    grown = _image(model, p, u_max, box) * (1 + ROOM) / box
    if (grown <= 1).all():
        return torch.from_numpy(box)
    if isinstance(asked, str):
        own = model.state_box(p, u_max)
        is_shown = (_image(model, p, u_max, own.numpy()) <= INVARIANT * own.numpy()).all()
        return own if is_shown or not rigorous else None
    i = int(np.nanargmax(grown))
    way = GROWS if _image(model, p, u_max, HUGE * box)[i] > 1.01 * HUGE * box[i] else WIDEN
    raise ValueError(
        f"the state box is not shown to be invariant: state {i} starts within {box[i]:.6g} and may reach "
        f"{grown[i] * box[i]:.6g}; {way}"
    )


def _image(model: Model, p: Params, u_max: Tensor, box: np.ndarray) -> np.ndarray:
    return trace(model, p, box, u_max.numpy()).image


def _smallest(model: Model, p: Params, u_max: Tensor, steps: int = 200) -> np.ndarray:
    """Images of images of the model's own box, which fall: an image of an invariant box is invariant."""
    box = _larger(model.state_box(p, u_max).numpy())
    for _ in range(steps):
        image = np.minimum(box, _larger(_image(model, p, u_max, box)))
        if (box <= (1 + 1e-6) * image).all():
            break
        box = image
    if not np.isfinite(box).all():
        raise ValueError(f"no box is known that state {int(np.argmax(box))} does not leave; give radii (nx,)")
    return box


def settled(model: Model, p: Params, u_max: Tensor, radius: Tensor, steps: int = 300) -> tuple[np.ndarray, np.ndarray]:
    """Low and high (ny,) between which outputs settle if all states come within |x| <= radius (nx,) in the end.

    Where states settle is its own image under f, so it lies in the image of every box that it lies in, and of that one.
    """
    high = radius.numpy()
    low, last = -high, np.inf
    for _ in range(steps):
        lower, upper, y_low, y_high = images(model, p, low, high, u_max.numpy())
        low, high = np.fmax(low, lower), np.fmin(high, upper)
        width = float(np.sum(high - low))
        if not width < (1 - 1e-3) * last:
            break
        last = width
    return y_low, y_high


def _larger(box: np.ndarray) -> np.ndarray:
    """A little: there is room for rounding, and no state's box is a point."""
    return box * (1 + 1e-9) + LEAST
