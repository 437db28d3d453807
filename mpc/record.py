"""Record of a closed-loop run: signals, settings, and the numbers that judge it."""

import csv
import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

import numpy as np
from matplotlib.figure import Figure

from . import metrics
from .names import labelled
from .notebook import record_html
from .plotting import compare
from .settings import Bounds
from .step_result import StepResult

SCHEMA = 4


@dataclass(frozen=True, eq=False)
class Record:
    """Closed-loop run over T samples, in physical units; row k is instant k.

    t (T,) s; u (T, nu) held from t(k) on; y measured, y_true without noise, reference, d_hat
    estimated output disturbance: (T, ny); disturbances (T, nd), NaN while none was sent; status,
    ok, reachable (the reference could be held at rest), cost, solve_time (s): (T,); predicted (T, N + 1, ny)
    outputs of each plan, the present one first, NaN where there was no plan; bounds in force; stopped: why the
    run ended early, else "".
    """

    t: np.ndarray
    u: np.ndarray
    y: np.ndarray
    y_true: np.ndarray
    reference: np.ndarray
    disturbances: np.ndarray
    d_hat: np.ndarray
    status: np.ndarray
    ok: np.ndarray
    reachable: np.ndarray
    cost: np.ndarray
    solve_time: np.ndarray
    predicted: np.ndarray
    bounds: Bounds
    dt: float
    u_names: tuple[str, ...]
    y_names: tuple[str, ...]
    u_units: tuple[str, ...]
    y_units: tuple[str, ...]
    disturbance_names: tuple[str, ...]
    stopped: str

    @property
    def interrupted(self) -> bool:
        """Whether the run ended early."""
        return bool(self.stopped)

    def __len__(self) -> int:
        return len(self.t)

    def ise(self) -> dict[str, float]:
        """See metrics.ise."""
        return metrics.ise(self)

    def offset(self) -> dict[str, list[float]]:
        """See metrics.offset."""
        return metrics.offset(self)

    def metrics(self) -> dict[str, Any]:
        """ISE, steady offsets, bound violations, failed steps and solve times, by name."""
        return metrics.summary(self)

    def table(self) -> str:
        """The metrics as text, with units."""
        return metrics.table(self)

    def plot(self) -> Figure:
        """Outputs with references and bounds, inputs as steps; returns the figure."""
        return compare([self])

    def _repr_html_(self) -> str:
        return record_html(self)

    def to_csv(self, path: str | Path) -> None:
        """One row per instant; columns are named "name [unit]", "true ..." and "reference ..."."""
        y_columns = [*map(labelled, self.y_names, self.y_units)]
        header = ["t [s]"]
        header += [*map(labelled, self.u_names, self.u_units)]
        header += y_columns + [f"true {c}" for c in y_columns]
        header += [f"reference {c}" for c in y_columns]
        header += [*self.disturbance_names, "solve time [s]", "status"]
        numbers = np.column_stack([self.t, self.u, self.y, self.y_true, self.reference, self.disturbances])
        with open(path, "w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(header)
            for row, seconds, status in zip(numbers, self.solve_time, self.status, strict=True):
                writer.writerow([*(repr(float(v)) for v in row), repr(float(seconds)), status])

    def save(self, path: str | Path) -> None:
        """Write an .npz of arrays and one JSON text; nothing in it is ever executed."""
        arrays, rest = {}, {"schema": SCHEMA}
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name == "bounds":
                arrays |= {f"bounds_{n}": v for n, v in value._asdict().items()}
            elif isinstance(value, np.ndarray):
                arrays[field.name] = value
            else:
                rest[field.name] = value
        np.savez_compressed(path, meta=np.array(json.dumps(rest)), **arrays)

    @classmethod
    def load(cls, path: str | Path) -> "Record":
        """Read what save wrote.

        Raises: ValueError for a file of another schema or none of this kind.
        """
        try:
            with ZipFile(path), np.load(path, allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
        except BadZipFile as error:
            raise ValueError(f"{path} is no whole record of a closed loop ({error}); run the loop again") from error
        if "meta" not in arrays:
            raise ValueError(f"{path} holds arrays but no closed-loop record; it was written by something else")
        rest = json.loads(str(arrays.pop("meta")))
        if rest.pop("schema", None) != SCHEMA:
            raise ValueError(f"{path} is not a record of schema {SCHEMA}; run it again and save")
        rest = {k: tuple(v) if isinstance(v, list) else v for k, v in rest.items()}
        bounds = Bounds(*(arrays.pop(f"bounds_{name}") for name in Bounds._fields))
        values: dict[str, Any] = {**arrays, **rest}
        return cls(**values, bounds=bounds)


class RecordBuilder:
    """Collects the rows of a run; finish makes the frozen Record."""

    def __init__(self, process: Any, bounds: Bounds):
        self._process, self._bounds = process, bounds
        self._rows: list[tuple[Any, ...]] = []
        self._plans: list[np.ndarray | None] = []

    def add(
        self,
        y: np.ndarray,
        y_true: np.ndarray,
        reference: np.ndarray,
        disturbance: np.ndarray,
        result: StepResult,
        d_hat: np.ndarray,
    ) -> None:
        """Row of one instant."""
        r = result
        signals = [y, y_true, reference, disturbance, r.u, d_hat]
        self._plans.append(None if r.predicted is None else np.array(r.predicted.y))
        self._rows.append((*(np.array(s, float) for s in signals), r.status, r.ok, r.reachable, r.cost, r.solve_time))

    def finish(self, stopped: str = "") -> Record:
        p = self._process
        names = ("y", "y_true", "reference", "disturbances", "u", "d_hat")
        widths = dict.fromkeys(names, len(p.y_names))
        widths |= {"u": len(p.u_names), "disturbances": len(p.disturbance_names)}
        columns = list(zip(*self._rows, strict=True)) or [()] * (len(names) + 5)
        signals: dict[str, Any] = {
            name: np.array(column, float).reshape(-1, widths[name])
            for name, column in zip(names, columns[: len(names)], strict=True)
        }
        status, ok, reachable, cost, solve_time = columns[len(names) :]
        return Record(
            t=np.arange(len(status)) * p.dt,
            **signals,
            status=np.array(status, dtype=str),
            ok=np.array(ok, bool),
            reachable=np.array(reachable, bool),
            cost=np.array(cost, float),
            solve_time=np.array(solve_time, float),
            predicted=self._predicted(len(p.y_names)),
            bounds=self._bounds,
            dt=float(p.dt),
            u_names=tuple(p.u_names),
            y_names=tuple(p.y_names),
            u_units=tuple(p.u_units),
            y_units=tuple(p.y_units),
            disturbance_names=tuple(p.disturbance_names),
            stopped=stopped,
        )

    def _predicted(self, ny: int) -> np.ndarray:
        rows = max((len(plan) for plan in self._plans if plan is not None), default=0)
        nothing = np.full((rows, ny), np.nan)
        plans = [nothing if plan is None else plan for plan in self._plans]
        return np.array(plans, float).reshape(len(plans), rows, ny)
