"""The equations of a model as text: what its file holds beside the weights, and what the checker reads."""

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

from torch import Tensor

from .model import Model, Params
from .ops import Value


class Equations(NamedTuple):
    """Statements over parameters, x and u; two of them give x_next and y. `names`: the tensor behind each parameter."""

    text: str
    names: dict[str, str]


def _infix(sign: str, is_swapped: bool = False):
    def combine(self, other):
        return Symbol(f"{{0}} {sign} {{1}}", *((other, self) if is_swapped else (self, other)))

    return combine


def _function(name: str):
    def call(self, *others):
        return Symbol(name, self, *others)

    return call


class Symbol(Value):
    """A value that remembers how it was made: a function's name, or a form into which the arguments' texts are put."""

    def __init__(self, form: str, *args: Any, varies: bool = True):
        self.form, self.args = form, args
        self.varies = varies and (not args or any(isinstance(a, Symbol) and a.varies for a in args))

    __add__, __sub__, __mul__, __matmul__, __truediv__, __pow__ = map(_infix, ("+", "-", "*", "@", "/", "**"))
    __radd__, __rsub__, __rmul__, __rtruediv__ = (_infix(sign, True) for sign in "+-*/")
    tanh, sigmoid, relu, signal = map(_function, ("tanh", "sigmoid", "relu", "signal"))

    def mix(self, a, b) -> "Symbol":
        return Symbol("mix", self, a, b)

    def __neg__(self) -> "Symbol":
        return -1.0 * self

    def __getitem__(self, rows: slice) -> "Symbol":
        if not isinstance(rows, slice) or rows.step is not None:
            raise TypeError(f"a column is indexed by {rows!r}; take a slice, x[a:b]")
        start, stop = ("" if end is None else str(end) for end in (rows.start, rows.stop))
        return Symbol(f"{{0}}[{start}:{stop}]", self)

    def vcat(self, parts) -> "Symbol":
        return Symbol("vcat", *parts) if len(parts) > 1 else self

    def is_function(self) -> bool:
        return "{" not in self.form

    def is_named(self, uses: int) -> bool:
        """Whether it gets a statement of its own: functions and products of variables do, and what is used twice."""
        if not (self.args and self.varies) or self.form.startswith("{0}["):
            return False
        is_product = self.form == "{0} * {1}" and all(isinstance(a, Symbol) and a.varies for a in self.args)
        return uses > 1 or is_product or self.is_function() and self.form != "vcat"


def equations(model: Model) -> tuple[Equations, dict[str, Tensor]]:
    """The equations of a model, and those of its parameters that are not in its state but made from it, by name."""
    own = {id(v): name for name, v in (*model.named_parameters(), *model.named_buffers())}
    theta = model.theta()
    p = Params({k: Symbol(identifier(k), varies=False) for k in theta})
    taken = {s.form for s in p.values()}
    if len(taken) < len(p) or taken & {"x", "u", "y", "x_next"}:
        raise ValueError(f"parameters {', '.join(sorted(p))}: one word for two, or for x, u, y, x_next; rename one")
    x, u = Symbol("x"), Symbol("u")
    lines = [f"{name} = {text}" for result, name in ((model.f(p, x, u), "x_next"), (model.g(p, x), "y"))
             for name, text in _statements(result, name, taken)]  # fmt: skip
    used = set(re.findall(r"\w+", "\n".join(lines)))
    behind = {k: own.get(id(v), f"explicit.{k}") for k, v in theta.items() if p[k].form in used}
    made = {name: theta[k].detach() for k, name in behind.items() if id(theta[k]) not in own}
    return Equations("\n".join(lines), {p[k].form: name for k, name in behind.items()}), made


def identifier(name: str) -> str:
    """A parameter's name as one word; that of a block whose name is a number begins with "b"."""
    return re.sub(r"^(\d)", r"b\1", re.sub(r"\W", "_", name, flags=re.ASCII))


def _statements(result: Any, name: str, taken: set[str]) -> Iterator[tuple[str, str]]:
    """(name, expression) of each value that is named, in the order in which they were made; at last of the result."""
    order, uses = [], Counter()

    def visit(node):
        uses[id(node)] += 1
        if uses[id(node)] == 1:
            for arg in node.args:
                if isinstance(arg, Symbol):
                    visit(arg)
            order.append(node)

    visit(result)
    texts = {}
    for node in order:
        text = _expression(node, texts)
        if node is not result and node.is_named(uses[id(node)]):
            kind = node.form if node.is_function() else "v"
            word = next(w for i in range(1, len(order) + len(taken) + 2) if (w := f"{kind}{i}") not in taken)
            taken.add(word)
            yield word, text
            text = word
        texts[id(node)] = text
    yield name, texts[id(result)]


def _expression(node: Symbol, texts: dict[int, str]) -> str:
    """The text of a value from those of its arguments, in brackets where they are needed."""
    shown = []
    for arg in node.args:
        if not isinstance(arg, Symbol | int | float):
            raise TypeError(f"the equations hold {arg!r}; make it a parameter or a number, so that files can hold it")
        text = texts[id(arg)] if isinstance(arg, Symbol) else repr(arg if isinstance(arg, int) else float(arg))
        is_sum = bool(re.search(r" [+-] |^-", text)) and not node.form.endswith("+ {1}")
        is_product = bool(re.search(r" (@|\*\*?|/) ", text)) and not re.search(" [+-] ", node.form)
        is_whole = re.fullmatch(r"\w+(\([^()]*\))?", text) or node.is_function()
        shown.append(f"({text})" if (is_sum or is_product) and not is_whole else text)
    if node.is_function():
        return f"{node.form}({', '.join(shown)})" if node.args else node.form
    return node.form.format(*shown)
