"""Closed-form least squares for linear read-outs: all of the training of an ESN, the start of everybody else's."""

import numpy as np
import torch

from .kernel import Batch, Kernel
from .model import Model, Params


def fit_readout(model: Model, kernel: Kernel, x0: np.ndarray, data: Batch, ridge: float = 1e-6) -> None:
    """Set C and b_y to the minimiser of sum w |y - C s - b_y|^2 + ridge |C|^2 over the states s of the roll-out.

    s are the states that C reads (`output_map` tells). A model without a linear read-out is left as it is. With output
    feedback (ESN) the states are those of the present read-out: one step of a fixed-point iteration.
    Reference: Armenio et al. (2019), least-squares training of the read-out.
    """
    free = dict(model.named_parameters())
    if "C" not in free:
        return
    p = model.theta()
    # asked with C = 1: a column of C that happens to be zero is a state that C reads all the same
    seen = model.output_map(Params({**p, "C": torch.ones_like(p.C)})).abs().sum(0) != 0
    columns = seen.nonzero().flatten().numpy()
    rolled = kernel.simulate(p, x0, data.u)
    S = np.concatenate([x[:-1][:, columns] for x, _ in rolled])
    Y, weight = np.concatenate(data.y), np.concatenate(data.w)
    if not np.isfinite(S).all():
        return
    Phi = np.hstack([S, np.ones((len(S), 1))])
    penalty = np.diag([ridge] * S.shape[1] + [0.0])
    for j in range(model.ny):
        w = weight[:, j : j + 1] / weight[:, j].sum()
        solution = np.linalg.solve(Phi.T @ (w * Phi) + penalty, Phi.T @ (w[:, 0] * Y[:, j]))
        with torch.no_grad():
            free["C"][j] = torch.from_numpy(solution[:-1])
            free["b_y"][j] = float(solution[-1])
