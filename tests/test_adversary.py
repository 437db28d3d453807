"""The adversary: what he finds is there, he finds what is known to be there, and no certificate excludes it."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from matplotlib import pyplot as plt
from zoo import identified, quick_gru, randomised

from rnn_control import ESN, GRU, LSTM, LipschitzRNN, attack, attack_iss, certify, plot_forgetting, plot_pareto
from rnn_control.contract import contract
from rnn_control.forgetting import distance, size
from rnn_control.model import Params
from rnn_control.orbits import Domain, cycle, linearise, log_growth, settle
from rnn_control.pareto import Priced, frontier
from rnn_control.reach import recurring

QUICK = dict(restarts=3, ascents=3, longest=100)


def columns(*rows):
    return torch.tensor(rows, dtype=torch.float64)


@torch.no_grad()
def linear_model(eigenvalue: float, gain: float) -> LipschitzRNN:
    """x+ = eigenvalue x + step tanh(small u): a model whose rate and gain are known."""
    model = LipschitzRNN(1, 1, 1, gamma_A=1.0, gamma_W=0.0, beta=1.0, step=1 - eigenvalue)
    for value, number in ((model.MA, 0.0), (model.MW, 0.0), (model.U, 1e-3), (model.b, 0.0), (model.C, 1e3 * gain)):
        value.fill_(number)
    return model


def test_rate_and_gain_of_a_linear_model_are_found():
    model = linear_model(0.9, 2.5)
    found = attack(model, certify(model), **QUICK)
    assert found.rate == pytest.approx(0.9, abs=1e-12)
    assert found.gain[0][0] == pytest.approx(2.5, rel=1e-5)
    assert found.steps == (7, 22, 44)
    assert found.rate_gap() == pytest.approx(1) and not found.refutes()


def test_certificate_is_not_refuted(factory):
    model = randomised(factory(2, 2, 3), 1, 0.2)
    contract(model, "delta_iss", "weighted", 0.02)
    found = attack(identified(model), certify(identified(model)), **QUICK)
    assert not found.refutes() and found.rate_gap() >= 1
    assert min(min(row) for row in found.gain) > 0


def test_jacobian_of_a_cycle_is_that_of_autograd(factory):
    model = randomised(factory(2, 2, 3), 1)
    p = Params({k: v.detach() for k, v in model.theta().items()})
    rng = np.random.default_rng(0)
    x, pattern = (torch.from_numpy(rng.uniform(-1, 1, shape)) for shape in ((model.nx, 2), (3, 2, 2)))
    _, J = linearise(model, p, x, pattern)
    for b in range(2):
        one = torch.autograd.functional.jacobian(
            lambda x, b=b: cycle(model, p, x[:, None], pattern[:, :, b, None])[:, 0], x[:, b]
        )
        torch.testing.assert_close(J[b], one, rtol=1e-12, atol=1e-14)


def test_gradient_of_the_growth_is_that_of_differences():
    model = randomised(GRU(2, 1, 4), 3, 0.5)
    p = Params({k: v.detach() for k, v in model.theta().items()})
    pattern = columns([[0.3], [-0.5]], [[0.9], [0.1]]).requires_grad_(True)
    x = settle(model, p, torch.zeros(4, 1, dtype=torch.float64), pattern.detach(), 400)
    (slope,) = torch.autograd.grad(log_growth(model, p, x, pattern)[1].sum(), pattern)
    for index in np.ndindex(2, 2, 1):
        step = torch.zeros_like(slope)
        step[index] = 1e-5
        near = [pattern.detach() + s for s in (step, -step)]
        up, down = (log_growth(model, p, settle(model, p, x, u, 400), u)[1].item() for u in near)
        assert float(slope[index]) == pytest.approx((up - down) / 2e-5, rel=1e-5, abs=1e-9)


@torch.no_grad()
def two_equilibria() -> LSTM:
    model = randomised(LSTM(1, 1, 2), 0, 0.0)
    model.Uc.fill_(4.5)
    model.C.fill_(1.0)
    return model


def test_model_with_two_equilibria_is_seen_not_to_contract():
    model = two_equilibria()
    found = attack(model, certify(model), **QUICK)
    assert found.rate >= 1 and found.steps == (None, None, None)
    assert found.rate_gap() is None and "refused" in str(found)


def test_claim_that_is_false_is_refuted():
    model, honest = two_equilibria(), linear_model(0.9, 2.5)
    claim = certify(LSTM(1, 1, 2))
    assert claim.holds and attack(model, claim, **{**QUICK, "longest": 1000}).refutes()
    assert not attack(model, claim, **QUICK).refutes()  # who looks for less than is promised has seen nothing yet
    assert attack(linear_model(0.95, 2.5), certify(honest), **QUICK).refutes()
    assert attack(linear_model(0.9, 2.6), certify(honest), **QUICK).refutes()


def test_tightness_reads_like_a_table_and_is_strict_json():
    model = identified(two_equilibria())
    found = attack(model, certify(model), **QUICK)
    text = json.loads(found.to_json(), parse_constant=pytest.fail)
    assert text["rate"] == found.rate and text["gain_gaps"] == [["Infinity"]]
    assert all(word in str(found) for word in ("certified", "seen", "K per L/min", "99 % forgotten after"))


def test_search_repeats_with_its_seed():
    model = randomised(ESN(1, 1, 4), 0, 0.2)
    runs = [attack(model, certify(model), seed=seed, **QUICK) for seed in (0, 0, 1)]
    assert runs[0] == runs[1] and runs[0].seed != runs[2].seed


def test_adversary_asks_for_pairs_of_trajectories():
    model = GRU(1, 1, 2)
    with pytest.raises(ValueError, match="pairs"):
        attack(model, certify(model, "iss"))


def test_opposite_corners_are_tried():
    corners = Domain(columns(1.0), columns(1.0, 2.0)).corners(4, np.random.default_rng(0))
    assert (corners[:, ::2] == -corners[:, 1::2]).all() and corners[:, 0].tolist() == [1.0, 2.0]


def test_envelope_lies_above_the_distance_and_time_is_in_seconds():
    model = identified(quick_gru(2, 1, 3), dt=7.0)
    certificate = certify(model)
    figure = plot_forgetting(model, certificate)
    seen, promised = (line.get_xydata() for line in figure.axes[-1].lines[:2])
    assert (seen[:, 1] <= promised[:, 1] * (1 + 1e-9)).all()
    assert seen[-1, 0] == certificate.seconds_to_forget
    plt.close(figure)


def test_distance_in_a_quadratic_metric_and_in_blocks():
    certificate = certify(LSTM(1, 1, 1), method="published")
    e = np.array([[3.0, 4.0], [0.0, -2.0]])
    quadratic = dataclasses.replace(certificate, metric=((2.0, 0.0), (0.0, 1.0)), blocks=((2, "2.0"),))
    np.testing.assert_allclose(distance(quadratic, e), [34**0.5, 2])
    np.testing.assert_allclose(size(quadratic, e), [5, 2])
    np.testing.assert_allclose(distance(certificate, e), abs(e / np.array(certificate.scale)).max(1))


def test_frontier_is_what_no_other_model_beats():
    a, b, c = Priced("GRU", 100.0, 50.0, 90.0), Priced("GRU", 200.0, 90.0, 80.0), Priced("GRU", 300.0, 90.0, 95.0)
    free = Priced("GRU", None, None, 99.0)
    assert frontier([c, b, free, a]) == [a, c]
    axes = plot_pareto([a, b, c, free]).axes[0]
    assert "[s]" in axes.get_xlabel() and "[%]" in axes.get_ylabel()
    plt.close()


def test_map_without_certificate_is_refused():
    with pytest.raises(ValueError, match="certificate that holds"):
        plot_pareto([Priced("GRU", None, None, 99.0)])


def test_outputs_are_driven_where_inputs_can_drive_them():
    model = linear_model(0.9, 2.5)
    certificate = certify(model, "iss")
    found = attack_iss(model, certificate)
    assert np.allclose(found.band, [[-2.5, 2.5]], rtol=2e-3, atol=0) and not found.refutes()  # 1 - 0.9^40 of it is 2.46
    assert min(found.gaps()) >= 1
    for a, b in ((-2.5, 2.4), (-2.4, 2.5)):
        assert dataclasses.replace(found, certificate=dataclasses.replace(certificate, ultimate=((a, b),))).refutes()


def test_iss_certificate_is_not_refuted(factory):
    model = randomised(factory(2, 2, 3), 1, 0.2)
    contract(model, "iss", "published", 0.02)
    found = attack_iss(identified(model), certify(identified(model), "iss"), restarts=2, ascents=3)
    assert found.certificate.holds and not found.refutes() and min(found.gaps()) >= 1
    assert all(low < high for low, high in found.band)


def test_only_what_recurs_counts():
    """An integrator keeps what a first period adds; an input's swing alone is reached again and again."""
    model = linear_model(0.9, 2.5)
    p = Params({k: v.detach() for k, v in model.theta().items()})
    still, x = torch.zeros(50, 1, 1, dtype=torch.float64), columns([1e6])
    assert abs(float(recurring(model, p, x, still, columns(1.0), torch.tensor([0])))) < 1e-3


def test_reached_reads_like_a_table_and_is_strict_json():
    model = identified(randomised(GRU(2, 2, 2), 0, 5.0))
    refused = attack_iss(model, certify(model, "iss"), restarts=1, ascents=1)
    assert json.loads(refused.to_json(), parse_constant=pytest.fail)["gaps"] == [None, None] and not refused.refutes()
    assert all(word in str(refused) for word in ("refused", "ends up in", "seen", " K"))
    with pytest.raises(ValueError, match="give it to attack"):
        attack_iss(model, certify(model))
