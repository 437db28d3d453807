"""The arrows between modules: which may import which."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest

# The one list of modules of rnn_control, lowest level first; each imports only from lower levels.
LEVELS = (
    "beginnings formulas ops scan bounds check checks output_error files notebook page watch weighting",
    "certificate tensorboard increments perron",
    "lure wiring small_gain",
    "gaps columns records_plot metrics pareto report tightness residuals",
    "partition variables tables",
    "readers",
    "data",
    "scaler held coverage frames subspace",
    "diagnose refine",
    "model model_file linear",
    "equations",
    "models models.* channels",
    "stored wrapped simulate trace compile export orbits barrier realisation",
    "literal statements library linear_start",
    "gradients loops printed windows curvature",
    "constants explicit factor",
    "codegen",
    "kernel lmi boxes",
    "initial regional conditions",
    "identified",
    "certify forgetting observer readout interop.program interop.onnx_files interop.python_control interop.weights",
    "contract penalty adversary steady_map interop.c_source interop.matlab interop.do_mpc_model interop.acados_model",
    "starts diagonal repair reach enforce stack",
    "objective parallel",
    "construct prediction levenberg near_linear interop interop.onnx_layers readiness",
    "judge noise fit_options",
    "whitened fit_result screening",
    "stages rehearsal",
    "search",
    "floor against_linear price drift finish",
    "fit",
    "restarts",
    "tune",
    "identification_report",
    "__main__",
)
SAME_LEVEL = {("models", "models.*")}  # the exceptions: (importer, imported)
BARRED = {
    "rnn_control": {"plants", "mpc", "rnn_control_cli"},
    "plants": {"rnn_control", "mpc", "rnn_control_cli", "torch"},
    "mpc": {"rnn_control", "plants", "rnn_control_cli", "torch"},
}
# the command line stands above all three; python -m rnn_control is the command
DOOR = ("rnn_control.__main__", "rnn_control_cli.main")
ROOT = Path(__file__).parents[1]

Tree = dict[str, str]  # module name -> source; a package bears its own name


class Import(NamedTuple):
    source: str
    target: str
    place: str
    is_relative: bool


def read(name: str) -> Tree:
    tree = {}
    for path in sorted((ROOT / name).rglob("*.py")):
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        tree[module.removesuffix(".__init__")] = path.read_text(encoding="utf-8")
    return tree


def home(tree: Tree, module: str, dots: int) -> str:
    """Package that `dots` leading dots mean inside module; "." above the island."""
    is_package = module in BARRED or any(name.startswith(f"{module}.") for name in tree)
    parts = module.split(".")
    return ".".join(parts[: max(len(parts) - dots + is_package, 0)]) or "."


def imports(tree: Tree) -> Iterator[Import]:
    for module, text in tree.items():
        for node in ast.walk(ast.parse(text)):
            place = f"{module}, line {getattr(node, 'lineno', 0)}"
            if isinstance(node, ast.Import):
                yield from (Import(module, name.name, place, False) for name in node.names)
            if isinstance(node, ast.ImportFrom):
                above = home(tree, module, node.level) if node.level else ""
                base = ".".join(filter(None, (above, node.module)))
                for name in node.names:
                    target = f"{base}.{name.name}" if f"{base}.{name.name}" in tree else base
                    yield Import(module, target, place, node.level > 0)


def island(module: str) -> str:
    return module.partition(".")[0]


def barred_imports(tree: Tree) -> list[str]:
    """Islands never import one another; plants and mpc never import torch."""
    return [
        f"{i.place}: imports {i.target}, which is barred from {island(i.source)}"
        for i in imports(tree)
        if island(i.target) in BARRED[island(i.source)] and (i.source, i.target) != DOOR
    ]


def absolute_imports(tree: Tree) -> list[str]:
    """Inside an island imports are relative, and stay inside it."""
    return [
        f"{i.place}: imports {i.target}; write from .module import name"
        for i in imports(tree)
        if island(i.target) == ("" if i.is_relative else island(i.source))
    ]


def is_import_by_string(node: ast.AST) -> bool:
    name = getattr(node, "attr", getattr(node, "id", ""))
    return name in ("import_module", "__import__")


def hidden_imports(tree: Tree) -> list[str]:
    """No import inside a function, no import by string, no star import."""
    faults = []
    for module, text in tree.items():
        nodes = list(ast.walk(ast.parse(text)))
        functions = (n for n in nodes if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef))
        inside = {inner for function in functions for inner in ast.walk(function)}
        for node in nodes:
            is_import = isinstance(node, ast.Import | ast.ImportFrom)
            is_star = is_import and any(name.name == "*" for name in node.names)
            if is_star or is_import_by_string(node) or (is_import and node in inside):
                faults.append(f"{module}, line {node.lineno}: import names, on top of the file")
    return faults


def entry(module: str) -> str:
    """Spelling of a module in LEVELS: every architecture is models.*."""
    name = module.partition(".")[2]
    return "models.*" if name.startswith("models.") else name


def level_faults(tree: Tree) -> list[str]:
    """A module of rnn_control imports only from lower levels."""
    levels = {name: level for level, names in enumerate(LEVELS) for name in names.split()}
    levels[""] = len(LEVELS)  # rnn_control/__init__.py, on top of all
    faults = [
        f"{module} is not in LEVELS: add it to the table on top of tests/test_layers.py"
        for module in tree
        if island(module) == "rnn_control" and entry(module) not in levels
    ]
    for i in imports(tree):
        upper, lower = entry(i.source), entry(i.target)
        is_inside = island(i.source) == island(i.target) == "rnn_control"
        is_lower = levels.get(lower, -1) < levels.get(upper, len(LEVELS) + 1)
        if is_inside and not is_lower and (upper, lower) not in SAME_LEVEL:
            faults.append(f"{i.place}: imports {i.target}, which is not at a lower level")
    return faults


def cycles(tree: Tree) -> list[str]:
    """The import graph has no cycle, imports for annotations included."""
    graph: dict[str, set[str]] = {module: set() for module in tree}
    for i in imports(tree):
        graph[i.source] |= {i.target} & set(tree)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return ["imports go round: " + " <- ".join(error.args[1])]
    return []


RULES = (barred_imports, absolute_imports, hidden_imports, level_faults, cycles)
SOUND = {
    "rnn_control": "from .fit import fit",
    "rnn_control.ops": "import torch",
    "rnn_control.model": "from . import ops",
    "rnn_control.models": "from .gru import GRU",
    "rnn_control.models.gru": "from ..model import Model\nfrom ..ops import tanh",
    "rnn_control.fit": "from .models import gru",
    "plants": "from .plant import Plant",
    "plants.plant": "import casadi as ca",
    "mpc": "",
}
BROKEN = [
    (barred_imports, "mpc", "from plants import Plant"),
    (barred_imports, "plants.plant", "if 1:\n    import rnn_control.ops"),
    (barred_imports, "plants.plant", "from torch import nn"),
    (absolute_imports, "rnn_control.fit", "from rnn_control.ops import tanh"),
    (absolute_imports, "rnn_control.fit", "from ..plants import Plant"),
    (hidden_imports, "mpc", "def f():\n    import os"),
    (hidden_imports, "mpc", "class A:\n    async def f(self):\n        from math import pi"),
    (hidden_imports, "mpc", "m = importlib.import_module('os')"),
    (hidden_imports, "mpc", "from math import *"),
    (level_faults, "rnn_control.ops", "from .model import Model"),
    (level_faults, "rnn_control.models.gru", "from .esn import ESN"),
    (level_faults, "rnn_control.fit", "from . import GRU"),
    (level_faults, "rnn_control.newcomer", ""),
    (cycles, "plants.plant", "from . import Plant"),
    (cycles, "rnn_control.ops", "from .models.gru import GRU"),
]


@pytest.mark.parametrize("name", BARRED)
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_every_module_keeps_the_rule(rule, name):
    faults = rule(read(name))
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_rule_accepts_a_sound_tree(rule):
    assert rule(SOUND) == []


@pytest.mark.parametrize("rule, module, text", BROKEN, ids=lambda x: getattr(x, "__name__", x))
def test_rule_refuses_a_broken_tree(rule, module, text):
    assert module in "\n".join(rule({**SOUND, module: text}))


@pytest.mark.parametrize("rule", [absolute_imports, cycles], ids=lambda rule: rule.__name__)
def test_command_line_keeps_the_rules_for_its_own_modules(rule):
    faults = rule(read("rnn_control_cli"))
    assert not faults, "\n".join(faults)


def test_plants_and_mpc_load_without_torch():
    code = "import sys, plants, mpc; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0
