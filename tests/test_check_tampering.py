"""A certificate that was changed is refused, whatever was changed in it."""

import dataclasses
import math

import pytest
import torch
from checked import FAMILIES, MARGIN, verdict, written
from zoo import BY_CONSTRUCTION, ZOO, randomised, tensors

from rnn_control import GRU, Cascade, Certificate, LipschitzRNN
from rnn_control.conditions import METHODS
from rnn_control.contract import contract


def shrunk(values):
    """The same nested lists, every number brought nearer to zero by a part in a million."""
    return [shrunk(v) for v in values] if isinstance(values, list) else values * (1 - 1e-6)


def widened(box):
    return [[low - (high - low), high + (high - low)] for low, high in box]


TAMPERING = {
    "rate": lambda c: c["rate"] * 0.95,
    "scale": lambda c: [max(c["scale"]) * 1e3, *c["scale"][1:]],
    "blocks": lambda c: [[len(c["scale"]) + 1, "inf"]],
    "overshoot": lambda c: c["overshoot"] * (1 - 1e-6),
    "gain": lambda c: shrunk(c["gain"]),
    "memory": lambda c: shrunk(c["memory"]),
    "steady": lambda c: [[0.1 * s for s in row] for row in c["steady"]],
    "steps_to_forget": lambda c: c["steps_to_forget"] - 1,
    "input_box": lambda c: c["input_box"][:1],
    "seconds_to_forget": lambda c: c["seconds_to_forget"] / 2,
    "state_box": lambda c: [2 * b for b in c["state_box"] or [1e9]],
    "kind": lambda c: "gru" if c["kind"] != "gru" else "lstm",
    "dt": lambda c: 2 * c["dt"],
    "u_names": lambda c: c["u_names"][::-1],
    "y_units": lambda c: ["degF", *c["y_units"][1:]],
    "holds": lambda c: False,
    "weights_sha256": lambda c: c["weights_sha256"][::-1],
}


@pytest.mark.parametrize("field", TAMPERING)
def test_changed_certificate_is_refused(pair, field, capsys):
    path, certificate = pair
    code, text = verdict(path, {**certificate, field: TAMPERING[field](certificate)}, capsys)
    assert (code, text.split(":")[0]) == (1, "REFUSED")


@pytest.mark.parametrize("name", ["gru", "lstm", "cascade"])
def test_wider_input_box_is_refused(name, tmp_path, capsys):
    model = randomised(FAMILIES[name](2, 2, 4), 1, 0.1)
    contract(model, "delta_iss", "weighted", MARGIN)
    path, certificate = written(model, tmp_path, method="weighted")
    certificate["input_box"] = widened(certificate["input_box"])
    assert verdict(path, certificate, capsys)[0] == 1


@pytest.mark.parametrize("entry", [0, -1])
def test_changed_weight_of_the_norm_is_refused(entry, tmp_path, capsys):
    model = randomised(GRU(2, 2, 4), 1, 0.3)
    contract(model, "delta_iss", "weighted", 0.01)
    path, certificate = written(model, tmp_path, method="weighted")
    certificate["scale"][entry] *= 0.02
    certificate |= dict(overshoot=1e6, steps_to_forget=10**6, seconds_to_forget=10**6 * certificate["dt"])
    code, text = verdict(path, certificate, capsys)
    assert code == 1 and "decay rate" in text


UNPROVED = {"residual", "method", "proof", "others", "multipliers"}
"""Fields of which nothing is claimed by the proof of a certificate without a metric."""


@pytest.mark.parametrize("value", ["much", math.nan, math.inf, -1, [], {}, [[-1.0]]], ids=str)
@pytest.mark.parametrize("field", sorted({f.name for f in dataclasses.fields(Certificate)} - UNPROVED))
def test_nonsense_in_any_field_is_refused(gru_pair, field, value, capsys):
    path, certificate = gru_pair
    is_silent = field in ("memory", "ultimate") and value == []  # as files are that are older than these
    assert verdict(path, {**certificate, field: value}, capsys)[0] == 1 - is_silent


@pytest.mark.parametrize("field", ["rate", "gain", "offset", "overshoot", "scale"])
@pytest.mark.parametrize("kind", ["gru", "lstm", "esn", "nnarx", "lipschitz_rnn", "ren", "cascade"])
def test_changed_iss_certificate_is_refused(kind, field, tmp_path, capsys):
    model = randomised(ZOO[kind](2, 2, 2), 0, 0.05)
    path, certificate = written(model, tmp_path, property="iss", method="published")
    # the checker's rows are sharper than the published rates, and its offset of a metric than a series
    changes = {**TAMPERING, "rate": lambda c: c["rate"] * 0.7, "offset": lambda c: c["offset"] * 0.3}
    certificate[field] = changes[field](certificate)
    assert verdict(path, certificate, capsys)[0] == 1


@pytest.mark.parametrize("kind", [k for k in ZOO if k not in BY_CONSTRUCTION])
@pytest.mark.parametrize("method", METHODS)
def test_ends_that_were_moved_are_refused(kind, method, tmp_path, capsys):
    model = randomised(ZOO[kind](2, 2, 3), 0, 0.05)
    contract(model, "iss", "published", MARGIN)
    path, certificate = written(model, tmp_path, property="iss", method=method)
    assert verdict(path, certificate, capsys)[0] == 0
    for j, side in ((0, 0), (1, 1)):
        ends = [list(row) for row in certificate["ultimate"]]
        ends[j][side] += (0.2, -0.2)[side] * (ends[j][1] - ends[j][0])
        code, text = verdict(path, {**certificate, "ultimate": ends}, capsys)
        assert code == 1 and "end up" in text


def test_cascade_of_a_layer_without_output_bound_is_refused(tmp_path, capsys):
    model = randomised(Cascade(LipschitzRNN(1, 1, 3), GRU(1, 1, 3)), 0, 0.05)
    with torch.no_grad():
        tensors(model)["layers.0.MA"].fill_(2.0)
    path, certificate = written(model, tmp_path, method="weighted")
    assert verdict(path, {**certificate, "holds": True, "rate": 0.99}, capsys)[0] == 1
