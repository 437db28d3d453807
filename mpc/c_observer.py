"""The observers that there are in C: their numbers, their memory, their files."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import casadi as ca
import numpy as np

from .c_numbers import numbers
from .ekf import EKF, DisturbanceObserver
from .filters import DisturbanceFilter
from .innovation import CertifiedObserver
from .mhe import MHE
from .observers import OffsetFreeObserver
from .scales import Scales, scaled_expressions
from .smoothing import ITERATIONS, ROUNDING, SMALLEST_STEP, SURE, TOLERANCE
from .target import SteadyTarget
from .window import Window

DISTURBED = "observer_disturbed.c"
KALMAN = (DISTURBED, "observer_filter.c", "observer_kalman.c")


class ObserverText(NamedTuple):
    """Arrays by name, sizes as macros, members of mpc_t, files of c/ beside observer.c, and further functions; the
    search for the rest to start from; constants as macros, and files of further types.
    """

    arrays: dict[str, np.ndarray]
    sizes: dict[str, int]
    memory: str
    files: tuple[str, ...]
    functions: tuple[ca.Function, ...]
    rest: SteadyTarget
    constants: Mapping[str, Any] = {}
    types: tuple[str, ...] = ()


def _open_loop(o: OffsetFreeObserver, scales: Scales) -> ObserverText:
    arrays = {"gain": o.gain, "disturbed": np.arange(o.system.ny) + 1}
    return ObserverText(arrays, {}, "", (DISTURBED, "observer_open.c"), (), SteadyTarget(o.system))


def _certified(o: CertifiedObserver, scales: Scales) -> ObserverText:
    low, high = ((side * o.x_max - scales.x_mid) / scales.x_half for side in (-1, 1))
    arrays = {"gain": o.gain, "x_low": low, "x_high": high}
    return ObserverText(arrays, {}, "", ("observer_certified.c",), (), o.rest_search())


def _filter(o: DisturbanceFilter, scales: Scales) -> tuple[dict[str, np.ndarray], dict[str, int], np.ndarray]:
    """Arrays and sizes, and units of z."""
    outputs = o.model.outputs
    disturbed = np.zeros(o.system.ny, int)
    disturbed[outputs] = np.arange(len(outputs)) + 1
    return {"disturbed": disturbed}, {"NF": o.model.nz}, np.concatenate([scales.x_half, scales.y_range[outputs]])


def _constant_gain(o: DisturbanceObserver, scales: Scales) -> ObserverText:
    arrays, sizes, unit = _filter(o, scales)
    gain = o.K * scales.y_range / unit[:, None]
    files = (DISTURBED, "observer_filter.c", "observer_gain.c")
    return ObserverText({**arrays, "gain": gain}, sizes, "", files, (), SteadyTarget(o.system))


def _kalman(o: EKF, scales: Scales) -> ObserverText:
    arrays, sizes, unit = _filter(o, scales)
    arrays |= {"variance": np.diag(o.R) / scales.y_range**2, "process_variance": np.diag(o.Q) / unit**2}
    arrays["start_variance"] = np.diag(o.initial) / unit**2
    x, u = ca.MX.sym("x", o.system.nx), ca.MX.sym("u", o.system.nu)
    _, g = scaled_expressions(o.system, scales, x, u)
    slope = ca.Function("base_slope", [x], [ca.densify(ca.jacobian(g, x))], {"cse": True})
    memory = "  double P[NF * NF], AP[NF * NF], next[NF * NF];\n"
    return ObserverText(arrays, sizes, memory, (*KALMAN, "observer_ekf.c"), (slope,), SteadyTarget(o.system))


def _window(o: MHE, scales: Scales) -> ObserverText:
    behind = _kalman(o._behind, scales)
    constants = {"SMOOTHINGS": ITERATIONS, "SMOOTHED": TOLERANCE, "SMOOTH_ROUNDING": ROUNDING}
    return behind._replace(
        sizes={**behind.sizes, "WINDOW": o.window},
        memory=f"{behind.memory}  Window window;\n",
        files=(*KALMAN, "observer_window.c", "observer_mhe.c"),
        constants={**constants, "SMOOTH_SURE": SURE, "SMALLEST_SHARE": SMALLEST_STEP},
        types=("window_types.h",),
    )


OBSERVERS: Mapping[type, Callable[[Any, Scales], ObserverText]] = {
    OffsetFreeObserver: _open_loop,
    DisturbanceObserver: _constant_gain,
    EKF: _kalman,
    MHE: _window,
    CertifiedObserver: _certified,
}


def check_observer(observer: Any, measured: tuple[str, ...]) -> None:
    """Raises: ValueError for an observer that there is no C of, or whose innovation the controller does not know."""
    names = ", ".join(kind.__name__ for kind in OBSERVERS)
    if type(observer) not in OBSERVERS:
        raise ValueError(f"observer is a {type(observer).__name__}; the C code has {names}")
    observed = observer._behind if isinstance(observer, MHE) else observer
    if isinstance(observed, DisturbanceFilter) and observed.model.nv:
        raise ValueError("the observer estimates disturbances of inputs; the C code has those of outputs only")
    if isinstance(observer, MHE):
        _check_window(observer._problem)
    if isinstance(observer, CertifiedObserver) and tuple(observer.system.u_names[observer.nu :]) != measured:
        names = observer.system.u_names[observer.nu :]
        raise ValueError(f"the controller has measured = {measured}, the observer's innovations are {names}; build it "
                         "with NMPC(design.system, ..., measured=design.innovations)")  # fmt: skip


def _check_window(window: Window) -> None:
    if window.is_bounded:
        raise ValueError(
            "the MHE has bounds; where one is met it needs IPOPT, which the C code lacks: build it without bounds"
        )
    if window.is_timed:
        raise ValueError("the MHE has a max_time, but C99 has no clock; build it without, its steps are limited anyway")


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
