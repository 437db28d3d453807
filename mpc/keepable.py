"""Soft bounds that no rest point of the model keeps, named when a controller is built: it will break them for good."""

import warnings

import numpy as np

from .observers import rest_state
from .target import REACHED, SteadyTarget, Target


def warn_of_bounds(target: SteadyTarget, names: tuple[str, ...], stacklevel: int = 3) -> None:
    """Warn of bounds of outputs that hold, all at once, at no rest point of the inputs' box, where one was found.

    No error: bounds are soft, a disturbance may move the outputs into them, and a start-up needs its controller.
    Measured inputs may be anywhere in their box. Searched from the system's x0, then from where every input in turn
    leads at the ends of its box, until a rest point keeps them. Leaves the target reset.
    """
    low, high = target.y_bounds
    if not (np.isfinite(low) | np.isfinite(high)).any():
        return
    found = [t for t in _rests(target) if t.ok]
    target.reset()
    if not found:
        return
    s = target.scales
    excess = [np.maximum(0.0, np.maximum(low - t.y, t.y - high)) / s.y_range for t in found]
    best = int(np.argmin([e.max() for e in excess]))
    units = [f" {unit}" if unit.strip("-") else "" for unit in target.system.y_units]
    words = [
        f"{names[j]} in [{low[j]:g}, {high[j]:g}] comes to {found[best].y[j]:.6g}{units[j]}"
        for j in np.flatnonzero(excess[best] > REACHED)
    ]
    if words:
        text = f"no inputs of the box keep these bounds at rest, by the model and all at once: {'; '.join(words)}"
        text += ". They are soft: the controller will break them all the time. Widen them, or the bounds of the inputs"
        warnings.warn(text, stacklevel=stacklevel)


def _rests(t: SteadyTarget) -> list[Target]:
    """Targets for outputs as near to the middle of their range as bounds let them; the last keeps bounds, if any."""
    s, (low, high) = t.system, t.y_bounds
    wanted, found = np.clip(t.scales.y_mid, low, high), []
    middle = (t.u_min + t.u_max) / 2
    t.reset()
    for i in range(-1, 2 * s.nu):
        u, shift = middle.copy(), np.zeros(s.nu)
        if i >= 0:
            u[i // 2] = (t.u_min, t.u_max)[i % 2][i // 2]
            t.start_from(rest_state(s, wanted, u), u)
        shift[t.nu :] = u[t.nu :]
        found.append(t.solve(wanted, None, shift))
        y = found[-1].y
        if found[-1].ok and (np.maximum(low - y, y - high) <= REACHED * t.scales.y_range).all():
            break
    return found
