"""Lipschitz recurrent neural network, forward Euler (Erichson, Azencot, Queiruga, Hodgkinson, Mahoney 2021)."""

import torch

from ..bounds import Bound, Comparison, two_norm
from ..model import Initialiser, Model, Params
from ..ops import tanh


class LipschitzRNN(Model):
    """h' = A h + tanh(W h + U u + b),  A, W = (1 - beta)(M + M') + beta (M - M') - gamma I,
    x+ = L x + step tanh(W x + U u + b),  L = I + step A,  y = C x + b_y.

    `step` is the Euler step in units of the sampling time. beta in [0, 1] trades symmetric for skew, gamma shifts
    the spectrum to the left; A and W have their own pair. Neither is a proof of contraction: the condition below is.

    Reference: N. B. Erichson et al. (2021), "Lipschitz recurrent neural networks", ICLR.
    """

    kind = "lipschitz_rnn"
    recurrent = ("MA", "MW")

    def __init__(
        self, nu: int, ny: int, size: int = 8, *, beta: float = 0.75, gamma_A: float = 0.5, gamma_W: float = 0.05,
        step: float = 0.5, seed: int = 0,
    ):  # fmt: skip
        if not 0 <= beta <= 1:
            raise ValueError(f"beta is {beta}; it must lie in [0, 1]")
        if not 0 <= gamma_W < gamma_A or not 0 < step * gamma_A <= 1:
            raise ValueError(
                f"gamma_A = {gamma_A}, gamma_W = {gamma_W}, step = {step}: need 0 <= gamma_W < gamma_A <= 1 / step, "
                "or no start of the training contracts"
            )
        config = dict(nu=nu, ny=ny, size=size, beta=beta, gamma_A=gamma_A, gamma_W=gamma_W, step=step)
        super().__init__(nu, ny, size, config)
        self.beta, self.gamma_A, self.gamma_W, self.step = beta, gamma_A, gamma_W, step
        draw = Initialiser(seed)
        self.MA, self.MW = draw.uniform(size, size, 0.05 / size), draw.uniform(size, size, 0.1 / size)
        self.U, self.b = draw.uniform(size, nu), draw.zeros(size)
        self.C, self.b_y = draw.uniform(ny, size), draw.zeros(ny)

    def theta(self) -> Params:
        return Params(
            L=torch.eye(self.nx, dtype=self.MA.dtype) + self.step * self.matrix(self.MA, self.gamma_A),
            W=self.matrix(self.MW, self.gamma_W), U=self.U, b=self.b, C=self.C, b_y=self.b_y,
        )  # fmt: skip

    def matrix(self, M, gamma):
        """(1 - beta)(M + M') + beta (M - M') - gamma I."""
        return (1 - self.beta) * (M + M.T) + self.beta * (M - M.T) - gamma * torch.eye(len(M), dtype=M.dtype)

    def f(self, p: Params, x, u):
        return p.L @ x + self.step * tanh(p.W @ x + p.U @ u + p.b)

    def state_box(self, p, u_max):
        """|tanh| < 1 drives the linear part: radius step / (1 - ||L||_inf) if that is positive, else inf."""
        row_sum = p.L.abs().sum(1).max()
        is_damped = row_sum < 1
        radius = torch.where(is_damped, self.step / torch.where(is_damped, 1 - row_sum, 1.0), torch.inf)
        return radius * torch.ones(self.nx, dtype=u_max.dtype)

    def delta_iss(self, p, u_max):
        """Residual ||L||_2 + step ||W||_2 - 1, the rate minus one.

        The Euler counterpart of condition (a) of the stability theorem of Erichson et al. (2021); Theorem 9.
        """
        rate = two_norm(p.L) + self.step * two_norm(p.W)
        scale, drive = torch.ones(self.nx, dtype=p.L.dtype), self.step * two_norm(p.U)
        return Bound(rate - 1, rate, scale, ((self.nx, 2.0),), drive, 2.0)

    def iss(self, p, u_max):
        """The deltaISS condition; the bias makes the ISS practical, with an offset."""
        bound = self.delta_iss(p, u_max)
        return bound._replace(offset=self.step * torch.linalg.vector_norm(p.b) / (1 - bound.rate))

    def comparison(self, p, u_max):
        """Row by row the slope is common: T(v)_i = max(|L_i| v, |L_i + step W_i| v)."""
        low, high = p.L.abs(), (p.L + self.step * p.W).abs()

        def T(v):
            return torch.maximum(low @ v, high @ v)

        return Comparison(T, self.step * p.U.abs())
