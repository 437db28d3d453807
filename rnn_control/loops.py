"""C loops for a traced function of small arrays: one loop nest an operation, views by their strides.

For functions of parameters alone that are evaluated often: most of what torch takes for an operation on a small matrix
is the call. An operation outside the closed set below raises `Untraceable`, and the caller stays with torch.
"""

import math
from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.fx import Graph, Node

from .formulas import ELEMENTWISE, READING_ONCE, Formula, Place, written
from .trace import Untraceable, arguments, operation

VIEWS = {"alias.default", "detach.default", "expand.default", "permute.default", "select.int", "slice.Tensor",
         "diagonal.default", "squeeze.dim", "t.default", "transpose.int", "unsqueeze.default",
         "view.default"}  # fmt: skip
FILLED = dict(ones=1.0, ones_like=1.0, zeros=0.0, zeros_like=0.0, new_zeros=0.0)
TILE = 16
"""Columns of the matrices of leading.c are padded to a multiple of it."""
COMPOSED = set(
    "full scalar_tensor eye cat stack slice_backward select_backward diagonal_backward diag_embed "
    "sum trace amax max mv mm _linalg_solve_ex index index_put leading".split()
)


class Loops:
    """Statements that read the inputs in[0], in[1], .. of a graph and leave its results one after the other in out.

    Arrays of doubles, contiguous; m has room for `memory` numbers. `sizes`: how long each result is. `lines`: the
    statements of each node, those of the results last, by the number of the result. apart: nodes whose statements
    are not to be mixed with others'.
    """

    def __init__(self, graph: Graph, apart: Collection[Node] = ()):
        self.apart, self.places = apart, dict[Node, Any]()
        self.lines: dict[Node | int, list[str]] = {}
        self.now: list[str] = []
        self.sizes: list[int] = []
        self.memory = 0
        inputs = [node for node in graph.nodes if node.op == "placeholder"]
        for node in graph.nodes:
            self.now = self.lines.setdefault(node, [])
            if node.op == "placeholder":
                self.places[node] = Place(f"in[{inputs.index(node)}]", torch.empty(shape(node)))
            elif node.op == "call_function":
                self.places[node] = self.found(node)
            elif node.op == "output":
                for k, result in enumerate(arguments(node)[0]):
                    self.now = self.lines.setdefault(k, [])
                    self.loop("{0} = {1}", Place(f"(out + {sum(self.sizes)})", torch.empty(shape(result))), result)
                    self.sizes.append(shape(result).numel())
            else:
                raise Untraceable(f"{node.op} {node.name}")

    def text(self, of: Callable[[Node | int], bool] = lambda _: True) -> str:
        """The statements, or those of some nodes and results."""
        return "\n  ".join(line for key, lines in self.lines.items() if of(key) for line in lines)

    def stored(self, node: Node) -> Place:
        """Where a value lies that more than loops read."""
        place = self.value(node)
        if isinstance(place, Formula):
            now, self.now = self.now, self.lines[node]
            self.places[node] = place = self.filled(place, shape(node))
            self.now = now
        return place

    def filled(self, formula: Formula, size: torch.Size) -> Place:
        place = self.room(size)
        self.loop("{0} = {1}", place, formula)
        return place

    def found(self, node: Node) -> Any:
        """Place or formula of a value, or several; a tensor where it is made of nothing but whole numbers."""
        name, args = operation(node), arguments(node)
        if name == "<built-in function getitem>":
            return self.several(args[0])[args[1]]
        if name == "split_with_sizes.default":
            split = lambda layout, k: layout.split(*args[1:])[k]  # noqa: E731
            return [self.value(args[0]).seen(partial(split, k=k)) for k in range(len(args[1]))]
        if name == "_linalg_check_errors.default":
            return None
        if name == "_linalg_solve_ex.default":
            return [self.solved(*args), None, None, None]
        if name == "unbind.int" and isinstance(self.places[args[0]], Tensor):
            return self.places[args[0]].unbind(*args[1:])
        if not isinstance(node.meta["val"], Tensor):
            raise Untraceable(name)
        if not node.all_input_nodes and (name.startswith("arange") or not node.meta["val"].is_floating_point()):
            return node.target(*args, **node.kwargs)  # type: ignore
        return self.view(node) if name in VIEWS else self.computed(node)

    def several(self, node: Node) -> Sequence[Any]:
        """The values of an operation that has more than one."""
        if isinstance(self.places[node], Place | Formula | Tensor | None):
            raise Untraceable(f"a part of {node.name}")
        return self.places[node]

    def value(self, node: Node) -> Place | Formula:
        """Where a value lies or what it is; whole numbers are written down."""
        found = self.places[node]
        if isinstance(found, Tensor):
            numbers = ", ".join(map(str, found.flatten().tolist()))
            return Place(f"((const double[]){{{numbers}}})", torch.empty(found.shape))
        if not isinstance(found, Place | Formula):
            raise Untraceable(f"{node.name}, which has no value here")
        return found

    def view(self, node: Node) -> Place | Formula:
        source, *rest = arguments(node)
        return self.value(source).seen(lambda layout: node.target(layout, *rest, **node.kwargs))  # type: ignore

    def computed(self, node: Node) -> Place | Formula:
        """A place of its own, and the statements that fill it; or what to compute where it is read."""
        name, args = operation(node).split(".")[-2], arguments(node)
        if operation(node) in ELEMENTWISE:
            operands = [self.spread(a, shape(node)) for a in (clamped(*args) if name == "clamp" else args)]
            formula = Formula(ELEMENTWISE[operation(node)], operands)
            is_spared = len(shape(node)) > 1 and formula.is_cheap()
            return formula if is_spared or self.is_read_once(node) else self.filled(formula, shape(node))
        place = self.room(shape(node))
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

    def diagonal_backward(self, place: Place, grad, _, *at) -> None:
        self.loop("{0} = {1}", place.seen(lambda layout: layout.diagonal(*at)), grad)

    def diag_embed(self, place: Place, a, *at) -> None:
        self.loop("{0} = {1}", place.seen(lambda layout: layout.diagonal(*at)), a)

    def trace(self, place: Place, a) -> None:
        diagonal = self.value(a).seen(Tensor.diagonal)
        self.loop("{0} += {1}", place.seen(lambda layout: layout.expand(shape(a)[:1])), diagonal)

    def index(self, place: Place, a, indices) -> None:
        self.chosen("{1} = {0}", self.stored(a), indices, place)

    def index_put(self, place: Place, a, indices, values, adds=False) -> None:
        self.loop("{0} = {1}", place, a)
        self.chosen("{0} += {1}" if adds else "{0} = {1}", place, indices, values)

    def chosen(self, statement: str, place: Place, indices: list[Node], other: Any) -> None:
        """The statement for chosen elements of a place, one after the other."""
        known: list[Any] = [self.places.get(i) for i in indices]
        if len(known) != place.layout.dim() or any(not isinstance(i, Tensor) or i.dtype != torch.int64 for i in known):
            raise Untraceable("elements chosen by what is computed")
        where = zip(known, place.layout.shape, place.layout.stride(), strict=True)
        at, held = sum((i % n * step for i, n, step in where), torch.tensor(place.layout.storage_offset())), {}
        if at.dim() != 1:
            raise Untraceable("elements chosen in a table")
        value = written(self.spread(other, at.shape), ["i0"], held)
        table = f"static const int at[] = {{{', '.join(map(str, at.tolist()))}}};"
        once = "".join(f"const double {name} = {text}; " for text, name in held.items())
        body = statement.format(f"{place.array}[at[i0]]", value)
        self.now.append(f"{{ {table} {once}for (int i0 = 0; i0 < {len(at)}; i0++) {body}; }}")

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
        (m, k), n = shape(A), shape(B)[1]
        ends = f"{self.room((k, n)).first()}, {place.first()}"
        self.now.append(f"product({m}, {k}, {n}, {self.at(A)}, {self.at(B)}, {ends});")

    def solved(self, A, B) -> Place:
        (n, k), place = shape(B), self.room(shape(B))
        ends = f"{self.room((n, n)).first()}, {place.first()}"
        self.now.append(f"solve({n}, {k}, {self.at(A)}, {self.at(B)}, {ends});")
        return place

    def leading(self, place: Place, M) -> None:
        rows, columns = shape(M)
        padded = -(-columns // TILE) * TILE
        work = self.room(2 * max(rows, padded) * padded)
        self.now.append(f"leading({rows}, {columns}, {self.at(M)}, {work.first()}, {place.first()});")

    def at(self, M: Node) -> str:
        """Where a matrix begins, and how far it is to the next row and column."""
        place = self.stored(M)
        return ", ".join([place.first(), *map(str, place.layout.stride())])

    def is_read_once(self, node: Node) -> bool:
        """By an operation on single elements, one for one, and in the same part."""
        reader = next(iter(node.users), node)
        is_alike = operation(reader) in READING_ONCE and shape(node) == shape(reader)
        return len(node.users) == 1 and is_alike and (node in self.apart) == (reader in self.apart)

    def spread(self, a: Any, n: torch.Size) -> Any:
        """An operand, over a shape."""
        source = self.value(a) if isinstance(a, Node) else a
        return source.seen(lambda layout: layout.expand(n)) if isinstance(source, Place | Formula) else source

    def loop(self, statement: str, place: Place, *operands: Any) -> None:
        """The statement for every element of the place; the operands are spread over them.

        The innermost loop is the one along which the most of them lie side by side. What is the same for all of them is
        read once, and where the innermost add to one place they do so in a number of their own.
        """
        n, names, held = place.layout.shape, [f"i{k}" for k in range(place.layout.dim())], dict[str, str]()
        spread = [self.spread(a, n) for a in operands]
        strides = [each for a in (place, *spread) if isinstance(a, Place | Formula) for each in a.strides()]
        order = sorted(range(len(n)), key=lambda k: sum(each[k] > 1 for each in strides), reverse=True)
        inside = len(order) - next((i for i, k in enumerate(reversed(order)) if place.layout.stride(k)), len(order))
        values = [written(a, names, held) for a in spread]
        outer, inner = (
            [f"for (int i{k} = 0; i{k} < {n[k]}; i{k}++)" for k in part] for part in (order[:inside], order[inside:])
        )
        target = place.element(names, {}) if inside else place.first()[1:]
        once = "".join(f"const double {name} = {text}; " for text, name in held.items())
        body = f"{statement.format('t' if inner else target, *values)};"
        if inner:
            body = f"{{ double t = {target}; {' '.join([*inner, body])} {target} = t; }}"
        self.now.append(f"{{ {once}{' '.join([*outer, body])} }}")


def shape(node: Node) -> torch.Size:
    return node.meta["val"].shape


def clamped(a, low=None, high=None):
    return a, -math.inf if low is None else low, math.inf if high is None else high
