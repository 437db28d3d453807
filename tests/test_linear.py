"""Linear identification finds linear systems, and cells that start from it start as good as it."""

from dataclasses import replace

import control
import numpy as np
import pytest
from numpy.testing import assert_allclose

from rnn_control import ESN, GRU, LSTM, NNARX, REN, Contracting, Experiment, GRUResetAfter, LipschitzRNN, fit
from rnn_control.against_linear import compare_with_linear
from rnn_control.identified import IdentifiedModel
from rnn_control.linear import fit_linear, linear_error
from rnn_control.linear_start import start_linear
from rnn_control.refine import _derivatives, _moved
from rnn_control.scaler import Scaler
from rnn_control.subspace import StateSpace, subspace

A = np.array([[0.94, 0.1, 0.0], [-0.1, 0.94, 0.05], [0.0, 0.0, 0.8]])
TRUTH = StateSpace(
    A, np.array([[0.1, 0.0], [0.0, 0.1], [0.2, 0.1]]), np.array([[1.0, 0, 0.5], [0, 1.0, 0]]), np.zeros(2)
)
CELLS = {
    "gru": (GRU, {}), "gru_reset_after": (GRUResetAfter, {}), "lstm": (LSTM, {}), "lipschitz_rnn": (LipschitzRNN, {}),
    "ren": (REN, {}), "nnarx": (NNARX, dict(lags=4)),
}  # fmt: skip


def record(samples, seed, noise=0.05, bend=0.0):
    rng = np.random.default_rng(seed)
    u = np.repeat(rng.uniform(-1, 1, (samples // 5, 2)), 5, 0)
    y = TRUTH.simulate(np.zeros(3), u)
    y = 300 + 10 * (y + bend * y**2 + noise * y.std(0) * rng.normal(size=y.shape))
    return Experiment(50 + 20 * u, y, 2.0)


@pytest.fixture(scope="module")
def data():
    return record(600, 0), record(400, 1)


@pytest.fixture(scope="module")
def linear(data):
    return fit_linear(*data)


@pytest.fixture(scope="module")
def third(data):
    return fit_linear(*data, order=3)


@pytest.mark.parametrize("order", [1, 2, 4])
def test_noise_free_record_has_the_order_of_the_plant(order):
    """Means of a record are no rest point of the plant: a subspace model without a constant took it for a slow mode."""
    rng = np.random.default_rng(order)
    plant = StateSpace(np.diag(np.linspace(0.5, 0.95, order)), rng.normal(size=(order, 1)), np.ones((1, order)), [7.0])
    u = np.repeat(rng.uniform(-1, 1, (160, 1)), 5, 0)
    data = Experiment(u, plant.simulate(np.zeros(order), u), 1.0)
    model = fit_linear(data)
    assert model.order == order and model.score(data).fit[0] > 99.99
    (start,) = subspace([u], [data.y], [order])
    assert_allclose(np.sort(np.linalg.eigvals(start.A)), np.diag(plant.A), atol=1e-7)


@pytest.mark.parametrize("missing", [0.0, 0.4, 0.7])
def test_noise_free_record_gives_the_poles_and_gains_of_the_plant(missing):
    whole = record(400, 0, noise=0.0)
    holes = np.random.default_rng(0).random(whole.y.shape) < missing
    model = fit_linear(Experiment(whole.u, np.where(holes, np.nan, whole.y), 2.0, gaps="mask"), order=3)
    assert_allclose(np.sort_complex(model.to_control().poles()), np.sort_complex(np.linalg.eigvals(A)), atol=1e-6)
    assert_allclose(model.to_control().dcgain(), TRUTH.dc_gain() * 10 / 20, rtol=1e-5)


def test_order_is_found_and_fit_is_what_the_noise_allows(data, linear):
    assert linear.order in (3, 4) and fit_linear(data[0]).order in (3, 4)
    assert min(linear.score(record(400, 2)).fit) > 94.5


def test_free_run_is_that_of_python_control(linear):
    u = 50 + np.random.default_rng(0).uniform(-20, 20, (50, 2))
    deviation = control.forced_response(linear.to_control(), inputs=(u - linear.scaler.u_mid).T).outputs.T
    offset = linear.scaler.y_out(linear.system.b)
    assert_allclose(linear.simulate(u), offset + deviation, rtol=1e-10)


def test_derivatives_of_the_free_run_equal_differences():
    rng = np.random.default_rng(0)
    u, y, x0 = rng.normal(size=(9, 2)), rng.normal(size=(9, 2)), rng.normal(size=3)
    error, J = _derivatives(TRUTH, x0, u, y)
    step = 1e-6 * rng.normal(size=J.shape[1])
    moved, starts = _moved(TRUTH, x0[None], step)
    assert_allclose(_derivatives(moved, starts[0], u, y)[0] - error, -J @ step, atol=1e-9)


def test_balanced_realisation_does_not_depend_on_the_units_of_the_states():
    units = np.diag(10.0 ** np.linspace(-9, 9, len(TRUTH.A)))
    found, expected = (abs(system.balanced().A) for system in (TRUTH.transformed(units), TRUTH))
    assert_allclose(found, expected, atol=1e-9)


def test_balanced_realisation_has_norm_one_at_most():
    balanced = TRUTH.balanced()
    assert np.linalg.norm(balanced.A, 2) <= 1
    assert_allclose(balanced.dc_gain(), TRUTH.dc_gain(), rtol=1e-9)


def test_records_too_short_and_cells_without_start_are_named(linear):
    with pytest.raises(ValueError, match="too few for a linear model of order 1;"):
        fit_linear(record(50, 0), record(50, 1))
    with pytest.raises(ValueError, match="no linear start is known for esn"):
        start_linear(ESN(2, 2, 5), linear)
    with pytest.raises(ValueError, match="nu = 1"):
        start_linear(GRU(1, 2, 5), linear)


@pytest.mark.parametrize("size", [3, 6])
@pytest.mark.parametrize("kind", CELLS)
def test_every_start_is_within_two_points_of_the_linear_model(data, third, kind, size):
    cell, options = CELLS[kind]
    train, valid = data
    labels = {k: getattr(train, k) for k in ("dt", "u_names", "y_names", "u_units", "y_units")}
    started = IdentifiedModel(start_linear(cell(2, 2, size, **options), third), Scaler.fit(train), **labels)
    assert started.score(valid).mean_fit > third.score(valid).mean_fit - 2


@pytest.mark.parametrize("kind", CELLS)
def test_training_from_the_start_never_ends_worse_than_the_linear_model(kind):
    cell, options = CELLS[kind]
    train, valid = record(400, 0, bend=0.3), record(200, 1, bend=0.3)
    linear = fit_linear(train, valid, 3)
    model = start_linear(cell(2, 2, 4, **options), linear)
    certificate = "delta_iss" if kind == "ren" else None
    result = fit(model, train, valid, certificate=certificate, epochs=0, polish=30, progress=False)
    assert 1 - result.model.score(valid).mean_fit / 100 <= linear_error(linear, valid)


def test_table_shows_both_scores_on_every_part(data, third):
    train, valid = data
    model = start_linear(REN(2, 2, 3), third)
    result = fit(model, train, valid, epochs=0, polish=3, progress=False)
    table = compare_with_linear(result, train, valid, record(200, 5), linear=third)
    assert [row[:2] for row in table.rows] == [(p, y) for p in ("train", "valid", "test") for y in ("y0", "y1")]
    assert table.rows[2][2] == third.score(valid).fit[0] and table.rows[2][3] == result.model.score(valid).fit[0]
    assert "network FIT %" in str(table) and "network FIT %" in table._repr_html_()


def test_a_drift_that_a_slow_state_could_follow_does_not_spoil_the_model():
    train, test = record(600, 3), record(400, 4)
    drift = 30 * np.exp(-np.arange(600) / 300)[:, None]
    drifting = Experiment(train.u, train.y + drift - drift.mean(), 2.0)
    linear = fit_linear(drifting, order=4)
    scaler = linear.scaler
    start = subspace([scaler.u_in(drifting.u)], [scaler.y_in(drifting.y)], [4])[0]
    assert linear_error(linear, drifting) <= linear_error(replace(linear, system=start), drifting)
    assert linear.score(test).mean_fit > 40


def oscillation(samples, seed):
    """A lightly damped plant, which a short search from a random start does not find."""
    system = StateSpace(0.97 * np.array([[0.98, 0.2], [-0.2, 0.98]]), np.eye(2), np.eye(2), np.zeros(2))
    u = np.repeat(np.random.default_rng(seed).uniform(-1, 1, (samples // 5, 2)), 5, 0)
    y = system.simulate(np.zeros(2), u)
    y = y + 0.3 * np.tanh(y)
    return Experiment(u, y + 0.1 * y.std(0) * np.random.default_rng(seed + 9).normal(size=y.shape), 2.0)


@pytest.mark.parametrize("kind", CELLS)
@pytest.mark.parametrize("judge", ["validation", "held blocks"])
def test_search_that_ends_below_the_linear_model_goes_on_from_it(kind, judge):
    cell, options = CELLS[kind]
    train, valid = oscillation(300, 0), oscillation(200, 1) if judge == "validation" else None
    how = dict(certificate="delta_iss" if kind == "ren" else None, linear=fit_linear(train, valid, 2))
    result = fit(cell(2, 2, 4, **options), train, valid, epochs=3, polish=20, progress=False, **how)
    assert result.history["valid"][0] > 1.1 * result.linear_error
    assert result.history["valid"][result.best_iteration] <= 1.001 * result.linear_error


def test_floor_of_a_cell_with_fewer_states_is_a_linear_model_trained_for_them():
    parts, options = (record(1500, 0), record(500, 1)), dict(certificate=None, epochs=0, polish=0, progress=False)
    second, third = (fit_linear(*parts, order) for order in (2, 3))
    wanted = fit(GRU(2, 2, 2), *parts, linear=second, **options).linear_error
    errors = fit(GRU(2, 2, 2), *parts, linear=third, **options).history["valid"]
    assert np.isclose(errors, wanted, rtol=2e-3).any()


CERTIFIED = [lambda: Contracting(LSTM(1, 1, 2), rate=0.99), lambda: REN(1, 1, 2), lambda: GRU(1, 1, 2)]


@pytest.mark.parametrize("make", CERTIFIED, ids=["by construction", "ren", "enforced"])
def test_floor_of_a_certified_cell_equals_the_linear_model(make):
    u = np.repeat(np.random.default_rng(0).uniform(-1, 1, (60, 1)), 5, 0)
    truth = StateSpace(np.diag([0.9, 0.7]), np.ones((2, 1)), np.ones((1, 2)), np.zeros(1))
    train = Experiment(u, truth.simulate(np.zeros(2), u), 2.0)
    options = dict(epochs=0, polish=0, progress=False)
    result = fit(make(), train, train, linear=fit_linear(train, order=2), **options)
    assert result.history["valid"][0] > 0.05
    assert result.history["valid"][result.best_iteration] < 0.02 and result.certificate.holds


def test_cell_without_linear_start_stands_beside_the_better_linear_score():
    result = fit(ESN(2, 2, 5), oscillation(300, 0), oscillation(200, 1), epochs=0, polish=0, progress=False)
    assert result.linear is not None and result.linear_error < result.history["valid"][result.best_iteration]
    assert "of a linear model of" in result._repr_html_() and f"{result.linear_error:.4g}" in str(result)


def test_linear_error_is_the_measure_of_the_search(data, third):
    result = fit(REN(2, 2, 3), *data, epochs=0, polish=0, linear=third, progress=False)
    error = third.score(data[1]).rmse / np.std(data[1].y[50:], axis=0)
    assert_allclose(result.linear_error, error.mean(), rtol=1e-6)
