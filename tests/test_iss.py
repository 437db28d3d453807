"""ISS by the conditions that prove deltaISS, read on one trajectory (Theorem 26)."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from zoo import ZOO, enlarge_biases, identified, randomised

from rnn_control import GRU, LSTM, REN, Cascade, attack_iss, certify, check
from rnn_control.conditions import METHODS
from rnn_control.contract import contract, roomiest_method
from rnn_control.stored import stored

ELEMENTWISE = [kind for kind in ZOO if "ren" not in kind]


def stable(kind, seed=0):
    """Just inside the weighted deltaISS condition; or contracting by construction."""
    model = randomised(ZOO[kind](2, 1, 3), seed, 0.3)
    if not model.by_construction("delta_iss"):
        contract(model, "delta_iss", "weighted", 0.05)
    return model


@pytest.mark.parametrize("method", ["weighted", "lmi"])
@pytest.mark.parametrize("kind", ZOO)
def test_what_is_proved_of_pairs_is_proved_of_one_run_and_no_slower(kind, method):
    model = identified(stable(kind))
    pairs, one = certify(model, method=method), certify(model, "iss", method, rigorous=True)
    assert one.holds == pairs.holds == (kind in ELEMENTWISE or method == "lmi")
    if one.holds:  # the search for P stops within a percent of the best one
        assert one.rate <= pairs.rate + 1e-3 * (1 - pairs.rate) and one.proof == "exact arithmetic"


@pytest.mark.parametrize("kind", ["gru", "gru_reset_after", "lstm"])
def test_one_run_of_a_gated_cell_forgets_sooner_than_the_published_condition_says(kind):
    model = stable(kind)
    published, best = certify(model, "iss", "published"), certify(model, "iss")
    assert best.holds and best.rate < published.rate - 0.02


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", ["gru", "lstm", "esn", "ren", "cascade"])
def test_no_run_leaves_the_band_where_it_ends(kind, method):
    model = identified(stable(kind, seed=1))
    certificate = certify(model, "iss", method)
    assert not attack_iss(model, certificate, restarts=4, ascents=4).refutes()


@pytest.mark.parametrize("method", ["weighted", "lmi"])
def test_runs_decay_to_the_offset_as_promised(method):
    model = stable("gru", seed=2)
    c, p, x = certify(model, "iss", method), model.theta(), torch.ones(3, 64, dtype=torch.float64)
    x *= torch.from_numpy(np.random.default_rng(0).choice([-1.0, 1.0], (3, 64)))
    order = torch.inf if method == "weighted" else 2.0
    start = torch.linalg.vector_norm(x, order, 0)
    for k in range(1, 60):
        x = model.f(p, x, torch.zeros(2, 64, dtype=torch.float64))
        left = torch.linalg.vector_norm(x, order, 0)
        assert (left <= c.overshoot * c.rate**k * start + c.offset).all()


@pytest.mark.parametrize("method", ["weighted", "lmi"])
@pytest.mark.parametrize("kind, seed", [("gru_reset_after", 0), ("gru", 5), ("lstm", 1)])
def test_saturated_gates_are_proved_as_well(kind, seed, method):
    """Their arguments have constants that lie outside of what they are bounded by."""
    model = randomised(ZOO[kind](2, 1, 3), seed, 0.3)
    enlarge_biases(model, 10 / 0.3)
    contract(model, "delta_iss", "weighted", 0.05)
    pairs, one = certify(model, method=method), certify(model, "iss", method, rigorous=True)
    assert one.holds and one.rate <= pairs.rate + 2e-3 * (1 - pairs.rate)


def test_training_keeps_to_the_published_condition_unless_that_shrinks_the_start():
    assert [roomiest_method(cell(2, 2, 8), "iss", 0.01) for cell in (GRU, LSTM)] == ["published", "weighted"]


def test_series_with_a_network_that_contracts_in_a_metric_is_certified():
    model = Cascade(REN(1, 2, size=3, seed=1), GRU(2, 1, 3))
    assert certify(model, "iss", rigorous=True).holds


def test_smaller_box_of_states_gives_a_faster_rate():
    model = stable("lstm")
    usual, regional = (certify(model, "iss", "weighted", state_box=box) for box in (None, "smallest"))
    assert regional.rate < usual.rate


@pytest.mark.parametrize("field, share", [("offset", 0.99), ("gain", 0.9), ("rate", 0.98), ("overshoot", 0.9)])
@pytest.mark.parametrize("kind, method", [("gru", "weighted"), ("gru", "lmi"), ("lstm", "weighted"), ("ren", "lmi")])
def test_certificate_that_says_a_little_more_is_refused(kind, method, field, share):
    model = identified(stable(kind))
    c = certify(model, "iss", method, rigorous=True)
    spec, equations, raw = stored(model.model)
    labels = {k: getattr(model, k) for k in ("dt", "u_names", "y_names", "u_units", "y_units")}
    header = json.loads(json.dumps(dict(spec=spec, equations=equations, scaler=model.scaler.to_dict(), **labels)))
    check.prove(header, raw, json.loads(c.to_json()))
    less = dataclasses.replace(c, **{field: (share * np.array(getattr(c, field))).tolist()})
    with pytest.raises(ValueError, match=f"{field}|inequality|forget"):
        check.prove(header, raw, json.loads(less.to_json()))
