"""Models trained with torch.nn or Keras, as IdentifiedModels: to be certified, exported and controlled like one's own.

Timing. out[k] of a recurrent layer is its state after u(k), so it is this package's y(k+1) = g(x(k+1)). A layer trained
to give out[k] = y(k+1), u(k) being held from k to k+1, is the same model, and simulate(u)[k+1] = out[k]. Where it was
trained to give out[k] = y(k), its output of row k belongs to the end of that interval: shift the measured y by one row.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import nn

from ..identified import IdentifiedModel
from ..model import Model
from ..models.gru import GRU
from ..models.gru_reset_after import GRUResetAfter
from ..models.lstm import LSTM
from ..scaler import Scaler

Weights = dict[str, np.ndarray]


def from_torch(layer: nn.GRU | nn.LSTM, readout: nn.Linear, scaler: Scaler, **labels: Any) -> IdentifiedModel:
    """A trained torch.nn.GRU or torch.nn.LSTM of one layer, and its linear read-out.

    scaler: the scaling it was trained with, u_n = (u - u_mid) / u_half and y_n = (y - y_mean) / y_std; ones and zeros
    if none. Its box u_mid +- u_half is the domain of certificates, `with_box` states another. labels: dt (s), u_names,
    y_names, u_units, y_units.
    """
    _check_layer(layer)
    state = {k: v.detach().double().numpy() for k, v in layer.state_dict().items()}
    W, U = state["weight_ih_l0"], state["weight_hh_l0"]
    b = np.stack([state.get(name, np.zeros(len(W))) for name in ("bias_ih_l0", "bias_hh_l0")])
    order, cell = ("rzn", GRUResetAfter) if isinstance(layer, nn.GRU) else ("ifco", LSTM)
    C, b_y = readout.weight.detach().numpy(), 0.0 if readout.bias is None else readout.bias.detach().numpy()
    return identified(cell(layer.input_size, len(C), len(U.T)), gates(order, W, U, b), C, b_y, scaler, labels)


def to_torch(model: IdentifiedModel) -> tuple[nn.GRU | nn.LSTM, nn.Linear]:
    """The layer and the read-out that `from_torch` reads: torch's own equations, on a GPU those of cuDNN.

    The layer is (batch, time, channel) and double precision, of normalised signals: out[:, k] is y(k+1) for u(k); its
    h is the state x of a GRUResetAfter, and x = (c, h) is that of an LSTM. Whole batches of records, and training by
    torch: `.to("cuda")`, then `from_torch` again. The parameters are copies, and no certificate goes with them.
    Raises ValueError for cells that torch does not have.
    """
    cell, p = model.model, {k: v.detach() for k, v in model.model.theta().items()}
    if not isinstance(cell, GRUResetAfter | LSTM):
        raise ValueError(f"torch has no layer with the equations of {cell.kind!r}; it has GRUResetAfter and LSTM")
    order, kind = ("rzn", nn.GRU) if isinstance(cell, GRUResetAfter) else ("ifco", nn.LSTM)
    inner = [p["bhn"] if gate == "n" else torch.zeros_like(p["b" + gate]) for gate in order]
    stacked = {
        "weight_ih_l0": torch.cat([p["W" + gate] for gate in order]),
        "weight_hh_l0": torch.cat([p["U" + gate] for gate in order]),
        "bias_ih_l0": torch.cat([p["b" + gate] for gate in order])[:, 0],
        "bias_hh_l0": torch.cat(inner)[:, 0],
    }
    n = len(stacked["weight_hh_l0"].T)
    layer, readout = kind(cell.nu, n, batch_first=True).double(), nn.Linear(n, cell.ny).double()
    layer.load_state_dict(stacked)
    readout.load_state_dict({"weight": p["C"], "bias": p["b_y"][:, 0]})
    return layer, readout


def from_keras(
    kind: str, layer: Sequence[np.ndarray], dense: Sequence[np.ndarray], scaler: Scaler, **labels: Any
) -> IdentifiedModel:
    """Weights in Keras' order: layer.get_weights() of an LSTM or a GRU, and those of a Dense.

    kind: "lstm", "gru_reset_after" (Keras' default GRU) or "gru" (reset_after=False). layer: kernel (nu, gates n),
    recurrent kernel (n, gates n), bias (gates n,), of gru_reset_after (2, gates n). dense: kernel (n, ny), bias (ny,).
    scaler and labels: see from_torch. Activations must be Keras' defaults, tanh and sigmoid.
    """
    orders = {"lstm": ("ifco", LSTM), "gru": ("zfr", GRU), "gru_reset_after": ("zrn", GRUResetAfter)}
    if kind not in orders:
        raise ValueError(f"kind is {kind!r}; choose from {', '.join(orders)}")
    order, cell = orders[kind]  # Keras calls the GRU's gates z, r, h
    rows = 2 if kind == "gru_reset_after" else 1
    W, U, b = (np.asarray(a, float) for a in (*layer, np.zeros((rows, np.shape(layer[0])[1])))[:3])
    b = b.reshape(-1, b.shape[-1])
    C, b_y = (np.asarray(a, float) for a in (*dense, np.zeros(np.shape(dense[0])[1]))[:2])
    n = U.shape[0]
    if W.shape[1] != len(order) * n or U.shape != (n, len(order) * n) or b.shape != (rows, len(order) * n):
        raise ValueError(
            f"kernel {W.shape}, recurrent kernel {U.shape}, bias {b.shape} are not (nu, {len(order)} n), "
            f"(n, {len(order)} n), ({rows}, {len(order)} n) of a Keras {kind}"
        )
    return identified(cell(len(W), C.shape[1], n), gates(order, W.T, U.T, b), C.T, b_y, scaler, labels)


def with_box(model: IdentifiedModel, u_min: np.ndarray, u_max: np.ndarray) -> IdentifiedModel:
    """The same model of physical signals, its input box u_min .. u_max (nu,): the domain of certificates and control.

    The change of scaling is taken up by the input matrices and biases, W' = W u_half' / u_half,
    b' = b + W (u_mid' - u_mid) / u_half.
    """
    cell, old = model.model, model.scaler
    low, high = np.broadcast_to(u_min, old.u_mid.shape), np.broadcast_to(u_max, old.u_mid.shape)
    new = Scaler((low + high) / 2, (high - low) / 2, old.y_mean, old.y_std)
    state = cell.state_dict()
    if not isinstance(cell, GRU | GRUResetAfter | LSTM):
        raise ValueError(f"the input box of a {cell.kind} is changed by training with u_min, u_max")
    for gate in (k[1:] for k in state if k.startswith("W")):
        W = state[f"W{gate}"].numpy()
        shift = (W @ ((new.u_mid - old.u_mid) / old.u_half))[:, None]
        state[f"b{gate}"] = state[f"b{gate}"] + torch.from_numpy(shift)
        state[f"W{gate}"] = torch.from_numpy(W * (new.u_half / old.u_half))
    rescaled = type(cell)(cell.nu, cell.ny, cell.config["size"])
    rescaled.load_state_dict(state)
    return replace(model, model=rescaled, scaler=new)


def _check_layer(layer: nn.Module):
    if not isinstance(layer, nn.GRU | nn.LSTM):
        raise ValueError(f"layer is a {type(layer).__name__}; give a torch.nn.GRU or a torch.nn.LSTM")
    odd = {"num_layers": 1, "bidirectional": False, "proj_size": 0}
    for name, value in odd.items():
        if getattr(layer, name) != value:
            raise ValueError(f"the layer has {name} = {getattr(layer, name)}; only {name} = {value} has an equal here")


def gates(order: str, W: np.ndarray, U: np.ndarray, b: np.ndarray) -> Weights:
    """Stacked rows of the gates in `order`, apart: W (n, nu), U (n, n), b (n, 1) of each.

    The rows of b (1 or 2, gates n) add up, but for the recurrent bias bhn of n, which the reset multiplies.
    """
    found, n = Weights(), len(U.T)
    for i, gate in enumerate(order):
        rows = slice(i * n, (i + 1) * n)
        total = b[:1, rows].T if gate == "n" else b[:, rows].sum(0)[:, None]
        found |= {f"W{gate}": W[rows], f"U{gate}": U[rows], f"b{gate}": total}
        found |= {"bhn": b[1:, rows].T} if gate == "n" else {}
    return found


def identified(cell: Model, layer: Weights, C, b_y, scaler: Scaler, labels: Mapping[str, Any]) -> IdentifiedModel:
    weights = {**layer, "C": C, "b_y": np.broadcast_to(b_y, len(C))[:, None]}
    for name, value in cell.state_dict().items():
        if value.shape != weights[name].shape:
            raise ValueError(f"{name} has shape {weights[name].shape}, {tuple(value.shape)} is needed")
    cell.load_state_dict({k: torch.tensor(np.array(v), dtype=torch.float64) for k, v in weights.items()})
    nu, ny = cell.nu, cell.ny
    if (scaler.u_mid.size, scaler.y_mean.size) != (nu, ny):
        raise ValueError(f"the scaler has {scaler.u_mid.size} inputs, {scaler.y_mean.size} outputs; needed {nu}, {ny}")
    counts = {"u_names": nu, "y_names": ny, "u_units": nu, "y_units": ny}
    for name, count in counts.items():
        if len(labels[name]) != count:
            raise ValueError(f"{name} = {labels[name]} has {len(labels[name])} entries, {count} are needed")
    channels: Any = {name: tuple(labels[name]) for name in counts}
    return IdentifiedModel(cell, scaler, labels["dt"], **channels)
