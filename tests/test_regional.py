"""Theorem 25: what the channels of any cell say on a box of its states, and how much sharper that is."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from zoo import ZOO, TermByTerm, identified, randomised

from rnn_control import GRU, LSTM, NNARX, Cascade, attack, certify, check
from rnn_control.bounds import weighted_bound
from rnn_control.contract import contract
from rnn_control.lmi import bounded_channels
from rnn_control.perron import perron_weights
from rnn_control.regional import of_channels, sharpest_bound
from rnn_control.stored import stored


@torch.no_grad()
def rate(system):
    return float(weighted_bound(system, perron_weights(system)).rate)


@pytest.mark.parametrize("share", [1.0, 0.5])
@pytest.mark.parametrize("name", ZOO)
def test_comparison_of_channels_bounds_every_step(name, share):
    """Theorem 25 (a) and (b); a smaller box need not be invariant for a single step."""
    model, rng = randomised(ZOO[name](2, 2, 3), 1, 0.5), np.random.default_rng(0)
    p, u_max = model.theta(), share * model.input_box()
    box = share * torch.nan_to_num(model.state_box(p, u_max), posinf=3.0)
    system = of_channels(
        *(bounded_channels(model, p, u_max, box, s) for s in (np.positive, np.abs)), box, torch.ones_like(box)
    )
    xa, xb = (box[:, None] * torch.from_numpy(rng.choice([-1, 1, 0.3], (model.nx, 500))) for _ in range(2))
    ua, ub = (u_max[:, None] * torch.from_numpy(rng.choice([-1, 1, 0.3], (model.nu, 500))) for _ in range(2))
    for end in (xb, 0.999 * xa + 0.001 * xb):
        seen = (model.f(p, xa, ua) - model.f(p, end, ub)).abs()
        least = torch.stack([system.T(v) for v in (xa - end).abs().T], 1) + system.N @ (ua - ub).abs()
        assert (seen <= least * (1 + 1e-12) + 1e-12).all()


@pytest.mark.parametrize("name", ["gru", "gru_reset_after", "lstm", "nnarx", "cascade", "network"])
def test_channels_are_sharper_than_the_system_of_the_class(name):
    model = randomised(ZOO[name](2, 1, 4), 1, 0.1)
    p, u_max = model.theta(), model.input_box()
    assert float(sharpest_bound(model, p, u_max, None).rate) < rate(model.comparison(p, u_max)) - 1e-5


@pytest.mark.parametrize("name", ["gru", "gru_reset_after", "lstm", "cascade", "network"])
def test_smaller_boxes_sharpen_the_weighted_certificate_and_it_is_proved(name):
    model = randomised(ZOO[name](2, 1, 3), 1, 0.1)
    contract(model, "delta_iss", "weighted", 0.01)
    narrow = {"state_box": "smallest"}, {"input_box": [[-0.3, 0.3]] * 2}, {}
    found = [certify(model, method="weighted", rigorous=True, **(narrow[0] | narrow[1])),
             *(certify(model, method="weighted", rigorous=True, **kw) for kw in narrow)]  # fmt: skip
    both, states, inputs, usual = (c.rate for c in found)
    assert all(c.holds and c.proof == "exact arithmetic" for c in found)
    # what a block of a series hands on lies in a box of its own, whatever the inputs, until states are known to be less
    assert both < states < usual - 1e-5 and both < inputs <= usual * (1 + 1e-9)


def test_box_that_only_a_class_proves_is_left_to_the_matrix_inequality():
    model = TermByTerm(2, 1, 4)
    certificate = certify(model, method="weighted", state_box="smallest", rigorous=True)
    assert certificate.holds and certificate.state_box is None


def test_model_that_the_system_of_its_class_refuses_is_certified():
    model = randomised(LSTM(2, 1, 4), 1, 0.3)
    contract(model, "delta_iss", "weighted", 1e-6)
    with torch.no_grad():
        model.Uc.mul_(1.02)
    assert rate(model.comparison(model.theta(), model.input_box())) > 1
    assert certify(model, method="weighted", rigorous=True).holds


def test_gains_of_a_smaller_box_bound_outputs_that_stay_in_it():
    rng, physical = np.random.default_rng(0), identified(randomised(GRU(2, 2, 4), 1, 0.2))
    low, high = physical.scaler.u_out(np.array([[-0.4] * 2, [0.4] * 2]))
    certificate = certify(physical, method="weighted", state_box="smallest", input_box=np.stack([low, high], 1))
    box, usual = np.array(certificate.state_box), certify(physical, method="weighted")
    ua, ub = (np.where(rng.integers(0, 2, (300, 2)), low, high) for _ in range(2))
    starts = (rng.choice([-1, 1], 4) * box for _ in range(2))
    spread = abs(np.subtract(*(physical.states(u, x0)[1] for u, x0 in zip((ua, ub), starts, strict=True))))[200:]
    assert certificate.holds and (spread.max(0) <= np.array(certificate.gain) @ abs(ua - ub).max(0)).all()
    assert (np.array(certificate.gain) < usual.gain).all()


def test_sums_that_cancel_leave_what_rounding_may_have_taken():
    """A series whose first read-out is 1e9 and -1e9 of the same, which the second block adds up."""
    model = randomised(Cascade(GRU(1, 2, 2), GRU(2, 1, 2)), 1, 0.1)
    p, u_max = model.theta(), model.input_box()
    with torch.no_grad():
        p["0.C"].mul_(1e9)
        p["0.C"][1], p["1.Wz"][:, 1] = -p["0.C"][0], p["1.Wz"][:, 0]
        for name in ("Wr", "Wf"):
            p[f"1.{name}"].zero_()
    c, sums = (bounded_channels(model, p, u_max, model.state_box(p, u_max), sign) for sign in (np.positive, np.abs))
    only_first = torch.tensor([1.0, 1.0, 0.0, 0.0], dtype=torch.float64)
    handed_on = of_channels(c, sums, None, only_first).T(only_first)[2:]
    assert (handed_on > 1e9 * 2**-53).all() and (handed_on < 1e-2).all()


def upper_quarter(model):
    """Of the input box."""
    low, high = model.scaler.u_min, model.scaler.u_max
    return np.stack([low + 0.75 * (high - low), high], 1)


@pytest.mark.parametrize("kind", ["gru", "gru_reset_after", "lstm", "cascade", "network"])
def test_box_off_the_middle_is_proved_as_it_was_asked_for(kind):
    model = randomised(ZOO[kind](2, 1, 3), 0, 0.5)
    contract(model, "delta_iss", "weighted", 0.01)
    physical = identified(model)
    usual, there = certify(physical), certify(physical, input_box=upper_quarter(physical), rigorous=True)
    narrow = certify(physical, input_box=upper_quarter(physical), state_box="smallest", rigorous=True)
    assert there.proof == narrow.proof == "exact arithmetic" and narrow.rate < there.rate < usual.rate
    assert there.input_box == tuple(map(tuple, upper_quarter(physical).tolist()))


def test_what_is_proved_off_the_middle_is_not_of_the_middle():
    """The certificate with the whole box in it is refused, and runs there forget more slowly than it says."""
    model = randomised(GRU(1, 1, 3), 0, 0.5)
    with torch.no_grad():
        model.Wz.copy_(-8 * torch.ones(3, 1))
    contract(model, "delta_iss", "weighted", 0.01)
    physical = identified(model)
    there = certify(physical, input_box=upper_quarter(physical), rigorous=True)
    assert there.holds and not attack(physical, there, restarts=4, ascents=4, longest=300).refutes()
    everywhere = dataclasses.replace(there, input_box=certify(physical).input_box)
    with pytest.raises(ValueError, match="the decay rate|inequality"):
        check_again(physical, everywhere)
    assert attack(physical, everywhere, restarts=4, ascents=4, longest=2000).refutes()


@pytest.mark.parametrize("seed", range(3))
def test_smallest_box_of_a_shift_register_is_proved(seed):
    """Its image is the box itself, which leaves no room."""
    model = randomised(NNARX(2, 1, 4, seed=seed), seed, 0.3)
    contract(model, "delta_iss", "weighted", 0.05)
    usual, smallest = (certify(model, method="lmi", state_box=box, rigorous=True) for box in (None, "smallest"))
    assert smallest.holds and smallest.state_box is not None and smallest.rate < usual.rate


def test_worst_input_lies_in_the_box_off_the_middle():
    physical = identified(randomised(GRU(2, 1, 3), 0, 0.3))
    seen = attack(physical, certify(physical, input_box=upper_quarter(physical)), restarts=2, ascents=2, longest=50)
    worst, (low, high) = np.array(seen.worst_input), upper_quarter(physical).T
    assert (worst >= low - 1e-9).all() and (worst <= high + 1e-9).all()


def check_again(model, certificate):
    spec, equations, raw = stored(model.model)
    labels = {k: getattr(model, k) for k in ("dt", "u_names", "y_names", "u_units", "y_units")}
    header = json.loads(json.dumps(dict(spec=spec, equations=equations, scaler=model.scaler.to_dict(), **labels)))
    check.prove(header, raw, json.loads(certificate.to_json()))
