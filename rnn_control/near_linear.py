"""A linear model of the records: what a rate rests on, and a second start of a search without penalty."""

import numpy as np
import torch
from numpy.linalg import LinAlgError
from torch import Tensor

from .kernel import Batch, Kernel
from .linear_start import AMPLITUDE, STARTS, imitate, linear_states
from .model import Model
from .models.ren import EquilibriumNetwork
from .readout import fit_readout
from .realisation import triangular
from .refine import initial_state
from .subspace import StateSpace, allows, subspace
from .windows import parts

LARGEST_ORDER, LARGEST_OF_LONG = 10, 20
"""States of the linear model at most, and those of one of long records."""
SHOWN = 50
"""Samples of a record that tell its initial state."""


def linear_of(model: Model, data: Batch) -> StateSpace | None:
    """A linear model of normalised records; None for a cell that makes nothing of it, and records that are too short.

    The order, up to the states of the cell, is the one whose subspace model errs least in a free run; of long records a
    part has to do.
    """
    few = next(parts(data), None)
    u, y, _ = few or data
    largest = min(model.nx, LARGEST_OF_LONG if few else LARGEST_ORDER)
    orders = [n for n in range(1, largest + 1) if allows(u, y, n)]
    if not isinstance(model, (*STARTS, EquilibriumNetwork)) or not orders:
        return None
    try:
        return min(subspace(u, y, orders), key=lambda s: free_run_error(s, u, y))
    except (ValueError, LinAlgError):
        return None


@torch.no_grad()
def near_linear(model: Model, kernel: Kernel, data: Batch, system: StateSpace | None) -> dict[str, Tensor]:
    """The parameters of the cell as that system, read-out by least squares; the model stays.

    Empty without a system, for a cell that cannot begin as one, and where parameters are frozen.
    """
    if system is None or not isinstance(model, tuple(STARTS)) or not all(v.requires_grad for v in model.parameters()):
        return {}
    drawn = copied(model)
    try:
        imitate(model, triangular(system, linear_states(model)), AMPLITUDE)
        fit_readout(model, kernel, np.zeros((len(data.u), model.nx)), data)
        return copied(model)
    except (ValueError, LinAlgError):
        return {}
    finally:
        model.load_state_dict(drawn)


def copied(model: Model) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


def free_run_error(system: StateSpace, us, ys) -> float:
    """sum |y - yhat|^2, each record from the initial state that its first samples tell."""
    starts = (initial_state(system, u[:SHOWN], y[:SHOWN]) for u, y in zip(us, ys, strict=True))
    runs = (system.simulate(x0, u) for x0, u in zip(starts, us, strict=True))
    return sum(float(((y - yhat) ** 2).sum()) for y, yhat in zip(ys, runs, strict=True))
