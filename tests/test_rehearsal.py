"""A search under a certificate without a validation part is rehearsed, and left out where it would learn noise only."""

import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from scipy.signal import lfilter

from rnn_control import GRU, Experiment, fit, fit_linear
from rnn_control.rehearsal import Rehearsal, is_few, rehearse

module = sys.modules["rnn_control.fit"]
OPTIONS = dict(epochs=20, polish=200, drift=None, progress=False)


def disturbed(samples: int, seed: int, level: float) -> Experiment:
    """A linear plant under a slow disturbance that no input tells of."""
    rng = np.random.default_rng(seed)
    u = np.repeat(rng.uniform(-1, 1, samples // 5), 5)
    load = lfilter([1], [1, -0.97], rng.standard_normal(samples)) * (1 - 0.97**2) ** 0.5
    return Experiment(u, lfilter([0, 0.2], [1, -0.8], u) + level * load, 1.0)


@pytest.fixture
def verdict(monkeypatch):
    return lambda *said: monkeypatch.setattr(module, "rehearse", lambda *_: Rehearsal(*said))


def test_a_search_that_learns_the_disturbance_is_left_out(monkeypatch):
    train, quiet = disturbed(300, 9, 0.35), disturbed(2000, 21, 0.0)
    with pytest.warns(UserWarning, match="that start is returned"):
        rehearsed = fit(GRU(1, 1), train, **OPTIONS)
    monkeypatch.setattr(module, "is_few", lambda *_: False)
    searched = fit(GRU(1, 1), train, **OPTIONS)
    assert rehearsed.certificate.holds and len(rehearsed.history["loss"]) < 20 < len(searched.history["loss"])
    assert rehearsed.model.score(quiet).rmse[0] < 0.95 * searched.model.score(quiet).rmse[0]


def test_what_is_returned_in_its_place_is_the_start(verdict):
    train = disturbed(300, 0, 0.1)
    start = fit(GRU(1, 1), train, **OPTIONS | dict(epochs=0, polish=0))
    verdict(True)
    with pytest.warns(UserWarning, match="that start is returned"):
        result = fit(GRU(1, 1), train, **OPTIONS)
    assert_array_equal(result.model.predict(train)[0], start.model.predict(train)[0])


def test_an_interrupt_in_the_rehearsal_keeps_what_was_found(monkeypatch):
    train, model, steps = disturbed(300, 0, 0.1), GRU(1, 1), []

    def interrupt(self, step):
        steps.append(step)
        if len(steps) == 60:
            raise KeyboardInterrupt

    monkeypatch.setattr(module.Bar, "__call__", interrupt)
    result = fit(model, train, **OPTIONS)
    assert result.interrupted and len(steps) == 60 and result.certificate.holds
    assert_array_equal(model.C.detach(), result.model.model.C.detach())
    assert result.model.score(train).fit[0] > 50


def test_an_interrupt_in_the_second_run_of_a_rehearsal_ends_the_fit_too(monkeypatch):
    train, model, runs = disturbed(300, 0, 0.1), GRU(1, 1), []

    def stub(copied, first, valid, **options):
        runs.append(fit(copied, first, valid, **options))
        return replace(runs[-1], interrupted=len(runs) == 2)

    told = OPTIONS | dict(u_min=None, u_max=None)
    found = rehearse(stub, model, train, fit_linear(train, order=1), told).interrupted
    assert found is not None and found.interrupted and found.model is runs[0].model
    assert_array_equal(model.C.detach(), runs[0].model.model.C.detach())


@pytest.mark.parametrize("searched", [40.0, 60.0])
def test_rehearsal_judges_by_what_neither_has_seen(searched):
    train, seen, model = disturbed(300, 0, 0.1), [], GRU(1, 1)

    def stub(copied, first, valid, *, epochs, linear, **_):
        seen.append((first, valid))
        assert copied is not model and linear.order == 2
        score = SimpleNamespace(mean_error=lambda y_std: 1 - (searched if epochs else 50.0) / 100)
        found = SimpleNamespace(score=lambda rest, _: score, scaler=SimpleNamespace(y_std=None))
        return SimpleNamespace(model=found, interrupted=False)

    options = dict(epochs=20, polish=200, u_min=None, u_max=None)
    assert rehearse(stub, model, train, fit_linear(train, order=2), options).in_vain == (searched < 50)
    assert [len(part.u) for pair in seen for part in pair] == [240] * 4


@pytest.mark.filterwarnings("ignore:the records have a mode")
def test_no_rehearsal_where_samples_are_many_a_validation_part_is_given_or_nothing_is_enforced(monkeypatch):
    monkeypatch.setattr(module, "rehearse", None)
    short, quick = disturbed(300, 0, 0.1), OPTIONS | dict(epochs=1, polish=5)
    fit(GRU(1, 1), short, short, **quick)
    fit(GRU(1, 1, 2), short, certificate=None, **quick)
    assert not is_few(GRU(1, 1, 2), short) and is_few(GRU(1, 1), short)
    assert fit(GRU(1, 1, 2), short, **quick).certificate.holds
