"""A certificate in a metric, P and multipliers, is proved, and refused once it was changed."""

import json
import math

import numpy as np
import pytest
import torch
from zoo import identified, randomised

from rnn_control import REN, LipschitzRNN, certify, check
from rnn_control.stored import stored


@pytest.fixture(scope="module")
def in_a_metric():
    """(header, tensors, certificate) of a Lipschitz RNN by a matrix inequality that small gain solves: P = 4 I."""
    model = randomised(LipschitzRNN(2, 1, 3), 0, 0.1)
    assert isinstance(model, LipschitzRNN)
    p, h = model.theta(), model.step
    L, W = (torch.linalg.matrix_norm(M, 2).item() for M in (p.L, p.W))
    rate = 0.2 + 0.8 * (L + h * W)
    certificate = json.loads(certify(identified(model), method="published").to_json())
    gain = [[20 * g for g in row] for row in certificate["gain"]]
    steps, metric = math.ceil(math.log(0.01 / 1.001) / math.log(rate)), (4 * np.eye(3)).tolist()
    multipliers = [4 * h * (L + h * W) / W] * 3
    new = dict(
        blocks=[[3, "2.0"]],
        steady=[[rate] * 2, [1.0] * 2],
        metric=metric,
        multipliers=multipliers,
        rate=rate,
        overshoot=1.001,
        gain=gain,
        steps_to_forget=steps,
    )
    labels = {k: certificate[k] for k in ("dt", "u_names", "y_names", "u_units", "y_units")}
    spec, equations, raw = stored(model)
    header = dict(spec=spec, equations=equations, scaler=identified(model).scaler.to_dict(), **labels)
    return header, raw, {**certificate, **new, "seconds_to_forget": steps * certificate["dt"]}


def test_certificate_in_a_metric_is_proved(in_a_metric):
    """Theorem 11 (b)."""
    check.prove(*in_a_metric)


@pytest.mark.parametrize(
    "field, change",
    {
        "rate": lambda r: r * 0.5,
        "metric": lambda P: [[4.0, 1.0, 0.0], *P[1:]],
        "multipliers": lambda t: [-t[0], *t[1:]],
        "overshoot": lambda m: 1 - 1e-9,
        "gain": lambda G: [[g * 1e-3 for g in row] for row in G],
        "blocks": lambda b: [[3, "inf"]] + [[1, "inf"]],
        "scale": lambda s: [2.0] * 3,
        "steady": lambda s: [[0.5 * r for r in s[0]], s[1]],
    }.items(),
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_changed_certificate_in_a_metric_is_refused(in_a_metric, field, change):
    header, raw, c = in_a_metric
    with pytest.raises(ValueError, match=r"\w"):
        check.prove(header, raw, {**c, field: change(c[field])})


@pytest.mark.parametrize("change", [lambda P: -P, lambda P: P - 4.1 * np.eye(3), lambda P: P * [[1], [1], [-1]]])
def test_indefinite_metric_is_refused(in_a_metric, change):
    header, raw, c = in_a_metric
    with pytest.raises(ValueError, match="metric"):
        check.prove(header, raw, {**c, "metric": change(np.array(c["metric"])).tolist()})


@pytest.mark.parametrize("change", ["rate", "multipliers", "metric"])
def test_changed_certificate_of_a_network_by_construction_is_refused(change):
    c = certify(randomised(REN(1, 1, 3), 0, 0.5), method="published", rigorous=True)
    spec, equations, raw = stored(randomised(REN(1, 1, 3), 0, 0.5))
    header = dict(spec=spec, equations=equations, scaler=dict(u_mid=[0.0], u_half=[1.0], y_std=[1.0]))
    fields = {**json.loads(c.to_json()), "holds": c.holds}
    header |= {k: fields[k] for k in ("dt", "u_names", "y_names", "u_units", "y_units")}
    check.prove(header, raw, fields)
    share = 0.5 if change == "multipliers" else 0.9  # 0.9 of these prove even more: 0.8635 a sample, not 0.8848
    fields[change] = (share * np.array(fields[change]) + 0.2 * (change == "metric")).tolist()
    with pytest.raises(ValueError, match="metric|inequality|rate|overshoot"):
        check.prove(header, raw, fields)
