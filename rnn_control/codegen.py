"""Prints a traced cell and its vector-Jacobian product as C: the time loop inside, one loop nest per operation.

The cell's f and g are the only statement of the equations: `trace` records what torch does with them, nothing here
knows a cell. The operations are the closed set a cell can be written in; another one raises `Untraceable`, and the
caller falls back to the literal loop.
"""

import torch
from torch.fx.experimental.proxy_tensor import make_fx

from .model import Model, Params


class Untraceable(Exception):
    """The cell uses an operation that has no C form here."""


def trace(model: Model, wrt: tuple[str, ...]):
    """Graphs of (f, g) and of their vector-Jacobian product, as functions of (x, u, x_bar, y_bar, parameters)."""
    p = {k: v.detach() for k, v in model.theta().items()}
    names, columns = list(p), [torch.zeros(n, 1, dtype=torch.float64) for n in (model.nx, model.nu, model.nx, model.ny)]

    def step(x, u, _x_bar, _y_bar, *values):
        q = Params(zip(names, values, strict=True))
        return model.f(q, x, u), model.g(q, x)

    def adjoint(x, u, x_bar, y_bar, *values):
        q = Params(zip(names, values, strict=True))

        def outputs(x, *free):
            q_free = Params({**q, **dict(zip(wrt, free, strict=True))})
            return model.f(q_free, x, u), model.g(q_free, x)

        pullback = torch.func.vjp(outputs, x, *(q[name] for name in wrt))[1]
        return pullback((x_bar, y_bar))

    return [make_fx(fn)(*columns, *p.values()).graph for fn in (step, adjoint)]


ELEMENTWISE = {
    "add.Tensor": "{0} + {1}", "sub.Tensor": "{0} - {1}", "mul.Tensor": "{0} * {1}", "div.Tensor": "{0} / {1}",
    "rsub.Scalar": "{1} - {0}", "neg.default": "-{0}", "exp.default": "exp({0})",
    "sigmoid.default": "1.0 / (1.0 + exp(-{0}))", "tanh.default": "1.0 - 2.0 / (1.0 + exp(2.0 * {0}))",
    "tanh_backward.default": "{0} * (1.0 - {1} * {1})", "sigmoid_backward.default": "{0} * {1} * (1.0 - {1})",
    "relu.default": "{0} > 0.0 ? {0} : 0.0", "threshold_backward.default": "{1} > 0.0 ? {0} : 0.0",
}  # fmt: skip


class Printer:
    """C statements of one graph. A value is (pointer expression, rows, columns, is_transposed)."""

    def __init__(self, graph, inputs: list[str]):
        self.lines: list[str] = []
        self.values: dict = {}
        nodes = list(graph.nodes)
        places = [n for n in nodes if n.op == "placeholder"]
        for node, pointer in zip(places, inputs, strict=True):
            self.values[node] = (pointer, *node.meta["val"].shape, False)
        self.results = next(n for n in nodes if n.op == "output").args[0]
        self.used = self.needed(self.results)
        for node in nodes:
            if node.op == "call_function" and node in self.used:
                self.emit(node)

    def needed(self, results) -> set:
        found, stack = set(), [n for n in results if not is_zero(n)]
        while stack:
            node = stack.pop()
            if node not in found:
                found.add(node)
                stack.extend(node.all_input_nodes)
        return found

    def emit(self, node):
        op = str(node.target).removeprefix("aten.")
        rows, columns = node.meta["val"].shape
        if op == "t.default":
            pointer, r, c, turned = self.values[node.args[0]]
            self.values[node] = (pointer, c, r, not turned)
        elif op == "slice.Tensor":
            self.slice(node)
        elif op == "mm.default" and self.is_final_outer(node):
            self.values[node] = ("outer", rows, columns, False)
        else:
            self.values[node] = (node.name, rows, columns, False)
            self.lines.append(f"double {node.name}[{rows * columns}];")
            self.compute(node, op, rows, columns)

    def slice(self, node):
        pointer, _, columns, turned = self.values[node.args[0]]
        dim, start = node.args[1], node.args[2]
        if dim != 0 or columns != 1 or turned or len(node.args) > 4:
            raise Untraceable(f"slice {node.args}")
        start = start if start >= 0 else start + node.args[0].meta["val"].shape[0]
        self.values[node] = (f"({pointer}+{start})", *node.meta["val"].shape, False)

    def compute(self, node, op, rows, columns):
        size = rows * columns
        if op == "mm.default":
            self.product(node)
        elif op == "cat.default" and (len(node.args) == 1 or node.args[1] == 0):
            start = 0
            for part in node.args[0]:
                pointer, r, c, turned = self.plain(part)
                self.lines.append(f"for (int i = 0; i < {r * c}; i++) {node.name}[{start} + i] = {pointer}[i];")
                start += r * c
        elif op == "slice_backward.default":
            grad, _, dim, start, end, step = node.args
            pointer, r, c, turned = self.plain(grad)
            if dim != 0 or step != 1:
                raise Untraceable(str(node.args))
            self.lines.append(f"for (int i = 0; i < {size}; i++) {node.name}[i] = 0.0;")
            self.lines.append(f"for (int i = 0; i < {r * c}; i++) {node.name}[{start * columns} + i] = {pointer}[i];")
        elif op in ELEMENTWISE:
            terms = [self.term(a, rows, columns) for a in node.args]
            value = ELEMENTWISE[op].format(*terms)
            # without the pragma gcc unrolls short loops before it can turn exp into its vector version
            simd = "\n#pragma omp simd\n" if "exp(" in value else ""
            self.lines.append(f"{simd}for (int i = 0; i < {size}; i++) {node.name}[i] = {value};")
        else:
            raise Untraceable(op)

    def plain(self, node):
        value = self.values[node]
        if value[3] and value[1] != 1 and value[2] != 1:
            raise Untraceable("a transposed matrix outside a product")
        return value

    def term(self, a, rows, columns) -> str:
        if not isinstance(a, torch.fx.Node):
            return repr(float(a))
        pointer, r, c, _ = self.plain(a)
        if (r, c) not in ((rows, columns), (1, 1)):
            raise Untraceable(f"broadcast of ({r}, {c}) to ({rows}, {columns})")
        return f"{pointer}[{'i' if (r, c) == (rows, columns) else 0}]"

    def product(self, node):
        (a, m, k, a_turned), (b, _, n, _) = self.values[node.args[0]], self.plain(node.args[1])
        name = node.name
        if k == 1:
            self.lines.append(
                f"for (int i = 0; i < {m}; i++) for (int j = 0; j < {n}; j++) {name}[i*{n}+j] = {a}[i] * {b}[j];"
            )
        elif n != 1:
            raise Untraceable("a product of two matrices")
        elif a_turned:
            self.lines.append(f"for (int i = 0; i < {m}; i++) {name}[i] = 0.0;")
            self.lines.append(
                f"for (int j = 0; j < {k}; j++) for (int i = 0; i < {m}; i++) {name}[i] += {a}[j*{m}+i] * {b}[j];"
            )
        else:
            self.lines.append(
                f"for (int i = 0; i < {m}; i++) {{ double s = 0.0; "
                f"for (int j = 0; j < {k}; j++) s += {a}[i*{k}+j] * {b}[j]; {name}[i] = s; }}"
            )

    def is_final_outer(self, node) -> bool:
        return node.args[0].meta["val"].shape[1] == 1 and all(user.op == "output" for user in node.users)

    def accumulate(self, node, target: str) -> tuple[str, str, str]:
        """target += value of a result, as (buffers, what to do in a step, what to do after a block of steps).

        Outer products a b' are collected over a block and added as one matrix product: target stays in registers.
        """
        if is_zero(node):
            return "", "", ""
        pointer, rows, columns, _ = self.values[node]
        if pointer != "outer":
            self.plain(node)
            return "", f"for (int i = 0; i < {rows * columns}; i++) {target}[i] += {pointer}[i];", ""
        a, b = self.values[node.args[0]][0], self.values[node.args[1]][0]
        left, right = f"l_{node.name}", f"r_{node.name}"
        buffers = f"double {left}[{BLOCK}][{rows}], {right}[{BLOCK}][{columns}];"
        step = (
            f"for (int i = 0; i < {rows}; i++) {left}[s][i] = {a}[i]; "
            f"for (int j = 0; j < {columns}; j++) {right}[s][j] = {b}[j];"
        )
        flush = (
            f"for (int i = 0; i < {rows}; i++) {{ double acc[{columns}] = {{0.0}}; for (int t = 0; t < s; t++) "
            f"for (int j = 0; j < {columns}; j++) acc[j] += {left}[t][i] * {right}[t][j]; "
            f"for (int j = 0; j < {columns}; j++) {target}[i*{columns}+j] += acc[j]; }}"
        )
        return buffers, step, flush


def is_zero(node) -> bool:
    """The gradient of a parameter that f and g do not read, such as one that only a certificate needs."""
    return node is None or str(node.target) == "aten.zeros_like.default"


BLOCK = 32
"""Steps whose weight gradients are added together."""

FRAME = """#include <math.h>
#include <string.h>

void rollout(const double *restrict p, const double *restrict U, long T, double *restrict X, double *restrict Y)
{{
  for (long k = 0; k < T; k++) {{
    const double *x = X + k * {nx}, *u = U + k * {nu};
    {step}
    for (int i = 0; i < {nx}; i++) X[(k + 1) * {nx} + i] = {x_next}[i];
    for (int i = 0; i < {ny}; i++) Y[k * {ny} + i] = {y}[i];
  }}
}}

/* X, Y: the roll-out. Adds d/dp sum w (y - Yref)^2 to G, leaves d/dx0 in x_bar, returns the sum. */
double adjoint(const double *restrict p, const double *restrict U, long T, const double *restrict X,
               const double *restrict Y, const double *restrict Yref, const double *restrict W,
               double *restrict G, double *restrict x_bar)
{{
  double loss = 0.0, y_bar[{ny}];
  int s = 0;
  {buffers}
  memset(x_bar, 0, {nx} * sizeof(double));
  for (long k = T - 1; k >= 0; k--) {{
    const double *x = X + k * {nx}, *u = U + k * {nu};
    for (int i = 0; i < {ny}; i++) {{
      double e = Y[k * {ny} + i] - Yref[k * {ny} + i], w = W[k * {ny} + i];
      loss += w * e * e;
      y_bar[i] = 2.0 * w * e;
    }}
    {back}
    if (++s == {block} || k == 0) {{
      {flush}
      s = 0;
    }}
  }}
  return loss;
}}
"""


def c_source(model: Model, wrt: tuple[str, ...]) -> str:
    """The C source of `rollout` and `adjoint`; parameters and gradients are flat, in the order of theta() and wrt."""
    step, adjoint = trace(model, wrt)
    offset, inputs = 0, []
    for value in model.theta().values():
        inputs.append(f"(p+{offset})")
        offset += value.numel()
    forward = Printer(step, ["x", "u", "x", "x", *inputs])
    backward = Printer(adjoint, ["x", "u", "x_bar", "y_bar", *inputs])
    sums, place = [], 0
    for name, result in zip(wrt, backward.results[1:], strict=True):
        sums.append(backward.accumulate(result, f"(G+{place})"))
        place += model.theta()[name].numel()
    buffers, steps, flush = ("\n    ".join(filter(None, part)) for part in zip(*sums, strict=True))
    x_bar = backward.values[backward.results[0]][0]
    carry = [
        f"double x_new[{model.nx}]; for (int i = 0; i < {model.nx}; i++) x_new[i] = {x_bar}[i];",
        f"for (int i = 0; i < {model.nx}; i++) x_bar[i] = x_new[i];",
    ]
    x_next, y = (forward.values[r][0] for r in forward.results)
    return FRAME.format(
        nx=model.nx, nu=model.nu, ny=model.ny, step="\n    ".join(forward.lines), x_next=x_next, y=y, block=BLOCK,
        buffers=buffers, flush=flush, back="\n    ".join([*backward.lines, steps, *carry]),
    )  # fmt: skip
