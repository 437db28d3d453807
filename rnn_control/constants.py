"""What a step reads of the parameters: packed before the first step in the layout of its loops."""

from torch.fx import Node

from .gradients import View, scale
from .statements import Section, part
from .trace import CONSTANT, VIEWS, Trace, Untraceable, arguments, level, operation, shape


class Constants:
    """Places in the array c, given out as they are asked for; afterwards the statements that fill them."""

    def __init__(self, traced: Trace):
        self.inputs = traced.inputs
        parameters = [name for name in traced.inputs.values() if name not in ("x", "u", "x_bar", "y_bar")]
        self.order = {name: i for i, name in enumerate(parameters)}
        self.sizes: dict[str, str] = {}
        self.packing: list[str] = []
        self.computed: dict[Node, None] = {}

    def statements(self, nodes: list[Node]) -> list[str]:
        """Parameters packed, and the columns that depend on nothing else computed."""
        keep = {node: f"c + C_{node.name}" for node in self.computed}
        section = Section(lambda node: self.column(node) if self.is_parameter(node) else None, self.matrix, keep)
        lines = section.compute(nodes, list(keep))
        return [*self.packing, *lines]

    def is_parameter(self, node: Node) -> bool:
        """A parameter, a view of one, or a multiple."""
        is_view = operation(node) in VIEWS or scale(node) is not None
        return node in self.inputs or (is_view and self.is_parameter(node.all_input_nodes[0]))

    def column(self, node: Node) -> str:
        """The place of a constant column, or of a row, which is read as one."""
        if not self.is_parameter(node):
            base, first = part(node)
            self.computed[base] = None
            self.sizes[f"C_{base.name}"] = f"SIZE({shape(base)[0]})"
            return f"c + C_{base.name} + {first} * LANES"
        (rows, columns), (base, view) = shape(node), self.view(node)
        if columns > 1:
            rows, view = columns, view.turned()
        name = f"C_{node.name}_{view.first}_{rows}"
        if name not in self.sizes:
            self.sizes[name] = f"SIZE({rows})"
            self.packing.append(
                f"pack_column({rows}, {self.source(base, view)}, {view.down}, {view.factor!r}, c + {name});"
            )
        return f"c + {name}"

    def view(self, node: Node) -> tuple[Node, View]:
        """(parameter, place of the element (0, 0) and strides) of a constant that is a view of a parameter."""
        name = operation(node)
        if node in self.inputs:
            return node, View(0, shape(node)[1], 1)
        if name == "t.default":
            base, view = self.view(arguments(node)[0])
            return base, view.turned()
        if name == "slice.Tensor" and len(arguments(node)) <= 4:
            base, view = self.view(arguments(node)[0])
            dim, start = arguments(node)[1], arguments(node)[2]
            return base, view.shifted(dim, start if start >= 0 else start + shape(arguments(node)[0])[dim])
        factor = scale(node)
        if factor is not None:
            base, view = self.view(node.all_input_nodes[0])
            return base, view.scaled(factor)
        raise Untraceable(f"{name} of parameters only; compute it in theta()")

    def source(self, parameter: Node, view: View) -> str:
        return f"p[{self.order[self.inputs[parameter]]}] + {view.first}"

    def matrix(self, matrices: list[Node]) -> str:
        """Constant matrices on top of one another, by columns."""
        name = "C_" + "_".join(m.name for m in matrices)
        if name in self.sizes:
            return f"c + {name}"
        if any(level(m) != CONSTANT for m in matrices):
            raise Untraceable("a product of two variables")
        rows, k, above = " + ".join(f"ROWS({shape(m)[0]})" for m in matrices), shape(matrices[0])[1], "0"
        self.sizes[name] = f"({rows}) * {k}"
        for m in matrices:
            base, view = self.view(m)
            sizes = f"{shape(m)[0]}, {k}, {rows}, {self.source(base, view)}, {view.down}, {view.right}, {view.factor!r}"
            self.packing.append(f"pack_matrix({sizes}, c + {name} + {above});")
            above += f" + ROWS({shape(m)[0]})"
        return f"c + {name}"
