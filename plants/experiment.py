"""Open-loop experiments on a process: input records in, measured records out."""

from collections.abc import Mapping

import numpy as np

from .process import Process


def record(process: Process, u: np.ndarray, disturbances: Mapping[str, float | np.ndarray]) -> dict[str, np.ndarray]:
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


def _input_record(u: np.ndarray, process: Process) -> np.ndarray:
    nu = len(process.u_names)
    u = np.asarray(u, dtype=float)
    u = u.reshape(-1, 1) if u.ndim == 1 and nu == 1 else u
    if u.ndim != 2 or u.shape[1] != nu or len(u) == 0:
        raise ValueError(
            f"u has shape {u.shape}, it must be (T, {nu}) with columns {process.u_names}; "
            f"give several records as a list of such arrays"
        )
    return u


def _disturbance_record(process: Process, disturbances: Mapping[str, float | np.ndarray], samples: int) -> np.ndarray:
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
