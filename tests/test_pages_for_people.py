"""Pages of an identification and of a closed loop: whole, self-contained, every figure there, readable when narrow."""

import re

import numpy as np
import pytest
from matplotlib import pyplot as plt
from test_readiness import record
from test_report import Page
from zoo import identified, quick_gru

from mpc import NMPC, OffsetFreeObserver, SystemProcess, closed_loop_report, run
from rnn_control import FitResult, Report, certify, identification_report

SECTIONS = {
    "identification": ["Control-readiness", "Data", "Free run", "Residuals", "Certificate", "Step responses",
                       "Steady-state map", "Training"],
    "loop": ["Trajectories", "Outputs", "Controller"],
}  # fmt: skip
FIGURES = {"identification": 7, "loop": 2}


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """name -> file."""
    folder, model = tmp_path_factory.mktemp("pages"), identified(quick_gru(1, 2, 3, seed=3))
    history = {name: np.array([0.3, 0.2]) for name in ("loss", "valid", "residual")}
    result = FitResult(model, certify(model), history, best_iteration=1, interrupted=False, seconds=1.0)
    path = identification_report(result, *record(model, 500).split(0.5, 0.25), folder / "identification.html")
    system = model.to_casadi()
    reference = [(0.0, model.scaler.y_mean), (8.0, model.scaler.y_mean + 0.1 * model.scaler.y_std)]
    reference = {name: [(t, float(v[j])) for t, v in reference] for j, name in enumerate(model.y_names)}
    loop = run(SystemProcess(system), NMPC(system, 3), OffsetFreeObserver(system), reference, 8, progress=False)
    closed_loop_report(loop, Report("Loop")).save(folder / "loop.html")
    plt.close("all")
    return {"identification": path, "loop": folder / "loop.html"}


@pytest.fixture(params=SECTIONS)
def name(request):
    return request.param


def test_page_has_every_section_and_figure(pages, name):
    html = pages[name].read_text()
    assert re.findall("<h2>(.*?)</h2>", html) == SECTIONS[name]
    assert html.count("<figure>") == len(re.findall("<svg role|<img alt", html)) == FIGURES[name]


def test_page_is_whole_and_needs_nothing_else(pages, name):
    page = Page()
    page.feed(pages[name].read_text())
    assert page.open == [] and len(page.ids) == len(set(page.ids)) > 20
    assert {t.lstrip("#") for t in page.targets if not t.startswith("data:")} <= set(page.ids)


def test_certificate_stands_beside_what_was_seen(pages):
    html = pages["identification"].read_text()
    assert "certified</th>" in html and "decay rate per step" in html and "K per L/min" in html


def test_what_is_wide_scrolls_in_a_box_of_its_own(pages, name):
    """make browser looks whether it does."""
    html = pages[name].read_text()
    assert html.count('class="wide"') == html.count("<table>") + FIGURES[name] and "overflow-x: auto" in html


def test_iss_certificate_stands_beside_what_was_seen(tmp_path):
    model = identified(quick_gru(1, 2, 3, seed=3))
    history = {name: np.array([0.3, 0.2]) for name in ("loss", "valid", "residual")}
    result = FitResult(model, certify(model, "iss"), history, best_iteration=1, interrupted=False, seconds=1.0)
    html = identification_report(result, *record(model, 500).split(0.5, 0.25), tmp_path / "page.html").read_text()
    plt.close("all")
    assert html.count("ends up in</td>") == 2 and "seen</th>" in html
