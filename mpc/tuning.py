"""Step response of a System as first order with dead time, and PI loops tuned from it."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from .names import channel_vector, check_names
from .observers import AT_REST, rest_state
from .pi import Loop
from .system import System, evaluate

MAX_STEPS = 20000


class StepFit(NamedTuple):
    """y(s)/u(s) = K exp(-theta s) / (tau s + 1): gain K in units of y per u, tau and theta in s."""

    gain: float
    time_constant: float
    dead_time: float


def fit_step(system: System, u: str, y: str, u0: Any, *, size: float = 0.05) -> StepFit:
    """Fit of the step response from rest at u0 (nu,), by the times of 28.3 % and 63.2 %.

    tau = 1.5 (t63 - t28),  theta = t63 - tau (at least 0)

    size: height of the step as a share of the input's box; taken downwards where the box ends

    Reference: Smith (1972), two-point method.
    Raises: ValueError for a u0 outside the box, or when the system does not come to rest, or y does not answer to u.
    """
    check_names("fit_step's input", [u], system.u_names)
    check_names("fit_step's output", [y], system.y_names)
    i, j = system.u_names.index(u), system.y_names.index(y)
    level = channel_vector("u0", u0, system.u_names, (system.u_min + system.u_max) / 2)
    for name, value, low, high in zip(system.u_names, level, system.u_min, system.u_max, strict=True):
        if not low <= value <= high:
            raise ValueError(f"u0 of {name!r} is {value:g}, outside its box [{low:g}, {high:g}]; tune inside it")
    response, x = [], rest_state(system, np.zeros(system.ny), level)
    height = size * (system.u_max[i] - system.u_min[i])
    height = -height if level[i] + height > system.u_max[i] else height
    level[i] += height
    for _ in range(MAX_STEPS):
        response.append(evaluate(system.g, x)[j])
        x_next = evaluate(system.f, x, level)
        if (np.abs(x_next - x) <= AT_REST * (1 + np.abs(x))).all():
            break
        x = x_next
    else:
        raise ValueError(f"{y!r} does not come to rest after a step of {u!r}; tune it by hand")
    response = np.array(response) - response[0]
    change = float(response[-1])
    if not np.isfinite(change) or abs(change) <= 1e-9 * max(1.0, abs(response).max()):
        raise ValueError(f"{y!r} does not answer to a step of {u!r}; pair it with another input")
    t28, t63 = (_crossing(response / change, share) * system.dt for share in (0.283, 0.632))
    tau = 1.5 * (t63 - t28)
    return StepFit(change / height, max(tau, system.dt / 10), max(t63 - tau, 0.0))


def _crossing(response: np.ndarray, share: float) -> float:
    k = max(int(np.argmax(response >= share)), 1)
    return float(k - 1 + (share - response[k - 1]) / (response[k] - response[k - 1]))


def tune_pi(
    system: System,
    pairs: Mapping[str, str],
    u0: Any,
    *,
    closed_loop_time: Mapping[str, float] | float | None = None,
    size: float = 0.05,
) -> list[Loop]:
    """PI loops {output: input} by the SIMC rule, from step responses around u0 (nu,).

    K = tau / (k (tau_c + theta)),  T_i = min(tau, 4 (tau_c + theta)),  theta with dt / 2 for the
    hold. tau_c, the closed-loop time in s, is the one choice: smaller is faster and less robust.
    Default: max(theta, tau / 5); SIMC's own "tight" tau_c = theta, kept finite for small theta.
    The loops are tuned one by one: where they interact, ask for a larger tau_c.

    Reference: Skogestad (2003), J. Process Control 13, 291-309.
    """
    loops = []
    for y, u in pairs.items():
        k, tau, theta = fit_step(system, u, y, u0, size=size)
        theta += system.dt / 2
        wish = closed_loop_time.get(y) if isinstance(closed_loop_time, Mapping) else closed_loop_time
        tau_c = max(theta, tau / 5) if wish is None else wish
        gain = tau / (k * (tau_c + theta))
        loops.append(Loop(y, u, gain, min(tau, 4 * (tau_c + theta))))
    return loops
