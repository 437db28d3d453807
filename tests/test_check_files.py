"""A model file that was changed is refused: its bits, its end, its equations."""

import json
from pathlib import Path

import numpy as np
import pytest
from checked import verdict
from zoo import ZOO, identified

from rnn_control import IdentifiedModel, check
from rnn_control.model_file import read_model, write_model


def test_one_bit_of_one_weight_is_noticed(pair, tmp_path, capsys):
    path, certificate = pair
    data = bytearray(path.read_bytes())
    data[-8] ^= 1
    (tmp_path / "bit").write_bytes(data)
    code, text = verdict(tmp_path / "bit", certificate, capsys)
    assert code == 1 and "weights_sha256" in text


@pytest.mark.parametrize("seed", range(10))
def test_any_bit_of_any_tensor_counts(gru_pair, seed, tmp_path, capsys):
    path, certificate = gru_pair
    data, rng = bytearray(path.read_bytes()), np.random.default_rng(seed)
    start = 8 + int.from_bytes(data[:8], "little")
    data[rng.integers(start, len(data))] ^= 1 << rng.integers(8)
    (tmp_path / "bit").write_bytes(data)
    assert verdict(tmp_path / "bit", certificate, capsys)[0] == 1


@pytest.mark.parametrize("share", [0, 1e-3, 0.3, 0.9, 0.9999])
def test_truncated_model_is_refused(pair, share, tmp_path, capsys):
    path, certificate = pair
    (tmp_path / "part").write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    assert verdict(tmp_path / "part", certificate, capsys)[0] == 1


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


@pytest.mark.parametrize(("kind", "made"), [("ren", "explicit.A"), ("lipschitz_rnn", "explicit.L")])
def test_file_whose_made_parameters_do_not_follow_from_the_free_ones_is_not_loaded(kind, made, tmp_path):
    header, state = read_model(identified(ZOO[kind](1, 1, 2)).save(tmp_path / "m"))
    state[made] = state[made] + 1e-6
    with pytest.raises(ValueError, match=made):
        IdentifiedModel.load(write_model(tmp_path / "m", header, state))


def test_file_without_equations_is_not_checked(pair, tmp_path, capsys):
    path, certificate = pair
    old = rewritten(path, tmp_path / "m", lambda header: {**header, "equations": None})
    code, text = verdict(old, certificate, capsys)
    assert code == 2 and "save the model again" in text


def test_equations_that_are_no_equations_are_refused(pair, tmp_path, capsys):
    path, certificate = pair
    broken = rewritten(
        path, tmp_path / "m", lambda header: {**header, "equations": {"text": "x_next = (", "names": {}}}
    )
    header, raw = check.read(str(broken))
    bound = {**certificate, "weights_sha256": check.weights_hash(header["spec"], header["equations"], raw)}
    code, text = verdict(broken, bound, capsys)
    assert code == 1 and text.startswith("REFUSED")
