"""Series connection of models (deep networks): the output of one layer is the input of the next."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from ..bounds import Bound, Comparison
from ..model import Model, Params
from ..ops import vcat


class Cascade(Model):
    """x_1+ = f_1(x_1, u),  x_i+ = f_i(x_i, y_(i-1)),  y_i = g_i(x_i),  y = y_L.

    Strictly proper layers in series, each adding its own sample of delay. Conditions are checked layer by layer, with
    the input box of a layer being the output box of the one before, and joined by a comparison matrix over layers.

    Reference: Bonassi, Farina, Scattolini (2021), deep GRU; docs/theory.md, Theorem 10.
    """

    kind = "cascade"

    def __init__(self, *layers: Model):
        if len(layers) < 2:
            raise ValueError(f"a Cascade of {len(layers)} layers; give at least two models")
        for i, (a, b) in enumerate(zip(layers, layers[1:], strict=False)):
            if a.ny != b.nu:
                raise ValueError(f"layer {i} has ny = {a.ny}, layer {i + 1} has nu = {b.nu}; they must agree")
        config = dict(layers=[m.spec() for m in layers])
        super().__init__(layers[0].nu, layers[-1].ny, sum(m.nx for m in layers), config)
        self.layers = nn.ModuleList(layers)
        self.recurrent = tuple(f"layers.{i}.{name}" for i, m in enumerate(layers) for name in m.recurrent)

    def theta(self) -> Params:
        return Params({f"{i}.{k}": v for i, m in enumerate(self.chain()) for k, v in m.theta().items()})

    def chain(self) -> list[Model]:
        """The layers in order."""
        return [m for m in self.layers if isinstance(m, Model)]

    def parts(self, p: Params) -> Iterator[tuple[Model, Params, slice]]:
        """(layer, its parameters, its slice of the state) for each layer in order."""
        start = 0
        for i, m in enumerate(self.chain()):
            yield m, p.part(str(i)), slice(start, start + m.nx)
            start += m.nx

    def f(self, p: Params, x, u):
        nexts = []
        for m, q, part in self.parts(p):
            nexts.append(m.f(q, x[part], u))
            u = m.g(q, x[part])
        return vcat(*nexts)

    def g(self, p: Params, x):
        m, q, part = list(self.parts(p))[-1]
        return m.g(q, x[part])

    def boxes(self, p: Params, u_max: Tensor) -> Iterator[tuple[Model, Params, slice, Tensor]]:
        """(layer, its parameters, the box of its input)."""
        for m, q, part in self.parts(p):
            yield m, q, part, u_max
            u_max = m.output_box(q, u_max)

    def output_map(self, p):
        m, q, part = list(self.parts(p))[-1]
        last = m.output_map(q)
        return torch.cat([torch.zeros(self.ny, part.start, dtype=last.dtype), last], 1)

    def output_box(self, p, u_max):
        return [m.output_box(q, box) for m, q, _, box in self.boxes(p, u_max)][-1]

    def state_box(self, p, u_max):
        return torch.cat([m.state_box(q, box) for m, q, _, box in self.boxes(p, u_max)])

    def comparison(self, p, u_max):
        """Stacked: T_i(v_i) + N_i |C_(i-1)| v_(i-1)."""
        systems = [(m.comparison(q, box), part, m.output_map(q).abs()) for m, q, part, box in self.boxes(p, u_max)]

        def T(v):
            out, drive = [], None
            for s, part, C in systems:
                own = s.T(v[part])
                out.append(own if drive is None else own + s.N @ drive)
                drive = C @ v[part]
            return torch.cat(out)

        first = systems[0][0].N
        N = torch.cat([first, torch.zeros(self.nx - len(first), self.nu, dtype=first.dtype)])
        boxed = any(s.state_box is not None for s, _, _ in systems)
        return Comparison(T, N, self.state_box(p, u_max) if boxed else None)

    def iss(self, p, u_max):
        """The ISS condition of every layer, the read-out biases in between adding to the offset."""
        return self.join([m.iss(q, box) for m, q, _, box in self.boxes(p, u_max)], p, u_max)

    def delta_iss(self, p, u_max):
        """Layer by layer, weights of the layers from the block-triangular comparison matrix."""
        bound = self.join([m.delta_iss(q, box) for m, q, _, box in self.boxes(p, u_max)], p, u_max)
        return bound._replace(offset=0.0)  # read-out biases cancel in a difference

    def join(self, bounds, p, u_max):
        """V_i+ <= rate_i V_i + drive_i |y_(i-1)| and |y_i| <= K_i V_i, joined in V = max_i V_i / w_i  (Theorem 10)."""
        slowest = torch.stack([b.rate for b in bounds]).max()
        # a tenth of the slowest layer's margin pays for the coupling; the weights absorb the rest
        rate = slowest + 0.1 * (1 - slowest).clamp(min=0)
        first = bounds[0]
        w, gain = [torch.ones_like(rate)], [first.gain()]
        offset = [torch.as_tensor(first.offset, dtype=rate.dtype).expand(len(first.blocks))]
        for (m, q, _), a, b in zip(self.parts(p), bounds, bounds[1:], strict=False):
            order, seen = b.input_ord, a.seen_through(m.output_map(q))
            K = torch.linalg.vector_norm(seen.sum(1), order)
            rest = torch.linalg.vector_norm(m.g(q, torch.zeros(m.nx, 1, dtype=rate.dtype)), order)
            w.append((b.drive * K * w[-1] / (rate - b.rate).clamp(min=1e-12)).clamp(min=1e-9))
            gain.append(b.gain() * torch.linalg.vector_norm(seen @ gain[-1], order))
            offset.append(b.offset + b.gain() * (torch.linalg.vector_norm(seen @ offset[-1], order) + rest))
        scale = torch.cat([wi * b.scale for wi, b in zip(w, bounds, strict=True)])
        sharp, total = (torch.cat([v / wi for v, wi in zip(vs, w, strict=True)]) for vs in (gain, offset))
        blocks = tuple(block for b in bounds for block in b.blocks)
        residual = torch.cat([b.residual.flatten() for b in bounds])
        box = self.state_box(p, u_max) if any(b.state_box is not None for b in bounds) else None
        drive = first.drive / w[0]
        return Bound(residual, rate, scale, blocks, drive, first.input_ord, box, total, sharp)
