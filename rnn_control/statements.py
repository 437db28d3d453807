"""C statements for the nodes of a graph: elementwise operations fused into loops, products of one vector stacked."""

from collections.abc import Callable
from itertools import groupby

from torch.fx import Node

from .trace import CONSTANT, VIEWS, Untraceable, arguments, level, operation, readers, shape

ELEMENTWISE = {
    "add.Tensor": "{0} + {1}", "sub.Tensor": "{0} - {1}", "mul.Tensor": "{0} * {1}", "div.Tensor": "{0} / {1}",
    "mul.Scalar": "{0} * {1}", "rsub.Scalar": "{1} - {0}", "neg.default": "-{0}", "exp.default": "exp_({0})",
    "sigmoid.default": "sigmoid_({0})", "tanh.default": "tanh_({0})", "relu.default": "relu_({0})",
    "tanh_backward.default": "{0} * (1 - {1} * {1})", "sigmoid_backward.default": "{0} * {1} * (1 - {1})",
    "threshold_backward.default": "relu_back({0}, {1})",
}  # fmt: skip
POWERS = {1: "{0}", 2: "{0} * {0}", 3: "{0} * {0} * {0}"}


def formula(node: Node) -> str | None:
    """The expression of an elementwise operation; None for the others."""
    name = operation(node)
    if name == "pow.Tensor_Scalar":
        return POWERS.get(int(arguments(node)[1])) if arguments(node)[1] in POWERS else None
    return None if node.kwargs else ELEMENTWISE.get(name)


def is_outer(node: Node) -> bool:
    """A column times a row; a constant matrix of one column in front makes a product."""
    left = arguments(node)[0] if operation(node) == "mm.default" else None
    return isinstance(left, Node) and shape(left)[1] == 1 and level(left) != CONSTANT


def part(node: Node) -> tuple[Node, int]:
    """(value, first row) of which a column is a view."""
    first = 0
    while operation(node) in VIEWS:
        if operation(node) == "slice.Tensor":
            dim, start, step = (
                arguments(node)[1],
                arguments(node)[2],
                arguments(node)[4] if len(arguments(node)) > 4 else 1,
            )
            if dim != 0 or step != 1:
                raise Untraceable(f"slice {arguments(node)} of a column")
            rows = shape(arguments(node)[0])[0]
            first += min(start if start >= 0 else start + rows, rows)
        node = arguments(node)[0]
    return node, first


class Section:
    """Statements that compute `wanted` from what `at` already knows a place for.

    at: C expression of the first element of a value, or None: then it is computed here. pack: C expression of a
    constant matrix stacked on others, from the left operands of products. keep: where a result must be left.
    """

    def __init__(self, at: Callable[[Node], str | None], pack: Callable[[list[Node]], str], keep: dict[Node, str]):
        self.at, self.pack, self.keep = at, pack, keep
        self.lines: list[str] = []
        self.stage: dict[Node, int] = {}
        self.place: dict[Node, str] = dict(keep)

    def compute(self, nodes: list[Node], wanted: list[Node]) -> list[str]:
        """Statements in stages: a stage needs only earlier ones, so that its loops and products can be merged."""
        live = self.needed(wanted)
        for node in nodes:
            if node in live:
                self.stage[node] = self.find_stage(node)
        outside = {part(w)[0] for w in wanted}
        order = sorted(self.stage, key=self.key)
        for _, group in groupby(order, key=self.key):
            members = list(group)
            if formula(members[0]):
                self.loop(members, outside)
            elif operation(members[0]) == "mm.default":
                self.products(members)
            else:
                for node in members:
                    self.move(node)
        return self.lines

    def needed(self, wanted: list[Node]) -> set[Node]:
        found, stack = set(), list(wanted)
        while stack:
            node = part(stack.pop())[0]
            if node not in found and self.at(node) is None:
                found.add(node)
                stack.extend(self.operands(node))
        return found

    def operands(self, node: Node) -> list[Node]:
        """What is read at run time: not the matrix of a product."""
        return [arguments(node)[1]] if operation(node) == "mm.default" else node.all_input_nodes

    def find_stage(self, node: Node) -> int:
        stages = [0]
        for operand in self.operands(node):
            base = part(operand)[0]
            if base in self.stage:
                fuses = formula(node) and formula(base) and base is operand and shape(base) == shape(node)
                stages.append(self.stage[base] + (not fuses))
        return max(stages)

    def key(self, node: Node):
        """Stage, then what can be merged: loops of one length, products of one vector."""
        if formula(node):
            return self.stage[node], 2, str(shape(node)[0])
        is_product = operation(node) == "mm.default"
        return self.stage[node], int(is_product), str(arguments(node)[1]) if is_product else ""

    def pointer(self, node: Node) -> str:
        base, first = part(node)
        place = self.place.get(base) or self.at(base)
        if place is None:
            raise Untraceable(f"{operation(base)} used before it is computed")
        return f"{place} + {first} * LANES" if first else place

    def local(self, node: Node) -> str:
        """The place of a result, declared if it is not kept."""
        if node not in self.place:
            self.place[node] = node.name
            self.lines.append(f"LOCAL({node.name}, {shape(node)[0]});")
        return self.place[node]

    def loop(self, members: list[Node], outside: set[Node]) -> None:
        """One loop; results stay in registers unless someone else reads them."""
        inside, body, rows = set(members), [], shape(members[0])[0]
        for node in members:
            terms = [self.term(a, inside, rows) for a in arguments(node)]
            body.append(f"const vec {node.name}_i = {(formula(node) or '').format(*terms)};")
            if node in outside or any(reader in self.stage and reader not in inside for reader in readers(node)):
                body.append(f"PUT({self.local(node)} + i, {node.name}_i);")
        self.lines.append(f"EACH({rows}) {{\n    " + "\n    ".join(body) + "\n  }")

    def term(self, a, inside: set[Node], rows: int) -> str:
        if not isinstance(a, Node):
            return f"(real){float(a)!r}"
        if a in inside:
            return f"{a.name}_i"
        if shape(a) == (rows, 1):
            return f"GET({self.pointer(a)} + i)"
        if shape(a) != (1, 1):
            raise Untraceable(f"broadcast of {shape(a)} to {(rows, 1)}")
        return f"ONE({self.pointer(a)}, i)"

    def products(self, members: list[Node]) -> None:
        """One matrix, stacked from those that multiply the same vector."""
        (k, _), x = shape(arguments(members[0])[1]), arguments(members[0])[1]
        if any(is_outer(node) or shape(x)[1] != 1 for node in members):
            raise Untraceable("a product of two matrices, or of two variables, that is not a gradient")
        sizes = [shape(node)[0] for node in members]
        matrix, stack = self.pack([arguments(node)[0] for node in members]), f"{members[0].name}_stack"
        rows = " + ".join(f"ROWS({n})" for n in sizes)
        self.lines.append(f"real {stack}[{' + '.join(f'SIZE({n})' for n in sizes)} + VL] __attribute__((aligned(64)));")
        self.lines.append(f"product({rows}, {k}, {matrix}, {self.pointer(x)}, {stack});")
        for i, node in enumerate(members):
            place = " + ".join([stack, *(f"SIZE({n})" for n in sizes[:i])])
            if node in self.keep:
                self.lines.append(f"EACH({sizes[i]}) PUT({self.keep[node]} + i, GET({place} + i));")
            self.place[node] = place

    def move(self, node: Node) -> None:
        """Joining, padding with zeros, adding up."""
        name, rows = operation(node), shape(node)[0]
        if name == "cat.default" and (len(arguments(node)) == 1 or arguments(node)[1] == 0):
            target, start = self.local(node), 0
            for piece in arguments(node)[0]:
                self.lines.append(f"copy({shape(piece)[0]}, {self.pointer(piece)}, {target} + {start} * LANES);")
                start += shape(piece)[0]
        elif name == "slice_backward.default" and arguments(node)[2] == 0 and arguments(node)[5] == 1:
            source, start, target = arguments(node)[0], arguments(node)[3], self.local(node)
            start = start if start >= 0 else start + rows
            self.lines.append(f"zero({rows}, {target});")
            self.lines.append(f"copy({shape(source)[0]}, {self.pointer(source)}, {target} + {start} * LANES);")
        elif name == "sum.dim_IntList" and list(arguments(node)[1]) == [0] and arguments(node)[2:] == (True,):
            self.lines.append(
                f"total({shape(arguments(node)[0])[0]}, {self.pointer(arguments(node)[0])}, {self.local(node)});"
            )
        else:
            raise Untraceable(name)
