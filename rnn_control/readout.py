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
    """The read-outs of those blocks around which all signals are inputs or outputs of the network, each for itself.

    A block reads what was measured and not what another block simulates, so no error of one gets into the next.
    """
    p, rows = network.theta(), outputs_of(network)
    columns = ({"": u, **{k: y[:, at] for k, at in rows.items()}} for u, y in zip(data.u, data.y, strict=True))
    measured = [{name: torch.from_numpy(value.T) for name, value in record.items()} for record in columns]
    for name, block in network.models():
        wires = network.wiring.into[name]
        if name in rows and all(w.source in measured[0] for w in wires):
            us = [network.read(p, wires, signals).detach().numpy().T for signals in measured]
            ys, weights = ([a[:, rows[name]] for a in part] for part in (data.y, data.w))
            x0 = np.zeros((len(us), block.nx))
            fit_readout(block, LiteralKernel(block, ()), x0, Batch(us, ys, weights), ridge)


def outputs_of(network: Network) -> dict[str, list[int]]:
    """Which outputs of the network each block writes, in its own order; of blocks all of whose signals are outputs."""
    ends = [(w.source, row) for w in network.wiring.out for row in range(w.start, w.stop)]
    places = {name: [(name, row) for row in range(block.ny)] for name, block in network.models()}
    return {name: [ends.index(e) for e in own] for name, own in places.items() if {*own} <= {*ends}}
