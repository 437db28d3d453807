"""Prints a traced cell as C: one step, its adjoint, and the gradients a block of steps adds; records.c and squares.c
do the rest.

The cell's f and g are the only statement of the equations: nothing here knows a cell. An operation outside the closed
set a cell can be written in raises `Untraceable`, and the caller falls back to the literal loop. What was printed is
kept beside the compiled kernels, under what it was made from: tracing takes longer than many a training.
"""

import hashlib
from functools import cache
from itertools import accumulate
from pathlib import Path

import torch
from torch.fx import Node

from .compile import cache_folder
from .constants import Constants
from .equations import equations
from .files import write_whole
from .gradients import Term, View, terms
from .model import Model
from .statements import Section, part
from .trace import CONSTANT, Trace, level, operation, shape, trace

STEP_TEXT = """
enum {{ NX = {nx}, NU = {nu}, NY = {ny}, NP = {np} }};
enum {{ {tape}, ROW }};
enum {{ {bars}, BAR }};
enum {{ {constants}, CONSTANTS }};

static void prepare(const double *const *p, real *restrict c)
{{
  memset(c, 0, CONSTANTS * sizeof(real)); /* the padding counts */
  {prepare}
}}

static void forward(const real *restrict c, real *restrict row, real *restrict y, real *restrict x_next)
{{
  {forward}
}}

static void back(const real *restrict c, const real *restrict row, real *restrict bar, real *restrict x_bar)
{{
  {back}
}}

static void collect(const real *restrict c, const real *restrict row, const real *restrict bar, int count,
                    double *restrict G)
{{
  {collect}
}}
"""


PRINTERS = ("codegen.py", "constants.py", "gradients.py", "model.py", "ops.py", "statements.py", "trace.py")
FRAME = ("vectors.h", "records.c", "squares.c")


def c_source(model: Model, wrt: tuple[str, ...]) -> str:
    """The whole source; parameters are arrays in the order of theta(), their gradients a flat vector in that of wrt."""
    made_from = ingredients(model, wrt)
    path = cache_folder() / f"{hashlib.sha256((made_from or '').encode()).hexdigest()[:24]}.c"
    if made_from is not None and path.exists():
        return path.read_text(encoding="utf-8")
    text = Printer(trace(model, wrt), model, wrt).text()
    text = "".join((own(FRAME[0]), text, *map(own, FRAME[1:])))
    if made_from is not None:
        write_whole(path, text.encode())
    return text


def ingredients(model: Model, wrt: tuple[str, ...]) -> str | None:
    """All that the source depends on: the equations as text, sizes, and the printer; None if f, g have no such text."""
    try:
        text = equations(model)[0].text
    except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError):
        return None  # f or g does what only tensors can
    sizes = [model.nu, model.ny, model.nx, *((name, tuple(v.shape)) for name, v in model.theta().items())]
    return "\n".join([text, repr(sizes), repr(wrt), torch.__version__, *map(own, (*PRINTERS, *FRAME))])


@cache
def own(name: str) -> str:
    """The text of a file beside this one."""
    return Path(__file__).with_name(name).read_text(encoding="utf-8")


class Printer:
    """Places of the values, and the four functions over them."""

    def __init__(self, traced: Trace, model: Model, wrt: tuple[str, ...]):
        self.traced, self.model = traced, model
        self.nodes = [n for n in traced.graph.nodes if n.op == "call_function"]
        sizes = {k: v.numel() for k, v in model.theta().items()}
        self.inputs = traced.inputs
        self.fields = {node: f"T_{node.name}" for node in traced.tape}
        self.constants = Constants(traced)
        self.n_gradient = sum(sizes[name] for name in wrt)
        starts = accumulate((sizes[name] for name in wrt), initial=0)
        widths = [model.theta()[name].shape[1] for name in wrt]
        views = [View(first, width, 1) for first, width in zip(starts, widths, strict=False)]
        parts = zip(traced.gradients[1:], views, strict=True)
        self.terms = [term for gradient, view in parts for term in terms(gradient, view)]
        self.bars = self.find_bars()

    def find_bars(self) -> dict[Node, str]:
        """Operands of gradients that are neither on the tape nor constant: the adjoint leaves them in a row a step."""
        operands = [o for t in self.terms for o in (t.left, t.right) if o is not None]
        bases = dict.fromkeys(part(o)[0] for o in operands)
        return {b: f"bar + B_{b.name}" for b in bases if self.on_tape(b) is None and level(b) != CONSTANT}

    def on_tape(self, node: Node) -> str | None:
        if self.inputs.get(node) in ("x", "u", "y_bar"):
            return f"row + T_{self.inputs[node]}"
        return f"row + {self.fields[node]}" if node in self.fields else None

    def text(self) -> str:
        model, (x_next, y) = self.model, self.traced.outputs
        forward = self.forward([x_next, y])
        back = self.back()
        collect = [self.add(term) for term in self.terms]
        prepare = self.constants.statements(self.nodes)
        tape = {"T_x": model.nx, "T_u": model.nu, "T_y_bar": model.ny} | {
            f: shape(n)[0] for n, f in self.fields.items()
        }
        bars = {place.removeprefix("bar + "): shape(n)[0] for n, place in self.bars.items()}
        return STEP_TEXT.format(
            nx=model.nx, nu=model.nu, ny=model.ny, np=self.n_gradient,
            tape=layout({k: f"SIZE({n})" for k, n in tape.items()}),
            bars=layout({k: f"SIZE({n})" for k, n in bars.items()} or {"B_none": "VL"}),
            constants=layout(self.constants.sizes or {"C_none": "VL"}),
            prepare="\n  ".join(prepare), forward="\n  ".join(forward),
            back="\n  ".join(back), collect="\n  ".join(collect),
        )  # fmt: skip

    def forward(self, results: list[Node]) -> list[str]:
        """x_next and y into their places, the tape into its row."""

        def at(node):
            if node in self.traced.inputs or level(node) == CONSTANT:
                return self.on_tape(node) or self.constants.column(node)
            return None

        keep = {node: f"row + {field}" for node, field in self.fields.items()}
        section = Section(at, self.constants.matrix, keep)
        lines = section.compute(self.nodes, [*results, *self.traced.tape])
        for node, name in zip(results, ("x_next", "y"), strict=True):
            lines.append(f"EACH({shape(node)[0]}) PUT({name} + i, GET({section.pointer(node)} + i));")
        return lines

    def back(self) -> list[str]:
        """x_bar of the step before in place of that of the step after, operands of the gradients into the bar row."""

        def at(node):
            if self.inputs.get(node) == "x_bar":
                return "x_bar"
            return self.on_tape(node) or (self.constants.column(node) if level(node) == CONSTANT else None)

        keep = {node: place for node, place in self.bars.items() if node not in self.inputs}
        section = Section(at, self.constants.matrix, keep)
        x_bar = self.traced.gradients[0]
        lines = section.compute(self.nodes, [*([] if is_zero(x_bar) else [x_bar]), *self.bars])
        for node, place in self.bars.items():
            if node in self.inputs:
                lines.insert(0, f"EACH({shape(node)[0]}) PUT({place} + i, GET(x_bar + i));")
        source = "(vec){0}" if is_zero(x_bar) else f"GET({section.pointer(x_bar)} + i)"
        return [*lines, f"EACH({self.model.nx}) PUT(x_bar + i, {source});"]

    def add(self, term: Term) -> str:
        (m, _), view = shape(term.left), term.target
        left = self.operand(term.left)
        if term.right is None:
            return f"column({m}, count, {left}, G + {view.first}, {view.down}, {view.factor!r});"
        target = f"G + {view.first}, {view.down}, {view.right}, {view.factor!r}"
        return f"outer({m}, {shape(term.right)[1]}, count, {left}, {self.operand(term.right)}, {target});"

    def operand(self, node: Node) -> str:
        """Place at the first step of the block, and the distance to the next step."""
        base, first = part(node)
        shift = f" + {first} * LANES" if first else ""
        if base in self.bars:
            return f"{self.bars[base]}{shift}, BAR"
        place = self.on_tape(base)
        return f"{place}{shift}, ROW" if place else f"{self.constants.column(node)}, 0"


def is_zero(node: Node | None) -> bool:
    return node is None or operation(node).startswith(("zeros", "new_zeros", "full"))


def layout(sizes: dict[str, str]) -> str:
    """Members of an enum: places one after the other; the next name closes it."""
    names = list(sizes)
    members = [f"{names[0]} = 0"]
    members += [f"{b} = {a} + {sizes[a]}" for a, b in zip(names, names[1:], strict=False)]
    return ", ".join(members) + f", {names[-1]}_end = {names[-1]} + {sizes[names[-1]]} - 1"
