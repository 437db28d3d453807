"""A process, a controller and an observer run together."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
from tqdm import tqdm

from .names import check_names
from .observers import Estimate, Observer
from .record import Record, RecordBuilder
from .schedule import as_signal
from .settings import Bounds
from .step_result import StepResult


class Process(Protocol):
    """What run drives: a simulated plant, or a real one behind the same four methods."""

    @property
    def dt(self) -> float: ...
    @property
    def u_names(self) -> tuple[str, ...]: ...
    @property
    def y_names(self) -> tuple[str, ...]: ...
    @property
    def u_units(self) -> tuple[str, ...]: ...
    @property
    def y_units(self) -> tuple[str, ...]: ...
    @property
    def u_min(self) -> np.ndarray: ...
    @property
    def u_max(self) -> np.ndarray: ...
    @property
    def disturbance_names(self) -> tuple[str, ...]: ...
    def reset(self, seed: int = 0) -> None: ...
    def measure(self) -> np.ndarray: ...
    def output(self) -> np.ndarray: ...
    def apply(self, u: np.ndarray, **disturbance: float) -> None: ...


class Controller(Protocol):
    """Input from an estimate and a reference: NMPC, PI."""

    @property
    def u_names(self) -> tuple[str, ...]: ...
    @property
    def y_names(self) -> tuple[str, ...]: ...
    @property
    def dt(self) -> float: ...
    @property
    def horizon(self) -> int: ...
    @property
    def takes_measurement(self) -> bool: ...
    @property
    def bounds(self) -> Bounds: ...
    def reset(self, u_prev: np.ndarray | None = None) -> None: ...
    def step(
        self,
        x_hat: np.ndarray,
        d_hat: np.ndarray | None,
        reference: Any,
        u_prev: np.ndarray | None = None,
    ) -> StepResult: ...


def run(
    process: Process,
    controller: Controller,
    observer: Observer | None,
    reference: Any,
    steps: int,
    *,
    disturbances: Any = None,
    u0: Any = None,
    preview: bool = False,
    seed: int = 0,
    progress: bool = True,
) -> Record:
    """Closed loop over steps samples. At instant k, in this order:

    y(k) measured;  x(k), d(k) estimated from u(k-1), y(k);  u(k) computed;  u(k) held until k+1

    observer: None hands y itself to the controller as its state (for PI)
    reference: (ny,), (steps, ny), or {output: [(time in s, value), ...]}; with preview, an array of
        steps + horizon rows lets the controller see beyond the end
    disturbances: {name: [(time in s, value), ...]}; before its first time a disturbance is not sent
    u0: (nu,) input held before the start, where known; default: the observer and the controller
        take the rest point that explains y(0)
    preview: whether the controller sees references ahead of time
    progress: bar on a terminal

    Ctrl-C, or a RuntimeError of a process that breaks down, ends the run: the record so far is
    returned, and its stopped says why.
    Raises: ValueError when process and controller do not belong together.
    """
    _check_pair(process, controller)
    if steps != int(steps) or steps < 1:
        raise ValueError(f"steps is {steps}; give a whole number of samples, at least one")
    if observer is not None and controller.takes_measurement:
        kind = type(controller).__name__
        raise ValueError(f"{kind} works on the measurement itself, not on an estimate; pass observer=None")
    names = process.disturbance_names
    ahead = controller.horizon if preview else 0
    r = _reference(reference, process, steps, ahead)
    given = {} if disturbances is None else disturbances
    d = as_signal("disturbances", given, names, steps, process.dt)
    u_prev = None if u0 is None else np.asarray(u0, float).reshape(len(process.u_names))
    process.reset(seed)
    controller.reset(u_prev)
    record = RecordBuilder(process, controller.bounds)
    try:
        for k in tqdm(range(steps), desc="closed loop", disable=None if progress else True):
            y, y_true = process.measure(), process.output()
            if observer is not None and k == 0:
                observer.reset(y, u_prev)
            estimate = _estimate(observer, u_prev if k else None, y)
            seen = r[k : k + ahead + 1] if preview else r[k]
            result = controller.step(estimate.x, estimate.d, seen, u_prev)
            result = result if observer is None else _mark_missing(result, y, process.y_names)
            record.add(y, y_true, r[k], d[k], result, estimate.d)
            sent = {n: float(v) for n, v in zip(names, d[k], strict=True) if np.isfinite(v)}
            process.apply(result.u, **sent)
            u_prev = result.u
    except KeyboardInterrupt:
        return record.finish("Ctrl-C")
    except RuntimeError as failure:
        # a simulated plant that broke down is a result, and so is everything before it
        return record.finish(str(failure))
    return record.finish()


def _mark_missing(result: StepResult, y: np.ndarray, names: tuple[str, ...]) -> StepResult:
    """A step that rests on a prediction where a measurement is missing is not ok, however well it was solved."""
    missing = [name for name, fine in zip(names, np.isfinite(y), strict=True) if not fine]
    if not missing:
        return result
    rung, *rest = result.status.split("; ")
    rung = f"{rung} on prediction" if rung == "solved" else rung
    status = "; ".join([rung, f"NaN measurement of {', '.join(missing)}", *rest])
    return replace(result, status=status, ok=False)


def _estimate(observer: Observer | None, u_prev: np.ndarray | None, y: np.ndarray) -> Estimate:
    if observer is None:
        return Estimate(y, np.zeros(len(y)), np.zeros(len(y)))
    return observer.update(u_prev, y)


def _reference(reference: Any, process: Process, steps: int, ahead: int) -> np.ndarray:
    rows = steps + ahead
    if not isinstance(reference, Mapping) and np.ndim(reference) > 0:
        given = np.asarray(reference, float)
        if steps <= len(given) < rows and (given.ndim == 2 or len(process.y_names) == 1):
            last = np.repeat(given[-1:], rows - len(given), axis=0)
            reference = np.concatenate([given, last])
    return as_signal("reference", reference, process.y_names, rows, process.dt)


def _check_pair(process: Process, controller: Controller) -> None:
    for what in ("u_names", "y_names"):
        ours, theirs = getattr(controller, what), getattr(process, what)
        check_names(f"controller's {what}", ours, theirs)
        if tuple(ours) != tuple(theirs):
            raise ValueError(f"{what}: the controller has {ours}, the process {theirs}")
    if abs(process.dt - controller.dt) > 1e-9 * process.dt:
        raise ValueError(f"dt: the controller has {controller.dt} s, the process {process.dt} s")
