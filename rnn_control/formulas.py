"""What single elements of a result are in C: places in arrays, and formulas of them."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

from torch import Tensor

ELEMENTWISE = {
    "abs.default": "fabs({1})", "neg.default": "-{1}", "exp.default": "exp_({1})", "sqrt.default": "sqrt({1})",
    "log.default": "log({1})", "pow.Tensor_Tensor": "pow({1}, {2})",
    "sigmoid.default": "1 / (1 + exp_(-{1}))", "tanh.default": "1 - 2 / (1 + exp_(2 * {1}))",
    "sgn.default": "({1} > 0) - ({1} < 0)",
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
READING_ONCE = {key for key, text in ELEMENTWISE.items() if all(text.count(f"{{{k}}}") < 2 for k in (1, 2, 3))}
CHEAP = {ELEMENTWISE[key] for key in ("abs.default", "neg.default", "add.Tensor", "sub.Tensor", "mul.Tensor")}


class Place(NamedTuple):
    """Where a value lies: the name of an array, and a tensor of no content that lies in its memory alike."""

    array: str
    layout: Tensor

    def seen(self, view: Callable[[Tensor], Tensor]) -> "Place":
        return Place(self.array, view(self.layout))

    def element(self, indices: list[str], held: dict[str, str]) -> str:
        """`held`: names of what is the same for all indices."""
        steps = [f"{s} * {i}" for i, s in zip(indices, self.layout.stride(), strict=True) if s]
        text = f"{self.array}[{' + '.join([str(self.layout.storage_offset()), *steps])}]"
        return text if steps else held.setdefault(text, f"h{len(held)}")

    def first(self) -> str:
        return f"&{self.array}[{self.layout.storage_offset()}]"

    def strides(self) -> list[tuple[int, ...]]:
        return [self.layout.stride()]


class Formula(NamedTuple):
    """A value that is computed where it is read: a statement of places and numbers alike in shape."""

    text: str
    operands: list[Any]

    def seen(self, view: Callable[[Tensor], Tensor]) -> "Formula":
        return Formula(self.text, [a.seen(view) if isinstance(a, Place | Formula) else a for a in self.operands])

    def element(self, indices: list[str], held: dict[str, str]) -> str:
        return f"({self.text.format('', *(written(a, indices, held) for a in self.operands))})"

    def is_cheap(self) -> bool:
        """No more than products and sums, two deep: as quickly repeated as read."""
        inner = [a for a in self.operands if isinstance(a, Formula)]
        is_flat = not any(isinstance(b, Formula) for a in inner for b in a.operands)
        return is_flat and {self.text, *(a.text for a in inner)} <= CHEAP

    def strides(self) -> list[tuple[int, ...]]:
        return [strides for a in self.operands if isinstance(a, Place | Formula) for strides in a.strides()]


def written(a, indices: list[str], held: dict[str, str]) -> str:
    return a.element(indices, held) if isinstance(a, Place | Formula) else constant(a)


def constant(a: float) -> str:
    return f"({a!r})" if math.isfinite(a) else "NAN" if math.isnan(a) else "INFINITY" if a > 0 else "(-INFINITY)"
