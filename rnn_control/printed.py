"""A traced function as compiled C: from what torch does to functions of arrays, or nothing where that cannot be."""

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from torch import Tensor
from torch.func import functionalize
from torch.fx import Graph
from torch.fx.experimental.proxy_tensor import make_fx

from .library import Library
from .trace import Untraceable, merge_repeated

OPTIONS = '#pragma GCC optimize "O3,associative-math,no-signed-zeros,no-trapping-math"'
FUNCTION = """
void {}(double *restrict m, const double *const *in, double *restrict out)
{{
  {}
}}
"""


def traced(function: Callable[..., Any], *values: Tensor) -> Graph:
    """What torch does in a function of these, without what is done twice or for nothing."""
    graph = make_fx(functionalize(function, remove="mutations"))(*values).graph
    merge_repeated(graph)
    return graph


def compiled(**functions: str) -> Any:
    """Functions (m, in, out) of these statements."""
    texts = (Path(__file__).with_name(name).read_text(encoding="utf-8") for name in ("loops.c", "leading.c"))
    return Library("\n".join([OPTIONS, *texts, *(FUNCTION.format(*each) for each in functions.items())])).functions


def dependent(graph: Graph) -> set[Any]:
    """Nodes that depend on the first input."""
    found: set[Any] = {next(iter(graph.nodes))}
    for node in graph.nodes:
        if found & set(node.all_input_nodes):
            found.add(node)
    return found


Made = TypeVar("Made")


def where_possible(compile: Callable[[], Made]) -> Made | None:
    """None where a function cannot be traced (an eigenvalue, a number that decides what is computed) or compiled."""
    # what other people's cells do to tensors
    unusual = ArithmeticError, AttributeError, LookupError, TypeError, ValueError
    try:
        return compile()
    except (Untraceable, RuntimeError, OSError, subprocess.SubprocessError, *unusual):
        return None
