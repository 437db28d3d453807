"""Linear models of python-control as Systems."""

from collections.abc import Sequence
from typing import Any

import casadi as ca
import control
import numpy as np

from .system import DiscreteSystem


def from_state_space(
    model: control.StateSpace,
    u_box: Sequence[tuple[float, float]],
    *,
    dt: float | None = None,
    u0: Any = 0.0,
    y0: Any = 0.0,
    u_units: Sequence[str] | None = None,
    y_units: Sequence[str] | None = None,
) -> DiscreteSystem:
    """x+ = A x + B (u - u0), y = y0 + C x: deviations about the operating point (u0, y0), in its units.

    u_box: (low, high) of each input, around u0. dt (s): sampling time; needed for a continuous-time model, which is
    sampled with the input held. Channel names are those of the model.
    Raises: ValueError for a direct feed-through D, which a strictly proper System has not, or for no sampling time.
    """
    if np.any(model.D):
        raise ValueError(f"D = {np.asarray(model.D).tolist()}: y(k) must not depend on u(k); add a delay, or drop D")
    sampled = control.sample_system(model, dt) if model.isctime(strict=True) and dt else model
    if not isinstance(sampled.dt, float | int) or isinstance(sampled.dt, bool) or not sampled.dt > 0:
        raise ValueError(f"the model has dt = {model.dt}; give the sampling time dt in s")
    if dt is not None and abs(sampled.dt - dt) > 1e-9 * dt:
        raise ValueError(f"the model is sampled at {sampled.dt} s, not at dt = {dt} s; resample it")
    u0 = np.broadcast_to(np.asarray(u0, float), (sampled.ninputs,))
    y0 = np.broadcast_to(np.asarray(y0, float), (sampled.noutputs,))
    box = np.asarray(u_box, float).reshape(-1, 2)
    x, u = ca.MX.sym("x", sampled.nstates), ca.MX.sym("u", sampled.ninputs)
    x_next, y = ca.DM(sampled.A) @ x + ca.DM(sampled.B) @ (u - ca.DM(u0)), ca.DM(y0) + ca.DM(sampled.C) @ x
    return DiscreteSystem(
        f=ca.Function("f", [x, u], [x_next], ["x", "u"], ["x_next"]),
        g=ca.Function("g", [x], [y], ["x"], ["y"]),
        dt=float(sampled.dt),
        x0=np.zeros(sampled.nstates),
        u_names=tuple(sampled.input_labels),
        y_names=tuple(sampled.output_labels),
        u_units=tuple(u_units or ["-"] * sampled.ninputs),
        y_units=tuple(y_units or ["-"] * sampled.noutputs),
        u_min=box[:, 0],
        u_max=box[:, 1],
    )
