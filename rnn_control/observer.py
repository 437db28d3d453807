"""Observers of gated networks: the cell with what the measurement contradicts added to its gates, and its rate."""

import dataclasses
from dataclasses import dataclass
from typing import NamedTuple

import casadi as ca
import numpy as np
import torch
from scipy.optimize import linprog
from torch import Tensor

from .bounds import Comparison, Seen, reach, sigmoid_slope
from .export import CasadiModel
from .identified import IdentifiedModel
from .model import Model, Params, map_arrays
from .models.network import Network
from .perron import perron_weights

ROUNDS = 2
"""Alternations of weights and gains; further ones gain little."""


@dataclass(frozen=True, eq=False)
class ObserverDesign:
    """x^(k+1) = f(x^(k), u(k), e(k)),  e = y - g(x^), where the gates see L e; V(x - x^) falls by `rate` a step.

    V(dx) = max |dx_i| / scale_i; both x and x^ in the model's box, u in its box. open_loop_rate is that of L = 0.
    sensitivity (nx, ny): limsup |dx_i| <= sum_j sensitivity_ij max |error of y_j|, in units of y.
    gains: {gate: L (size, ny)}, per normalised output. system: f and g with the inputs (u, e), in physical units; the
    last inputs, `innovations` by name, are e.
    """

    system: CasadiModel
    innovations: tuple[str, ...]
    rate: float
    open_loop_rate: float
    scale: np.ndarray
    sensitivity: np.ndarray
    gains: dict[str, np.ndarray]


class Gate(NamedTuple):
    """A gate that can be corrected: its argument moves by G dx, its slope is at most `slope` (size,) uncorrected."""

    G: Tensor
    slope: Tensor


def design_observer(model: IdentifiedModel) -> ObserverDesign:
    """Gains that make the certified rate as small as found, never larger than without correction (Theorems 18, 19, 24).

    For weights w, each row of L minimises sum_j |G - L C|_ij w_j, a linear programme; w are the Perron weights of the
    comparison system with L. The two alternate from L = 0, and the best is kept. In a network every gate of every GRU
    and LSTM may see all of its outputs; gains are named "block.gate".

    Raises: ValueError for a model without a GRU or an LSTM.
    """
    cell = model.model
    p = Params({k: v.detach().double() for k, v in cell.theta().items()})
    gates, C = _gates(cell, p), cell.output_map(p)
    if not gates:
        raise ValueError(
            f"the model is of kind {cell.kind}; certified observers are known for gru, lstm and networks with them"
        )
    nothing = {k: torch.zeros(len(gate.G), cell.ny, dtype=torch.float64) for k, gate in gates.items()}
    best, rate, w = nothing, *_rate(cell, p, nothing)
    open_loop_rate = rate
    for _ in range(ROUNDS):
        before, full = rate, {k: _nearest(gate.G, C, w) for k, gate in gates.items()}
        for corrected in (tuple(gates), *((k,) for k in gates)):
            L = {**nothing, **{k: full[k] for k in corrected}}
            for tried in (L, {k: _worthwhile(gate, L[k], C, w) for k, gate in gates.items()}):
                found, weights = _rate(cell, p, tried)
                if found < rate:
                    best, rate, w = tried, found, weights
        if rate >= before:
            break
    return _describe(model, p, best, rate, open_loop_rate, w)


def _gates(cell: Model, p: Params) -> dict[str, Gate]:
    """By name, "block.gate" in a network."""
    blocks = cell.observed(p, cell.input_box()) if isinstance(cell, Network) else [("", cell, p, *_alone(cell, p))]
    found = {}
    for name, m, q, box, seen in blocks:
        for k in m.injected:
            W, U = q["W" + k], q["U" + k]
            slope = sigmoid_slope(q["b" + k], reach(W, U, box, torch.ones(U.shape[1], dtype=U.dtype)))
            found[f"{name}.{k}" if name else k] = Gate(seen.gate(W, U), slope)
    return found


def _alone(cell: Model, p: Params) -> tuple[Tensor, Seen]:
    """The box of its input, and what a cell that is no part of a network sees."""
    return cell.input_box(), Seen(slice(0, cell.nx), torch.zeros(cell.nu, cell.nx).double(), cell.output_map(p))


def observer_comparison(cell: Model, p: Params, L: dict[str, Tensor]) -> Comparison:
    """Of the model and its observer with gains L, by name of the gate."""
    if isinstance(cell, Network):
        return cell.corrected(p, cell.input_box(), L)
    box, seen = _alone(cell, p)
    return cell.observer_comparison(p, box, L, seen)


def _rate(cell: Model, p: Params, L: dict[str, Tensor]) -> tuple[float, Tensor]:
    system = observer_comparison(cell, p, L)
    w = perron_weights(system)
    return float((system.T(w) / w).max()), w


def _nearest(G: Tensor, C: Tensor, w: Tensor) -> Tensor:
    """L (size, ny) whose rows minimise sum_j |G - L C|_ij w_j."""
    A, (ny, n) = (C * w).numpy().T, C.shape
    # min sum t  with  -t <= G w - A L' <= t
    bounds = [(None, None)] * ny + [(0, None)] * n
    rows = np.block([[A, -np.eye(n)], [-A, -np.eye(n)]])
    cost, found = np.concatenate([np.zeros(ny), np.ones(n)]), []
    for target in (G * w).numpy():
        result = linprog(cost, rows, np.concatenate([target, -target]), bounds=bounds, method="highs")
        found.append(result.x[:ny] if result.success else np.zeros(ny))
    return torch.from_numpy(np.array(found))


def _worthwhile(gate: Gate, L: Tensor, C: Tensor, w: Tensor) -> Tensor:
    """L of one gate without the rows in which the slope lost outweighs what the correction gains."""
    pays = 0.25 * ((gate.G - L @ C).abs() @ w) < gate.slope * (gate.G.abs() @ w)
    return L * pays[:, None]


def _describe(model: IdentifiedModel, p: Params, L: dict[str, Tensor], rate: float, open_loop_rate: float, w: Tensor):
    y_std = model.scaler.y_std
    return ObserverDesign(
        system=_injected_system(model, L),
        innovations=tuple(f"innovation of {name}" for name in model.y_names),
        rate=rate,
        open_loop_rate=open_loop_rate,
        scale=w.numpy(),
        sensitivity=_sensitivity(observer_comparison(model.model, p, L), w, rate) / y_std,
        gains={k: v.numpy() for k, v in L.items()},
    )


def _sensitivity(system: Comparison, w: Tensor, rate: float) -> np.ndarray:
    """w max_i (N_ij / w_i) / (1 - rate), from V+ <= rate V + max_i (N_ij / w_i) |dy_j|; inf if nothing contracts."""
    if not rate < 1:
        return np.full(system.N.shape, np.inf)
    return (w[:, None] * (system.N / w[:, None]).amax(0) / (1 - rate)).numpy()


def inject(model: Model, p: Params, L: dict, x, u, e):
    """The cell with the biases of its gates moved by L e, e (ny, B) normalised: the same equations, no others."""
    biases = {k: k[: k.rfind(".") + 1] + "b" + k[k.rfind(".") + 1 :] for k in L}
    return model.f(Params({**p, **{b: p[b] + L[k] @ e for k, b in biases.items()}}), x, u)


def _injected_system(model: IdentifiedModel, L: dict[str, Tensor]) -> CasadiModel:
    system, s, cell = model.to_casadi(), model.scaler, model.model
    x, u = ca.MX.sym("x", cell.nx), ca.MX.sym("u", cell.nu + cell.ny)
    u_n = (u[: cell.nu] - ca.DM(s.u_mid)) / ca.DM(s.u_half)
    gains = {k: ca.DM(v.numpy()) for k, v in L.items()}
    x_next = inject(cell, map_arrays(cell.theta()), gains, x, u_n, u[cell.nu :] / ca.DM(s.y_std))
    # as far as a measurement can be from a prediction, if both are of the model
    p = Params({k: v.detach().double() for k, v in cell.theta().items()})
    widest = 2 * cell.output_box(p, cell.input_box()).numpy() * s.y_std
    return dataclasses.replace(
        system,
        f=ca.Function("f", [x, u], [x_next], ["x", "u"], ["x_next"]),
        u_names=(*system.u_names, *(f"innovation of {name}" for name in system.y_names)),
        u_units=(*system.u_units, *system.y_units),
        u_min=np.concatenate([system.u_min, -widest]),
        u_max=np.concatenate([system.u_max, widest]),
    )
