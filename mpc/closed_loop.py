"""A process, a controller and an observer run together."""

from collections.abc import Mapping, Sequence
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
        v_hat: np.ndarray | None = None,
        measured: Any = None,
    ) -> StepResult: ...


def run(
    process: Process,
    controller: Controller,
    observer: Observer | None,
    reference: Any,
    steps: int,
    *,
    disturbances: Any = None,
    measured: Sequence[str] = (),
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
    measured: names of disturbances that observer and controller read, the last inputs of their model, in its order;
        they need a value from the start on, and u0 is needed
    u0: (nu,) input held before the start, where known; default: the observer and the controller
        take the rest point that explains y(0)
    preview: whether the controller sees references, and measured disturbances, ahead of time
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
    given = _lengthened({} if disturbances is None else disturbances, steps, steps + ahead, len(names))
    d = as_signal("disturbances", given, names, steps + ahead, process.dt)
    w = _measured(d, measured, names)
    d = d[:steps]
    u_prev = None if u0 is None else np.asarray(u0, float).reshape(len(process.u_names))
    if measured and u_prev is None:
        raise ValueError("with measured disturbances, give u0: the output alone does not say which input held it")
    process.reset(seed)
    controller.reset(u_prev)
    record = RecordBuilder(process, controller.bounds)
    try:
        for k in tqdm(range(steps), desc="closed loop", disable=None if progress else True):
            y, y_true = process.measure(), process.output()
            if observer is not None and k == 0:
                observer.reset(y, None if u_prev is None else np.append(u_prev, w[0]))
            estimate = _estimate(observer, np.append(u_prev, w[k - 1]) if k and u_prev is not None else None, y)
            seen = r[k : k + ahead + 1] if preview else r[k]
            more = {} if estimate.v is None else {"v_hat": estimate.v}
            more |= {} if estimate.w is None else {"measured": estimate.w}
            more |= {"measured": w[k : k + ahead + 1]} if measured else {}
            result = controller.step(estimate.x, estimate.d, seen, u_prev, **more)
            result = result if observer is None else mark_missing(result, y, process.y_names)
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


def _measured(d: np.ndarray, measured: Sequence[str], names: tuple[str, ...]) -> np.ndarray:
    """Columns of the disturbances d (rows, nd) that are measured, (rows, nw)."""
    check_names("measured", measured, names)
    w = d[:, [names.index(name) for name in measured]]
    for name, column in zip(measured, w.T, strict=True):
        if not np.isfinite(column).all():
            raise ValueError(f"the measured disturbance {name!r} has no value at the start; give it one at time 0")
    return w


def mark_missing(result: StepResult, y: np.ndarray, names: tuple[str, ...]) -> StepResult:
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
    reference = _lengthened(reference, steps, steps + ahead, len(process.y_names))
    return as_signal("reference", reference, process.y_names, steps + ahead, process.dt)


def _lengthened(given: Any, steps: int, rows: int, channels: int) -> Any:
    """An array of at least steps rows with its last one repeated up to rows; anything else as it is."""
    if isinstance(given, Mapping) or np.ndim(given) == 0:
        return given
    array = np.asarray(given, float)
    if steps <= len(array) < rows and (array.ndim == 2 or channels == 1):
        array = np.concatenate([array, np.repeat(array[-1:], rows - len(array), axis=0)])
    return array


def _check_pair(process: Process, controller: Controller) -> None:
    for what in ("u_names", "y_names"):
        ours, theirs = getattr(controller, what), getattr(process, what)
        check_names(f"controller's {what}", ours, theirs)
        if tuple(ours) != tuple(theirs):
            raise ValueError(f"{what}: the controller has {ours}, the process {theirs}")
    if abs(process.dt - controller.dt) > 1e-9 * process.dt:
        raise ValueError(f"dt: the controller has {controller.dt} s, the process {process.dt} s")
