"""Training: it finds what is there, keeps only what is proved, and stops when told to."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from matplotlib import pyplot as plt
from numpy.testing import assert_allclose, assert_array_equal
from scipy.signal import lfilter
from zoo import identified, inputs, quick_gru

from rnn_control import ESN, GRU, REN, CertificateError, Experiment, certify, fit, fit_linear
from rnn_control.conditions import condition
from rnn_control.construct import Contracting
from rnn_control.contract import contract
from rnn_control.kernel import CompiledKernel

QUICK = dict(epochs=3, polish=12, washout=10, progress=False)


def record(samples, seed, noise=0.0):
    """A small certified GRU, one input and one output, in physical units."""
    truth = identified(quick_gru(1, 1, 2, seed=5))
    rng = np.random.default_rng(seed)
    u = truth.scaler.u_out(inputs(rng, samples, 1))
    y = truth.simulate(u)
    return Experiment(u, y + noise * y.std() * rng.normal(size=y.shape), 2.0)


@pytest.fixture(scope="module")
def train():
    return record(200, 0)


@pytest.fixture(scope="module")
def valid():
    return record(120, 1)


def start(seed=0):
    return quick_gru(1, 1, 3, seed=seed)


def parameters(result):
    return torch.cat([v.detach().flatten() for v in result.model.model.parameters()]).numpy()


def test_fit_recovers_a_known_system(train, valid):
    result = fit(start(), train, valid, epochs=20, polish=90, washout=20, progress=False)
    assert min(result.model.score(record(200, 2)).fit) > 98
    assert result.certificate.holds


def test_where_the_training_took_the_states_is_kept(train):
    """Of a short record whole: that of the run that the residual is of."""
    model = fit(start(), train, **QUICK).model
    states = model.states(train.u, model.initial_state(train.u, train.y))[0][:-1]
    assert_allclose(model.visited.mean, states.mean(0), atol=0.02)
    assert_allclose(model.visited.spread, states.std(0).max(), atol=0.02)
    assert abs(model.visited.mean).max() > 0.05 < model.visited.spread


@pytest.mark.parametrize("property", ["delta_iss", "iss", None])
def test_model_that_is_kept_satisfies_its_certificate(train, valid, property):
    result = fit(start(), train, valid, certificate=property, **QUICK)
    assert (result.certificate is None) == (property is None)
    assert property is None or certify(result.model, property).holds


@pytest.mark.parametrize("method", ["published", "weighted"])
def test_method_asked_for_is_the_one_that_holds(train, valid, method):
    result = fit(start(), train, valid, method=method, **QUICK)
    assert certify(result.model, method=method).holds


def test_unstable_start_is_led_back(train, valid):
    model = start()
    with torch.no_grad():
        model.Ur.mul_(20)
    assert not certify(model).holds
    assert fit(model, train, valid, **QUICK).certificate.holds


def test_best_iterate_by_validation_is_the_one_returned(train, valid):
    result = fit(start(), train, valid, **QUICK)
    certified = np.where(result.history["residual"] < 0, result.history["valid"], np.inf)
    assert result.best_iteration == np.argmin(certified)
    score = result.model.score(valid, washout=10)
    assert_allclose(1 - score.fit[0] / 100, certified.min(), rtol=1e-9)


def test_history_has_one_row_an_iteration(train, valid):
    result = fit(start(), train, valid, **QUICK)
    assert set(result.history) == {"loss", "valid", "residual"}
    assert len({len(column) for column in result.history.values()}) == 1
    assert 4 <= len(result.history["loss"]) <= 1 + 3 + 12 + 3


def test_same_seed_gives_the_same_model(train, valid):
    linear = fit_linear(train, order=1)
    silent = replace(linear, system=linear.system._replace(C=np.zeros((1, 1))))  # no floor under three steps
    # 49 windows: more than a batch of 32
    options = dict(window=5, epochs=3, polish=0, washout=1, progress=False, linear=silent)
    a, b, c = (parameters(fit(start(), train, valid, seed=seed, **options)) for seed in (1, 1, 2))
    assert_array_equal(a, b)
    assert not np.array_equal(a, c)


@pytest.mark.parametrize("calls", [3, 8])
def test_interrupt_returns_the_best_model_so_far(train, valid, monkeypatch, calls):
    counted, original = [], CompiledKernel.loss_grad

    def press_ctrl_c(self, *args):
        counted.append(1)
        if len(counted) > calls:
            raise KeyboardInterrupt
        return original(self, *args)

    monkeypatch.setattr(CompiledKernel, "loss_grad", press_ctrl_c)
    result = fit(start(), train, valid, **QUICK)
    assert result.interrupted and result.certificate.holds
    assert np.isfinite(result.model.score(valid).fit).all()


def test_interrupt_before_the_first_model_says_so(train, valid, monkeypatch):
    def press_ctrl_c(self, *args):
        raise KeyboardInterrupt

    monkeypatch.setattr(CompiledKernel, "loss_grad", press_ctrl_c)
    with pytest.raises(CertificateError, match="train longer"):
        fit(start(), train, valid, **QUICK)


def test_literal_loop_gives_the_same_fit(monkeypatch, tmp_path):
    options = dict(epochs=2, polish=0, washout=5, progress=False)
    compiled = fit(start(), record(40, 0), **options)
    monkeypatch.setenv("RNN_CONTROL_CACHE", str(tmp_path))
    monkeypatch.setattr("shutil.which", lambda name: None)
    literal = fit(start(), record(40, 0), **options)
    assert_allclose(parameters(compiled), parameters(literal), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize(
    "options", [dict(initial="washout"), dict(window=50), dict(washout=0), dict(washout=1000)], ids=str
)
def test_every_way_of_starting_and_cutting_records_trains(train, valid, options):
    result = fit(start(), train, valid, **(QUICK | options))
    assert result.history["loss"].min() < result.history["loss"][0]


def test_records_of_unequal_length_train_together():
    joined = Experiment.join(record(150, 3), record(40, 4), record(11, 5))
    assert fit(start(), joined, joined, **QUICK).certificate.holds


def test_fit_without_validation_judges_by_training(train):
    assert fit(start(), train, **QUICK).certificate.holds


def test_certificate_holds_on_the_input_box_asked_for(train, valid):
    low, high = train.u.min() - 30, train.u.max() + 30
    result = fit(start(), train, valid, u_min=np.array([low]), u_max=np.array([high]), **QUICK)
    assert_allclose(result.certificate.input_box, [[low, high]])


def test_result_remembers_where_it_comes_from(train, valid):
    info = fit(start(), train, valid, certificate="iss", **QUICK).model.info
    assert info["data"] == train.fingerprint() and info["certificate"] == "iss" and info["version"]


@pytest.mark.filterwarnings("ignore:searched for on the first")
@pytest.mark.parametrize("certificate, panels", [("delta_iss", 3), (None, 2)])
def test_training_plot_has_units_on_every_axis(train, certificate, panels):
    figure = fit(start(), train, certificate=certificate, epochs=1, polish=1, progress=False).plot()
    labels = [ax.get_ylabel() for ax in figure.axes]
    plt.close(figure)
    assert len(labels) == panels and all("[-]" in label or "/ std" in label for label in labels)


@pytest.mark.parametrize(
    "options, word",
    [
        (dict(certificate="ISS"), "choose from"),
        (dict(method="lmi"), "choose auto"),
        (dict(certificate="iss", method="lmi"), "choose auto"),
        (dict(certificate=None, method="weighted"), "method"),
        (dict(initial="zero"), "estimated"),
        (dict(u_min=np.array([1e6])), "box"),
    ],
    ids=str,
)
def test_impossible_option_is_refused(train, options, word):
    with pytest.raises(ValueError, match=word):
        fit(start(), train, **options)


@pytest.mark.filterwarnings("ignore:searched for on the first")
@pytest.mark.parametrize(
    "model, certificate",
    [(GRU, None), (GRU, "delta_iss"), (REN, "delta_iss"), (Contracting, "delta_iss")],
    ids=["levenberg", "penalty", "ren", "contracting"],
)
def test_every_search_keeps_to_the_limits_of_parameters(train, model, certificate):
    name = "inner.C" if model is Contracting else "C"
    cell = Contracting(start()) if model is Contracting else model(1, 1, 3, seed=0)
    limits = {name: ([[0.0, -0.1, -0.1]], 0.1)}
    fit(cell, train, certificate=certificate, limits=limits, **QUICK | dict(epochs=10))
    C = dict(cell.named_parameters())[name].detach().numpy()
    assert (C >= limits[name][0]).all() and C.max() <= 0.1 and abs(C).max() == 0.1


@pytest.mark.parametrize(
    "limits, word",
    [
        ({"D": (0, 1)}, "trained are Wz"),
        ({"C": (1, 0)}, "smaller"),
        ({"C": 1.0}, "two numbers"),
        ({"C": (np.zeros(7), 1)}, "shape"),
        ({"Ur": (0.1, 1)}, "shrink"),
    ],
    ids=str,
)
def test_impossible_limits_are_refused(train, limits, word):
    with pytest.raises(ValueError, match=word):
        fit(start(), train, limits=limits)


def test_model_and_data_of_different_sizes_are_refused(train):
    with pytest.raises(ValueError, match="nu = 2"):
        fit(GRU(2, 1, 3), train)


def test_identified_model_is_refused(train):
    with pytest.raises(ValueError, match="give an architecture"):
        fit(identified(start()), train)


def test_model_in_single_precision_is_refused(train):
    with pytest.raises(ValueError, match=r"call model.double\(\)"):
        fit(start().float(), train)


def test_validation_of_other_sampling_time_is_refused(train):
    with pytest.raises(ValueError, match="sampling times"):
        fit(start(), train, Experiment(train.u, train.y, 7.0))


@pytest.mark.parametrize("method", ["published", "weighted"])
def test_contract_takes_the_largest_factor(method):
    model = start()
    with torch.no_grad():
        model.Ur.mul_(50)
    factor = contract(model, "delta_iss", method, 0.02)
    rate = condition(model, model.theta(), model.input_box(), "delta_iss", method).rate
    assert 0 < factor < 1 and 0.979 < float(rate.detach()) <= 0.98


def test_contract_leaves_a_certified_model_alone():
    assert contract(start(), "delta_iss", "published", 1e-6) == 1.0


def test_read_out_alone_fits_what_is_linear_in_the_states(train, valid):
    model = ESN(1, 1, 30, seed=2)
    before = model.Wx.clone()
    result = fit(model, train, valid, epochs=0, polish=0, washout=20, progress=False)
    assert min(result.model.score(valid, washout=20).fit) > 70
    assert torch.equal(before, result.model.model.Wx)


def test_certified_model_of_an_integrating_level_is_returned_with_a_warning():
    rng = np.random.default_rng(0)
    u = np.repeat(rng.uniform(-1, 1, 60), 10)[:, None]
    y = np.cumsum(np.vstack([[0.0], u[:-1]]), 0)
    level = Experiment(u, y, 2.0)
    train, valid, _ = level.split(0.6, 0.3)
    with pytest.warns(UserWarning) as seen:
        result = fit(start(), train, valid, margin=0.1, epochs=20, polish=60, progress=False)
    before, after = (str(w.message) for w in seen)
    assert "integrates" in before and "slower than the margin 0.1 asks for" in after and "may integrate" in after
    assert result.certificate.holds


@pytest.mark.parametrize("poles, is_told", [(0.995 * np.exp([0.3j, -0.3j]), True), ([0.995, 0.9], False)])
def test_who_proves_a_mode_that_swings_with_a_gated_cell_is_told_of_the_ren(poles, is_told):
    rng = np.random.default_rng(0)
    u = np.repeat(rng.uniform(-1, 1, 120), 5)
    y = lfilter([0, 0.1], np.real(np.poly(poles)), u)
    train = Experiment(u, y + 1e-3 * y.std() * rng.normal(size=len(y)), 1.0)
    with pytest.warns(UserWarning) as caught:
        fit(GRU(1, 1, 2), train, epochs=2, polish=6, margin=0.05, progress=False)
    told = [str(w.message) for w in caught if "slower than the margin" in str(w.message)]
    assert told and all(("REN" in message) == is_told for message in told)
