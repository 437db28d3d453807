"""Layers trained elsewhere come in through ONNX files, and are certified, trained on and controlled here."""

import warnings

import numpy as np
import onnx
import pytest
import torch
from numpy.testing import assert_allclose
from onnx import TensorProto, helper
from test_interop_weights import LABELS, SCALER, U, outputs, trained
from torch import nn
from zoo import free_run

from rnn_control import certify
from rnn_control.interop.onnx_layers import from_onnx_layer


class Whole(nn.Module):
    """A layer and its read-out, as they are trained."""

    def __init__(self, layer: nn.Module, readout: nn.Module):
        super().__init__()
        self.layer, self.readout = layer, readout

    def forward(self, u):
        return self.readout(self.layer(u)[0])


def exported(layer, readout, path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the new exporter of torch writes weights beside the file
        torch.onnx.export(Whole(layer, readout).eval(), (torch.zeros(7, 1, 2).double(),), path, dynamo=False)
    return path


KINDS = {"GRU": nn.GRU, "LSTM": nn.LSTM}


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_layer_in_a_file_of_torch_gives_its_outputs(kind, bias, tmp_path):
    layer, readout = trained(KINDS[kind](2, 5, bias=bias)), trained(nn.Linear(5, 1, bias=bias))
    model = from_onnx_layer(exported(layer, readout, tmp_path / "layer.onnx"), SCALER, **LABELS)
    assert_allclose(free_run(model, U)[1][1:], outputs(layer, readout, U)[:-1], rtol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_layer_in_a_file_is_certified(kind, tmp_path):
    path = exported(trained(KINDS[kind](2, 5), spread=0.03), trained(nn.Linear(5, 1)), tmp_path / "layer.onnx")
    certificate = certify(from_onnx_layer(path, SCALER, **LABELS), rigorous=True)
    assert certificate.holds and certificate.u_names == ("F", "Q")


def test_layer_in_a_file_may_be_refused(tmp_path):
    path = exported(trained(nn.GRU(2, 3), spread=1.5), trained(nn.Linear(3, 1)), tmp_path / "layer.onnx")
    assert not certify(from_onnx_layer(path, SCALER, **LABELS)).holds


def graph(path, reset=0, op="GRU", gates=3, **attributes):
    """A graph by hand, as Keras' converter writes it: gates z r h, bias of the input and of the state."""
    draw, n = np.random.default_rng(0).normal, 4
    parts = {"W": (1, gates * n, 2), "R": (1, gates * n, n), "B": (1, 2 * gates * n), "C": (n, 1), "b": (1,)}
    values = {name: 0.4 * draw(size=shape) for name, shape in parts.items()}
    if op == "GRU":
        attributes["linear_before_reset"] = reset
    nodes = [
        helper.make_node(op, ["u", "W", "R", "B"], ["all", ""], hidden_size=n, **attributes),
        helper.make_node("Squeeze", ["all", "axis"], ["states"]),
        helper.make_node("MatMul", ["states", "C"], ["product"]),
        helper.make_node("Add", ["product", "b"], ["y"]),
    ]
    axis = helper.make_tensor("axis", TensorProto.INT64, [1], [1])
    known = [*(helper.make_tensor(k, TensorProto.DOUBLE, v.shape, v.ravel()) for k, v in values.items()), axis]
    ends = [helper.make_tensor_value_info(k, TensorProto.DOUBLE, ["T", 1, m]) for k, m in (("u", 2), ("y", 1))]
    onnx.save(helper.make_model(helper.make_graph(nodes, "g", ends[:1], ends[1:], known)), str(path))
    return values


@pytest.mark.parametrize("reset", [0, 1])
def test_gru_of_either_kind_is_what_the_standard_says(reset, tmp_path):
    """H = (1 - z) h + z H, with the reset before the product or after it."""
    v, sigmoid, n = graph(tmp_path / "g.onnx", reset), (lambda a: 1 / (1 + np.exp(-a))), 4
    model = from_onnx_layer(tmp_path / "g.onnx", SCALER, **LABELS)
    (W, R, B), H, rows = (v[k][0] for k in "WRB"), np.zeros(n), []
    for x in SCALER.u_in(U) @ W.T + B[: 3 * n]:
        r = sigmoid(x[n : 2 * n] + R[n : 2 * n] @ H + B[4 * n : 5 * n])
        inner = r * (R[2 * n :] @ H + B[5 * n :]) if reset else R[2 * n :] @ (r * H) + B[5 * n :]
        z = sigmoid(x[:n] + R[:n] @ H + B[3 * n : 4 * n])
        H = (1 - z) * np.tanh(x[2 * n :] + inner) + z * H
        rows.append(H @ v["C"] + v["b"])
    assert_allclose(free_run(model, U)[1][1:], SCALER.y_out(np.array(rows))[:-1], rtol=1e-12)


ODD = {
    "an RNN": (dict(op="RNN", gates=1), "one GRU or LSTM is needed"),
    "another activation": (dict(activations=["Sigmoid", "Relu"]), "activations"),
    "backwards": (dict(direction="reverse"), "no cell here has"),
    "a clip": (dict(clip=3.0), "clip"),
}


@pytest.mark.parametrize("case", ODD)
def test_layers_without_an_equal_are_refused(case, tmp_path):
    options, reason = ODD[case]
    graph(tmp_path / "g.onnx", **options)
    with pytest.raises(ValueError, match=reason):
        from_onnx_layer(tmp_path / "g.onnx", SCALER, **LABELS)


@pytest.mark.parametrize("content, error", [(None, FileNotFoundError), (b"no graph at all", ValueError)])
def test_files_that_are_none_are_refused(content, error, tmp_path):
    if content:
        (tmp_path / "g.onnx").write_bytes(content)
    with pytest.raises(error, match="no ONNX file"):
        from_onnx_layer(tmp_path / "g.onnx", SCALER, **LABELS)
