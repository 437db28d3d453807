"""The models under test, and random parameters for them."""

import numpy as np
import pytest
import torch

from rnn_control import ESN, GRU, LSTM, MODELS, NNARX, Cascade, IdentifiedModel, LipschitzRNN, Model, Network, Scaler

HAS_CUDA = torch.cuda.is_available()  # the CPU build of torch, which constraints.txt leads to, never has
DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not HAS_CUDA, reason="torch finds no CUDA device"))]


def cascade(nu, ny, size, seed=0):
    return Cascade(GRU(nu, 2, size, seed=seed), LSTM(2, ny, size, seed=seed + 1))


def cascade_of_three(nu, ny, size, seed=0):
    first, last = NNARX(nu, 2, size, lags=2, seed=seed), GRU(1, ny, size, seed=seed)
    return Cascade(first, ESN(2, 1, size, feedback=0.2, seed=seed), last)


def recycling(nu, ny, size, seed=0):
    """A reactor and a separator, part of whose output goes back into the reactor."""
    reactor, separator = GRU(nu + 1, 2, size, seed=seed), LSTM(2, ny + 1, size, seed=seed + 1)
    feeds, products = [f"feed {i}" for i in range(nu)], [f"product {j}" for j in range(ny)]
    blocks = {
        "reactor": ([*feeds, "recycled"], reactor, ["composition", "temperature"]),
        "separator": (["temperature", "composition"], separator, [*products, "recycled"]),
    }
    return Network(feeds, blocks, products)


# name -> factory(nu, ny, size, seed=0); a class of MODELS is its own factory
ZOO = {**MODELS, "cascade": cascade, "network": recycling}
BY_CONSTRUCTION = ("ren", "lipschitz_ren")
"""Kinds that satisfy their published condition whatever their free parameters."""


class TermByTerm(LipschitzRNN):
    """Bounds of x + step A x grow with any box."""

    def f(self, p, x, u):
        return x + (super().f(p, x, u) - x)


@torch.no_grad()
def quick_gru(nu, ny, size, seed=0) -> GRU:
    """A certified GRU of short memory, whatever the defaults of its initialisation become."""
    model = GRU(nu, ny, size, seed=seed)
    model.bz.copy_(torch.linspace(0, 2, size)[:, None])
    return model


@torch.no_grad()
def two_rests() -> GRU:
    """x2+ = x2 / 2 + tanh(2 x2) / 2, at rest at 0 and +-0.957; x1+ = tanh(x2 / 2) where u = 1, all but x1 where 0."""
    cell = GRU(1, 1, 2)
    for value in cell.parameters():
        value.zero_()
    cell.Ur[1, 1], cell.Ur[0, 1], cell.Wz[0], cell.bz[0], cell.C[0, 0] = 4.0, 1.0, -20.0, 10.0, 1.0
    return cell


def tensors(model: Model) -> dict[str, torch.Tensor]:
    """Free parameters and fixed ones."""
    return {**dict(model.named_parameters()), **dict(model.named_buffers())}


@torch.no_grad()
def randomised(model: Model, seed: int, spread: float = 0.3) -> Model:
    """Every parameter, fixed ones and biases included, drawn anew: normal, standard deviation `spread`."""
    rng = np.random.default_rng(seed)
    for value in tensors(model).values():
        value.copy_(torch.from_numpy(spread * rng.normal(size=value.shape)))
    return model


def identified(model: Model, seed: int = 0, dt: float = 2.0) -> IdentifiedModel:
    """The model in invented physical units, different for every channel."""
    rng = np.random.default_rng(seed)
    u = dict(u_mid=rng.uniform(5, 300, model.nu), u_half=rng.uniform(0.1, 50, model.nu))
    y = dict(y_mean=rng.uniform(-300, 300, model.ny), y_std=rng.uniform(0.01, 20, model.ny))
    names = dict(u_names=tuple(f"valve {i}" for i in range(model.nu)), y_names=tuple(f"T{i}" for i in range(model.ny)))
    units = dict(u_units=("L/min",) * model.nu, y_units=("K",) * model.ny)
    return IdentifiedModel(model, Scaler(**u, **y), dt, **names, **units)


def free_run(model: IdentifiedModel, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """States x(0) .. x(T) and outputs y(0) .. y(T-1) from the origin, by CasADi: nothing has to be compiled for it."""
    system = model.to_casadi()
    x = np.vstack([np.zeros(system.nx), system.f.mapaccum(len(u))(system.x0, u.T).full().T])
    return x, system.g.map(len(u))(x[:-1].T).full().T


def inputs(rng, samples: int, nu: int) -> np.ndarray:
    """(samples, nu) normalised: levels held a few samples."""
    return np.repeat(rng.uniform(-1, 1, (samples // 4 + 1, nu)), 4, 0)[:samples]


@torch.no_grad()
def enlarge_biases(model, times):
    """Those of the gates, in every block."""
    for name, value in tensors(model).items():
        if name.split(".")[-1].startswith("b"):
            value.mul_(times)
