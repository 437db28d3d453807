"""Outputs that were not measured do not count, anywhere; inputs must be known."""

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose
from zoo import identified, inputs, quick_gru

from rnn_control import GRU, Experiment, FitResult, compare_with_linear, coverage, diagnose, fit, fit_linear
from rnn_control.identification_report import identification_report
from rnn_control.metrics import score

OPTIONS: dict[str, Any] = dict(epochs=40, polish=100, washout=20, progress=False)


def record(seed, samples=500, missing=0.0):
    truth, rng = identified(quick_gru(1, 2, 2, seed=5)), np.random.default_rng(seed)
    u = truth.scaler.u_out(inputs(rng, samples, 1))
    y = truth.simulate(u)
    y = y + 0.02 * y.std(0) * rng.normal(size=y.shape)
    return Experiment(u, np.where(rng.random(y.shape) < missing, np.nan, y), 2.0, gaps="mask")


@pytest.fixture(scope="module")
def result() -> FitResult:
    return fit(GRU(1, 2, 2, seed=1), record(0, missing=0.4), record(1, 200, 0.4), **OPTIONS)


def test_a_model_from_a_record_with_forty_per_cent_missing_predicts(result):
    model = result.model
    assert min(model.score(record(2, 300)).fit) > 95
    assert_allclose(model.score(record(2, 300, 0.3)).fit, model.score(record(2, 300)).fit, atol=1.0)


def test_missing_samples_of_any_value_give_the_same_training():
    train, valid = record(0, 200, 0.3), record(1, 100, 0.3)
    ends = []
    for filler in (np.nan, np.inf):
        y = np.where(np.isnan(train.y), filler, train.y)
        again = Experiment(train.u, y, 2.0, gaps="mask")
        result = fit(GRU(1, 2, 2, seed=1), again, valid, epochs=10, polish=10, progress=False)
        ends.append(result.model.simulate(valid.u))
    assert_allclose(*ends, rtol=0)


def test_scores_are_those_of_the_measured_samples():
    y = np.arange(12.0).reshape(6, 2) ** 2
    y_hat, holed = y + [[1.0, -2.0]], y.copy()
    holed[[1, 3], 0] = np.nan
    kept = score(y[[0, 2, 4, 5], :1], y_hat[[0, 2, 4, 5], :1])
    assert_allclose(score(holed, y_hat).fit, [*kept.fit, score(y[:, 1:], y_hat[:, 1:]).fit[0]])
    assert score(holed, np.full_like(y, np.nan)).rmse == (np.inf, np.inf)


def test_everything_that_looks_at_a_record_can(result, tmp_path):
    test = record(3, 300, 0.3)
    assert "500" in repr(record(0, missing=0.3)) and "nan" not in repr(test) + test._repr_html_()
    assert diagnose(test) == diagnose(test.interpolated())
    assert coverage(test).names == ("u0", "y0", "y1")
    assert test.plot() and result.model.plot(test)
    train, last = test.split(0.4, 0.1)[0], test.split(0.4, 0.1)[-1]
    assert np.isnan(train.y).any() and np.isnan(last.y).any()
    page = identification_report(result, train, None, last, tmp_path / "page.html", washout=20)
    assert "Residuals" in page.read_text()


def test_the_linear_score_stands_beside_ours(result):
    assert np.nanmin(result.history["valid"]) <= result.linear_error < np.inf
    table = compare_with_linear(result, record(0, missing=0.4), test=record(2, 300))
    assert all(np.isfinite(linear) for _, _, linear, _ in table.rows)


def test_sensor_that_was_silent_in_one_record_does_not_bend_the_linear_model():
    silent = record(1)
    silent.ys[0][:, 0] = np.nan
    model = fit_linear(record(0).join(silent), order=3)
    assert min(model.score(record(2, 300)).fit) > min(fit_linear(record(0), order=3).score(record(2, 300)).fit) - 1


def test_unknown_inputs_and_silent_sensors_are_refused(tmp_path):
    complete = record(0, 100)
    for u, y, named in [(np.where(complete.u > 0, np.nan, complete.u), complete.y, "u0"),
                        (complete.u, complete.y * [np.nan, 1], "y0")]:  # fmt: skip
        with pytest.raises(ValueError, match=named):
            Experiment(u, y, 2.0, gaps="mask")
    table = tmp_path / "log.csv"
    table.write_text("t,u,y\n" + "".join(f"{k},{k % 7},{'' if k % 3 else k % 5}\n" for k in range(60)))
    assert np.isnan(Experiment.from_csv(table, u="u", y="y", time="t", gaps="mask").y).sum() == 40


def test_records_between_gaps_of_inputs_and_of_time_keep_their_missing_outputs(tmp_path):
    table = tmp_path / "log.csv"
    rows = [f"{k + 5 * (k > 39)},{'' if k == 20 else k % 7},{'' if k % 3 else k % 5}\n" for k in range(60)]
    table.write_text("t,u,y\n" + "".join(rows))
    with pytest.raises(ValueError, match="split-inputs"):
        Experiment.from_csv(table, u="u", y="y", time="t", gaps="mask")
    cut = Experiment.from_csv(table, u="u", y="y", time="t", gaps="split-inputs")
    assert [len(u) for u in cut.us] == [20, 19, 20]
    assert sum(np.isnan(y).sum() for y in cut.ys) == 39
