"""The price of a certificate in FIT: measured against a twin, or what the search has seen of it."""

import dataclasses

import numpy as np
import pytest
from test_readiness import record
from zoo import identified, quick_gru

from rnn_control import FitResult, certify
from rnn_control.price import Price, price, price_rows, seen_price


@pytest.fixture(scope="module")
def model():
    return identified(quick_gru(1, 2, 3, seed=3))


def fitted(model, valid):
    history = {"loss": np.ones(3), "valid": np.array(valid), "residual": np.ones(3)}
    return FitResult(model, certify(model), history, best_iteration=1, interrupted=False, seconds=1.0)


def test_price_is_the_difference_of_the_scores(model):
    data, worse = record(model, 100), identified(quick_gru(1, 2, 3, seed=4))
    found, scores = price(worse, model, data, 10), (model.score(data, 10).fit, worse.score(data, 10).fit)
    assert [p.points for p in found] == pytest.approx(np.subtract(*scores)) and min(p.points for p in found) > 0


@pytest.mark.parametrize("certified, free, start", [(90.0, 91.5, "1.50 points"), (91.0, 90.0, "nothing")])
def test_price_is_said_in_points(certified, free, start):
    assert str(Price("T", certified, free)).startswith(start)


@pytest.mark.parametrize("valid, start", [([0.5, 0.2, 0.1], "at least 10.00 points"), ([0.5, 0.2, 0.3], "none met")])
def test_search_tells_the_best_that_it_met_without_proof(model, valid, start):
    assert seen_price(fitted(model, valid)).startswith(start)


@pytest.mark.parametrize("knows, rows", [("twin", 2), ("search", 1), ("search without certificate", 0), ("nobody", 0)])
def test_card_of_the_certificate_has_a_row_for_what_is_known(model, knows, rows):
    search = fitted(model, [0.5, 0.2, 0.1])
    free = {
        "twin": model,
        "search": search,
        "search without certificate": dataclasses.replace(search, certificate=None),
    }
    found = price_rows(model, free.get(knows), record(model, 100), 10)
    assert len(found) == rows and all(name.startswith("price paid in FIT") for name, _ in found)
