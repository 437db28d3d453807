"""The documentation: every block runs as it stands, every page is listed, no link is broken."""

import ast
import importlib
import re
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import pytest

from rnn_control_cli.main import group

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md"))
FENCES = {
    page: re.findall(r"^```(\w*)\n(.*?)^```", (DOCS / page).read_text(encoding="utf-8"), re.S | re.M) for page in PAGES
}
IN_PYTHON = [page for page in PAGES if any(language == "python" for language, _ in FENCES[page])]


@pytest.mark.parametrize("page", IN_PYTHON)
def test_blocks_of_the_page_run_one_after_another(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "page"}
    for number, (language, block) in enumerate(FENCES[page], 1):
        assert language == "python"
        exec(compile(block, f"{page}, block {number}", "exec"), names)
    plt.close("all")


def test_lines_of_the_shell_are_those_that_help_gives():
    """test_cli_examples runs them."""
    [(_, block)] = FENCES["index.md"]
    assert all(f"  {line}\n" in (group.help or "") for line in block.splitlines())


def test_no_block_is_left_out():
    """Blocks without language are the equations of the plants."""
    others = {page for page in PAGES if FENCES[page] and page not in IN_PYTHON}
    assert others == {"index.md"} | {page for page in PAGES if page.startswith("plants/")}
    assert {page for page in PAGES if page.startswith("tutorials/")} <= set(IN_PYTHON)


def test_contents_name_every_page():
    named = re.findall(r"- ([\w/]+\.md)$", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"), re.M)
    assert sorted(named) == PAGES


def test_every_theorem_is_carried_by_a_test():
    """By its number, in the docstring of a test or of its file; and no number is one that the page lacks."""
    proved = set(re.findall(r"^\*\*Theorem (\d+)", (DOCS / "theory.md").read_text(encoding="utf-8"), re.M))
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in (ROOT / "tests").glob("test_*.py")]
    texts = [ast.get_docstring(node) or "" for tree in trees for node in ast.walk(tree) if is_documented(node)]
    named = re.findall(r"Theorems? ((?:(?:, | and )?(?:Theorems? )?\d+(?: \([a-z]\))?)+)", "\n".join(texts))
    tested = {number for numbers in named for number in re.findall(r"\d+", numbers)}
    assert len(proved) > 20 and tested == proved


def is_documented(node: ast.AST) -> bool:
    return isinstance(node, ast.Module | ast.ClassDef) or isinstance(node, ast.FunctionDef) and "test" in node.name


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    links = re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", (DOCS / page).read_text(encoding="utf-8"))
    assert all(((DOCS / page).parent / link).exists() for link in links), links


APART = {
    "rnn_control": [
        f"rnn_control.{name}"
        for name in "watch tensorboard prediction starts noise price frames tune parallel screening".split()
    ],
    "rnn_control.interop": ["rnn_control.interop.onnx_layers"],
    "mpc": ["mpc.frames"],
}


@pytest.mark.parametrize("package", ["rnn_control", "plants", "mpc", "rnn_control.interop"])
def test_reference_is_made_of_the_docstrings(package):
    """A function hidden by the module of its name has a line of its own; so has a module that is not re-exported."""
    text = (DOCS / "reference" / f"{package.rpartition('.')[2]}.md").read_text(encoding="utf-8")
    public = importlib.import_module(package).__all__
    hidden = [f"{package}.{name}.{name}" for name in public if f"{package}.{name}" in sys.modules]
    assert re.findall("^::: (.*)$", text, re.M) == [*hidden, package, *APART.get(package, [])]
