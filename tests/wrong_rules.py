"""Conditions that are known to be false, each a plausible slip: the attack on conditions must break every one."""

import torch
from torch import nn

from rnn_control import ESN, GRU, LSTM
from rnn_control.bounds import Bound, two_norm
from rnn_control.ops import mix, sigmoid, tanh


def gru_in_two_norms(model: GRU, p, u_max) -> Bound:
    """The GRU condition with 2-norms for infinity norms; but a row-wise convex combination needs the maximum norm."""
    one_z, zbar, fbar, phi = model.published_gates(p, u_max)
    eta, gate = two_norm(p.Ur) * (fbar + two_norm(p.Uf) / 4), (1 + phi) / 4
    residual = eta - 1 + gate * two_norm(p.Uz) / one_z
    drive = zbar * (two_norm(p.Wr) + two_norm(p.Ur) * two_norm(p.Wf) / 4) + gate * two_norm(p.Wz)
    one = torch.ones(model.nx, dtype=u_max.dtype)
    return Bound(residual, 1 + one_z * residual, one, ((model.nx, 2.0),), drive, 2.0, one)


def lstm_by_largest_entry(model: LSTM, p, u_max) -> Bound:
    """The LSTM condition with the largest entry of a matrix for its norm."""
    U, W = ({k: p[m + k].abs().max() for k in "fioc"} for m in "UW")
    fbar, ibar, obar, gbar, cbar = model.published_gates(p, u_max)
    alpha, beta = (M["f"] * cbar / 4 + ibar * M["c"] + M["i"] * gbar / 4 for M in (U, W))
    phi = torch.tanh(cbar) / 4
    A, B = [[fbar, alpha], [obar * fbar, obar * alpha + phi * U["o"]]], [beta, obar * beta + phi * W["o"]]
    return model.two_block_bound(A, B, model.state_box(p, u_max))


def esn_by_spectral_radius(model: ESN, p, u_max) -> Bound:
    """Spectral radius below one: enough for a linear network."""
    bound = model.delta_iss(p, u_max)
    radius = torch.linalg.eigvals(model.closed_loop(p)[0]).abs().max()
    rate = 1 - model.leak + model.leak * radius
    return bound._replace(residual=radius - 1, rate=rate, sharp_gain=None)


class ResetAfterGRU(GRU):
    """torch.nn.GRU's reset, after the product, with its bias bh inside; the GRU's condition knows nothing of either."""

    def __init__(self, nu: int, ny: int, size: int):
        super().__init__(nu, ny, size)
        self.bh = nn.Parameter(torch.zeros(size, 1, dtype=torch.float64))

    def f(self, p, x, u):
        z = sigmoid(p.Wz @ u + p.Uz @ x + p.bz)
        f = sigmoid(p.Wf @ u + p.Uf @ x + p.bf)
        return mix(z, x, tanh(p.Wr @ u + p.br + f * (p.Ur @ x + p.bh)))


def reset_after_without_its_bias(model: ResetAfterGRU, p, u_max) -> Bound:
    """The published condition of the GRU whose reset comes before the product."""
    return model.delta_iss(p, u_max)


# name -> (rule, a model for which it is wrong)
WRONG = {
    "gru in 2-norms": (gru_in_two_norms, lambda: GRU(1, 1, 2)),
    "lstm by its largest entry": (lstm_by_largest_entry, lambda: LSTM(1, 1, 4)),
    "esn by its spectral radius": (esn_by_spectral_radius, lambda: ESN(1, 1, 3)),
    "reset-after gru without its bias": (reset_after_without_its_bias, lambda: ResetAfterGRU(1, 1, 2)),
}
