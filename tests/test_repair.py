"""Repair of a trained model: certified at the rate asked for, shrunk no more than need be, the given one untouched."""

import dataclasses

import numpy as np
import pytest
import torch
from zoo import BY_CONSTRUCTION, ZOO, identified

from rnn_control import GRU, REN, CertificateError, certify, repair
from rnn_control.contract import contract, roomiest_method
from rnn_control.initial import Visited

UNPROVED = [kind for kind in ZOO if kind not in BY_CONSTRUCTION]


def wild(factory, size=3):
    """Recurrent weights doubled until no method certifies the rate that is asked for below."""
    model = factory(1, 1, size, seed=2)
    named = dict(model.named_parameters()) | dict(model.named_buffers())
    for _ in range(12):
        with torch.no_grad():
            for name in model.recurrent:
                named[name].mul_(2.0)
        found = certify(model)
        if not (found.holds and found.rate <= 0.99):
            return model
    raise AssertionError("certified whatever its weights")


@pytest.mark.parametrize("kind", UNPROVED)
def test_repaired_model_is_certified_and_hardly_more_would_not_be(kind):
    model = wild(ZOO[kind])
    given = {k: v.clone() for k, v in model.state_dict().items()}
    found = repair(model, rate=0.99)
    assert all(torch.equal(v, given[k]) for k, v in model.state_dict().items())
    again = certify(found.model)
    assert again.holds and again.rate <= 0.99 and 0 < found.factor < 1
    named = dict(found.model.named_parameters()) | dict(found.model.named_buffers())
    with torch.no_grad():
        for name in found.model.recurrent:
            named[name].mul_(1.05)
    worse = certify(found.model)
    assert not (worse.holds and worse.rate <= 0.99)


@pytest.mark.parametrize("kind", UNPROVED)
def test_all_methods_shrink_no_more_than_those_that_train(kind):
    model = wild(ZOO[kind])
    twin = wild(ZOO[kind])
    factor = contract(twin, "delta_iss", roomiest_method(twin, "delta_iss", 0.01), 0.01)
    assert repair(model, rate=0.99).factor >= factor * (1 - 1e-3) - 2.0**-12


def test_identified_model_is_repaired_in_its_units():
    model = identified(wild(GRU))
    found = repair(model, rate=0.99, rigorous=True)
    assert found.certificate.proof and found.model.u_names == model.u_names
    u = np.tile(model.scaler.u_mid, (30, 1))
    assert found.model.simulate(u).shape == model.simulate(u).shape


def test_certified_model_keeps_its_weights_and_where_it_was_trained():
    assert repair(GRU(1, 1, 3, seed=0)).factor == 1.0
    model = dataclasses.replace(identified(GRU(1, 1, 3, seed=0)), visited=Visited(np.full(3, 0.1), 0.2))
    assert repair(model).model.visited is model.visited
    assert repair(dataclasses.replace(model, model=wild(GRU)), rate=0.99).model.visited is None


def test_wrong_requests_are_explained():
    with pytest.raises(ValueError, match="between 0 and 1"):
        repair(GRU(1, 1, 3), rate=1.0)
    with pytest.raises(ValueError, match="by construction"):
        repair(REN(1, 1, 3))
    with pytest.raises(CertificateError, match="slower one"):
        repair(GRU(1, 1, 3), rate=1e-9)
