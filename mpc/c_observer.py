"""The observers that there are in C: their numbers, their memory, their files."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import casadi as ca
import numpy as np

from .c_numbers import numbers
from .ekf import EKF, DisturbanceObserver
from .filters import DisturbanceFilter
from .observers import OffsetFreeObserver
from .scales import Scales, scaled_expressions


class ObserverText(NamedTuple):
    """Arrays by name, sizes as macros, members of mpc_t, files of c/ beside observer.c, and further functions."""

    arrays: dict[str, np.ndarray]
    macros: dict[str, int]
    memory: str
    files: tuple[str, ...]
    functions: tuple[ca.Function, ...]


def _open_loop(o: OffsetFreeObserver, scales: Scales) -> ObserverText:
    arrays = {"gain": o.gain, "disturbed": np.arange(o.system.ny) + 1}
    return ObserverText(arrays, {}, "", ("observer_open.c",), ())


def _filter(o: DisturbanceFilter, scales: Scales) -> tuple[dict[str, np.ndarray], dict[str, int], np.ndarray]:
    """Arrays and macros, and units of z."""
    outputs = o.model.outputs
    disturbed = np.zeros(o.system.ny, int)
    disturbed[outputs] = np.arange(len(outputs)) + 1
    return {"disturbed": disturbed}, {"NF": o.model.nz}, np.concatenate([scales.x_half, scales.y_range[outputs]])


def _constant_gain(o: DisturbanceObserver, scales: Scales) -> ObserverText:
    arrays, macros, unit = _filter(o, scales)
    gain = o.K * scales.y_range / unit[:, None]
    return ObserverText({**arrays, "gain": gain}, macros, "", ("observer_filter.c", "observer_gain.c"), ())


def _kalman(o: EKF, scales: Scales) -> ObserverText:
    arrays, macros, unit = _filter(o, scales)
    arrays |= {"variance": np.diag(o.R) / scales.y_range**2, "process_variance": np.diag(o.Q) / unit**2}
    arrays["start_variance"] = np.diag(o.initial) / unit**2
    memory = f"  double {', '.join(f'{name}[{o.model.nz**2}]' for name in ('P', 'AP', 'next'))};\n"
    x, u = ca.MX.sym("x", o.system.nx), ca.MX.sym("u", o.system.nu)
    _, g = scaled_expressions(o.system, scales, x, u)
    slope = ca.Function("model_slope", [x], [ca.densify(ca.jacobian(g, x))], {"cse": True})
    return ObserverText(arrays, macros, memory, ("observer_filter.c", "observer_ekf.c"), (slope,))


OBSERVERS: Mapping[type, Callable[[Any, Scales], ObserverText]] = {
    OffsetFreeObserver: _open_loop,
    DisturbanceObserver: _constant_gain,
    EKF: _kalman,
}


def check_observer(observer: Any) -> None:
    """Raises: ValueError for an observer that there is no C of."""
    names = ", ".join(kind.__name__ for kind in OBSERVERS)
    if type(observer) not in OBSERVERS:
        raise ValueError(f"observer is a {type(observer).__name__}; the C code has {names}")
    if isinstance(observer, DisturbanceFilter) and observer.model.nv:
        raise ValueError("the observer estimates disturbances of inputs; the C code has those of outputs only")


def observer_text(observer: Any, scales: Scales) -> ObserverText:
    """Of an observer that check_observer accepts, in scaled numbers."""
    return OBSERVERS[type(observer)](observer, scales)


def table(name: str, values: np.ndarray) -> str:
    """static const NAME[...] = {...}, of double or int; a row a line where the values have two dimensions."""
    shape = "".join(f"[{n}]" for n in values.shape)
    if values.dtype.kind == "i":
        return f"static const int {name}{shape} = {{{', '.join(map(str, values.tolist()))}}};"
    inside = numbers(values) if values.ndim == 1 else f"{{\n{(',' + chr(10)).join(map(numbers, values))}}}"
    return f"static const double {name}{shape} = {inside};"
