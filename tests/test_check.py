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
from zoo import BY_CONSTRUCTION, ZOO, cascade_of_three, identified, randomised, tensors

from rnn_control import ESN, GRU, LSTM, NNARX, Cascade, Certificate, IdentifiedModel, LipschitzRNN, certify, check
from rnn_control.certify import _stored
from rnn_control.contract import contract
from rnn_control.model_file import read_model, write_model

SOURCE = Path(check.__file__)
FAMILIES: dict[str, Any] = {**ZOO, "three": cascade_of_three}
GATED = [k for k in ZOO if k not in BY_CONSTRUCTION]
MARGIN = 0.02


@pytest.fixture(params=GATED, scope="module")
def factory(request):
    return ZOO[request.param]


@pytest.fixture(params=FAMILIES, scope="module")
def pair(request, tmp_path_factory):
    """(model file, certificate as read from JSON) of a certified model of every family."""
    model = randomised(FAMILIES[request.param](2, 2, 2), 1, 0.1)
    if request.param not in BY_CONSTRUCTION:
        contract(model, "delta_iss", "weighted", MARGIN)
    physical, method = identified(model), "published" if request.param in BY_CONSTRUCTION else "weighted"
    path = physical.save(tmp_path_factory.mktemp(request.param) / "model")
    return path, json.loads(certify(physical, method=method).to_json())


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
    "blocks": lambda c: [[len(c["scale"]) + 1, "inf"]],
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
    certificate["scale"][entry] *= 0.02
    certificate |= dict(overshoot=1e6, steps_to_forget=10**6, seconds_to_forget=10**6 * certificate["dt"])
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


@pytest.mark.parametrize("seed", range(10))
def test_any_bit_of_any_tensor_counts(gru_pair, seed, tmp_path, capsys):
    path, certificate = gru_pair
    data, rng = bytearray(path.read_bytes()), np.random.default_rng(seed)
    start = 8 + int.from_bytes(data[:8], "little")
    data[rng.integers(start, len(data))] ^= 1 << rng.integers(8)
    (tmp_path / "bit").write_bytes(data)
    assert verdict(tmp_path / "bit", certificate, capsys)[0] == 1


def rewritten(path, to, change) -> Path:
    """The model file with another header, as a forger would write it; the hashes are his problem."""
    data = path.read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    outer = json.loads(data[8:start])
    outer["__metadata__"]["rnn_control"] = json.dumps(change(json.loads(outer["__metadata__"]["rnn_control"])))
    text = json.dumps(outer).encode()
    to.write_bytes(len(text).to_bytes(8, "little") + text + data[start:])
    return to


def changed_equations(header: dict) -> dict:
    text = header["equations"]["text"].replace("tanh(", "sigmoid(", 1)
    return {**header, "equations": {**header["equations"], "text": text}}


def test_changed_equations_are_refused(pair, tmp_path, capsys):
    path, certificate = pair
    code, text = verdict(rewritten(path, tmp_path / "m", changed_equations), certificate, capsys)
    assert code == 1 and "weights_sha256" in text


def test_file_whose_equations_are_not_those_of_its_class_is_not_loaded(pair, tmp_path):
    header, state = read_model(pair[0])
    path = write_model(tmp_path / "m", changed_equations(header), state)
    with pytest.raises(ValueError, match="equations in it"):
        IdentifiedModel.load(path)


@pytest.mark.parametrize("kind", ["ren", "lipschitz_rnn"])
def test_file_whose_made_parameters_do_not_follow_from_the_free_ones_is_not_loaded(kind, tmp_path):
    header, state = read_model(identified(ZOO[kind](1, 1, 2)).save(tmp_path / "m"))
    state["explicit.A"] = state["explicit.A"] + 1e-6
    with pytest.raises(ValueError, match="explicit.A"):
        IdentifiedModel.load(write_model(tmp_path / "m", header, state))


def test_file_without_equations_is_not_checked(pair, tmp_path, capsys):
    path, certificate = pair
    old = rewritten(path, tmp_path / "m", lambda header: {**header, "equations": None})
    code, text = verdict(old, certificate, capsys)
    assert code == 2 and "save the model again" in text


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
    # of products the checker takes the centre apart, and in series it multiplies W C before absolute values: sharper
    less = 1e-9 if model.kind in ("esn", "nnarx", "lipschitz_rnn") else 0.1
    lower = dataclasses.replace(certificate, rate=certificate.rate * (1 - less))
    spec, equations, raw = _stored(model)
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


@pytest.mark.parametrize("field", ["rate", "gain", "offset", "overshoot", "scale"])
@pytest.mark.parametrize("kind", ["gru", "lstm", "esn", "nnarx", "lipschitz_rnn", "ren", "cascade"])
def test_changed_iss_certificate_is_refused(kind, field, tmp_path, capsys):
    model = identified(randomised(ZOO[kind](2, 2, 2), 0, 0.05))
    certificate = json.loads(certify(model, "iss", "published").to_json())
    # the checker's rows are sharper than the published rates, and its offset of a metric than a series
    changes = {**TAMPERING, "rate": lambda c: c["rate"] * 0.7, "offset": lambda c: c["offset"] * 0.3}
    certificate[field] = changes[field](certificate)
    assert verdict(model.save(tmp_path / "model"), certificate, capsys)[0] == 1


@pytest.mark.parametrize("cascade", [(LSTM, GRU), (GRU, ESN), (NNARX, LSTM)], ids=lambda c: "-".join(m.kind for m in c))
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
    assert len(SOURCE.read_text(encoding="utf-8").splitlines()) < 490
