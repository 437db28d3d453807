"""Models trained elsewhere give here what they gave there, and can be certified."""

import warnings

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from torch import nn
from zoo import DEVICES, free_run, identified, randomised

from rnn_control import GRU, LSTM, GRUResetAfter, IdentifiedModel, Scaler, certify
from rnn_control.interop import from_keras, from_onnx, from_torch, in_units, to_torch, with_box

LABELS = dict(dt=2.0, u_names=["F", "Q"], y_names=["T"], u_units=["L/min", "W"], y_units=["K"])
SCALER = Scaler([10, 5e3], [2, 1e3], [350], [4])
RNG = np.random.default_rng(0)
U = SCALER.u_out(RNG.uniform(-1, 1, (60, 2)))


def trained(layer: nn.Module, seed: int = 0, spread: float = 0.3) -> nn.Module:
    """Stands for a trained layer: every weight is drawn, double precision."""
    rng = np.random.default_rng(seed)
    for p in layer.double().parameters():
        p.data = torch.from_numpy(spread * rng.normal(size=p.shape))
    return layer


def outputs(layer: nn.Module, readout: nn.Linear, u: np.ndarray) -> np.ndarray:
    """What torch gives, in physical units: one row after every input."""
    hidden, _ = layer(torch.from_numpy(SCALER.u_in(u))[:, None])
    return SCALER.y_out(readout(hidden[:, 0]).detach().numpy())


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("kind", [nn.GRU, nn.LSTM])
def test_layer_of_torch_gives_its_outputs_one_sample_later(kind, bias):
    layer, readout = trained(kind(2, 6, bias=bias)), trained(nn.Linear(6, 1, bias=bias))
    model = from_torch(layer, readout, SCALER, **LABELS)
    assert_allclose(free_run(model, U)[1][1:], outputs(layer, readout, U)[:-1], rtol=1e-12)


@pytest.mark.parametrize("kind, sizes", [(nn.GRU, [6]), (nn.LSTM, [6, 6])], ids=["GRU", "LSTM"])
def test_jacobians_of_an_imported_layer_are_those_of_torch(kind, sizes):
    layer, readout = trained(kind(2, 6)), trained(nn.Linear(6, 1))
    system = from_torch(layer, readout, SCALER, **LABELS).to_casadi()

    def step(*parts):
        *cell, h, u = (part[None] for part in parts)
        _, after = layer(u, (h, *cell) if cell else h)
        return torch.cat([a[0] for a in reversed(after)]) if cell else after[0]

    parts = torch.from_numpy(RNG.uniform(-0.5, 0.5, sum(sizes) + 2)).split([*sizes, 2])
    J = torch.cat(torch.autograd.functional.jacobian(step, tuple(parts)), 1).numpy()
    found = system.f.jacobian()(torch.cat(parts[:-1]).numpy(), SCALER.u_out(parts[-1].numpy()), 0)
    assert_allclose(np.hstack([found[0].full(), found[1].full() * SCALER.u_half]), J, atol=1e-14)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("cell", [GRUResetAfter, LSTM])
def test_layers_for_torch_give_what_the_model_gives(cell, device):
    model = identified(randomised(cell(2, 3, 5), 1))
    layer, readout = (part.to(device) for part in to_torch(model))
    u, x = RNG.uniform(-1, 1, (4, 30, 2)), torch.from_numpy(RNG.uniform(-0.5, 0.5, (4, model.model.nx))).to(device)
    start = x[None] if cell is GRUResetAfter else (x[None, :, 5:].contiguous(), x[None, :, :5].contiguous())
    y = readout(layer(torch.from_numpy(u).to(device), start)[0]).detach().cpu().numpy()
    for i in range(4):
        ours = model.simulate(model.scaler.u_out(u[i]), x[i].cpu().numpy())
        assert_allclose(model.scaler.y_in(ours)[1:], y[i, :-1], atol=1e-12)


@pytest.mark.parametrize("cell", [GRUResetAfter, LSTM])
def test_layers_for_torch_are_read_back(cell):
    model = identified(randomised(cell(2, 3, 5), 1))
    labels = {k: getattr(model, k) for k in LABELS}
    again = from_torch(*to_torch(model), model.scaler, **labels).model.state_dict()
    assert all(torch.equal(value, again[name]) for name, value in model.model.state_dict().items())


def test_cells_that_torch_lacks_are_refused():
    with pytest.raises(ValueError, match="GRUResetAfter and LSTM"):
        to_torch(identified(GRU(2, 1, 3)))


def keras_gru(kernel, recurrent, bias, u):
    """Keras' GRU(reset_after=False) as its documentation writes it, sample by sample; kernels hold z, r, h."""
    sigmoid, h, rows, n = (lambda a: 1 / (1 + np.exp(-a))), np.zeros(len(recurrent)), [], len(recurrent)
    for x in u @ kernel + bias:
        z = sigmoid(x[:n] + h @ recurrent[:, :n])
        r = sigmoid(x[n : 2 * n] + h @ recurrent[:, n : 2 * n])
        h = z * h + (1 - z) * np.tanh(x[2 * n :] + (r * h) @ recurrent[:, 2 * n :])
        rows.append(h)
    return np.array(rows)


def keras_gru_reset_after(kernel, recurrent, bias, u):
    """Keras' GRU(reset_after=True): the product has a bias of its own, and the reset multiplies both."""
    sigmoid, h, rows, n = (lambda a: 1 / (1 + np.exp(-a))), np.zeros(len(recurrent)), [], len(recurrent)
    for x in u @ kernel + bias[0]:
        inner = h @ recurrent + bias[1]
        z, r = sigmoid(x[:n] + inner[:n]), sigmoid(x[n : 2 * n] + inner[n : 2 * n])
        h = z * h + (1 - z) * np.tanh(x[2 * n :] + r * inner[2 * n :])
        rows.append(h)
    return np.array(rows)


def keras_lstm(kernel, recurrent, bias, u):
    """Keras' LSTM, sample by sample; kernels hold i, f, c, o."""
    n, rows = len(recurrent), []
    sigmoid, h, c = (lambda a: 1 / (1 + np.exp(-a))), np.zeros(n), np.zeros(n)
    for x in u @ kernel + bias:
        i, f, g, o = np.split(x + h @ recurrent, 4)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        rows.append(h)
    return np.array(rows)


@pytest.mark.parametrize("kind, gates, oracle", [("gru", 3, keras_gru), ("lstm", 4, keras_lstm)])
def test_keras_weights_give_the_outputs_of_keras_equations(kind, gates, oracle):
    draw = np.random.default_rng(1).normal
    layer, dense = (
        [draw(size=s) for s in ((2, gates * 5), (5, gates * 5), gates * 5)],
        [draw(size=(5, 1)), draw(size=1)],
    )
    model = from_keras(kind, layer, dense, SCALER, **LABELS)
    wanted = SCALER.y_out(oracle(*layer, SCALER.u_in(U)) @ dense[0] + dense[1])
    assert_allclose(free_run(model, U)[1][1:], wanted[:-1], rtol=1e-12)


@pytest.mark.parametrize("cell", [GRU, GRUResetAfter, LSTM])
def test_another_input_box_leaves_the_model_as_it_is(cell):
    model = identified(cell(2, 1, 4, seed=1))
    wider = with_box(model, model.scaler.u_min - 1, model.scaler.u_max + 3)
    u = model.scaler.u_out(RNG.uniform(-1, 1, (40, 2)))
    assert_allclose(free_run(wider, u)[1], free_run(model, u)[1], rtol=1e-12)
    assert_allclose(certify(wider).input_box, np.transpose([model.scaler.u_min - 1, model.scaler.u_max + 3]))


@pytest.mark.parametrize("kind", [nn.GRU, nn.LSTM])
def test_imported_layer_is_certified_saved_and_loaded(kind, tmp_path):
    model = from_torch(trained(kind(2, 6), spread=0.03), trained(nn.Linear(6, 1)), SCALER, **LABELS)
    again = IdentifiedModel.load(model.save(tmp_path / "m"))
    assert certify(again).holds and np.array_equal(free_run(again, U)[1], free_run(model, U)[1])


class Instant(nn.Module):
    """One sampling instant around a cell of torch, rows in and out."""

    def __init__(self, cell: nn.Module, readout: nn.Linear):
        super().__init__()
        self.cell, self.readout = cell, readout

    def forward(self, x, u):
        if isinstance(self.cell, nn.GRUCell):
            return self.cell(u, x), self.readout(x)
        h, c = torch.split(x, 4, 1)
        return torch.cat(self.cell(u, (h, c)), 1), self.readout(h)


@pytest.mark.parametrize("cell, nx", [(nn.GRUCell(2, 4), 4), (nn.LSTMCell(2, 4), 8)], ids=["GRUCell", "LSTMCell"])
def test_cells_of_torch_come_in_through_onnx(cell, nx, tmp_path):
    instant, path = Instant(trained(cell), trained(nn.Linear(4, 1))), tmp_path / "cell.onnx"
    x, u = torch.from_numpy(RNG.uniform(-1, 1, (1, nx))), torch.from_numpy(RNG.uniform(-1, 1, (1, 2)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the new exporter of torch writes weights beside the file
        torch.onnx.export(instant, (x, u), path, dynamo=False, input_names=["x", "u"], output_names=["x_next", "y"])
    like = identified(GRU(2, 1, 2)).to_casadi()
    system = in_units(from_onnx(path, like), SCALER)
    x_next, y = (a.detach().numpy().ravel() for a in instant(x, u))
    physical = SCALER.u_out(u.numpy().ravel())
    assert_allclose(system.f(x.numpy().ravel(), physical).full().ravel(), x_next, atol=1e-14)
    assert_allclose(system.g(x.numpy().ravel()).full().ravel(), SCALER.y_out(y), rtol=1e-14)
    J = torch.autograd.functional.jacobian(lambda x: instant(x, u)[0][0], x)[:, 0]
    assert_allclose(system.f.jacobian()(x.numpy().ravel(), physical, 0)[0].full(), J.numpy(), atol=1e-14)


ODD = {
    "two layers": lambda: from_torch(nn.LSTM(2, 3, num_layers=2), nn.Linear(3, 1), SCALER, **LABELS),
    "both directions": lambda: from_torch(nn.LSTM(2, 3, bidirectional=True), nn.Linear(6, 1), SCALER, **LABELS),
    "an RNN": lambda: from_torch(nn.RNN(2, 3), nn.Linear(3, 1), SCALER, **LABELS),
    "a read-out of another width": lambda: from_torch(nn.LSTM(2, 3), nn.Linear(4, 1), SCALER, **LABELS),
    "scaling of three inputs": lambda: from_torch(nn.LSTM(3, 3), nn.Linear(3, 1), SCALER, **LABELS),
    "two outputs": lambda: from_torch(nn.LSTM(2, 3), nn.Linear(3, 2), SCALER, **LABELS),
    "keras kernels turned": lambda: from_keras("lstm", [np.ones((20, 2)), np.ones((20, 5))], [np.ones((5, 1))], SCALER),
    "keras of another kind": lambda: from_keras("rnn", [], [], SCALER, **LABELS),
}


@pytest.mark.parametrize("case", ODD)
def test_weights_without_an_equal_are_refused(case):
    with pytest.raises(ValueError, match="only|give|shape|needed|are not|choose"):
        ODD[case]()
