"""Where the gradient of a parameter comes from: sums of outer products and columns over the steps of a block."""

from typing import NamedTuple

from torch.fx import Node

from .statements import is_outer
from .trace import Untraceable, operation, shape


class View(NamedTuple):
    """Part of a flat parameter vector: element (i, j) is at first + i down + j right."""

    first: int
    down: int
    right: int

    def shifted(self, dim: int, start: int) -> "View":
        return self._replace(first=self.first + start * (self.right if dim else self.down))

    def turned(self) -> "View":
        return View(self.first, self.right, self.down)


class Term(NamedTuple):
    """What a step adds to a part of the gradient: the column left, or left right' if there is a right."""

    left: Node
    right: Node | None
    target: View


def terms(node: Node | None, target: View) -> list[Term]:
    """The sum that a gradient is, taken apart: outer products are never formed, nor padded with zeros."""
    if node is None:
        return []
    name = operation(node)
    if name.startswith(("zeros", "new_zeros", "full")):
        return []
    if name == "add.Tensor" and not node.kwargs and (shape(node)[1] > 1 or is_composed(node)):
        return [term for a in node.args for term in terms(a, target)]
    if name == "slice_backward.default":
        grad, sizes, dim, start, _, step = node.args
        if step != 1:
            raise Untraceable(f"a slice with step {step}")
        return terms(grad, target.shifted(dim, start if start >= 0 else start + sizes[dim]))
    if name == "t.default":
        return terms(node.args[0], target.turned())
    if is_outer(node):
        left, right = node.args
        return [Term(left, right, target)]
    if shape(node)[1] != 1:
        raise Untraceable(f"{name} in the gradient of a matrix")
    return [Term(node, None, target)]


def is_composed(node: Node) -> bool:
    """A sum with a part that is better added on its own: an outer product, or one that covers a slice."""
    if operation(node) == "add.Tensor":
        return any(map(is_composed, node.all_input_nodes))
    return operation(node) == "slice_backward.default" or is_outer(node)
