"""C loops for a traced function of small arrays: one loop nest an operation, views by their strides.

For functions of parameters alone that are evaluated often: most of what torch takes for an operation on a small matrix
is the call. An operation outside the closed set below raises `Untraceable`, and the caller stays with torch.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.fx import Graph, Node

from .trace import Untraceable, arguments, operation

VIEWS = {"alias.default", "detach.default", "expand.default", "permute.default", "select.int", "slice.Tensor",
         "squeeze.dim", "t.default", "transpose.int", "unsqueeze.default", "view.default"}  # fmt: skip
ELEMENTWISE = {
    "abs.default": "fabs({1})", "neg.default": "-{1}", "exp.default": "exp({1})", "sqrt.default": "sqrt({1})",
    "log.default": "log({1})", "pow.Tensor_Tensor": "pow({1}, {2})",
    "sigmoid.default": "1 / (1 + exp(-{1}))", "tanh.default": "tanh({1})", "sgn.default": "({1} > 0) - ({1} < 0)",
    "add.Tensor": "{1} + {2}", "sub.Tensor": "{1} - {2}", "rsub.Scalar": "{2} - {1}", "mul.Tensor": "{1} * {2}",
    "mul.Scalar": "{1} * {2}", "div.Tensor": "{1} / {2}", "div.Scalar": "{1} / {2}", "isnan.default": "isnan({1})",
    "pow.Tensor_Scalar": "pow({1}, {2})", "clone.default": "{1}", "where.self": "{1} ? {2} : {3}",
    "maximum.default": "{1} >= {2} || isnan({1}) ? {1} : {2}", "masked_fill.Scalar": "{2} ? {3} : {1}",
    "logical_and.default": "{1} && {2}", "logical_or.default": "{1} || {2}", "logical_not.default": "!{1}",
    "tanh_backward.default": "{1} * (1 - {2} * {2})", "sigmoid_backward.default": "{1} * {2} * (1 - {2})",
    "clamp.default": "{1} < {2} ? {2} : {1} > {3} ? {3} : {1}",
}  # fmt: skip
ELEMENTWISE |= {f"{name}.{kind}": f"{{1}} {sign} {{2}}" for kind in ("Tensor", "Scalar")
                for name, sign in dict(lt="<", le="<=", gt=">", ge=">=", eq="==", ne="!=").items()}  # fmt: skip
FILLED = dict(ones=1.0, ones_like=1.0, zeros=0.0, zeros_like=0.0, new_zeros=0.0)
TILE = 16
"""Columns of the matrices of leading.c are padded to a multiple of it."""
COMPOSED = set(
    "full scalar_tensor arange eye cat stack slice_backward select_backward sum amax max mv mm leading".split()
)


class Place(NamedTuple):
    """Where a value lies: the name of an array, and a tensor of no content that lies in its memory alike."""

    array: str
    layout: Tensor

    def seen(self, view: Callable[[Tensor], Tensor]) -> "Place":
        return Place(self.array, view(self.layout))

    def element(self, indices: list[str]) -> str:
        steps = (f"{s} * {i}" for i, s in zip(indices, self.layout.stride(), strict=True) if s)
        return f"{self.array}[{' + '.join([str(self.layout.storage_offset()), *steps])}]"


class Loops:
    """Statements that read the inputs in[0], in[1], .. of a graph and leave its results one after the other in out.

    Arrays of doubles, contiguous; m has room for `memory` numbers. `sizes`: how long each result is.
    """

    def __init__(self, graph: Graph):
        self.places: dict[Node, Place] = {}
        self.lines: list[str] = []
        self.sizes: list[int] = []
        self.memory = 0
        inputs = [node for node in graph.nodes if node.op == "placeholder"]
        for node in graph.nodes:
            if node.op == "placeholder":
                self.places[node] = Place(f"in[{inputs.index(node)}]", torch.empty(shape(node)))
            elif node.op == "call_function":
                self.places[node] = self.view(node) if operation(node) in VIEWS else self.computed(node)
            elif node.op == "output":
                for result in arguments(node)[0]:
                    self.loop("{0} = {1}", Place(f"(out + {sum(self.sizes)})", torch.empty(shape(result))), result)
                    self.sizes.append(shape(result).numel())
            else:
                raise Untraceable(f"{node.op} {node.name}")

    def view(self, node: Node) -> Place:
        source, *rest = arguments(node)
        return self.places[source].seen(lambda layout: node.target(layout, *rest, **node.kwargs))  # type: ignore

    def computed(self, node: Node) -> Place:
        """A place of its own, and the statements that fill it."""
        name, args = operation(node).split(".")[-2], arguments(node)
        place = self.room(shape(node))
        if operation(node) in ELEMENTWISE:
            self.loop(f"{{0}} = {ELEMENTWISE[operation(node)]}", place, *(clamped(*args) if name == "clamp" else args))
            return place
        fill = getattr(self, name, None) if name in COMPOSED else None
        if fill is None and name not in FILLED:
            raise Untraceable(operation(node))
        self.loop("{0} = {1}", place, FILLED.get(name, 0.0))
        if fill is not None:
            fill(place, *args)
        return place

    def room(self, size) -> Place:
        place = Place(f"(m + {self.memory})", torch.empty(size))
        self.memory += place.layout.numel()
        return place

    def full(self, place: Place, _, value) -> None:
        self.loop("{0} = {1}", place, value)

    def scalar_tensor(self, place: Place, value) -> None:
        self.loop("{0} = {1}", place, value)

    def arange(self, place: Place, start, end) -> None:
        for k in range(end - start):
            self.loop("{0} = {1}", place.seen(lambda layout, k=k: layout[k]), float(start + k))

    def eye(self, place: Place, *_) -> None:
        self.loop("{0} = {1}", place.seen(Tensor.diagonal), 1.0)

    def cat(self, place: Place, parts, dim=0) -> None:
        rows = [shape(a)[dim] for a in parts]
        for k, part in enumerate(parts):
            self.loop("{0} = {1}", place.seen(lambda layout, k=k: layout.split(rows, dim)[k]), part)

    def stack(self, place: Place, parts, dim=0) -> None:
        for k, part in enumerate(parts):
            self.loop("{0} = {1}", place.seen(lambda layout, k=k: layout.select(dim, k)), part)

    def slice_backward(self, place: Place, grad, _, *at) -> None:
        self.loop("{0} = {1}", place.seen(lambda layout: torch.ops.aten.slice(layout, *at)), grad)

    def select_backward(self, place: Place, grad, _, *at) -> None:
        self.loop("{0} = {1}", place.seen(lambda layout: layout.select(*at)), grad)

    def sum(self, place: Place, a, dims=None, keepdim=False) -> None:
        self.loop("{0} += {1}", self.over(place, a, dims, keepdim), a)

    def amax(self, place: Place, a, dims=None, keepdim=False) -> None:
        self.loop("{0} = -INFINITY", place)
        self.loop("{0} = {1} <= {0} || isnan({0}) ? {0} : {1}", self.over(place, a, dims, keepdim), a)

    def max(self, place: Place, a) -> None:
        self.amax(place, a)

    def over(self, place: Place, a: Node, dims, keepdim: bool) -> Place:
        """The place of a result, seen once for every element of `a` that goes into it."""
        for dim in sorted(d % len(shape(a)) for d in dims or ()):
            place = place if keepdim else place.seen(lambda layout, dim=dim: layout.unsqueeze(dim))
        return place.seen(lambda layout: layout.expand(shape(a)))

    def mv(self, place: Place, A, b) -> None:
        self.loop("{0} += {1} * {2}", place.seen(lambda layout: layout[:, None].expand(shape(A))), A, b)

    def mm(self, place: Place, A, B) -> None:
        n = (*shape(A), shape(B)[1])
        left, right = self.places[A].seen(lambda layout: layout[:, :, None]), self.places[B]
        self.loop("{0} += {1} * {2}", place.seen(lambda layout: layout[:, None].expand(n)), left, right)

    def leading(self, place: Place, M) -> None:
        (rows, columns), source = shape(M), self.places[M]
        padded = -(-columns // TILE) * TILE
        work = self.room(2 * max(rows, padded) * padded)
        strides = ", ".join(map(str, source.layout.stride()))
        ends = ", ".join(f"&{a.element(['0'] * a.layout.dim())}" for a in (work, place))
        self.lines.append(f"leading({rows}, {columns}, &{source.element(['0', '0'])}, {strides}, {ends});")

    def loop(self, statement: str, place: Place, *operands: Any) -> None:
        """The statement for every element of the place; the operands are spread over them."""
        n, names = place.layout.shape, [f"i{k}" for k in range(place.layout.dim())]
        texts = [place.element(names)]
        for a in operands:
            source = self.places[a] if isinstance(a, Node) else a
            is_number = not isinstance(source, Place)
            texts.append(constant(source) if is_number else source.seen(lambda layout: layout.expand(n)).element(names))
        heads = (f"for (int {i} = 0; {i} < {size}; {i}++)" for i, size in zip(names, n, strict=True))
        self.lines.append(" ".join([*heads, statement.format(*texts) + ";"]))


def shape(node: Node) -> torch.Size:
    return node.meta["val"].shape


def clamped(a, low=None, high=None):
    return a, -math.inf if low is None else low, math.inf if high is None else high


def constant(a: float) -> str:
    return f"({a!r})" if math.isfinite(a) else "NAN" if math.isnan(a) else "INFINITY" if a > 0 else "(-INFINITY)"
