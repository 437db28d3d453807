"""A model for MATLAB and Octave: a function file, and the weights as a .mat file."""

from pathlib import Path

import numpy as np
from scipy.io import savemat

from ..files import whole_file, write_whole
from ..identified import IdentifiedModel
from .program import Program, Statement, describe, identifier, plain_name, programs

FORMS = {
    "add": "{} + {}", "sub": "{} - {}", "mul": "{} .* {}", "div": "{} ./ {}", "neg": "-{}", "exp": "exp({})",
    "sigmoid": "0.5 + 0.5 * tanh(0.5 * {})", "tanh": "tanh({})", "relu": "max({}, 0)", "product": "{} * {}",
}  # fmt: skip


def to_matlab(model: IdentifiedModel, path: str | Path) -> Path:
    """Write NAME.m, [x_next, y] = NAME(x, u): u and y in physical units, x normalised, started as its head tells.

    The weights are in the file. It is a StateFcn / OutputFcn for nlmpc and for extended Kalman filters.
    """
    path = Path(path)
    path = path.with_name(identifier(path.stem) + ".m")  # MATLAB calls a function by the name of its file
    return write_whole(path, matlab_source(model, path.stem).encode())


def matlab_source(model: IdentifiedModel, name: str) -> str:
    """The text of the function file."""
    f, g = programs(model)
    constants = {**f.constants, **g.constants}
    lines = [f"function [x_next, y] = {name}(x, u)", *(f"% {line}" for line in describe(model))]
    lines += [f"{key} = {_matrix(value)};" for key, value in constants.items()]
    lines += [*_statements(f, "x_next"), *_statements(g, "y")]
    return "\n".join([*lines, "end"]) + "\n"


def to_mat(model: IdentifiedModel, path: str | Path) -> Path:
    """Write a .mat file (version 5): the matrices by the paper's letters, the scaling, dt in s, names and units."""
    s = model.scaler
    values = {plain_name(k): v.detach().double().numpy() for k, v in model.model.theta().items()}
    values |= {k: getattr(s, k)[:, None] for k in ("u_mid", "u_half", "y_mean", "y_std")}
    labels = ("u_names", "y_names", "u_units", "y_units")
    values |= {k: np.array(getattr(model, k), dtype=object) for k in labels}
    with whole_file(Path(path).with_suffix(".mat")) as partial:
        savemat(str(partial), {**values, "dt": model.dt, "kind": model.model.kind}, appendmat=False)
    return Path(path).with_suffix(".mat")


def _matrix(value: np.ndarray) -> str:
    return "[" + "; ".join(" ".join(map(repr, row)) for row in value.tolist()) + "]"


def _statements(program: Program, result: str) -> list[str]:
    return [*(f"{s.name} = {_value(s)};" for s in program.statements), f"{result} = {program.result};"]


def _value(s: Statement) -> str:
    if s.op == "slice":
        return f"{s.args[0]}({s.args[1] + 1}:{s.args[2]})"
    if s.op == "stack":
        return f"[{'; '.join(s.args)}]"
    return FORMS[s.op].format(*s.args)
