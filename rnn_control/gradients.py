"""Where the gradient of a parameter comes from: sums of outer products and columns over the steps of a block."""

from typing import NamedTuple

from torch.fx import Node

from .statements import is_outer
from .trace import Untraceable, arguments, operation, shape


class View(NamedTuple):
    """Part of a flat parameter vector: element (i, j) is factor times the one at first + i down + j right."""

    first: int
    down: int
    right: int
    factor: float = 1.0

    def shifted(self, dim: int, start: int) -> "View":
        return self._replace(first=self.first + start * (self.right if dim else self.down))

    def turned(self) -> "View":
        return self._replace(down=self.right, right=self.down)

    def scaled(self, factor: float) -> "View":
        return self._replace(factor=self.factor * factor)


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
    is_composite = shape(node)[1] > 1 or is_composed(node)
    if name == "add.Tensor" and not node.kwargs and is_composite:
        return [term for a in arguments(node) for term in terms(a, target)]
    if name == "slice_backward.default":
        grad, sizes, dim, start, _, step = arguments(node)
        if step != 1:
            raise Untraceable(f"a slice with step {step}")
        return terms(grad, target.shifted(dim, start if start >= 0 else start + sizes[dim]))
    if name == "t.default":
        return terms(arguments(node)[0], target.turned())
    factor = scale(node)
    if factor is not None and is_composite:
        return terms(node.all_input_nodes[0], target.scaled(factor))
    if is_outer(node):
        left, right = arguments(node)
        return [Term(left, right, target)]
    if shape(node)[1] != 1:
        raise Untraceable(f"{name} in the gradient of a matrix")
    return [Term(node, None, target)]


def scale(node: Node) -> float | None:
    """The number that an operation multiplies by, if that is all it does."""
    name, numbers = operation(node), [a for a in arguments(node) if isinstance(a, int | float)]
    if name == "neg.default":
        return -1.0
    if name in ("mul.Tensor", "mul.Scalar") and numbers:
        return float(numbers[0])
    return 1 / numbers[0] if name == "div.Tensor" and arguments(node)[1:] == tuple(numbers) else None


def is_composed(node: Node) -> bool:
    """Whether parts are better added on their own: there is an outer product inside, or one number range of many."""
    if operation(node) in ("add.Tensor", "t.default") or scale(node) is not None:
        return any(map(is_composed, node.all_input_nodes))
    return operation(node) == "slice_backward.default" or is_outer(node)
