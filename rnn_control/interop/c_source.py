"""A model as plain C99: two functions and their weights, with nothing to link but the maths library."""

from pathlib import Path

import numpy as np

from ..files import write_whole
from ..identified import IdentifiedModel
from .program import Program, Statement, describe, identifier, programs

ELEMENTWISE = {
    "add": "{} + {}", "sub": "{} - {}", "mul": "{} * {}", "div": "{} / {}", "neg": "-{}", "exp": "exp({})",
    "sigmoid": "0.5 + 0.5 * tanh(0.5 * {})", "tanh": "tanh({})", "relu": "fmax({}, 0.0)",
}  # fmt: skip
PER_LINE = 4


def to_c(model: IdentifiedModel, path: str | Path) -> Path:
    """Write NAME.c with NAME_f(x, u, x_next) and NAME_g(x, y); NAME is the file's name.

    u and y in physical units, x normalised, started as the first lines of the file tell; call both once a sampling
    time: y(k) = g(x(k)), then x(k+1) = f(x(k), u(k)). x_next may be x itself. No heap, no globals that change.
    """
    path = Path(path)
    return write_whole(path, c_source(model, identifier(path.stem)).encode())


def c_source(model: IdentifiedModel, name: str) -> str:
    """The text of the file."""
    f, g = programs(model)
    sizes = {"NX": model.model.nx, "NU": model.model.nu, "NY": model.model.ny}
    lines = [f"/* {line} */" for line in describe(model)]
    lines += ["#include <math.h>", ""]
    lines += [f"#define {name.upper()}_{k} {v}" for k, v in sizes.items()]
    lines += [f"#define {name.upper()}_DT {model.dt!r} /* s */", ""]
    for key, value in {**f.constants, **g.constants}.items():
        lines += [f"static const double {key}[{value.size}] = {{", *_numbers(value), "};"]
    lines += ["", *_function(f, f"{name}_f", "x_next"), "", *_function(g, f"{name}_g", "y")]
    return "\n".join(lines) + "\n"


def _numbers(value: np.ndarray) -> list[str]:
    flat = [repr(v) for v in value.ravel().tolist()]
    return ["  " + ", ".join(flat[i : i + PER_LINE]) + "," for i in range(0, len(flat), PER_LINE)]


def _function(program: Program, name: str, result: str) -> list[str]:
    inputs = ", ".join(f"const double *{k}" for k in program.inputs)
    rows = program.rows()
    body = [line for s in program.statements for line in _lines(s, rows)]
    copy = f"for (int i = 0; i < {rows[program.result]}; i++) {result}[i] = {program.result}[i];"
    return [f"void {name}({inputs}, double *{result})", "{", *(f"  {line}" for line in (*body, copy)), "}"]


def _lines(s: Statement, rows: dict[str, int]) -> list[str]:
    declare, loop = f"double {s.name}[{s.rows}];", f"for (int i = 0; i < {s.rows}; i++)"
    if s.op == "product":
        W, v = s.args
        n = rows[v]
        terms = f"for (int j = 0; j < {n}; j++) {s.name}[i] += {W}[{n} * i + j] * {v}[j];"
        return [declare, f"{loop} {{", f"  {s.name}[i] = 0.0;", f"  {terms}", "}"]
    if s.op == "slice":
        return [declare, f"{loop} {s.name}[i] = {s.args[0]}[{s.args[1]} + i];"]
    if s.op == "stack":
        starts = np.cumsum([0, *(rows[a] for a in s.args)])
        parts = zip(s.args, starts.tolist(), strict=False)
        return [declare, *(f"for (int i = 0; i < {rows[a]}; i++) {s.name}[{k} + i] = {a}[i];" for a, k in parts)]
    terms = (f"{a}[{'i' if rows[a] == s.rows else 0}]" if isinstance(a, str) else repr(float(a)) for a in s.args)
    return [declare, f"{loop} {s.name}[i] = {ELEMENTWISE[s.op].format(*terms)};"]
