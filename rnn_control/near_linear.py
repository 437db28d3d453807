"""A second start of a search without penalty: the cell as a linear model of the records, on which its rate rests."""

import numpy as np
import torch
from numpy.linalg import LinAlgError
from torch import Tensor

from .kernel import Batch, Kernel
from .linear_start import AMPLITUDE, STARTS, imitate, linear_states
from .model import Model
from .readout import fit_readout
from .realisation import triangular
from .refine import initial_state
from .subspace import StateSpace, allows, subspace
from .windows import parts

LARGEST_ORDER = 10
"""States of the linear model at most, where records are not long."""
SHOWN = 50
"""Samples of a record that tell its initial state."""


def linear_of(model: Model, data: Batch) -> StateSpace | None:
    """A linear model of normalised records, for the cell to begin as.

    The order, up to the states of the cell, is the one whose subspace model errs least in a free run; of long records a
    part has to do. None for a cell without such a start, one with frozen parameters, and records that are too short.
    """
    few = next(parts(data), None)
    u, y, _ = few or data
    orders = [n for n in range(1, (model.nx if few else min(model.nx, LARGEST_ORDER)) + 1) if allows(u, y, n)]
    if not isinstance(model, tuple(STARTS)) or not orders or not all(v.requires_grad for v in model.parameters()):
        return None
    try:
        return min(subspace(u, y, orders), key=lambda s: free_run_error(s, u, y))
    except (ValueError, LinAlgError):
        return None


@torch.no_grad()
def near_linear(model: Model, kernel: Kernel, data: Batch, system: StateSpace | None) -> dict[str, Tensor]:
    """The parameters of the cell as that system, read-out by least squares; empty without one. The model stays."""
    if system is None:
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
