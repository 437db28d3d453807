"""A model's f and g in physical units as straight-line programs: what C and MATLAB are printed from.

The cell's own f and g are the only statement of the equations: torch records what they do, and what depends on neither
state nor input is folded into constants.
"""

import re
from textwrap import wrap
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import fx
from torch.fx.experimental.proxy_tensor import make_fx
from torch.fx.node import map_arg

from ..identified import IdentifiedModel
from ..model import Params

OPERATIONS = {
    "add.Tensor": "add", "sub.Tensor": "sub", "mul.Tensor": "mul", "div.Tensor": "div", "neg.default": "neg",
    "rsub.Scalar": "rsub", "exp.default": "exp", "sigmoid.default": "sigmoid", "tanh.default": "tanh",
    "relu.default": "relu", "mm.default": "product", "slice.Tensor": "slice", "cat.default": "stack",
}  # fmt: skip
"""Operations of torch that a cell may use, and what they are called here."""


class Statement(NamedTuple):
    """`name` = op(args), a column of `rows` numbers; args are names or numbers, of a slice (name, start, stop)."""

    name: str
    op: str
    args: tuple[Any, ...]
    rows: int


class Program(NamedTuple):
    """Columns in, named constants, statements in order, and the name of the result."""

    inputs: dict[str, int]
    constants: dict[str, np.ndarray]
    statements: tuple[Statement, ...]
    result: str

    def rows(self) -> dict[str, int]:
        """Length of every column there is."""
        constants = {name: len(value) for name, value in self.constants.items()}
        return {**self.inputs, **constants, **{s.name: s.rows for s in self.statements}}


def plain_name(name: str) -> str:
    """A parameter's name in C and MATLAB; those of a series of cells bear the number of the cell, as in 0.Wz."""
    return f"cell{name.replace('.', '_')}" if name[0].isdigit() else name.replace(".", "_")


def programs(model: IdentifiedModel) -> tuple[Program, Program]:
    """x_next = f(x, u) and y = g(x), u and y in physical units, the state normalised."""
    cell, s = model.model, model.scaler
    scaling = {k: getattr(s, k) for k in ("u_mid", "u_half", "y_mean", "y_std")}
    p = {k: v.detach().double() for k, v in cell.theta().items()}
    p |= {k: torch.from_numpy(v)[:, None] for k, v in scaling.items()}

    def f(x, u, *values):
        q = Params(zip(p, values, strict=True))
        return cell.f(q, x, (u - q.u_mid) / q.u_half)

    def g(x, *values):
        q = Params(zip(p, values, strict=True))
        return q.y_mean + q.y_std * cell.g(q, x)

    return _trace(f, {"x": cell.nx, "u": cell.nu}, p), _trace(g, {"x": cell.nx}, p)


def identifier(text: str) -> str:
    """text as a name in C, MATLAB and Python."""
    name = re.sub(r"\W", "_", text, flags=re.ASCII)
    return name if name[:1].isalpha() else f"model_{name}"


def describe(model: IdentifiedModel) -> list[str]:
    """What a reader of generated code has to know."""

    def channels(names, units):
        shown = ", ".join(f"{n} [{u or '-'}]" for n, u in zip(names, units, strict=True))
        return re.sub(r"[\r\n]|\*/|/\*", " ", shown)

    start = ", ".join(map(repr, model.x0.tolist()))
    return [
        f"{model.model.kind}, written by rnn_control; once every {model.dt:g} s: y = g(x), then x = f(x, u)",
        f"u: {channels(model.u_names, model.u_units)}",
        f"y: {channels(model.y_names, model.y_units)}",
        *wrap(f"x: {model.model.nx} states without unit, to start from an observer or ({start})", 110),
    ]


def _trace(function, inputs: dict[str, int], p: dict[str, torch.Tensor]) -> Program:
    columns = [torch.zeros(rows, 1, dtype=torch.float64) for rows in inputs.values()]
    graph: fx.Graph = make_fx(function)(*columns, *p.values()).graph
    graph.eliminate_dead_code()
    names: dict[fx.Node, str] = {}
    folded: dict[fx.Node, torch.Tensor] = {}
    statements = []
    places = (node for node in graph.nodes if node.op == "placeholder")
    for node, name in zip(places, (*inputs, *p), strict=True):
        names[node] = name if name in inputs else plain_name(name)
        if name in p:
            folded[node] = p[name]
    for node in graph.nodes:
        if node.op == "call_function" and set(node.all_input_nodes) <= set(folded):
            names[node] = f"c_{node.name}"
            folded[node] = _evaluate(node, folded)
        elif node.op == "call_function" and node.meta["val"].shape[0]:  # an empty slice is left out of its stack
            names[node] = f"v_{node.name}"
            statements.append(_statement(node, names))
    result = next(names[node.args[0]] for node in graph.nodes if node.op == "output")
    used = {result, *(a for s in statements for a in s.args)}
    constants = {names[n]: v.numpy() for n, v in folded.items() if names[n] in used}
    return Program(inputs, constants, tuple(statements), result)


def _evaluate(node: Any, known: dict[fx.Node, torch.Tensor]) -> torch.Tensor:
    return node.target(*map_arg(node.args, known.__getitem__))


def _statement(node: fx.Node, names: dict[fx.Node, str]) -> Statement:
    op = OPERATIONS.get(str(node.target).removeprefix("aten."))
    rows, columns = node.meta["val"].shape
    args: Any = node.args
    if op == "stack":
        args = [part for part in args[0] if part.meta["val"].shape[0]]
    if op == "slice":
        args = (args[0], *slice(*args[2:4]).indices(args[0].meta["val"].shape[0])[:2])
    if op == "rsub":
        op, args = "sub", args[::-1]
    if op is None or columns != 1:
        raise ValueError(f"no C or MATLAB form of {node.target} on columns; write the cell over rnn_control.ops")
    return Statement(names[node], op, tuple(names[a] if isinstance(a, fx.Node) else a for a in args), rows)
