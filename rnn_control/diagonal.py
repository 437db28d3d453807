"""A quadratic norm from a comparison system, where a matrix inequality costs too much: a terminal cost for NMPC."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from .bounds import Comparison
from .conditions import ROUNDING, SLACK
from .identified import IdentifiedModel
from .model import Model, Params
from .perron import perron_weights


class DiagonalMetric(NamedTuple):
    """sqrt(e' P e), P = metric (nx, nx), of the difference e of two trajectories under one input falls by `rate`."""

    rate: float
    metric: np.ndarray


def diagonal_metric(model: Model | IdentifiedModel) -> DiagonalMetric:
    """The norm of diagonal_norm for the model's comparison system, that of the weighted deltaISS condition.

    For inputs in the model's box, and states in its invariant box if the family has one. The rate is hardly larger than
    that of the condition, and two power iterations find it, whatever the number of states.

    Raises ValueError where it is not below one.
    """
    plain = model.model if isinstance(model, IdentifiedModel) else model
    p = Params({k: v.detach().double() for k, v in plain.theta().items()})
    bound, diagonal = diagonal_norm(plain.comparison(p, torch.ones(plain.nu, dtype=torch.float64)))
    rate = bound * (1 + SLACK)
    if not rate < 1 - ROUNDING:
        raise ValueError(f"the bound of the rate is {rate:.4g}, not below one: train with certificate='delta_iss'")
    return DiagonalMetric(rate, np.diag(diagonal.numpy()))


@torch.no_grad()
def diagonal_norm(system: Comparison) -> tuple[float, Tensor]:
    """The rate of sqrt(sum_i v_i e_i^2 / w_i), and the v_i / w_i (nx,) (docs/theory.md, Theorem 23).

    rate^2 = max_i T(w)_i / w_i  max_j (M' v)_j / v_j,   M = [T(e_1), ..., T(e_n)]; any v, w > 0 are valid
    """
    M = torch.stack([system.T(e) for e in torch.eye(len(system.N), dtype=system.N.dtype)], 1)
    w, v = perron_weights(system), perron_weights(Comparison(lambda a: M.T @ a, system.N))
    rate = ((system.T(w) / w).max() * (M.T @ v / v).max()).sqrt()
    return float(rate), v / w
