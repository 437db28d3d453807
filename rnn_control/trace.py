"""What a cell computes in one step and in its adjoint, as one graph, and what of the step the adjoint must be told."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import torch
from torch.fx import Graph, Node
from torch.fx.experimental.proxy_tensor import make_fx

from .model import Model, Params


class Untraceable(Exception):
    """The cell uses an operation that has no C form here."""


CONSTANT, STEP, ADJOINT = range(3)
"""What a value depends on: parameters only; x, u as well; the adjoint variables as well."""

VIEWS = {"t.default", "slice.Tensor"}
COSTLY = {"mm.default", "exp.default", "sigmoid.default", "tanh.default", "div.Tensor", "sum.dim_IntList"}
"""Operations whose results are kept for the adjoint; all others are cheaper to repeat than to store."""


class Trace(NamedTuple):
    """The joint graph of x_next, y and of x_bar and the parameters' gradients for given x_next_bar, y_bar."""

    graph: Graph
    inputs: dict[Node, str]
    """x, u, x_bar, y_bar, and the parameters by name."""
    outputs: list[Node]
    """x_next, y."""
    gradients: list[Node]
    """x_bar, then one for each parameter that is trained."""
    tape: list[Node]
    """Results of the step that the adjoint reads, and cannot repeat cheaply from others of them."""


def operation(node: Node) -> str:
    """Name of the operation; an input's is empty."""
    return str(node.target).removeprefix("aten.") if node.op == "call_function" else ""


def arguments(node: Node) -> tuple[Any, ...]:
    """The arguments; what they are depends on the operation."""
    return node.args


def shape(node: Node) -> tuple[int, int]:
    rows, columns = node.meta["val"].shape
    return rows, columns


def trace(model: Model, wrt: tuple[str, ...]) -> Trace:
    """Record what torch does in f, g and in their vector-Jacobian product."""
    p = {k: v.detach() for k, v in model.theta().items()}
    columns = {"x": model.nx, "u": model.nu, "x_bar": model.nx, "y_bar": model.ny}
    if columns.keys() & p.keys():
        raise Untraceable(f"a parameter called like a variable, one of {', '.join(columns)}")

    def joint(x, u, x_bar, y_bar, *values):
        q = Params(zip(p, values, strict=True))

        def outputs(x, *free):
            now = Params({**q, **dict(zip(wrt, free, strict=True))})
            return model.f(now, x, u), model.g(now, x)

        values, pullback, *_ = torch.func.vjp(outputs, x, *(q[name] for name in wrt))
        return (*values, *pullback((x_bar, y_bar)))

    zeros = [torch.zeros(n, 1, dtype=torch.float64) for n in columns.values()]
    graph = make_fx(joint)(*zeros, *p.values()).graph
    merge_repeated(graph)
    places = [n for n in graph.nodes if n.op == "placeholder"]
    inputs = dict(zip(places, (*columns, *p), strict=True))
    results = next(n for n in graph.nodes if n.op == "output").args[0]
    mark_levels(graph, inputs, set(columns))
    turn_rows(graph)
    return Trace(graph, inputs, results[:2], results[2:], tape(graph))


def merge_repeated(graph: Graph) -> None:
    """Compute equal expressions once, drop copies, and write every transposition alike."""
    known: dict = {}
    for node in graph.nodes:
        if operation(node) in ("detach.default", "clone.default", "alias.default"):
            node.replace_all_uses_with(arguments(node)[0])
        if operation(node) in ("permute.default", "transpose.int"):
            node.target, node.args = torch.ops.aten.t.default, arguments(node)[:1]
        if node.op == "call_function":
            first = known.setdefault((node.target, str(arguments(node)), str(node.kwargs)), node)
            if first is not node:
                node.replace_all_uses_with(first)
    graph.eliminate_dead_code()


def mark_levels(graph: Graph, inputs: dict[Node, str], variables: set[str]) -> None:
    for node in graph.nodes:
        if node in inputs:
            name = inputs[node]
            node.meta["level"] = CONSTANT if name not in variables else STEP if name in ("x", "u") else ADJOINT
        elif node.op == "call_function":
            node.meta["level"] = max((level(a) for a in node.all_input_nodes), default=CONSTANT)


def turn_rows(graph: Graph) -> None:
    """x' A = (A' x)': the matrix in front, whatever side torch chose."""
    aten = torch.ops.aten
    for node in graph.nodes:
        factors = arguments(node) if operation(node) == "mm.default" else ()
        if factors and shape(factors[0])[0] == 1 and level(factors[1]) == CONSTANT:
            left, right = factors
            with graph.inserting_before(node):
                turned = [graph.call_function(aten.t.default, (a,)) for a in (right, left)]
                product = graph.call_function(aten.mm.default, tuple(turned))
                result = graph.call_function(aten.t.default, (product,))
            for new, like in zip((*turned, product, result), (right, left, node, node), strict=True):
                new.meta = {"val": like.meta["val"] if new is result else like.meta["val"].t(), "level": level(like)}
            node.replace_all_uses_with(result)
    graph.eliminate_dead_code()


def level(node: Node) -> int:
    return node.meta["level"]


def tape(graph: Graph) -> list[Node]:
    """A costly result that the adjoint reads is kept; a cheap one, if it cannot be had from what is kept anyway."""
    kept, at_hand = [], set()
    for node in graph.nodes:
        if node.op == "placeholder" or (node.op == "call_function" and level(node) == CONSTANT):
            at_hand.add(node)
        elif node.op == "call_function" and level(node) == STEP:
            is_cheap = operation(node) not in COSTLY and all(a in at_hand for a in node.all_input_nodes)
            is_read = any(level(user) == ADJOINT for user in readers(node))
            if is_read and not is_cheap and operation(node) not in VIEWS:
                kept.append(node)
            if is_cheap or node in kept:
                at_hand.add(node)
    return kept


def readers(node: Node) -> Iterable[Node]:
    """Operations that use a value, or a view of it."""
    for user in node.users:
        if operation(user) in VIEWS:
            yield from readers(user)
        elif user.op == "call_function":
            yield user
