"""Models wired like the flowsheet of a plant: units in series, in parallel, with recycles (Bonassi et al. 2022)."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ..bounds import Bound, Comparison, Seen
from ..model import Model, Params
from ..ops import signal, vcat
from ..small_gain import small_gain
from ..wiring import Wire, wiring

Block = tuple[Sequence[str], Model, Sequence[str]]
"""Names of the signals that a model reads, the model, names of the signals that it writes."""


class Network(Model):
    """x_i+ = f_i(x_i, u_i),  y_i = g_i(x_i),  u_i: inputs of the plant and outputs y_j of the blocks, picked by name.

        Network(
            inputs=["feed", "heat"],
            blocks={
                "reactor": (["feed", "heat", "recycled"], GRU(3, 2), ["composition", "temperature"]),
                "separator": (["composition", "temperature"], GRU(2, 2), ["product", "recycled"]),
            },
            outputs=["temperature", "product"],
        )

    Blocks stand in the order of the flow. A signal read before its block, or by its own, is a recycle and has a trained
    gain (`recycle`, at first 0.1). All blocks are strictly proper: a signal takes one sample through each block.
    Signals that are outputs are in the units of the outputs, normalised; `signals` shows them all.

    Reference: F. Bonassi, M. Farina, J. Xie, R. Scattolini (2022), "On recurrent neural networks for learning-based
    control", Journal of Process Control 114: physics-based networks; docs/theory.md, Theorem 14.
    """

    kind = "network"

    def __init__(self, inputs: Sequence[str], blocks: Mapping[str, Block], outputs: Sequence[str]):
        reads = {name: [*block[0]] for name, block in blocks.items()}
        models = {name: block[1] for name, block in blocks.items()}
        writes = {name: [*block[2]] for name, block in blocks.items()}
        # lists, because files do not keep the order of a dict
        declared = [dict(name=k, reads=reads[k], writes=writes[k]) for k in models]
        config = dict(inputs=[*inputs], blocks=declared, outputs=[*outputs])
        super().__init__(len(inputs), len(outputs), sum(m.nx for m in models.values()), config)
        for k, m in models.items():
            if (len(reads[k]), len(writes[k])) != (m.nu, m.ny):
                raise ValueError(
                    f'block "{k}" reads {len(reads[k])} signals and writes {len(writes[k])}; its model has nu = {m.nu} '
                    f"and ny = {m.ny}"
                )
        self.wiring, self.written = wiring(inputs, reads, writes, outputs), writes
        self.layers = nn.ModuleDict(models)
        self.recurrent = tuple(f"layers.{k}.{name}" for k, m in models.items() for name in m.recurrent)
        outer = {k: m for k, m in models.items() if {*reads[k]} & {*inputs}}
        if all(m.inputs for m in outer.values()):
            self.inputs = {f"{k}.{b}": f"{k}.{W}" for k, m in outer.items() for b, W in m.inputs.items()}
        if self.wiring.gains:
            self.recycle = nn.Parameter(torch.full((self.wiring.gains, 1), 0.1, dtype=torch.float64))
            self.recurrent += ("recycle",)

    def spec(self):
        blocks = [{**b, "model": m.spec()} for b, (_, m) in zip(self.config["blocks"], self.models(), strict=True)]
        return {**super().spec(), "blocks": blocks}

    def theta(self) -> Params:
        of_blocks = {f"{name}.{k}": v for name, m in self.models() for k, v in m.theta().items()}
        return Params({**of_blocks, **dict(self.named_parameters(recurse=False))})

    def moved(self, p, middle):
        """Every block sees the middles of those inputs that it reads."""
        values, found = dict(zip(self.config["inputs"], middle, strict=True)), {**p}
        for (name, m, q, _), block in zip(self.parts(p), self.config["blocks"], strict=True):
            seen = torch.stack([values.get(signal, 0 * middle[0]) for signal in block["reads"]])
            found |= {f"{name}.{k}": v for k, v in m.moved(q, seen).items()}
        return Params(found)

    def models(self) -> Iterator[tuple[str, Model]]:
        """(name, model) of each block in order."""
        yield from ((name, m) for name, m in self.layers.items() if isinstance(m, Model))

    def parts(self, p: Params) -> Iterator[tuple[str, Model, Params, slice]]:
        """(name, model, its parameters, its slice of the state) of each block in order."""
        start = 0
        for name, m in self.models():
            yield name, m, p.part(name), slice(start, start + m.nx)
            start += m.nx

    def written_by(self, p: Params, x, u) -> dict[str, Any]:
        """The columns that the blocks write, and u under the name ""."""
        return {"": u, **{name: m.g(q, x[part]) for name, m, q, part in self.parts(p)}}

    def read(self, p: Params, wires: list[Wire], y: dict[str, Any]):
        """What comes through the wires: a column."""
        ends = ((y[w.source][w.start : w.stop], w.gain, w.stop - w.start) for w in wires)
        return vcat(*(rows if k is None else p.recycle[k : k + n] * rows for rows, k, n in ends))

    def f(self, p: Params, x, u):
        y = self.written_by(p, x, u)
        into = {name: signal(self.read(p, wires, y)) for name, wires in self.wiring.into.items()}
        return vcat(*(m.f(q, x[part], into[name]) for name, m, q, part in self.parts(p)))

    def g(self, p: Params, x):
        return self.read(p, self.wiring.out, self.written_by(p, x, None))

    def signals(self, p: Params, x) -> dict[str, Any]:
        """Every signal that a block writes, by name: a row (1, B), normalised, for states x (nx, B).

        Of an IdentifiedModel: `x, y = identified.states(u)`, then `net.signals(net.theta(), torch.from_numpy(x.T))`.
        """
        y = self.written_by(p, x, None)
        return {s: y[name][i : i + 1] for name, names in self.written.items() for i, s in enumerate(names)}

    def maps(self, p: Params) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Matrices from u, and from x, to what each block writes; the read-outs' biases aside."""
        zeros = lambda k, n: torch.zeros(k, n, dtype=torch.float64)  # noqa: E731
        of_u = {"": torch.eye(self.nu, dtype=torch.float64), **{k: zeros(m.ny, self.nu) for k, m in self.models()}}
        of_x = {"": zeros(self.nu, self.nx)}
        for name, m, q, part in self.parts(p):
            rest = zeros(m.ny, part.start), zeros(m.ny, self.nx - part.stop)
            of_x[name] = torch.cat([rest[0], m.output_map(q), rest[1]], 1)
        return of_u, of_x

    def box(self, p: Params, wires: list[Wire], boxes: dict[str, Tensor]) -> Tensor:
        """Largest absolute values of what comes through the wires, each source within its box."""
        gains = Params({k: v.abs() for k, v in p.items() if k == "recycle"})
        return (
            self.read(gains, wires, {k: v[:, None] for k, v in boxes.items()})
            .flatten()
            .nan_to_num(torch.inf, torch.inf)
        )

    def boxes(self, p: Params, u_max: Tensor) -> dict[str, Tensor]:
        """Boxes of what the blocks write, and u_max under "": from infinity downwards, hence invariant at once."""
        boxes = {"": u_max, **{name: torch.full((m.ny,), torch.inf, dtype=u_max.dtype) for name, m in self.models()}}
        for _ in range(len(self.layers) if "recycle" in p else 1):
            for name, m, q, _ in self.parts(p):
                boxes[name] = m.output_box(q, self.box(p, self.wiring.into[name], boxes)).nan_to_num(
                    torch.inf, torch.inf
                )
        return boxes

    def boxed(self, p: Params, u_max: Tensor) -> Iterator[tuple[str, Model, Params, Tensor]]:
        """(name, model, its parameters, the box of its input) of each block."""
        boxes = self.boxes(p, u_max)
        yield from ((name, m, q, self.box(p, self.wiring.into[name], boxes)) for name, m, q, _ in self.parts(p))

    def output_map(self, p):
        return self.read(p, self.wiring.out, self.maps(p)[1])

    def output_box(self, p, u_max):
        return self.box(p, self.wiring.out, self.boxes(p, u_max))

    def state_box(self, p, u_max):
        return torch.cat([m.state_box(q, box) for _, m, q, box in self.boxed(p, u_max)])

    def comparison(self, p, u_max):
        """Stacked: T_i(v_i) + N_i |Y_i| v, Y_i from the state to the input of block i (Theorem 14 (c))."""
        systems = {name: m.comparison(q, box) for name, m, q, box in self.boxed(p, u_max)}
        N, M = (
            torch.cat([s.N @ self.read(p, self.wiring.into[name], of).abs() for name, s in systems.items()])
            for of in self.maps(p)
        )
        parts = {name: part for name, _, _, part in self.parts(p)}

        def T(v):
            return torch.cat([s.T(v[parts[name]]) for name, s in systems.items()]) + M @ v

        return Comparison(T, N, self.start_box(p, u_max, systems.values()))

    def observed(self, p: Params, u_max: Tensor) -> Iterator[tuple[str, Model, Params, Tensor, Seen]]:
        """(name, model, its parameters, the box of its input, what it sees of the network) of each block."""
        of_x = self.maps(p)[1]
        C = self.read(p, self.wiring.out, of_x)
        for (name, m, q, box), (*_, part) in zip(self.boxed(p, u_max), self.parts(p), strict=True):
            yield name, m, q, box, Seen(part, self.read(p, self.wiring.into[name], of_x), C)

    def corrected(self, p: Params, u_max: Tensor, L: dict[str, Tensor]) -> Comparison:
        """Network against its copy whose gates see L e, e = C dx + dy: the blocks' own, stacked (Theorem 24)."""
        systems = [
            m.observer_comparison(q, box, {k: L[f"{name}.{k}"] for k in m.injected}, seen)
            for name, m, q, box, seen in self.observed(p, u_max)
        ]
        return Comparison(lambda v: torch.cat([s.T(v) for s in systems]), torch.cat([s.N for s in systems]))

    def start_box(self, p, u_max, conditions) -> Tensor | None:
        """The product box, if one of the conditions needs its own."""
        return self.state_box(p, u_max) if any(c.state_box is not None for c in conditions) else None

    def iss(self, p, u_max):
        """The ISS conditions of the blocks and the small gain of their comparison matrix; Theorem 14 (b)."""
        return self.join([m.iss(q, box) for _, m, q, box in self.boxed(p, u_max)], p, u_max)

    def delta_iss(self, p, u_max):
        """The deltaISS conditions of the blocks and the small gain of their comparison matrix; Theorem 14 (a)."""
        bound = self.join([m.delta_iss(q, box) for _, m, q, box in self.boxed(p, u_max)], p, u_max)
        return bound._replace(offset=0.0)  # read-out biases cancel in a difference

    def join(self, bounds: list[Bound], p: Params, u_max: Tensor) -> Bound:
        """The blocks' bounds, joined by what the blocks pass to one another."""
        return small_gain(bounds, *self.couplings(bounds, p), self.start_box(p, u_max, bounds))

    def couplings(self, bounds: list[Bound], p: Params) -> tuple[Tensor, Tensor, Tensor]:
        """K (blocks, blocks), a and r of `small_gain`, in the norms in which each block measures its input."""
        at_rest = self.written_by(p, *(torch.zeros(n, 1, dtype=torch.float64) for n in (self.nx, self.nu)))
        K, a, r, read = [], [], [], self.maps(p)
        for b, (name, _, _, _) in zip(bounds, self.parts(p), strict=True):
            wires, order = self.wiring.into[name], b.input_ord
            from_x = self.read(p, wires, read[1])
            seen = [c.seen_through(from_x[:, part]).sum(1) for c, (*_, part) in zip(bounds, self.parts(p), strict=True)]
            K.append(torch.linalg.vector_norm(torch.stack(seen), order, 1))
            a.append(float(any(w.source == "" for w in wires)))
            r.append(torch.linalg.vector_norm(self.read(p, wires, at_rest), order))
        return torch.stack(K), torch.tensor(a, dtype=torch.float64), torch.stack(r)


class Cascade(Network):
    """Layers in series: x_1+ = f_1(x_1, u),  x_i+ = f_i(x_i, y_(i-1)),  y_i = g_i(x_i),  y = y_L.

    Reference: Bonassi, Farina, Scattolini (2021), deep GRU; docs/theory.md, Theorem 10.
    """

    kind = "cascade"

    def __init__(self, *layers: Model):
        if len(layers) < 2:
            raise ValueError(f"a Cascade of {len(layers)} layers; give at least two models")
        for i, (a, b) in enumerate(zip(layers, layers[1:], strict=False)):
            if a.ny != b.nu:
                raise ValueError(f"layer {i} has ny = {a.ny}, layer {i + 1} has nu = {b.nu}; they must agree")
        stream, blocks = [f"u{i}" for i in range(layers[0].nu)], {}
        inputs = stream
        for i, m in enumerate(layers):
            written = [f"y{i}.{j}" for j in range(m.ny)]
            blocks[str(i)], stream = (stream, m, written), written
        super().__init__(inputs, blocks, stream)

    def spec(self):
        return {"kind": self.kind, "layers": [m.spec() for _, m in self.models()]}
