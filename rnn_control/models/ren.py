"""Recurrent equilibrium networks: contracting, or of bounded gain, by construction (Revay, Wang, Manchester 2023)."""

from abc import abstractmethod

import torch
from torch import Tensor, nn

from ..bounds import Bound
from ..certificate import rate_of
from ..lure import Lure, elementwise, energy_residual, positive, quadratic_bound, square, square_root, symmetric
from ..model import Initialiser, Model, Params
from ..ops import tanh, vcat

RATE = 0.99
"""Decay per sample where none is asked for and no record has slower modes."""
ROOM, ROOM_TO_SWING = 2, 30
"""How many times nearer to one than the slowest mode a rate from the record is: one P has to prove all slopes of
tanh, hard where a stiffness varies. The Silverbox's modes keep 0.965 a sample: 0.58 mV with a rate of 0.99, 0.36 with
30 times (its first test part, six states)."""
NEURONS = 16
"""By default twice as many as states, but no more: of as many variables those of states tell more. F16, with a whole X
of 4096 entries: an error of 0.166 with 24 states and 16 neurons, 0.185 with 16 and 32 (held out: 0.18 and 0.20)."""


class EquilibriumNetwork(Model):
    """x+ = A x + B1 w + B2 u + b_x,  w = tanh(C1 x + D11 w + D12 u + b_v),  y = C x + b_y.

    D11 is strictly lower triangular, so w is computed entry by entry, from the first to the last: row i of D11 is the
    explicit parameter D11_i. P and lam, which prove the contraction, are explicit parameters too. The certificate is
    evaluated from the explicit parameters, as f uses them, not assumed from how they were made.

    Reference: M. Revay, R. Wang, I. R. Manchester (2023), "Recurrent equilibrium networks: flexible dynamic models
    with guaranteed stability and robustness", IEEE Transactions on Automatic Control 69(5); docs/theory.md, Theorem 13.
    """

    def __init__(self, nu, ny, size, neurons, rate, settling, dt, config):
        rate = rate if settling is None else rate_of(settling, dt)
        neurons = min(2 * size, NEURONS) if neurons is None else neurons
        super().__init__(nu, ny, size, dict(nu=nu, ny=ny, size=size, neurons=neurons, rate=rate, **config))
        if int(neurons) != neurons or neurons < 1:
            raise ValueError(f"neurons is {neurons!r}; it must be a positive whole number")
        if rate is not None and not 0 < rate < 1:
            raise ValueError(f"rate is {rate}; it must lie between 0 and 1, e.g. 0.99")
        self.neurons, self.rate = int(neurons), RATE if rate is None else float(rate)
        self.is_asked = rate is not None

    def spec(self):
        return {**super().spec(), "rate": self.rate if self.is_asked or self.rate > RATE else None}

    @torch.no_grad()
    def meet(self, slowest: float, swings: bool) -> None:
        """Where no rate was asked for, one that leaves the slowest mode ROOM, or ROOM_TO_SWING; theta() stays."""
        rate = 1 - (1 - slowest) / (ROOM_TO_SWING if swings else ROOM)
        if not self.is_asked and rate > self.rate:
            p, self.rate = self.theta(), rate
            self.start_from(p)

    def entries(self) -> Tensor:
        """Room for those of X: of its upper triangle."""
        m = 2 * self.nx + self.neurons
        return torch.zeros(m * (m + 1) // 2, dtype=torch.float64)

    def root(self) -> Tensor:
        """X, symmetric: H = X'X has no use for its rotations. Files before schema 5 hold a whole matrix."""
        return symmetric(self.X.double(), 2 * self.nx + self.neurons)

    def set_root(self, X: Tensor) -> None:
        self.X.copy_(X if self.X.dim() == 2 else X[tuple(torch.triu_indices(*X.shape))])

    def _load_from_state_dict(self, state_dict, prefix, *args):
        """A whole X stays one, to the last bit: a certificate is bound to the numbers that it makes."""
        given = state_dict.get(f"{prefix}X", self.X)
        if given.dim() != self.X.dim():
            self.X = nn.Parameter(torch.zeros_like(given, dtype=self.X.dtype))
        super()._load_from_state_dict(state_dict, prefix, *args)

    @abstractmethod
    def start_from(self, p: Params) -> None: ...

    @abstractmethod
    def theta(self) -> Params: ...

    def by_construction(self, property: str) -> str:
        return "published"

    def f(self, p: Params, x, u):
        v = p.C1 @ x + p.D12 @ u + p.b_v
        w = tanh(v[:1])
        for i in range(1, self.neurons):
            w = vcat(w, tanh(v[i : i + 1] + p[f"D11_{i}"] @ w))
        return p.A @ x + p.B1 @ w + p.B2 @ u + p.b_x

    def lure(self, p: Params) -> Lure:
        """The matrices between differences of two trajectories."""
        q = self.neurons
        zeros = [torch.zeros(1, q - i, dtype=p.A.dtype) for i in range(q)]
        rows = [torch.cat([p[f"D11_{i}"], zeros[i]], 1) for i in range(1, q)]
        return Lure(p.A, p.B1, p.B2, p.C1, torch.cat([torch.zeros_like(p.C1[:1, :1]).expand(1, q), *rows]), p.D12)

    def state_box(self, p, u_max):
        """(I - |A|)^(-1) (|B1| 1 + |B2| u_max + |b_x|), because |tanh| < 1; inf if that is not positive."""
        push = p.B1.abs().sum(1) + p.B2.abs() @ u_max + p.b_x.flatten().abs()
        E = torch.eye(self.nx, dtype=p.A.dtype)
        box = torch.linalg.solve_ex(E - p.A.abs(), push * (1 + 1e-9) + 1e-12).result
        return torch.where((box > 0).all(), box, torch.inf)

    def contraction(self, p: Params) -> Bound:
        """The contraction inequality for P and lam, as an eigenvalue problem: `quadratic_bound`; Theorem 13 (a)."""
        return quadratic_bound(self.lure(p), p.P, p.lam)

    def iss(self, p, u_max):
        """The deltaISS condition; f(0, 0) makes the ISS practical, with an offset."""
        bound = self.delta_iss(p, u_max)
        at_rest = self.f(p, torch.zeros_like(p.b_x), torch.zeros(self.nu, 1, dtype=p.A.dtype))
        assert bound.metric is not None
        return bound._replace(offset=(at_rest.T @ bound.metric @ at_rest).sum().sqrt() / (1 - bound.rate))

    def comparison(self, p, u_max):
        """The slopes between 0 and 1 as 1/2 and a rest; Theorem 13 (d)."""
        return elementwise(self.lure(p))

    def explicit(self, H: Tensor) -> Params:
        """A, B1, C1, D11, P, lam with [[r^2 P - A'P A, -C1'lam - A'P B1], [., W - B1'P B1]] > 0 from H > 0, r = `rate`.

        With H in blocks (nx, neurons, nx): Q = H33, E = (H11 + Q / r^2) / 2, A = E^(-1) H31, B1 = E^(-1) H32,
        lam = diag(H22) / 2, C1 = -lam^(-1) H21, D11 = -lam^(-1) times the strictly lower part of H22, P = E Q^(-1) E.
        """
        n, q = self.nx, self.neurons
        (H11, _, _), (H21, H22, _), (H31, H32, Q) = (row.split([n, q, n], 1) for row in H.split([n, q, n]))
        E, lam = (H11 + Q / self.rate**2) / 2, H22.diagonal()[:, None] / 2
        A, B1 = torch.linalg.solve_ex(E, torch.cat([H31, H32], 1)).result.split([n, q], 1)
        # all rows by one gather: a slice each would cost their gradient more than everything else
        lower = (-H22 / lam)[tuple(torch.tril_indices(q, q, -1))][None].split(list(range(1, q)), 1)
        D11 = {f"D11_{i}": row for i, row in enumerate(lower, 1)}
        return Params(A=A, B1=B1, C1=-H21 / lam, **D11, E=E, P=E @ torch.linalg.solve_ex(Q, E).result, lam=lam)

    def implicit(self, p: Params) -> Tensor:
        """A matrix H from which `explicit` makes p: Q = r^4 P, E = H11 = r^2 P."""
        s, r2 = self.lure(p), self.rate**2
        E, LamC = r2 * p.P, p.lam * s.C1
        W = 2 * torch.diag(p.lam.flatten()) - p.lam * s.D11 - (p.lam * s.D11).T
        return square([[E, -LamC.T, (E @ s.A).T], [-LamC, W, (E @ s.B1).T], [E @ s.A, E @ s.B1, r2 * E]])

    def near_linear(self, draw: Initialiser) -> Params:
        """Explicit parameters of first-order lags of two to twenty samples, with P = I, and a weak tanh, lam = 1.

        B1, B2 = D M and C1, C = N'D with D = (rate^2 - A^2)^(1/2): balanced, hence far inside the certified set.
        """
        n, q = self.nx, self.neurons
        a = draw.spread(n, 0.6, 0.95).detach() * self.rate
        D = (self.rate**2 - a**2).sqrt()
        unit = lambda rows, columns: draw.uniform(rows, columns, 1.0).detach()  # noqa: E731
        M1, N1, M2, N2, D12 = (
            m / torch.linalg.matrix_norm(m, 2)
            for m in (unit(n, q), unit(n, q), unit(n, self.nu), unit(n, self.ny), unit(q, self.nu))
        )
        D11 = {f"D11_{i}": torch.zeros(1, i, dtype=a.dtype) for i in range(1, q)}
        P, lam = torch.eye(n, dtype=a.dtype), torch.ones(q, 1, dtype=a.dtype)
        b_v, zeros = unit(q, 1), dict(b_x=draw.zeros(n).detach(), b_y=draw.zeros(self.ny).detach())
        linear = dict(A=torch.diag(a[:, 0]), B2=D * M2, C=(D * N2).T)
        return Params(**linear, B1=0.4 * D * M1, C1=0.4 * (D * N1).T, D12=D12, **D11, P=P, lam=lam, b_v=b_v, **zeros)


class REN(EquilibriumNetwork):
    """The contracting network: any X gives a system that contracts with `rate`; B2, D12, C and the biases are free.

    `size` is nx, `neurons` the number of tanh (default: twice the size, at most 16); rate: decay per sample, or
    settling: seconds after which 98 % are forgotten, with dt in seconds. By default 0.99, which `fit` of the model
    itself, not of a network that has it for a part, moves to half as far from one as the records' slowest mode is,
    or a thirtieth as far if that swings, where that is nearer to one (modes beyond 0.999 count as 0.999); what is
    saved, not the state_dict, tells the rate. An oscillator whose stiffness varies needs that, for one P proves
    every stiffness: the Silverbox's modes keep 0.965 a sample, and the error is 0.58 mV with 0.99, 0.36 by default
    (its first test part, six states).
    `certify` may find a better rate.
    `start_from` is the right inverse of theta.
    """

    kind = "ren"
    recurrent = ("X",)

    def __init__(
        self, nu: int, ny: int, size: int = 6, *, neurons: int | None = None, rate: float | None = None,
        settling: float | None = None, dt: float | None = None, seed: int = 0,
    ):  # fmt: skip
        super().__init__(nu, ny, size, neurons, rate, settling, dt, {})
        start = self.near_linear(Initialiser(seed))
        self.X = nn.Parameter(self.entries())
        self.B2, self.D12, self.C = (nn.Parameter(start[k]) for k in ("B2", "D12", "C"))
        self.b_x, self.b_v, self.b_y = (nn.Parameter(start[k]) for k in ("b_x", "b_v", "b_y"))
        self.start_from(start)

    def theta(self) -> Params:
        p = self.explicit(positive(self.root()))
        size = p.P.trace() / self.nx  # P and lam prove the same at any common size; at this one float32 can hold them
        p["P"], p["lam"] = p.P / size, p.lam / size
        free = {k: v for k, v in self.named_parameters() if k != "X"}
        return Params({k: v.to(self.X.dtype).contiguous() for k, v in {**p, **free}.items() if k != "E"})

    def delta_iss(self, p, u_max):
        """The contraction inequality for P and lam; Theorem 13 (a)."""
        return self.contraction(p)

    @torch.no_grad()
    def start_from(self, p: Params) -> None:
        """Set the free parameters so that theta() is p, up to a common factor of P and lam.

        p holds explicit parameters that P and lam prove to contract with `rate`. Raises ValueError if they do not.
        """
        H = self.implicit(p)
        H = H * len(H) / H.trace()
        self.set_root(square_root(H, H[:0]))
        for name, value in self.named_parameters():
            if name != "X":
                value.copy_(p[name])


class LipschitzREN(EquilibriumNetwork):
    """Contracts with `rate`, and sum |dy|^2 <= gamma^2 sum |du|^2 from equal initial states, for any X, X_u, X_y.

    gamma is in normalised units: standard deviations of y per half width of the input box, in 2-norms. The rest as REN.
    """

    kind = "lipschitz_ren"
    recurrent = ("X", "X_u", "X_y")

    def __init__(
        self, nu: int, ny: int, size: int = 6, *, neurons: int | None = None, rate: float | None = None,
        settling: float | None = None, dt: float | None = None, gamma: float = 10.0, seed: int = 0,
    ):  # fmt: skip
        if not gamma > 0:
            raise ValueError(f"gamma is {gamma}; the bound on the gain must be positive")
        super().__init__(nu, ny, size, neurons, rate, settling, dt, dict(gamma=gamma))
        self.gamma, n, q = float(gamma), self.nx, self.neurons
        self.X = nn.Parameter(self.entries())
        self.X_u, self.X_y = (nn.Parameter(torch.zeros(*shape).double()) for shape in ((nu, q + n), (ny, n)))
        start, scale = self.near_linear(Initialiser(seed)), 0.3 * self.gamma
        self.b_x, self.b_v, self.b_y = (nn.Parameter(start[k]) for k in ("b_x", "b_v", "b_y"))
        self.start_from(
            Params({**start, "P": scale * start.P, "lam": scale * start.lam, "C": min(1.0, scale) * start.C})
        )

    def theta(self) -> Params:
        X, X_u, X_y = self.root(), self.X_u.double(), self.X_y.double()
        root, q = self.gamma**0.5, self.neurons
        p = self.explicit(positive(torch.cat([X, self.rows(X_u, X_y)])))
        p["B2"] = torch.linalg.solve_ex(p.E, root * X_u[:, q:].T).result
        p["D12"], p["C"] = -root * X_u[:, :q].T / p.lam, root * X_y
        free = dict(b_x=self.b_x, b_v=self.b_v, b_y=self.b_y)
        return Params({k: v.to(self.X.dtype).contiguous() for k, v in {**p, **free}.items() if k != "E"})

    def rows(self, X_u, X_y):
        """(0, X_u) and (X_y, 0): what inputs and outputs add to the square root of H."""
        n, zeros = self.nx, X_u.new_zeros(2 * self.nx + self.neurons, self.nx)
        u, y = zeros[: self.nu], zeros[: self.ny, :1].expand(-1, n + self.neurons)
        return torch.cat([torch.cat([u, X_u], 1), torch.cat([X_y, y], 1)])

    def delta_iss(self, p, u_max):
        """The contraction inequality, and the one of the gain gamma, for P and lam; Theorem 13 (a), (c)."""
        bound = self.contraction(p)
        energy = energy_residual(self.lure(p), p.C, p.P, p.lam, self.gamma)
        return bound._replace(residual=torch.cat([bound.residual.flatten(), energy[None]]))

    @torch.no_grad()
    def start_from(self, p: Params) -> None:
        """Set the free parameters so that theta() is p. Raises ValueError if P, lam do not prove `rate` and `gamma`."""
        root = self.gamma**0.5
        X_u, X_y = torch.cat([-(p.lam * p.D12).T, self.rate**2 * (p.P @ p.B2).T], 1) / root, p.C / root
        self.set_root(square_root(self.implicit(p), self.rows(X_u, X_y)))
        self.X_u.copy_(X_u)
        self.X_y.copy_(X_y)
        for value, name in ((self.b_x, "b_x"), (self.b_v, "b_v"), (self.b_y, "b_y")):
            value.copy_(p[name])
