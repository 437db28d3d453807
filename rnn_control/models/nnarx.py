"""Neural nonlinear ARX: a shift register of past outputs and inputs, and a feed-forward net (Bonassi et al. 2021)."""

import torch
from torch import Tensor

from ..bounds import Bound, Comparison, two_norm
from ..model import Initialiser, Model, Params
from ..ops import tanh, vcat


class NNARX(Model):
    """y(k+1) = eta(y(k) .. y(k-N+1), u(k); u(k-1) .. u(k-N)),  eta = U0 tanh(U1 x + W1 u + b1) + b0.

    x = (z_1 .. z_N) with z_i = (y(k-N+i), u(k-N+i-1)): x+ shifts by one block and appends (eta, u); y is the y-part of
    z_N. nx = lags (ny + nu); `size` hidden units.

    Reference: F. Bonassi, M. Farina, R. Scattolini (2021), "Stability of discrete-time feed-forward neural networks in
    NARX configuration", IFAC-PapersOnLine 54(7).
    """

    kind = "nnarx"
    recurrent = ("U1",)

    def __init__(self, nu: int, ny: int, size: int = 12, *, lags: int = 3, seed: int = 0):
        super().__init__(nu, ny, lags * (ny + nu), dict(nu=nu, ny=ny, size=size, lags=lags))
        self.lags, self.block = lags, ny + nu
        draw = Initialiser(seed)
        self.U1, self.W1, self.b1 = draw.uniform(size, self.nx), draw.uniform(size, nu), draw.uniform(size, 1, 0.5)
        self.U0, self.b0 = draw.uniform(ny, size), draw.zeros(ny)

    def f(self, p: Params, x, u):
        eta = p.U0 @ tanh(p.U1 @ x + p.W1 @ u + p.b1) + p.b0
        return vcat(x[self.block :], eta, u)

    def g(self, p: Params, x):
        return x[self.nx - self.block : self.nx - self.nu]

    def output_map(self, p):
        E = torch.eye(self.nx, dtype=p.U0.dtype)
        return E[self.nx - self.block : self.nx - self.nu]

    def output_box(self, p, u_max):
        return p.U0.abs().sum(1) + p.b0.flatten().abs()

    def state_box(self, p, u_max):
        return torch.cat([self.output_box(p, u_max), u_max]).repeat(self.lags)

    def lipschitz(self, p):
        """Products of 2-norms: Lipschitz constants of eta in the lags x and in the present input u."""
        return two_norm(p.U0) * two_norm(p.U1), two_norm(p.U0) * two_norm(p.W1)

    def ages(self, L: Tensor) -> Tensor:
        """1 .. N, of the lags."""
        return torch.arange(1, self.lags + 1, dtype=L.dtype)

    def decay(self, L: Tensor) -> Tensor:
        """The rate with L^2 sum_j rate^(-2j) = 1 over the lags j = 1 .. N, from above (Theorem 8); 2 at most.

        Newton's method in t = log rate: the logarithm of the sum is convex and falls by 2 at least, so the steps come
        from the left, where the first and the last term alone would be one; the last is as long as that slope asks.
        """
        powers, t = 2 * self.ages(L), torch.maximum(L.log(), L.log() / self.lags)
        for _ in range(10):
            terms = L**2 * (-powers * t).exp()
            t = t + terms.sum().log() * terms.sum() / (powers * terms).sum()
        above = (L**2 * (-powers * t).exp()).sum().log().clamp(min=0) / 2 + 1e-15
        return (t + above).exp().clamp(max=2.0)

    def delta_iss(self, p, u_max):
        """Residual sqrt(N) prod_l ||U_l||_2 - 1 (tanh has Lipschitz constant one); V = max_i rate^(N-i) |z_i|_2.

        Reference: Bonassi, Farina, Scattolini (2021), deltaISS theorem; rate: docs/theory.md, Theorem 8.
        """
        L, L_u = self.lipschitz(p)
        # below 1e-3 the net is forgotten after N steps anyway, and the scales would lose all meaning
        known = L.detach().clamp(min=1e-3)
        rate = self.decay(known)
        steps = self.ages(L)
        residual, blocks = L * self.lags**0.5 - 1, ((self.block, 2.0),) * self.lags
        # the rate is a root, L^2 S(rate) = 1 with S = sum rate^(-2j): its derivative is that of the implicit function
        slope = (rate ** (-2 * steps)).sum() / (steps * rate ** (-2 * steps - 1)).sum() / known
        rate = rate + slope * (L - L.detach())
        scale = (rate ** (steps - self.lags)).repeat_interleave(self.block)
        return Bound(residual, rate, scale, blocks, 1 + L_u, 2.0)

    def iss(self, p, u_max):
        """The deltaISS condition, which here is the same; eta(0, 0) makes the ISS practical."""
        bound = self.delta_iss(p, u_max)
        at_rest = torch.linalg.vector_norm(p.U0 @ torch.tanh(p.b1) + p.b0)
        return bound._replace(offset=at_rest / (1 - bound.rate))

    def comparison(self, p, u_max):
        """Lag by lag: |d eta| <= |U0| |U1| |dx| + |U0| |W1| |du|; everything else is a shift (Theorem 8)."""
        U0 = p.U0.abs()
        G, G_u, block = U0 @ p.U1.abs(), U0 @ p.W1.abs(), self.block

        def T(v):
            return torch.cat([v[block:], G @ v, torch.zeros(self.nu, dtype=v.dtype)])

        shifts = torch.zeros(self.nx - block, self.nu, dtype=G.dtype)
        return Comparison(T, torch.cat([shifts, G_u, torch.eye(self.nu, dtype=G.dtype)]))
