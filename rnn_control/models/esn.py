"""Echo state network with leak and optional output feedback; only the read-out is trained (Armenio et al. 2019)."""

import numpy as np
import torch

from ..bounds import Bound, Comparison, two_norm
from ..model import Initialiser, Model, Params
from ..ops import tanh, vcat


class ESN(Model):
    """x+ = (1 - a) x + a tanh(Wx x + Wu u + Wy y + b),  zeta+ = u,  y = C (x, zeta) + b_y with C = [W1 W2].

    The reservoir Wx, Wu, Wy, b is drawn once and fixed; C and b_y come from ridge regression. Wx is `radius` times an
    orthogonal matrix: the longest memory that ||Wx||_2 = radius allows. `inputs` and `feedback` scale Wu and Wy (no
    feedback: no read-out can spoil stability). nx = size + nu.

    Reference: L. B. Armenio, E. Terzi, M. Farina, R. Scattolini (2019), "Model predictive control design for dynamical
    systems learned by echo state networks", IEEE Control Systems Letters 3(4).
    """

    kind = "esn"
    recurrent = ("Wx", "Wy")

    def __init__(
        self, nu: int, ny: int, size: int = 150, *, radius: float = 0.95, leak: float = 0.3, inputs: float = 0.3,
        feedback: float = 0.0, seed: int = 0,
    ):  # fmt: skip
        for name, value in (("radius", radius), ("leak", leak)):
            if not 0 < value <= 1:
                raise ValueError(f"{name} is {value}; it must lie in (0, 1]")
        config = dict(nu=nu, ny=ny, size=size, radius=radius, leak=leak, inputs=inputs, feedback=feedback, seed=seed)
        super().__init__(nu, ny, size + nu, config)
        self.size, self.leak = size, leak
        rng = np.random.default_rng(seed)
        orthogonal, _ = np.linalg.qr(rng.normal(size=(size, size)))
        self.register_buffer("Wx", torch.from_numpy(radius * orthogonal))
        self.register_buffer("Wu", torch.from_numpy(inputs * rng.uniform(-1, 1, (size, nu))))
        self.register_buffer("Wy", torch.from_numpy(feedback * rng.uniform(-1, 1, (size, ny))))
        self.register_buffer("b", torch.from_numpy(rng.uniform(-0.5, 0.5, (size, 1))))
        draw = Initialiser(seed)
        self.C, self.b_y = draw.uniform(ny, size + nu, 0.01), draw.zeros(ny)

    def f(self, p: Params, x, u):
        n, a = self.size, self.leak
        x_next = (1 - a) * x[:n] + a * tanh(p.Wx @ x[:n] + p.Wu @ u + p.Wy @ self.g(p, x) + p.b)
        return vcat(x_next, u)

    def state_box(self, p, u_max):
        return torch.cat([torch.ones(self.size, dtype=u_max.dtype), u_max])

    def closed_loop(self, p):
        """Wx + Wy W1 on x, and Wy W2 on zeta: the recurrence after substituting y."""
        n = self.size
        return p.Wx + p.Wy @ p.C[:, :n], p.Wy @ p.C[:, n:]

    def delta_iss(self, p, u_max):
        """Residual ||Wx + Wy W1||_2 - 1; rate (1 - a) + a ||Wx + Wy W1||_2.

        Reference: Armenio et al. (2019), incremental stability of ESN; leak and gain: docs/theory.md, Theorem 7.
        """
        W, V = self.closed_loop(p)
        norm = two_norm(W)
        a, lam = self.leak, 1 - self.leak + self.leak * norm
        delayed, direct = a * two_norm(V), a * two_norm(p.Wu)
        # weight of the zeta block: small enough to cost a tenth of the margin, at most one
        w = (0.1 * (1 - lam) / delayed.clamp(min=1e-12)).clamp(min=1e-9, max=1.0)
        scale = torch.cat([torch.ones(self.size, dtype=W.dtype), w * torch.ones(self.nu, dtype=W.dtype)])
        gain = torch.stack([(direct + delayed) / (1 - lam), 1 / w])
        blocks, drive = ((self.size, 2.0), (self.nu, 2.0)), torch.maximum(direct, 1 / w)
        return Bound(norm - 1, lam + delayed * w, scale, blocks, drive, 2.0, sharp_gain=gain)

    def iss(self, p, u_max):
        """The deltaISS condition, which here is the same; the biases make the ISS practical, with an offset."""
        bound = self.delta_iss(p, u_max)
        offset = self.leak * torch.linalg.vector_norm(p.Wy @ p.b_y + p.b) / (1 - bound.rate)
        return bound._replace(offset=offset)

    def comparison(self, p, u_max):
        """Row by row the slope s in [0, 1] is common: T(v)_i = max(|L_i| v, |L_i + a M_i| v), L = (1 - a)[I 0]."""
        W, V = self.closed_loop(p)
        n, a = self.size, self.leak
        L = (1 - a) * torch.eye(n, self.nx, dtype=W.dtype)
        low, high = L.abs(), (L + a * torch.cat([W, V], 1)).abs()

        def T(v):
            return torch.cat([torch.maximum(low @ v, high @ v), torch.zeros_like(v[n:])])

        return Comparison(T, torch.cat([a * p.Wu.abs(), torch.eye(self.nu, dtype=W.dtype)]))
