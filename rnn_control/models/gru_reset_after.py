"""Gated recurrent unit, reset gate after the product: exactly torch.nn.GRU's equations, and Keras' and cuDNN's."""

import torch

from ..bounds import Bound, Comparison, gate_range, inf_norm, reach, sigmoid_slope, tanh_slope
from ..model import Initialiser, Model, Params
from ..ops import mix, sigmoid, tanh


class GRUResetAfter(Model):
    """r = sig(Wr u + Ur x + br),  z = sig(Wz u + Uz x + bz),  n = tanh(Wn u + bn + r o (Un x + bhn)),
    x+ = z o x + (1 - z) o n,  y = C x + b_y.

    torch.nn.GRU stacks the rows r, z, n; of its two biases those of the gates add up here, bhn stays inside the reset.
    The box |x_i| <= 1 is invariant. `size` is nx; `seed` draws the start.

    Reference: K. Cho et al. (2014), as implemented by torch.nn.GRU. The published condition is that of F. Bonassi,
    M. Farina, R. Scattolini (2021), Systems & Control Letters 157, carried over with bhn: docs/theory.md, Theorem 12.
    """

    kind = "gru_reset_after"
    recurrent = ("Uz", "Ur", "Un", "Wz", "bz")
    inputs = {"bz": "Wz", "br": "Wr", "bn": "Wn"}

    def __init__(self, nu: int, ny: int, size: int = 8, *, seed: int = 0):
        super().__init__(nu, ny, size, dict(nu=nu, ny=ny, size=size))
        draw = Initialiser(seed)
        self.Wz, self.Uz, self.bz = (
            draw.row_bounded(size, nu, 0.15),
            draw.row_bounded(size, size, 0.05),
            draw.spread(size, 0, 3),
        )
        self.Wr, self.Ur, self.br = draw.uniform(size, nu, 0.1), draw.row_bounded(size, size, 0.1), draw.zeros(size)
        self.Wn, self.Un, self.bn = draw.uniform(size, nu), draw.row_bounded(size, size, 0.7), draw.zeros(size)
        self.bhn = draw.zeros(size)
        self.C, self.b_y = draw.uniform(ny, size), draw.zeros(ny)

    def f(self, p: Params, x, u):
        r = sigmoid(p.Wr @ u + p.Ur @ x + p.br)
        z = sigmoid(p.Wz @ u + p.Uz @ x + p.bz)
        n = tanh(p.Wn @ u + p.bn + r * (p.Un @ x + p.bhn))
        return mix(z, x, n)

    def state_box(self, p, u_max):
        return torch.ones(self.nx, dtype=u_max.dtype)

    def published_gates(self, p, u_max):
        """Scalar bounds: 1 - zbar, zbar, rbar, phibar = max |n|, and H = max |Un x + bhn|."""
        one = torch.ones(self.nx, dtype=u_max.dtype)
        z, r = ((reach(W, U, u_max, one) + b.flatten().abs()).max() for W, U, b in self.gates(p))
        rbar, inner = torch.sigmoid(r), p.Un.abs().sum(1) + p.bhn.flatten().abs()
        n = (p.Wn.abs() @ u_max + p.bn.flatten().abs() + rbar * inner).max()
        return torch.sigmoid(-z), torch.sigmoid(z), rbar, torch.tanh(n), inner.max()

    def gates(self, p):
        """(W, U, b) of z and of r."""
        return (p.Wz, p.Uz, p.bz), (p.Wr, p.Ur, p.br)

    def iss(self, p, u_max):
        """Residual ||Un|| rbar - 1 (infinity norms), rate 1 - (1 - zbar)(1 - ||Un|| rbar).

        The ISS theorem of Bonassi, Farina, Scattolini (2021) for this reset; Theorem 12 (b).
        """
        one_z, zbar, rbar, _, _ = self.published_gates(p, u_max)
        kappa = inf_norm(p.Un) * rbar
        scale = torch.ones(self.nx, dtype=u_max.dtype)
        rate, drive = 1 - one_z * (1 - kappa), zbar * inf_norm(p.Wn)
        gain = (inf_norm(p.Wn) / (1 - kappa))[None]
        offset = (p.bn.abs() + rbar * p.bhn.abs()).max() / (1 - kappa)
        return Bound(kappa - 1, rate, scale, ((self.nx, torch.inf),), drive, torch.inf, scale, offset, gain)

    def delta_iss(self, p, u_max):
        """Residual rbar ||Un|| + H ||Ur|| / 4 - 1 + (1 + phibar) / (4 (1 - zbar)) ||Uz||   (infinity norms only),
        H = max_i (sum_j |Un_ij| + |bhn_i|).

        The theorem of Bonassi, Farina, Scattolini (2021) has ||Un|| for H, which is false unless bhn = 0; Theorem 12.
        """
        one_z, zbar, rbar, phi, H = self.published_gates(p, u_max)
        eta, gate = rbar * inf_norm(p.Un) + H * inf_norm(p.Ur) / 4, (1 + phi) / 4
        residual = eta - 1 + gate * inf_norm(p.Uz) / one_z
        rate = 1 + one_z * residual
        drive = zbar * (inf_norm(p.Wn) + H * inf_norm(p.Wr) / 4) + gate * inf_norm(p.Wz)
        scale = torch.ones(self.nx, dtype=u_max.dtype)
        return Bound(residual, rate, scale, ((self.nx, torch.inf),), drive, torch.inf, scale)

    def comparison(self, p, u_max):
        """Row-wise: T(v) = max over z in {z_lo, z_hi} of z v + (1 - z) R(v), + s_z (1 + phibar) |Uz| v,
        R(v) = s_n o (r_hi o |Un| v + s_r o (|Un| 1 + |bhn|) o |Ur| v)   (Theorem 12 (c)).
        """
        one = torch.ones(self.nx, dtype=u_max.dtype)
        a_z, a_r = (reach(W, U, u_max, one) for W, U, _ in self.gates(p))
        (z_lo, z_hi), (r_lo, r_hi) = gate_range(p.bz, a_z), gate_range(p.br, a_r)
        s_z, s_r = sigmoid_slope(p.bz, a_z), sigmoid_slope(p.br, a_r)
        # the argument of n lies around bn + r bhn, whose r is known up to its half width
        bhn = p.bhn.flatten()
        middle = p.bn.flatten() + (r_hi + r_lo) / 2 * bhn
        a_n = reach(p.Wn, r_hi[:, None] * p.Un, u_max, one) + (r_hi - r_lo) / 2 * bhn.abs()
        s_n, phi = tanh_slope(middle, a_n), torch.tanh(middle.abs() + a_n)
        Uz, Ur, Un = p.Uz.abs(), p.Ur.abs(), p.Un.abs()
        gate, H = s_z * (1 + phi), s_r * (Un.sum(1) + bhn.abs())

        def T(v):
            R = s_n * (r_hi * (Un @ v) + H * (Ur @ v))
            return torch.maximum(z_hi * v + (1 - z_hi) * R, z_lo * v + (1 - z_lo) * R) + gate * (Uz @ v)

        N_n = ((1 - z_lo) * s_n)[:, None] * (p.Wn.abs() + H[:, None] * p.Wr.abs())
        return Comparison(T, N_n + gate[:, None] * p.Wz.abs(), one)
