"""The record of a certificate: its file, its text, and the times that follow from it."""

import dataclasses
import json

import pytest
from zoo import identified, quick_gru, randomised

from rnn_control import GRU, Cascade, Certificate, LipschitzRNN, certify


def test_json_that_is_no_certificate_is_refused():
    fields = dataclasses.asdict(certify(GRU(1, 1, 2)))
    fields.pop("rate")
    with pytest.raises(ValueError, match="not a certificate"):
        Certificate._from_dict(fields)


def test_forgetting_time_is_enough():
    model = GRU(1, 1, 4)
    certificate = certify(identified(model, dt=3.0))
    k = certificate.steps_to_forget
    assert certificate.seconds_to_forget == 3.0 * k
    assert certificate.forgetting(0.01) == (k, 3.0 * k)
    for left in (0.5, 0.1, 0.01):
        k, _ = certificate.forgetting(left)
        assert certificate.overshoot * certificate.rate**k <= left < certificate.overshoot * certificate.rate ** (k - 1)


def test_time_to_forget_of_a_refused_certificate_is_refused():
    refused = certify(randomised(GRU(1, 1, 4), 0, 30.0))
    with pytest.raises(ValueError, match="certificate that holds"):
        refused.forgetting(0.5)


def test_channel_called_infinity_survives_json():
    certificate = dataclasses.replace(certify(GRU(1, 1, 2)), u_names=("Infinity",))
    assert Certificate.from_json(certificate.to_json()) == certificate


def test_certificate_reads_like_a_report():
    text = str(certify(identified(Cascade(GRU(2, 2, 3), LipschitzRNN(2, 1, 3)))))
    assert all(word in text for word in ("deltaISS", "decay rate per step", "gain bound valve 0 -> T0", "K per L/min"))


def test_certificate_file_without_younger_fields_is_read_and_with_unknown_ones_refused():
    fields = json.loads(certify(identified(quick_gru(1, 1, 3))).to_json())
    older = {k: v for k, v in fields.items() if k != "ultimate"}
    assert Certificate.from_json(json.dumps(older)) == Certificate.from_json(json.dumps(fields))
    with pytest.raises(ValueError, match="newer version's: fields .'later'. are"):
        Certificate.from_json(json.dumps(fields | {"later": 1}))
