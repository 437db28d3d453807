"""Observers of gated networks: the cell with what the measurement contradicts added to its gates, and its rate."""

import dataclasses
from dataclasses import dataclass

import casadi as ca
import numpy as np
import torch
from scipy.optimize import linprog
from torch import Tensor

from .bounds import Comparison, perron_weights
from .export import CasadiModel
from .identified import IdentifiedModel
from .model import Model, Params, map_arrays
from .models.gru import GRU
from .models.lstm import LSTM

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


def design_observer(model: IdentifiedModel) -> ObserverDesign:
    """Gains that make the certified rate as small as found, never larger than without correction (Theorems 18, 19).

    For weights w, each row of L minimises sum_j |U - L C|_ij w_j, a linear programme; w are the Perron weights of the
    comparison system with L. The two alternate from L = 0, and the best is kept.

    Raises: ValueError for another cell than GRU or LSTM.
    """
    cell = model.model
    if not isinstance(cell, GRU | LSTM):
        raise ValueError(f"the model is of kind {cell.kind}; certified observers are known for gru and lstm")
    p = Params({k: v.detach().double() for k, v in cell.theta().items()})
    nothing = {k: torch.zeros(len(p["U" + k]), cell.ny, dtype=torch.float64) for k in cell.injected}
    best, rate, w = nothing, *_rate(cell, p, nothing)
    open_loop_rate = rate
    for _ in range(ROUNDS):
        before, full = rate, {k: _nearest(p["U" + k], p.C, w[-len(p["U" + k]) :]) for k in cell.injected}
        for gates in (cell.injected, *((k,) for k in cell.injected)):
            L = {**nothing, **{k: full[k] for k in gates}}
            for tried in (L, {k: _worthwhile(cell, p, L, k, w) for k in cell.injected}):
                found, weights = _rate(cell, p, tried)
                if found < rate:
                    best, rate, w = tried, found, weights
        if rate >= before:
            break
    return _describe(model, p, best, rate, open_loop_rate, w)


def _rate(cell: GRU | LSTM, p: Params, L: dict[str, Tensor]) -> tuple[float, Tensor]:
    system = cell.observer_comparison(p, cell.input_box(), L)
    w = perron_weights(system)
    return float((system.T(w) / w).max()), w


def _nearest(U: Tensor, C: Tensor, w: Tensor) -> Tensor:
    """L (size, ny) whose rows minimise sum_j |U - L C|_ij w_j."""
    A, (ny, n) = (C * w).numpy().T, C.shape
    # min sum t  with  -t <= U w - A L' <= t
    bounds = [(None, None)] * ny + [(0, None)] * n
    rows = np.block([[A, -np.eye(n)], [-A, -np.eye(n)]])
    cost, found = np.concatenate([np.zeros(ny), np.ones(n)]), []
    for target in (U * w).numpy():
        result = linprog(cost, rows, np.concatenate([target, -target]), bounds=bounds, method="highs")
        found.append(result.x[:ny] if result.success else np.zeros(ny))
    return torch.from_numpy(np.array(found))


def _worthwhile(cell: Model, p: Params, L: dict[str, Tensor], gate: str, w: Tensor) -> Tensor:
    """L of one gate without the rows in which the slope lost outweighs what the correction gains."""
    U, v = p["U" + gate], w[-len(p["U" + gate]) :]
    W, b, u_max = p["W" + gate], p["b" + gate].flatten(), cell.input_box()
    nearest = (b.abs() - W.abs() @ u_max - U.abs().sum(1)).clamp(min=0.0)
    slope = torch.sigmoid(nearest) * torch.sigmoid(-nearest)
    pays = 0.25 * ((U - L[gate] @ p.C).abs() @ v) < slope * (U.abs() @ v)
    return L[gate] * pays[:, None]


def _describe(model: IdentifiedModel, p: Params, L: dict[str, Tensor], rate: float, open_loop_rate: float, w: Tensor):
    comparison = model.model.observer_comparison(p, model.model.input_box(), L)  # type: ignore[attr-defined]
    y_std = model.scaler.y_std
    return ObserverDesign(
        system=_injected_system(model, L),
        innovations=tuple(f"innovation of {name}" for name in model.y_names),
        rate=rate,
        open_loop_rate=open_loop_rate,
        scale=w.numpy(),
        sensitivity=_sensitivity(comparison, w, rate) / y_std,
        gains={k: v.numpy() for k, v in L.items()},
    )


def _sensitivity(system: Comparison, w: Tensor, rate: float) -> np.ndarray:
    """w max_i (N_ij / w_i) / (1 - rate), from V+ <= rate V + max_i (N_ij / w_i) |dy_j|; inf if nothing contracts."""
    if not rate < 1:
        return np.full(system.N.shape, np.inf)
    return (w[:, None] * (system.N / w[:, None]).amax(0) / (1 - rate)).numpy()


def inject(model: Model, p: Params, L: dict, x, u, e):
    """The cell with the biases of its gates moved by L e, e (ny, B) normalised: the same equations, no others."""
    return model.f(Params({**p, **{"b" + k: p["b" + k] + L[k] @ e for k in L}}), x, u)


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
