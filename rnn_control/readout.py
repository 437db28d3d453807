"""Closed-form least squares for linear read-outs: all of the training of an ESN, the start of everybody else's."""

import numpy as np
import torch

from .kernel import Batch, Kernel
from .literal import LiteralKernel
from .model import Model, Params
from .models.network import Network


def fit_readout(model: Model, kernel: Kernel, x0: np.ndarray, data: Batch, ridge: float = 1e-6) -> None:
    """Set C and b_y to the minimiser of sum w |y - C s - b_y|^2 + ridge |C|^2 over the states s of the roll-out.

    s are the states that C reads (`output_map` tells). A model without a linear read-out is left as it is. With output
    feedback (ESN) the states are those of the present read-out: one step of a fixed-point iteration. For a Network see
    `fit_blocks`.
    Reference: Armenio et al. (2019), least-squares training of the read-out.
    """
    if isinstance(model, Network):
        return fit_blocks(model, data, ridge)
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


def fit_blocks(network: Network, data: Batch, ridge: float) -> None:
    """The read-outs of those blocks that write outputs of the network, each on what is measured around it.

    In the order of the flow: a block reads the measured outputs where another one writes them, else what that one
    simulates (nothing, if it comes later). So no error of one block gets into the least squares of the next.
    """
    p, rows, written = network.theta(), outputs_of(network), []
    for u, y in zip(data.u, data.y, strict=True):
        still = {name: np.zeros((len(u), block.ny)) for name, block in network.models()}
        known = {"": u, **still, **{name: y[:, at] for name, at in rows.items()}}
        written.append({name: torch.from_numpy(columns.T) for name, columns in known.items()})
    for name, block in network.models():
        us = [network.read(p, network.wiring.into[name], w).detach().numpy().T for w in written]
        kernel, x0 = LiteralKernel(block, ()), np.zeros((len(us), block.nx))
        if name in rows:
            ys, weights = ([a[:, rows[name]] for a in part] for part in (data.y, data.w))
            fit_readout(block, kernel, x0, Batch(us, ys, weights), ridge)
            continue
        for w, (_, y) in zip(written, kernel.simulate(block.theta(), x0, us), strict=True):
            w[name] = torch.from_numpy(y.T)


def outputs_of(network: Network) -> dict[str, list[int]]:
    """Which outputs of the network each block writes, in its own order; of blocks all of whose signals are outputs."""
    ends = [(w.source, row) for w in network.wiring.out for row in range(w.start, w.stop)]
    places = {name: [(name, row) for row in range(block.ny)] for name, block in network.models()}
    return {name: [ends.index(e) for e in own] for name, own in places.items() if {*own} <= {*ends}}
