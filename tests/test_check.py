"""The checker proves what certify certifies, and not much less than what is true."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from checked import FAMILIES, MARGIN, verdict, written
from zoo import BY_CONSTRUCTION, ZOO, identified, randomised, tensors

from rnn_control import ESN, GRU, LSTM, NNARX, Cascade, LipschitzRNN, certify, check
from rnn_control.contract import contract
from rnn_control.ops import mix, relu, sigmoid, tanh, vcat
from rnn_control.stored import stored


@pytest.fixture(params=[k for k in ZOO if k not in BY_CONSTRUCTION], scope="module")
def factory(request):
    return ZOO[request.param]


def test_certified_model_is_proved(pair, capsys):
    code, text = verdict(*pair, capsys)
    assert (code, text.split(":")[0]) == (0, "PROVED")


@pytest.mark.parametrize("seed, share", [(0, 1.0), (1, 0.999), (2, 1.001)])
def test_checker_and_certify_agree_around_the_border(factory, seed, share):
    model = randomised(factory(2, 1, 4), seed, 0.1)
    contract(model, "delta_iss", "weighted", 1e-6)
    with torch.no_grad():
        for name in model.recurrent:
            tensors(model)[name].mul_(share)
    physical = identified(model, seed)
    assert certify(physical, method="weighted", rigorous=True).holds == certify(physical, method="weighted").holds


def test_nothing_beyond_the_border_is_proved(factory):
    model = randomised(factory(2, 1, 4), 0, 0.1)
    contract(model, "delta_iss", "weighted", 1e-6)
    certificate = certify(model, method="weighted")
    # in a series the checker picks the better of two bounds of a row at w itself, after the search has picked w
    less = 1e-2 if model.kind in ("cascade", "network") else 1e-9
    lower = dataclasses.replace(certificate, rate=certificate.rate * (1 - less))
    spec, equations, raw = stored(model)
    header = dict(spec=spec, equations=equations, dt=None, scaler=dict(u_mid=[0, 0], u_half=[1, 1], y_std=[1]))
    header |= {k: list(getattr(lower, k)) for k in ("u_names", "y_names", "u_units", "y_units")}
    check.prove(header, raw, json.loads(certificate.to_json()))
    with pytest.raises(ValueError, match="decay rate is not proved"):
        check.prove(header, raw, json.loads(lower.to_json()))


def test_rigorous_takes_the_best_that_is_proved(factory):
    model = randomised(factory(2, 1, 4), 0, 0.05)
    contract(model, "delta_iss", "weighted", MARGIN)
    certificate = certify(model, rigorous=True)
    assert certificate.holds and certificate.proof == "exact arithmetic"


@pytest.mark.parametrize("property", ["delta_iss", "iss"])
@pytest.mark.parametrize("kind", FAMILIES)
def test_published_certificates_are_proved(kind, property):
    certificate = certify(randomised(FAMILIES[kind](2, 2, 3), 0, 0.05), property, "published", rigorous=True)
    assert certificate.holds and certificate.proof == "exact arithmetic"


@pytest.mark.parametrize("kind", FAMILIES)
def test_matrix_inequalities_are_proved(kind):
    certificate = certify(randomised(FAMILIES[kind](1, 1, 2), 0, 0.05), method="lmi", rigorous=True)
    assert certificate.holds and certificate.proof == "exact arithmetic"


@pytest.mark.parametrize("cascade", [(LSTM, GRU), (GRU, ESN), (NNARX, LSTM)], ids=lambda c: "-".join(m.kind for m in c))
def test_published_series_in_two_norms_is_proved(cascade, tmp_path, capsys):
    first, second = cascade
    model = randomised(Cascade(first(2, 1, 3), second(1, 2, 3)), 0, 0.05)
    assert verdict(*written(model, tmp_path, method="published"), capsys)[0] == 0


@pytest.mark.parametrize("property", ["delta_iss", "iss"])
@pytest.mark.parametrize("method", ["published", "weighted", "lmi"])
@pytest.mark.parametrize("kinds", [("lipschitz_rnn", "gru"), ("gru", "lipschitz_rnn"), ("lipschitz_rnn", "esn")],
                         ids="-".join)  # fmt: skip
def test_lipschitz_rnn_in_series_is_proved(kinds, method, property):
    """Its box is invariant by intervals, and levels of thousands round no more than those of one."""
    first, second = kinds
    model = Cascade(randomised(ZOO[first](2, 2, 4), 0, 0.05), randomised(ZOO[second](2, 1, 4), 0, 0.05))
    usual, found = (certify(identified(model), property, method, rigorous=exact) for exact in (False, True))
    assert usual.holds and found.proof == "exact arithmetic"


def test_published_certificate_in_infinity_norms_is_proved(tmp_path, capsys):
    model = randomised(Cascade(GRU(2, 2, 4), GRU(2, 1, 3)), 0, 0.05)
    assert verdict(*written(model, tmp_path, method="published"), capsys)[0] == 0


@pytest.mark.parametrize("half", [1e-4, 1.0, 1e5])
def test_narrow_box_far_from_zero_is_proved(half):
    model = identified(randomised(GRU(2, 1, 4), 0, 0.05))
    scaler = dataclasses.replace(model.scaler, u_mid=np.array([300.0, -7e4]), u_half=np.array([half, half]))
    assert certify(dataclasses.replace(model, scaler=scaler), rigorous=True).holds


class Spread(LipschitzRNN):
    """One row beside longer columns, numbers in the place of columns, what nothing moves, ranges that end at zero."""

    def f(self, p, x, u):
        gate = mix(sigmoid(x[:1]), 0.5, tanh(p.W @ x + u[:1])) * tanh(u[1:] - p.b)
        return (
            0.4 * x + 0.1 * relu(tanh(x[1:2]) + 1) * gate + 0.1 * vcat(x[2:], p.b[1:]) + 0.1 * relu(0.1 * u[:1] - 2.0)
        )

    def state_box(self, p, u_max):
        return 2.0 + u_max.new_zeros(self.nx)


@pytest.mark.parametrize("seed", range(3))
def test_one_row_beside_longer_columns_is_proved(seed):
    found = certify(randomised(Spread(2, 1, 3), seed, 0.3), method="lmi", rigorous=True)
    assert found.holds and found.proof == "exact arithmetic"


class SquashedBias(LipschitzRNN):
    """A function of parameters alone, which the checker does not read."""

    def g(self, p, x):
        return super().g(p, x) + sigmoid(p.b_y)


def test_rigorous_refuses_what_the_checker_cannot_read():
    model = randomised(SquashedBias(1, 1, 2), 0, 0.1)
    assert certify(model, method="published").holds
    refused = certify(model, method="published", rigorous=True)
    assert not refused.holds and refused.proof.startswith("refused")
