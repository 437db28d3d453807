"""The documentation: every block of the tutorials runs as it stands, every page is listed, no link is broken."""

import importlib
import re
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import pytest

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md"))
TUTORIALS = [page for page in PAGES if page.startswith("tutorials/")]


@pytest.mark.parametrize("page", TUTORIALS)
def test_blocks_of_the_tutorial_run_one_after_another(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"^```python\n(.*?)^```", (DOCS / page).read_text(encoding="utf-8"), re.S | re.M)
    names = {"__name__": "tutorial"}
    for number, block in enumerate(blocks, 1):
        exec(compile(block, f"{page}, block {number}", "exec"), names)
    plt.close("all")
    assert len(blocks) >= 2


def test_contents_name_every_page():
    named = re.findall(r"- ([\w/]+\.md)$", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"), re.M)
    assert sorted(named) == PAGES


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    links = re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", (DOCS / page).read_text(encoding="utf-8"))
    assert all(((DOCS / page).parent / link).exists() for link in links), links


@pytest.mark.parametrize("package", ["rnn_control", "plants", "mpc", "rnn_control.interop"])
def test_reference_is_made_of_the_docstrings(package):
    """A function hidden by the module of its name has a line of its own."""
    text = (DOCS / "reference" / f"{package.rpartition('.')[2]}.md").read_text(encoding="utf-8")
    public = importlib.import_module(package).__all__
    hidden = [f"{package}.{name}.{name}" for name in public if f"{package}.{name}" in sys.modules]
    assert re.findall("^::: (.*)$", text, re.M) == [*hidden, package]
