"""ONNX out and in, by CasADi's own exporter and importer: no ONNX package is needed.

One graph is one sampling instant: (x, u) -> (x_next, y) with x_next = f(x, u) and y = g(x), in double, each signal a
row (1, n). The state x has no unit.
"""

from dataclasses import replace
from pathlib import Path

import casadi as ca
import numpy as np

from ..export import CasadiModel
from ..files import whole_file
from ..scaler import Scaler


def step_function(system: CasadiModel) -> ca.Function:
    """(x, u) -> (x_next, y) of one sampling instant."""
    x, u = ca.MX.sym("x", system.nx), ca.MX.sym("u", system.nu)
    [x_next], [y] = system.f.call([x, u], True), system.g.call([x], True)  # inlined: exporters know no nested calls
    return ca.Function("step", [x, u], [x_next, y], ["x", "u"], ["x_next", "y"])


def to_onnx(system: CasadiModel, path: str | Path) -> Path:
    """Write the .onnx file of one instant, u and y in physical units."""
    with whole_file(path) as partial:
        ca.GraphBuilder(step_function(system)).export_onnx(str(partial))
    return Path(path)


def from_onnx(path: str | Path, like: CasadiModel) -> CasadiModel:
    """The system whose instant the file describes, in physical units already; labels, dt and box are those of `like`,
    and the state that runs begin from where it has as many, else zeros.

    For a graph of normalised signals, as torch writes it of a GRUCell or LSTMCell, go on with `in_units`. A graph of
    torch must be exported with dynamo=False or with its weights inside the file. Nothing can be certified of a graph:
    for that there are `from_torch`, and `from_onnx_layer` of rnn_control.interop.onnx_layers for the operators GRU and
    LSTM.
    """
    step = _read(Path(path))
    x, u = ca.MX.sym("x", step.numel_in(0)), ca.MX.sym("u", step.numel_in(1))
    if (x.numel(), u.numel(), step.numel_out(1)) != (step.numel_out(0), like.nu, like.ny):
        raise ValueError(
            f"{path} maps (x, u) of {x.numel()}, {u.numel()} numbers to (x_next, y) of {step.numel_out(0)}, "
            f"{step.numel_out(1)}; needed are x_next as long as x, {like.nu} inputs and {like.ny} outputs"
        )

    def instant(x, u):
        x_next, y = step(ca.reshape(x, *step.size_in(0)), ca.reshape(u, *step.size_in(1)))
        return ca.vec(x_next), ca.vec(y)

    f = ca.Function("f", [x, u], [instant(x, u)[0]], ["x", "u"], ["x_next"])
    g = ca.Function("g", [x], [instant(x, ca.DM.zeros(like.nu))[1]], ["x"], ["y"])
    x0 = like.x0 if like.nx == x.numel() else np.zeros(x.numel())
    return replace(like, f=f, g=g, x0=x0, x_max=np.full(x.numel(), np.inf))


def in_units(system: CasadiModel, scaler: Scaler) -> CasadiModel:
    """A system of normalised u and y, in the units of `scaler`, whose box it takes."""
    x, u = ca.MX.sym("x", system.nx), ca.MX.sym("u", system.nu)
    x_next = system.f(x, (u - ca.DM(scaler.u_mid)) / ca.DM(scaler.u_half))
    y = ca.DM(scaler.y_mean) + ca.DM(scaler.y_std) * system.g(x)
    f, g = ca.Function("f", [x, u], [x_next], ["x", "u"], ["x_next"]), ca.Function("g", [x], [y], ["x"], ["y"])
    return replace(system, f=f, g=g, u_min=scaler.u_min, u_max=scaler.u_max)


def _read(path: Path) -> ca.Function:
    if not path.exists():
        raise FileNotFoundError(f"no ONNX file {path}")
    try:
        step = ca.GraphBuilder(str(path)).create("step", {"symbolic": True})
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1]
        raise ValueError(f"{path} is no ONNX graph that CasADi reads: {reason}") from error
    if (step.n_in(), step.n_out()) != (2, 2):
        raise ValueError(
            f"{path} maps {step.name_in()} to {step.name_out()}; it must be one instant, (x, u) to (x_next, y)"
        )
    return step
