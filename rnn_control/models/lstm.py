"""Long short-term memory, exactly torch.nn.LSTM's equations (Terzi, Bonassi, Farina, Scattolini 2021)."""

import torch

from ..bounds import Bound, Comparison, Seen, gate_range, reach, two_norm
from ..model import Initialiser, Model, Params
from ..ops import sigmoid, tanh, vcat

ROOM = 1e-9
"""Share by which the box of the cells is larger than need be: slow ones have to stay inside whatever is rounded."""


class LSTM(Model):
    """f, i, o = sig(W_* u + U_* h + b_*),  g = tanh(Wc u + Uc h + bc),  c+ = f o c + i o g,  h+ = o o tanh(c+),
    x = (c, h),  y = C h + b_y.

    torch.nn.LSTM stacks the rows i, f, g, o and has two biases that add up here. nx = 2 size.
    |h| < 1 and |c_i| <= i g / (1 - f) at their largest is an invariant box.

    Reference: E. Terzi, F. Bonassi, M. Farina, R. Scattolini (2021), "Learning model predictive control with long
    short-term memory networks", Int. J. Robust and Nonlinear Control; the deltaISS condition: F. Bonassi (2023).
    """

    kind = "lstm"
    recurrent = ("Uf", "Ui", "Uo", "Uc", "Wf", "bf")
    injected = ("f", "i", "o")
    inputs = {"bf": "Wf", "bi": "Wi", "bo": "Wo", "bc": "Wc"}

    def __init__(self, nu: int, ny: int, size: int = 8, *, seed: int = 0):
        super().__init__(nu, ny, 2 * size, dict(nu=nu, ny=ny, size=size))
        draw = Initialiser(seed)
        self.Wf, self.Uf, self.bf = (
            draw.row_bounded(size, nu, 0.15),
            draw.uniform(size, size, 0.1 / size),
            draw.spread(size, 0, 3),
        )
        self.Wi, self.Ui, self.bi = (
            draw.uniform(size, nu, 0.1),
            draw.uniform(size, size, 0.1 / size),
            draw.spread(size, 0, -2.0),
        )
        self.Wo, self.Uo, self.bo = draw.uniform(size, nu, 0.1), draw.uniform(size, size, 0.1 / size), draw.zeros(size)
        self.Wc, self.Uc, self.bc = draw.uniform(size, nu), draw.uniform(size, size, 0.5 / size), draw.zeros(size)
        self.C, self.b_y = draw.uniform(ny, size), draw.zeros(ny)

    def f(self, p: Params, x, u):
        n = self.nx // 2
        c, h = x[:n], x[n:]
        f = sigmoid(p.Wf @ u + p.Uf @ h + p.bf)
        i = sigmoid(p.Wi @ u + p.Ui @ h + p.bi)
        o = sigmoid(p.Wo @ u + p.Uo @ h + p.bo)
        g = tanh(p.Wc @ u + p.Uc @ h + p.bc)
        c_next = f * c + i * g
        return vcat(c_next, o * tanh(c_next))

    def g(self, p: Params, x):
        return p.C @ x[self.nx // 2 :] + p.b_y

    def output_map(self, p):
        return torch.cat([torch.zeros_like(p.C), p.C], 1)

    def output_box(self, p, u_max):
        return p.C.abs().sum(1) + p.b_y.flatten().abs()

    def ranges(self, p, u_max):
        """Row-wise largest gates, their slopes' domain aside: f, i, o, g and the cell box c_max."""
        one = torch.ones(self.nx // 2, dtype=u_max.dtype)
        radii = {k: reach(p["W" + k], p["U" + k], u_max, one) for k in "fioc"}
        f, i, o = (gate_range(p["b" + k], radii[k])[1] for k in "fio")
        g = torch.tanh(radii["c"] + p.bc.flatten().abs())
        one_f = torch.sigmoid(-p.bf.flatten() - radii["f"])
        return f, i, o, g, i * g / one_f * (1 + ROOM) + ROOM**3

    def state_box(self, p, u_max):
        c_max = self.ranges(p, u_max)[-1]
        return torch.cat([c_max, torch.ones_like(c_max)])

    def published_gates(self, p, u_max):
        """Scalar bounds of the paper: fbar, ibar, obar, gbar, cbar."""
        one = torch.ones(self.nx // 2, dtype=u_max.dtype)
        f, i, o, c = ((reach(p["W" + k], p["U" + k], u_max, one) + p["b" + k].flatten().abs()).max() for k in "fioc")
        fbar, ibar, obar, gbar = torch.sigmoid(f), torch.sigmoid(i), torch.sigmoid(o), torch.tanh(c)
        return fbar, ibar, obar, gbar, ibar * gbar / torch.sigmoid(-f)

    def two_block_bound(self, A, B, state_box, offset=None):
        """Bound of v+ <= A v + B |du|, v = (|dc|_2, |dh|_2): the Perron vector of A weighs the two blocks.

        Schur stability of A is trace - det < 1, because its smaller eigenvalue is below fbar < 1 (Theorem 5).
        """
        n = self.nx // 2
        (a, b), (c, d) = A
        trace, det = a + d, a * d - b * c
        # right Perron vector (b, root - a), b and the vector kept away from zero where the blocks decouple; c >= 1 / 4
        weak, half = b.clamp(min=1e-12), (d - a) / 2
        root = torch.sqrt(half**2 + weak * c)
        w = torch.stack([weak, torch.where(half > 0, half + root, weak * c / (root - half))])
        w = (w / w.max()).clamp(min=1e-9)
        decay = torch.stack([(a * w[0] + b * w[1]) / w[0], (c * w[0] + d * w[1]) / w[1]]).max()
        gains = torch.stack([(1 - d) * B[0] + b * B[1], c * B[0] + (1 - a) * B[1]]) / (
            1 - trace + det
        )  # (I - A)^(-1) B
        off = 0.0 if offset is None else (torch.stack(offset) / w).max() / (1 - decay)
        blocks = ((n, 2.0), (n, 2.0))
        drive = (torch.stack(B) / w).max()
        return Bound(trace - det - 1, decay, w.repeat_interleave(n), blocks, drive, 2.0, state_box, off, gains / w)

    def iss(self, p, u_max):
        """Residual fbar + obar ibar ||Uc||_2 - 1.

        Reference: Terzi et al. (2021), ISS theorem (A is rank one, so its Perron root is that sum).
        """
        fbar, ibar, obar, _, _ = self.published_gates(p, u_max)
        a = ibar * two_norm(p.Uc)
        b, c = ibar * two_norm(p.Wc), ibar * torch.linalg.vector_norm(p.bc)
        A = [[fbar, a], [obar * fbar, obar * a]]
        return self.two_block_bound(A, [b, obar * b], self.state_box(p, u_max), [c, obar * c])

    def delta_iss(self, p, u_max):
        """Residual fbar + alpha obar + q - fbar q - 1,
        alpha = |Uf| cbar / 4 + ibar |Uc| + |Ui| gbar / 4,  q = tanh(cbar) |Uo| / 4.

        2-norms of matrices, infinity norms in the gates. Reference: F. Bonassi (2023), deltaISS theorem for LSTM.
        """
        fbar, ibar, obar, gbar, cbar = self.published_gates(p, u_max)
        alpha = two_norm(p.Uf) * cbar / 4 + ibar * two_norm(p.Uc) + two_norm(p.Ui) * gbar / 4
        beta = two_norm(p.Wf) * cbar / 4 + ibar * two_norm(p.Wc) + two_norm(p.Wi) * gbar / 4
        phi = torch.tanh(cbar) / 4
        A = [[fbar, alpha], [obar * fbar, obar * alpha + phi * two_norm(p.Uo)]]
        B = [beta, obar * beta + phi * two_norm(p.Wo)]
        return self.two_block_bound(A, B, self.state_box(p, u_max))

    def comparison(self, p, u_max):
        """|dc+| <= f |dc| + G |dh| + N |du|, |dh+| <= o |dc+| + tanh(c_max) / 4 (|Uo| |dh| + |Wo| |du|) (Theorem 6)."""
        f, i, o, g, c_max = self.ranges(p, u_max)
        col = lambda v: v[:, None]  # noqa: E731
        G = col(c_max / 4) * p.Uf.abs() + col(i) * p.Uc.abs() + col(g / 4) * p.Ui.abs()
        N = col(c_max / 4) * p.Wf.abs() + col(i) * p.Wc.abs() + col(g / 4) * p.Wi.abs()
        q = torch.tanh(c_max) / 4
        Uo, n = p.Uo.abs(), self.nx // 2

        def T(v):
            dc = f * v[:n] + G @ v[n:]
            return torch.cat([dc, o * dc + q * (Uo @ v[n:])])

        return Comparison(T, torch.cat([N, col(o) * N + col(q) * p.Wo.abs()]), self.state_box(p, u_max))

    def observer_comparison(self, p, u_max, L, seen: Seen):
        """Model against its copy whose gates see L e, e = C dh + dy, and whose cells are clipped to their box:
        T and N as in `comparison`, N for |dy| (Theorem 19).
        """
        f, i, o, g, c_max = self.ranges(p, u_max)
        col = lambda v: v[:, None]  # noqa: E731
        G = {k: seen.gate(p["W" + k], p["U" + k]) for k in "fioc"}
        U = {k: (G[k] - L[k] @ seen.C).abs() for k in self.injected}
        G = col(c_max / 4) * U["f"] + col(i) * G["c"].abs() + col(g / 4) * U["i"]
        N = col(c_max / 4) * L["f"].abs() + col(g / 4) * L["i"].abs()
        # the copy's cell before it is clipped
        q = torch.tanh(c_max + torch.where((L["f"].abs() + L["i"].abs()).any(1), g, 0.0)) / 4
        n = self.nx // 2

        def T(v):
            dc = f * v[seen.own][:n] + G @ v
            return torch.cat([dc, o * dc + q * (U["o"] @ v)])

        return Comparison(T, torch.cat([N, col(o) * N + col(q) * L["o"].abs()]), self.state_box(p, u_max))
