"""Open-loop experiments on a process: input records in, measured records out."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .records import Run


def experiment(
    process: Any,
    u: np.ndarray | Sequence[np.ndarray],
    seed: int = 0,
    disturbances: Mapping[str, float | np.ndarray] | None = None,
) -> Run:
    """Apply u (T, nu), or each of a list of such, to a process of a plant or a composition around it.

    disturbances: by name, one value or one a sample (T,). Record i has the chance of seed + i.
    """
    records = []
    for i, u_i in enumerate(u if isinstance(u, list | tuple) else [u]):
        process.reset(seed + i)
        records.append(record(process, np.asarray(u_i), disturbances or {}))
    if not records:
        raise ValueError("no input record: give u as an array (T, nu), or a list of such")
    data = {name: [r[name] for r in records] for name in records[0]}
    if not isinstance(u, list | tuple):
        data = {name: arrays[0] for name, arrays in data.items()}
    return Run(
        **data,
        dt=process.dt,
        u_names=process.u_names,
        y_names=process.y_names,
        u_units=process.u_units,
        y_units=process.y_units,
    )


def record(process: Any, u: np.ndarray, disturbances: Mapping[str, float | np.ndarray]) -> dict[str, np.ndarray]:
    """Drive the process with u (T, nu): arrays u, y (T, ny), y_true, x (T, nx), d (T, nd)."""
    u = _input_record(u, process)
    d = _disturbance_record(process, disturbances, len(u))
    y, y_true, x = [], [], []
    for u_k, d_k in zip(u, d, strict=True):
        y.append(process.measure())
        y_true.append(process.output())
        x.append(process.x)
        process.apply(u_k, **dict(zip(process.disturbance_names, d_k, strict=True)))
    return {"u": u, "y": np.array(y), "y_true": np.array(y_true), "x": np.array(x), "d": d}


def _input_record(u: np.ndarray, process: Any) -> np.ndarray:
    nu = len(process.u_names)
    u = np.asarray(u, dtype=float)
    u = u.reshape(-1, 1) if u.ndim == 1 and nu == 1 else u
    if u.ndim != 2 or u.shape[1] != nu or len(u) == 0:
        raise ValueError(
            f"u has shape {u.shape}, it must be (T, {nu}) with columns {process.u_names}; "
            f"give several records as a list of such arrays"
        )
    return u


def _disturbance_record(process: Any, disturbances: Mapping[str, float | np.ndarray], samples: int) -> np.ndarray:
    nominal = process.plant.disturbance_vector()
    process.plant.disturbance_vector({name: 0.0 for name in disturbances})  # names only
    d = np.tile(nominal, (samples, 1))
    for column, name in enumerate(process.disturbance_names):
        values = np.asarray(disturbances.get(name, nominal[column]), dtype=float)
        if values.shape not in ((), (samples,)):
            raise ValueError(
                f"disturbance {name} has shape {values.shape}; give one value, or one a sample, ({samples},)"
            )
        d[:, column] = values
    return d
