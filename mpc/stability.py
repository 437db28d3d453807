"""What can be shown of a loop's stability: a cost that falls, a horizon long enough, a tube, room for a wrong model."""

from collections.abc import Mapping
from typing import Any, NamedTuple, TypeVar

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from .certified import field, minimum_horizon, readout
from .names import channel_intervals, channel_vector
from .nmpc import NMPC
from .record import Record
from .report import Page
from .system import System, state_names

# Solvers leave so large a share of the largest cost undecided.
UNDECIDED = 1e-6
P = TypeVar("P", bound=Page)


class Margin(NamedTuple):
    """Errors of the prediction of an output, in its unit: what its limits tolerate, and the largest that was seen."""

    tolerated: float
    seen: float


def cost_decrease(record: Record, controller: NMPC) -> np.ndarray:
    """J(k) - l(k) - J(k+1), (T,): >= 0 is proved with a certified terminal cost, for a model that is right.

    l(k) = |y(k+1) - r|_Q^2 + |u(k) - u(k-1)|_S^2 + soft bounds of outputs, of the plan. NaN at the first step and the
    last, and where the proof says nothing: the reference changes or is out of reach, a step is not ok. For runs without
    preview of a changing reference, and controllers without a price; below zero stand errors of the model, noise and
    disturbances.
    """
    fall, w, b, q = np.full(len(record), np.nan), controller.weights, controller.bounds, controller._problem
    for k in range(1, len(record) - 1):
        r = record.reference[k]
        constant = np.array_equal(r, record.reference[k + 1], equal_nan=True)
        if not (constant and record.ok[k : k + 2].all() and record.reachable[k : k + 2].all()):
            continue
        y = record.predicted[k, 1]
        slack = np.maximum(0.0, np.maximum(b.y_min - y, y - b.y_max)) / controller.scales.y_range
        cost = np.nansum(w.y * (y - r) ** 2) + (w.du * (record.u[k] - record.u[k - 1]) ** 2).sum()
        cost += q.cost_unit * (q.soft_penalty[: len(y)] * (slack + slack**2)).sum()
        fall[k] = record.cost[k] - cost - record.cost[k + 1]
    return fall


def needed_horizon(controller: NMPC, certificate: Any) -> int | None:
    """Least horizon that is proved to stabilise: 1 with a certified terminal cost (see certified_terminal).

    Without one, minimum_horizon of the rate and the squared overshoot, as if the stage cost were the square of the
    certificate's norm; None where no horizon of reasonable length does.
    """
    if controller.has_certified_terminal:
        return 1
    overshoot = field(certificate, "overshoot")
    try:
        return minimum_horizon(field(certificate, "rate"), 1.0 if overshoot is None else overshoot**2)
    except ValueError:
        return None


def tube(
    system: System, certificate: Any, horizon: int, *, state_error: Any = 0.0, input_error: Any = 0.0
) -> np.ndarray:
    """h (N + 1, ny), in units of y: |y(k) - y'(k)| <= h(k) of two trajectories, of the model and of the plant, say.

    h_j(k) = |C_j|_{P^-1} lambda^k sqrt(|e|' |P| |e|) + (k > 0) sum_i gain_ji v_i

    certificate: with rate and metric P, as for certified_terminal, and with gain (ny, nu) where input_error is not 0
    state_error: e, how far the states are apart at k = 0 at most, scalar or (nx,)
    input_error: v, how far the inputs are apart ever after, in their units; scalar, (nu,) or dict by name

    Reference: Bayer, Buerger, Allgoewer (2013), discrete-time incremental ISS: a framework for robust NMPC.
    Raises: ValueError for a certificate without metric or gain, a read-out that bends, unknown names.
    """
    metric, gain, rate = (field(certificate, name) for name in ("metric", "gain", "rate"))
    if metric is None:
        raise ValueError("tube: the certificate has no metric P; certify with method='lmi', or give diagonal_metric")
    P, C = np.array(metric, float), readout(system)
    e = channel_vector("state_error", state_error, state_names(system), 0.0)
    v = channel_vector("input_error", input_error, system.u_names, 0.0)
    if v.any() and gain is None:
        raise ValueError("tube: input_error needs the certificate's gain, which a metric alone does not have")
    size = np.sqrt(np.abs(e) @ np.abs(P) @ np.abs(e))
    reach = np.sqrt(np.einsum("ij,ji->i", C, np.linalg.solve(P, C.T)))
    held = np.array(gain, float) @ np.abs(v) if v.any() else np.zeros(system.ny)
    k = np.arange(horizon + 1)[:, None]
    return rate**k * size * reach + (k > 0) * held


def robust_margin(record: Record, limits: Mapping[str, Any] | None = None) -> dict[str, Margin]:
    """For each output: the least distance of a plan (i >= 1) to its limits, and the largest error of one sample ahead.

    limits: {name: (low, high)} that must not be passed; default: the controller's bounds. Bounds tightened by m,
    inside of the limits, tolerate errors of m wherever the plan can keep them. tolerated is inf without a limit.
    """
    b, y = record.bounds, record.predicted[:, 1:]
    low, high = channel_intervals("limits", limits, record.y_names, b.y_min, b.y_max)
    room = np.nan_to_num(np.minimum(high - y, y - low), nan=np.inf, posinf=np.inf).min(axis=(0, 1), initial=np.inf)
    seen = np.abs(np.nan_to_num(record.y_true[1:, None] - y[:-1, :1])).max(axis=(0, 1), initial=0.0)
    return {n: Margin(float(room[j]), float(seen[j])) for j, n in enumerate(record.y_names)}


def stability_report(
    record: Record,
    page: P,
    controller: NMPC,
    certificate: Any,
    *,
    limits: Mapping[str, Any] | None = None,
    state_error: Any = 0.0,
    input_error: Any = 0.0,
) -> P:
    """Add to the page what the certificate shows of a run of this controller; arguments as above. Returns it.

    The horizon against the least one, the cost along the run and where it fell as it must, the margins, and the plan
    of the greatest cost within its tube.
    """
    fall, needed = cost_decrease(record, controller), needed_horizon(controller, certificate)
    judged = np.isfinite(fall)
    largest = record.cost[np.isfinite(record.cost)].max(initial=0.0)
    page.heading("Stability")
    page.key_numbers(
        [
            ("certified rate per step", field(certificate, "rate")),
            ("horizon", controller.horizon),
            ("least horizon", needed if needed else "none proved"),
            ("steps judged", int(judged.sum())),
            ("cost fell as proved", int((fall[judged] >= -UNDECIDED * largest).sum())),
        ]
    )
    page.figure(_plot_cost(record, fall), "Cost of each plan; dots: the most that it may be after the step before")
    margins = robust_margin(record, limits)
    rows = [(n, unit or "-", m.tolerated, m.seen) for (n, m), unit in zip(margins.items(), record.y_units, strict=True)]
    page.table(["output", "unit", "tolerated error", "largest error seen"], rows, "Of the prediction, to keep limits")
    h = tube(controller.system, certificate, controller.horizon, state_error=state_error, input_error=input_error)
    if len(record) and np.isfinite(record.cost).any():
        page.figure(_plot_tube(record, h), "The plan of the greatest cost within its tube; dots: what came of it")
    return page


def _plot_cost(record: Record, fall: np.ndarray) -> Figure:
    figure, ax = plt.subplots(figsize=(8, 2.6), layout="constrained")
    ax.plot(record.t, record.cost, lw=1.2)
    ax.plot(record.t[1:], (fall[:-1] + record.cost[1:]), ".", ms=4, color="0.4")
    ax.set(xlabel="time [s]", ylabel="cost")
    return figure


def _plot_tube(record: Record, h: np.ndarray) -> Figure:
    k = int(np.argmax(np.where(np.isfinite(record.cost), record.cost, -np.inf)))
    y, ny = record.predicted[k], len(record.y_names)
    t, b = record.t[k] + record.dt * np.arange(len(y)), record.bounds
    figure, axes = plt.subplots(ny, sharex=True, squeeze=False, figsize=(8, 1 + 1.8 * ny), layout="constrained")
    for j, ax in enumerate(axes[:, 0]):
        ax.fill_between(t, y[:, j] - h[:, j], y[:, j] + h[:, j], alpha=0.25, lw=0)
        ax.plot(t, y[:, j], lw=1.2)
        came = record.y_true[k : k + len(y), j]
        ax.plot(t[: len(came)], came, "k.", ms=4)
        for level in (b.y_min[j], b.y_max[j]):
            if np.isfinite(level):
                ax.axhline(level, color="0.4", ls=":", lw=1)
        ax.set_ylabel(f"{record.y_names[j]} [{record.y_units[j] or '-'}]")
    axes[-1, 0].set_xlabel("time [s]")
    return figure
