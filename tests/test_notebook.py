"""What a notebook shows: tables of everything that a user holds, escaped; and data frames out and in again."""

import dataclasses
from html.parser import HTMLParser

import numpy as np
import pytest
from matplotlib import pyplot as plt
from zoo import identified, inputs, quick_gru

import mpc.frames
from mpc import NMPC, OffsetFreeObserver, Record, SystemProcess, run
from rnn_control import Experiment, FitResult, certify
from rnn_control.frames import to_frame

WICKED = "<b>T</b> & 'Co'"


@pytest.fixture(scope="module")
def shown():
    """One of each, its first output named by a wicked user."""
    model = identified(quick_gru(2, 1, 3))
    names = dict(u_names=model.u_names, y_names=(WICKED,), u_units=model.u_units, y_units=("<K>",))
    model = type(model)(model.model, model.scaler, model.dt, **names)
    u = model.scaler.u_out(inputs(np.random.default_rng(0), 60, 2))
    record = Experiment(u, model.simulate(u), model.dt, **names)
    history = {name: np.array([0.3, 0.2]) for name in ("loss", "valid", "residual")}
    result = FitResult(model, certify(model), history, best_iteration=1, interrupted=False, seconds=1.0)
    system = model.to_casadi()
    process, observer = SystemProcess(system), OffsetFreeObserver(system)
    loop = run(process, NMPC(system, 3), observer, [model.scaler.y_mean[0]], 4, progress=False)
    return {"experiment": record, "model": model, "certificate": certify(model), "fit": result, "loop": loop}


@pytest.mark.parametrize("name", ["experiment", "model", "certificate", "fit", "loop"])
def test_html_is_whole_and_escaped(shown, name):
    html, opened = shown[name]._repr_html_(), []
    reader = HTMLParser()
    reader.handle_starttag = lambda tag, attrs: opened.append(tag)
    reader.handle_endtag = lambda tag: opened.remove(tag) if opened[-1] == tag else opened.append("wrong")
    reader.feed(html)
    assert opened == [] and "<table>" in html and WICKED not in html and "&lt;b&gt;T&lt;/b&gt; &amp;" in html


def test_fit_prints_how_well_it_predicts_and_its_certificate(shown):
    text = str(shown["fit"])
    assert "Fit of a gru model, 3 states" in text and "0.2" in text and "deltaISS: holds" in text


@pytest.mark.parametrize("name", ["experiment", "model", "certificate", "fit", "loop"])
def test_plot_returns_a_figure_with_axes(shown, name):
    figure = shown[name].plot(*([shown["experiment"]] if name == "model" else []))
    assert figure.axes and all(ax.lines for ax in figure.axes)
    plt.close(figure)


def test_plot_of_a_certificate_meets_its_times_to_forget(shown):
    certificate = shown["certificate"]
    curve, *dotted = certificate.plot().axes[0].lines
    for left, line in zip((0.5, 0.1, 0.01), dotted, strict=True):
        time, percent = line.get_xdata()[1], line.get_ydata()[1]
        assert (time, percent) == (certificate.forgetting(left)[1], 100 * left)
        assert np.interp(time, *curve.get_data()) <= percent * (1 + 1e-9)
    plt.close("all")


def test_refused_certificate_has_nothing_to_plot(shown):
    with pytest.raises(ValueError, match="ask a certificate that holds"):
        dataclasses.replace(shown["certificate"], holds=False).plot()


def test_experiment_comes_back_from_its_data_frame(shown):
    before = Experiment(shown["experiment"].u, shown["experiment"].y, 2.0, ["F", "Q"], ["T"], ["L/min", ""], ["K"])
    frame = to_frame(before)
    assert list(frame.columns) == ["F [L/min]", "Q", "T [K]"] and frame.index.name == "t [s]"
    after = Experiment.from_frame(frame, u=["F", "Q"], y=["T"], time="index")
    assert after.fingerprint() == before.fingerprint()


def test_several_records_are_one_frame_with_their_names(shown):
    both = shown["experiment"].join(shown["experiment"])
    frame = to_frame(both)
    assert len(frame) == 120 and frame.index.names == ["record", "t [s]"]


def test_loop_as_a_frame_has_the_columns_of_its_csv(shown, tmp_path):
    loop: Record = shown["loop"]
    loop.to_csv(tmp_path / "loop.csv")
    frame = mpc.frames.to_frame(loop)
    assert ["t [s]", *frame.columns] == (tmp_path / "loop.csv").read_text().splitlines()[0].split(",")
    assert np.array_equal(frame["reference <b>T</b> & 'Co' [<K>]"], loop.reference[:, 0])
