"""The checker proves what certify certifies, and nothing that was changed; it needs no code of the package."""

import ast
import dataclasses
import json
import math
import shutil
import subprocess
import sys
from decimal import Context, Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from zoo import KNOWN, ZOO, cascade_of_three, identified, randomised, tensors

from rnn_control import ESN, GRU, LSTM, NNARX, Cascade, Certificate, LipschitzRNN, certify, check
from rnn_control.contract import contract

SOURCE = Path(check.__file__)
FAMILIES: dict[str, Any] = {**KNOWN, "cascade_of_three": cascade_of_three}
MARGIN = 0.02


@pytest.fixture(params=KNOWN, scope="module")
def factory(request):
    return KNOWN[request.param]


@pytest.mark.parametrize("name", [*ZOO])
def test_rigorous_proves_or_says_why_not(name):
    model = randomised(ZOO[name](2, 1, 3), 0, 0.05)
    contract(model, "delta_iss", "weighted", MARGIN)
    certificate = certify(model, method="weighted", rigorous=True)
    assert certificate.holds == (name in KNOWN)
    assert certificate.holds or f"equations of '{name}' are not known" in certificate.proof


@pytest.fixture(params=FAMILIES, scope="module")
def pair(request, tmp_path_factory):
    """(model file, certificate as read from JSON) of a certified model of every family."""
    model = randomised(FAMILIES[request.param](2, 2, 3), 1, 0.1)
    contract(model, "delta_iss", "weighted", MARGIN)
    physical = identified(model)
    path = physical.save(tmp_path_factory.mktemp(request.param) / "model")
    return path, json.loads(certify(physical, method="weighted").to_json())


def verdict(path, certificate, capsys) -> tuple[int, str]:
    file = Path(path).with_name("certificate.json")
    file.write_text(json.dumps(certificate))
    return check.main([str(path), str(file)]), capsys.readouterr().out


def test_certified_model_is_proved(pair, capsys):
    code, text = verdict(*pair, capsys)
    assert (code, text.split(":")[0]) == (0, "PROVED")


def shrunk(values):
    """The same nested lists, every number brought nearer to zero by a part in a million."""
    return [shrunk(v) for v in values] if isinstance(values, list) else values * (1 - 1e-6)


def widened(box):
    return [[low - (high - low), high + (high - low)] for low, high in box]


TAMPERING = {
    "rate": lambda c: c["rate"] * 0.95,
    "scale": lambda c: [max(c["scale"]) * 1e3, *c["scale"][1:]],
    "overshoot": lambda c: c["overshoot"] * (1 - 1e-6),
    "gain": lambda c: shrunk(c["gain"]),
    "steady": lambda c: [[0.1 * s for s in row] for row in c["steady"]],
    "steps_to_forget": lambda c: c["steps_to_forget"] - 1,
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
    certificate = json.loads(certify(identified(model), method="weighted").to_json())
    certificate["input_box"] = widened(certificate["input_box"])
    assert verdict(identified(model).save(tmp_path / "model"), certificate, capsys)[0] == 1


@pytest.mark.parametrize("entry", [0, -1])
def test_changed_weight_of_the_norm_is_refused(entry, tmp_path, capsys):
    model = identified(randomised(GRU(2, 2, 4), 1, 0.3))
    contract(model.model, "delta_iss", "weighted", 0.01)
    certificate = json.loads(certify(model, method="weighted").to_json())
    certificate["scale"][entry] *= 0.5
    certificate["overshoot"] = 1e6
    code, text = verdict(model.save(tmp_path / "model"), certificate, capsys)
    assert code == 1 and "decay rate" in text


def test_one_bit_of_one_weight_is_noticed(pair, tmp_path, capsys):
    path, certificate = pair
    data = bytearray(path.read_bytes())
    data[-8] ^= 1
    (tmp_path / "bit").write_bytes(data)
    code, text = verdict(tmp_path / "bit", certificate, capsys)
    assert code == 1 and "weights_sha256" in text


@pytest.mark.parametrize("share", [0, 1e-3, 0.3, 0.9, 0.9999])
def test_truncated_model_is_refused(pair, share, tmp_path, capsys):
    path, certificate = pair
    (tmp_path / "part").write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    assert verdict(tmp_path / "part", certificate, capsys)[0] == 1


UNPROVED = {"residual", "method", "proof", "others", "ultimate", "multipliers"}
"""Fields of which nothing is claimed by the proof of a certificate without a metric."""


@pytest.fixture(scope="module")
def gru_pair(tmp_path_factory):
    model = identified(randomised(GRU(2, 2, 3), 1, 0.1))
    path = model.save(tmp_path_factory.mktemp("gru") / "model")
    return path, json.loads(certify(model, method="weighted").to_json())


@pytest.mark.parametrize("value", ["much", math.nan, math.inf, -1, [], {}, [[-1.0]]], ids=str)
@pytest.mark.parametrize("field", sorted({f.name for f in dataclasses.fields(Certificate)} - UNPROVED))
def test_nonsense_in_any_field_is_refused(gru_pair, field, value, capsys):
    path, certificate = gru_pair
    assert verdict(path, {**certificate, field: value}, capsys)[0] == 1


@pytest.mark.parametrize("seed", range(30))
def test_any_bit_of_any_tensor_counts(gru_pair, seed, tmp_path, capsys):
    path, certificate = gru_pair
    data, rng = bytearray(path.read_bytes()), np.random.default_rng(seed)
    start = 8 + int.from_bytes(data[:8], "little")
    data[rng.integers(start, len(data))] ^= 1 << rng.integers(8)
    (tmp_path / "bit").write_bytes(data)
    assert verdict(tmp_path / "bit", certificate, capsys)[0] == 1


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
    # in series the checker multiplies W C before it takes absolute values, which is sharper
    less = 0.1 if isinstance(model, Cascade) else 1e-9
    lower = dataclasses.replace(certificate, rate=certificate.rate * (1 - less))
    header = dict(spec=model.spec(), dt=None, scaler=dict(u_mid=[0, 0], u_half=[1, 1], y_std=[1]))
    header |= {k: list(getattr(lower, k)) for k in ("u_names", "y_names", "u_units", "y_units")}
    raw = {k: (tuple(v.shape), v.numpy().tobytes()) for k, v in model.state_dict().items()}
    check.prove(header, raw, json.loads(certificate.to_json()))
    with pytest.raises(ValueError, match="decay rate is not proved"):
        check.prove(header, raw, json.loads(lower.to_json()))


def test_rigorous_takes_the_best_that_is_proved(factory):
    model = randomised(factory(2, 1, 4), 0, 0.05)
    contract(model, "delta_iss", "weighted", MARGIN)
    certificate = certify(model, rigorous=True)
    assert certificate.holds and certificate.proof == "exact arithmetic"


@pytest.mark.parametrize("property", ["delta_iss", "iss"])
@pytest.mark.parametrize("kind", [*KNOWN, "cascade_of_three"])
def test_published_certificates_are_proved_or_not_checked(kind, property, tmp_path, capsys):
    model = identified(randomised(FAMILIES[kind](2, 2, 3), 0, 0.05))
    certificate = certify(model, property, "published")
    code, text = verdict(model.save(tmp_path / "model"), json.loads(certificate.to_json()), capsys)
    is_beyond = kind.startswith("cascade") or (kind, property) == ("nnarx", "iss")
    assert certificate.holds and (code, text.split(":")[0]) == ((2, "NOT CHECKED") if is_beyond else (0, "PROVED"))
    refused = certify(model, property, "published", rigorous=True)
    assert refused.holds != is_beyond and (refused.steps_to_forget is None) == is_beyond


@pytest.mark.parametrize("field", ["rate", "gain", "offset", "overshoot", "scale"])
@pytest.mark.parametrize("kind", ["gru", "lstm", "esn", "lipschitz_rnn"])
def test_changed_iss_certificate_is_refused(kind, field, tmp_path, capsys):
    model = identified(randomised(ZOO[kind](2, 2, 3), 0, 0.05))
    certificate = json.loads(certify(model, "iss", "published").to_json())
    certificate[field] = TAMPERING.get(field, lambda c: c[field] * (1 - 1e-6))(certificate)
    assert verdict(model.save(tmp_path / "model"), certificate, capsys)[0] == 1


@pytest.mark.parametrize(
    "cascade", [(LSTM, LSTM), (ESN, LSTM), (NNARX, ESN)], ids=lambda c: "-".join(m.kind for m in c)
)
def test_published_series_in_two_norms_is_proved(cascade, tmp_path, capsys):
    first, second = cascade
    model = identified(randomised(Cascade(first(2, 1, 3), second(1, 2, 3)), 0, 0.05))
    certificate = certify(model, method="published")
    assert certificate.holds
    assert verdict(model.save(tmp_path / "model"), json.loads(certificate.to_json()), capsys)[0] == 0


def test_published_certificate_in_infinity_norms_is_proved(tmp_path, capsys):
    model = identified(randomised(Cascade(GRU(2, 2, 4), GRU(2, 1, 3)), 0, 0.05))
    certificate = certify(model, method="published")
    assert verdict(model.save(tmp_path / "model"), json.loads(certificate.to_json()), capsys)[0] == 0


def test_cascade_of_a_layer_without_output_bound_is_refused(tmp_path, capsys):
    model = randomised(Cascade(LipschitzRNN(1, 1, 3), GRU(1, 1, 3)), 0, 0.05)
    with torch.no_grad():
        tensors(model)["layers.0.MA"].fill_(2.0)
    certificate = dataclasses.replace(certify(identified(model), method="weighted"), holds=True, rate=0.99)
    assert verdict(identified(model).save(tmp_path / "model"), json.loads(certificate.to_json()), capsys)[0] == 1


@pytest.mark.parametrize("half", [1e-4, 1.0, 1e5])
def test_narrow_box_far_from_zero_is_proved(half):
    model = identified(randomised(GRU(2, 1, 4), 0, 0.05))
    scaler = dataclasses.replace(model.scaler, u_mid=np.array([300.0, -7e4]), u_half=np.array([half, half]))
    assert certify(dataclasses.replace(model, scaler=scaler), rigorous=True).holds


@pytest.mark.parametrize("seed", range(4))
def test_sigmoid_is_bounded_from_above_and_tightly(seed):
    rng = np.random.default_rng(seed)
    deep = Context(prec=120)
    for a in map(float, [*rng.normal(size=20) * 10.0 ** rng.integers(-9, 3, 20), 0.0, 399.99, -399.99]):
        true = 1 / (1 + Fraction(deep.exp(Decimal(-a))))
        bound = check.sigma(Fraction(a))
        assert true <= bound <= true + Fraction(1, 10**38)
    assert check.sigma(Fraction(10) ** 9) == 1 and 0 < check.sigma(-(Fraction(10) ** 9)) < 1e-50


def test_lone_copy_of_the_file_runs_without_the_package(pair, tmp_path):
    path, certificate = pair
    shutil.copy(SOURCE, tmp_path / "check.py")
    (tmp_path / "c.json").write_text(json.dumps(certificate))
    command = [sys.executable, "-W", "error", "check.py", str(path), "c.json"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "") and done.stdout.startswith("PROVED")


def test_module_runs_without_a_warning(tmp_path):
    model = identified(GRU(1, 1, 2))
    (tmp_path / "c.json").write_text(certify(model).to_json())
    command = [sys.executable, "-W", "error::RuntimeWarning", "-m", "rnn_control.check"]
    command += [str(model.save(tmp_path / "m")), str(tmp_path / "c.json")]
    done = subprocess.run(command, cwd=SOURCE.parents[1], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_checker_imports_nothing_but_python_and_numpy():
    nodes = list(ast.walk(ast.parse(SOURCE.read_text(encoding="utf-8"))))
    assert not any(node.level for node in nodes if isinstance(node, ast.ImportFrom))
    names = {name.name for node in nodes if isinstance(node, ast.Import) for name in node.names}
    names |= {str(node.module) for node in nodes if isinstance(node, ast.ImportFrom)}
    assert {name.partition(".")[0] for name in names} <= {*sys.stdlib_module_names, "numpy"}


def test_checker_is_short():
    assert len(SOURCE.read_text(encoding="utf-8").splitlines()) < 340
