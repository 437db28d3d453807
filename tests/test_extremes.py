"""Parameters that are zero, saturated or far too large: what is certified is proved, what is not gets an answer."""

import numpy as np
import pytest
import torch
from zoo import BY_CONSTRUCTION, ZOO, identified, randomised, tensors

from rnn_control import GRU, LSTM, GRUResetAfter, LipschitzRNN, Model, certify

METHODS = [(property, method) for property in ("delta_iss", "iss") for method in ("published", "weighted", "lmi")]
KINDS = [kind for kind in ZOO if kind not in BY_CONSTRUCTION]


@torch.no_grad()
def filled(model: Model, value: float, *names: str) -> Model:
    """The model with all entries of some of its tensors, or of all, equal."""
    for name in names or tensors(model):
        tensors(model)[name].fill_(value)
    return model


@pytest.mark.parametrize("property, method", METHODS)
@pytest.mark.parametrize("kind", KINDS)
def test_cell_without_any_weights_is_proved(kind, property, method):
    certificate = certify(identified(filled(ZOO[kind](2, 1, 2), 0.0)), property, method, rigorous=True)
    assert certificate.holds and certificate.proof == "exact arithmetic"


@pytest.mark.parametrize("property, method", METHODS)
@pytest.mark.parametrize("names", [("Un",), ("C",), ("Wn",), ("Wr", "Wz", "Wn"), ("Wr", "Ur")], ids="-".join)
def test_cell_without_some_weights_is_proved(names, property, method):
    model = filled(randomised(GRUResetAfter(2, 1, 2), 1, 0.1), 0.0, *names)
    assert certify(identified(model), property, method, rigorous=True).holds


@pytest.mark.parametrize("name, bias", [("br", -60.0), ("br", 60.0), ("br", 39.0), ("bz", -60.0), ("bz", -1e300)])
def test_saturated_gate_is_proved(name, bias):
    model = filled(randomised(GRUResetAfter(2, 1, 2), 1, 0.1), bias, name)
    assert certify(model, method="lmi", rigorous=True).holds


@pytest.mark.parametrize("method", ["weighted", "published"])
def test_slow_cell_is_proved(method):
    model = filled(filled(LSTM(1, 1, 1), 1e-6), 11.0, "bf")
    certificate = certify(model, method=method, rigorous=True)
    assert certificate.holds and certificate.rate > 1 - 2e-5


@pytest.mark.parametrize("value", [1e300, -1e300, 1e200, 5e-324, 1e-200])
@pytest.mark.parametrize("name", ["Wf", "Uz", "Ur", "bz", "C"])
def test_numbers_of_any_size_get_an_answer_that_is_finite_where_it_holds(name, value):
    certificate = certify(filled(randomised(GRU(1, 1, 2), 1, 0.1), value, name))
    for c in (certificate, *certificate.others):
        assert not c.holds or np.isfinite([*np.ravel(c.gain), c.offset, c.overshoot]).all()


def test_gain_that_overflows_is_not_certified():
    assert not certify(filled(randomised(LipschitzRNN(2, 1, 2), 1, 0.1), 1e300, "C"), method="published").holds


def test_smallest_box_of_states_that_do_not_move_is_found():
    certificate = certify(filled(LSTM(1, 1, 2), 0.0), method="lmi", state_box="smallest", rigorous=True)
    assert certificate.holds and 0 < max(certificate.state_box or ()) < 1e-20


def test_smallest_box_of_states_without_bound_is_refused_with_a_sentence():
    with pytest.raises(ValueError, match="no box is known that state 0 does not leave"):
        certify(randomised(LipschitzRNN(1, 1, 3), 0, 1.0), state_box="smallest")


def test_gate_whose_bias_all_but_cancels_its_input_is_not_thought_saturated():
    model = filled(GRU(1, 1, 1), 0.0)
    for name, value in (("Wz", 1e17), ("Uz", 7.0), ("bz", -1e17 - 16)):
        filled(model, value, name)
    found = certify(model, method="weighted")
    assert found.holds == certify(model, method="weighted", rigorous=True).holds


@pytest.mark.parametrize("size", [1e-27, 1e-30, 1e-310])
@pytest.mark.parametrize("method", ["published", "lmi"])
def test_ends_of_outputs_that_are_all_but_nothing_are_proved(method, size):
    model = randomised(ZOO["ren"](1, 2, 2), 3, 0.05)
    with torch.no_grad():
        tensors(model)["C"].mul_(size)
    filled(model, 0.0, "b_y")
    assert certify(model, "iss", method, rigorous=True).holds
