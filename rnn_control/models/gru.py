"""Gated recurrent unit, reset gate before the product, as in the control literature (Bonassi et al. 2021)."""

import torch

from ..bounds import Bound, Comparison, Seen, gate_range, inf_norm, reach, sigmoid_slope, sloped, tanh_slope
from ..model import Initialiser, Model, Params
from ..ops import mix, sigmoid, tanh


class GRU(Model):
    """z = sig(Wz u + Uz x + bz),  f = sig(Wf u + Uf x + bf),  r = tanh(Wr u + Ur (f o x) + br),
    x+ = z o x + (1 - z) o r,  y = C x + b_y.

    z multiplies the old state. torch.nn.GRU resets after the product: a different equation with another condition.
    The box |x_i| <= 1 is invariant. `size` is nx; `seed` draws the start.

    Reference: F. Bonassi, M. Farina, R. Scattolini (2021), "On the stability properties of gated recurrent units
    neural networks", Systems & Control Letters 157.
    """

    kind = "gru"
    recurrent = ("Uz", "Uf", "Ur", "Wz", "bz")
    injected = ("z", "f")
    inputs = {"bz": "Wz", "bf": "Wf", "br": "Wr"}

    def __init__(self, nu: int, ny: int, size: int = 8, *, seed: int = 0):
        super().__init__(nu, ny, size, dict(nu=nu, ny=ny, size=size))
        draw = Initialiser(seed)
        self.Wz, self.Uz, self.bz = (
            draw.row_bounded(size, nu, 0.15),
            draw.row_bounded(size, size, 0.05),
            draw.spread(size, 0, 3),
        )
        self.Wf, self.Uf, self.bf = draw.uniform(size, nu, 0.1), draw.row_bounded(size, size, 0.1), draw.zeros(size)
        self.Wr, self.Ur, self.br = draw.uniform(size, nu), draw.row_bounded(size, size, 0.7), draw.zeros(size)
        self.C, self.b_y = draw.uniform(ny, size), draw.zeros(ny)

    def f(self, p: Params, x, u):
        z = sigmoid(p.Wz @ u + p.Uz @ x + p.bz)
        f = sigmoid(p.Wf @ u + p.Uf @ x + p.bf)
        r = tanh(p.Wr @ u + p.Ur @ (f * x) + p.br)
        return mix(z, x, r)

    def state_box(self, p, u_max):
        return torch.ones(self.nx, dtype=u_max.dtype)

    def published_gates(self, p, u_max):
        """Scalar bounds of the paper: 1 - zbar, zbar, fbar, phibar (1 - zbar through sig(-a): zbar may round to 1)."""
        one = torch.ones(self.nx, dtype=u_max.dtype)
        z, f, r = (
            (reach(W, U, u_max, one) + b.flatten().abs()).max()
            for W, U, b in ((p.Wz, p.Uz, p.bz), (p.Wf, p.Uf, p.bf), (p.Wr, p.Ur, p.br))
        )
        return torch.sigmoid(-z), torch.sigmoid(z), torch.sigmoid(f), torch.tanh(r)

    def iss(self, p, u_max):
        """Residual ||Ur|| fbar - 1 (infinity norms), rate 1 - (1 - zbar)(1 - ||Ur|| fbar).

        Reference: Bonassi, Farina, Scattolini (2021), ISS theorem.
        """
        one_z, zbar, fbar, _ = self.published_gates(p, u_max)
        kappa = inf_norm(p.Ur) * fbar
        scale = torch.ones(self.nx, dtype=u_max.dtype)
        rate = 1 - one_z * (1 - kappa)
        gain, offset = (inf_norm(p.Wr) / (1 - kappa))[None], p.br.abs().max() / (1 - kappa)
        drive, block = zbar * inf_norm(p.Wr), ((self.nx, torch.inf),)
        return Bound(kappa - 1, rate, scale, block, drive, torch.inf, scale, offset, gain)

    def delta_iss(self, p, u_max):
        """Residual ||Ur|| (||Uf|| / 4 + fbar) - 1 + (1 + phibar) / (4 (1 - zbar)) ||Uz||   (infinity norms only).

        Reference: Bonassi, Farina, Scattolini (2021), deltaISS theorem; rate and gain: docs/theory.md, Theorem 3.
        """
        one_z, zbar, fbar, phi = self.published_gates(p, u_max)
        eta = inf_norm(p.Ur) * (fbar + inf_norm(p.Uf) / 4)
        gate = (1 + phi) / 4
        residual = eta - 1 + gate * inf_norm(p.Uz) / one_z
        rate = 1 + one_z * residual
        kappa = zbar * (inf_norm(p.Wr) + inf_norm(p.Ur) * inf_norm(p.Wf) / 4) + gate * inf_norm(p.Wz)
        scale = torch.ones(self.nx, dtype=u_max.dtype)
        return Bound(residual, rate, scale, ((self.nx, torch.inf),), kappa, torch.inf, scale)

    def comparison(self, p, u_max):
        """Row-wise: T(v) = max over z in {z_lo, z_hi} of z v + (1 - z) R(v), + s_z (1 + phibar) |Uz| v  (Theorem 4)."""
        one = torch.ones(self.nx, dtype=u_max.dtype)
        a_z, a_f = reach(p.Wz, p.Uz, u_max, one), reach(p.Wf, p.Uf, u_max, one)
        (z_lo, z_hi), (_, f_hi) = gate_range(p.bz, a_z), gate_range(p.bf, a_f)
        s_z, s_f = sigmoid_slope(p.bz, a_z), sigmoid_slope(p.bf, a_f)
        a_r = reach(p.Wr, p.Ur, u_max, f_hi)
        s_r, phi = tanh_slope(p.br, a_r), torch.tanh(p.br.flatten().abs() + a_r)
        Uz, Uf, Ur = p.Uz.abs(), p.Uf.abs(), p.Ur.abs()
        gate = s_z * (1 + phi)

        def T(v):
            R = s_r * (Ur @ (f_hi * v + s_f * (Uf @ v)))
            return torch.maximum(z_hi * v + (1 - z_hi) * R, z_lo * v + (1 - z_lo) * R) + gate * (Uz @ v)

        N_r = (1 - z_lo)[:, None] * s_r[:, None] * (p.Wr.abs() + Ur @ (s_f[:, None] * p.Wf.abs()))
        return Comparison(T, N_r + gate[:, None] * p.Wz.abs(), one)

    def observer_comparison(self, p, u_max, L, seen: Seen):
        """Model against its copy whose gates see L e, e = C dx + dy: T as in `comparison`, N for |dy| (Theorem 18).

        An injected row loses its range: slope 1 / 4, and f up to one in what the copy's tanh sees.
        """
        one = torch.ones(self.nx, dtype=u_max.dtype)
        a_z, a_f = reach(p.Wz, p.Uz, u_max, one), reach(p.Wf, p.Uf, u_max, one)
        (z_lo, z_hi), (_, f_hi) = gate_range(p.bz, a_z), gate_range(p.bf, a_f)
        s_z, s_f = sloped(L["z"], sigmoid_slope(p.bz, a_z)), sloped(L["f"], sigmoid_slope(p.bf, a_f))
        a_r = reach(p.Wr, p.Ur, u_max, torch.where(L["f"].any(1), 1.0, f_hi))
        s_r, gate = tanh_slope(p.br, a_r), s_z * (1 + torch.tanh(p.br.flatten().abs() + a_r))
        Uz, Uf = ((seen.gate(p["W" + k], p["U" + k]) - L[k] @ seen.C).abs() for k in self.injected)
        Ur, M = p.Ur.abs(), (p.Wr @ seen.M).abs()

        def T(v):
            x = v[seen.own]
            R = s_r * (Ur @ (f_hi * x + s_f * (Uf @ v)) + M @ v)
            return torch.maximum(z_hi * x + (1 - z_hi) * R, z_lo * x + (1 - z_lo) * R) + gate * (Uz @ v)

        N_r = ((1 - z_lo) * s_r)[:, None] * (Ur @ (s_f[:, None] * L["f"].abs()))
        return Comparison(T, N_r + gate[:, None] * L["z"].abs(), one)
