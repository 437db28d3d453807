"""The abstract model: normalised equations x+ = f(x, u), y = g(x), and the stability conditions a class declares."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import casadi as ca
import numpy as np
import torch
from torch import Tensor, nn

from .bounds import Bound, Comparison, Seen


class Params(dict):
    """Explicit parameters of a cell, by the paper's letters: p.Wz is p["Wz"]; p.part("0") is the sub-model's own."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"no parameter {name}; there are {', '.join(self)}") from None

    def part(self, name: str) -> "Params":
        """The parameters under the prefix `name.`, prefix removed."""
        return Params({k[len(name) + 1 :]: v for k, v in self.items() if k.startswith(name + ".")})


PullBack = Callable[[dict[str, np.ndarray]], np.ndarray]
"""From gradients in explicit parameters, by name, to the one in the free parameters, flat."""


class Model(nn.Module, ABC):
    """A strictly proper recurrent model in normalised coordinates, |u_i| <= 1.

        x(k+1) = f(p, x(k), u(k))        y(k) = g(p, x(k))

    p are explicit parameters (`theta()`), x is (nx, B), u is (nu, B), y is (ny, B): columns, further columns a batch.
    The same lines run on torch tensors and on CasADi symbols.
    """

    kind: str
    recurrent: tuple[str, ...]
    """Names of the parameters whose common shrinkage to zero makes the model contract (used by `contract`)."""
    injected: tuple[str, ...] = ()
    """Gates that an observer may correct (see `observer.design_observer`)."""
    inputs: Mapping[str, str] = {}
    """Biases, each with the matrix of the input beside it, where u enters nowhere else: see `moved`."""

    def __init__(self, nu: int, ny: int, nx: int, config: dict[str, Any]):
        super().__init__()
        hidden = {k: config[k] for k in ("size", "lags") if k in config}
        for name, value in {"nu": nu, "ny": ny, **hidden, "nx": nx}.items():
            if int(value) != value or value < 1:
                raise ValueError(f"{name} is {value!r}; it must be a positive whole number")
        self.nu, self.ny, self.nx, self.config = int(nu), int(ny), int(nx), config

    def plain(self) -> "Model":
        """The model to keep after training: itself, unless it was wrapped only to be trained."""
        return self

    def by_construction(self, property: str) -> str | None:
        """Method of the condition of that property that theta() cannot violate; None if it has to be enforced."""
        return None

    def meet(self, slowest: float, swings: bool) -> None:
        """Told before a training what the records' slowest mode keeps a sample, and if it swings; most ignore it."""

    def spec(self) -> dict[str, Any]:
        """What it takes to build the architecture again: `models.build(spec)`."""
        return {"kind": self.kind, **self.config}

    def theta(self) -> Params:
        """Explicit parameters from the free ones; here they are the same."""
        return Params({**dict(self.named_buffers()), **dict(self.named_parameters())})

    def linearised(self) -> tuple[Params, PullBack]:
        """theta(), and the transpose of its derivative; the free parameters in the order of `parameters`."""
        return self.with_pull_back(self.theta())

    def with_pull_back(self, p: Params) -> tuple[Params, PullBack]:
        """p, which torch made of the free parameters, and the transpose of its derivative."""
        return p, pull_back(p, [v for v in self.parameters() if v.requires_grad])

    def forward(self) -> Params:
        """Calling a model gives its explicit parameters (what torch.func.functional_call needs)."""
        return self.theta()

    def input_box(self) -> Tensor:
        """|u_i| <= 1: the box of inputs that the conditions assume unless told otherwise."""
        return torch.ones(self.nu, dtype=torch.float64)

    def moved(self, p: Params, middle: Tensor) -> Params:
        """The parameters with which the cell sees u - middle as the given ones see u, middle (nu,): other biases."""
        return Params({**p, **{b: p[b] + p[W] @ middle[:, None] for b, W in self.inputs.items()}})

    @abstractmethod
    def f(self, p: Params, x, u) -> Any:
        """Next state."""

    def g(self, p: Params, x) -> Any:
        """Output y = C x + b_y."""
        return p.C @ x + p.b_y

    def output_map(self, p: Params) -> Tensor:
        """The matrix C (ny, nx) of the linear read-out y = C x + b_y."""
        return p.C

    def output_box(self, p: Params, u_max: Tensor) -> Tensor:
        """Largest |y| per channel for states in the box and |u| <= u_max."""
        return p.C.abs() @ self.state_box(p, u_max) + p.b_y.flatten().abs()

    @abstractmethod
    def state_box(self, p: Params, u_max: Tensor) -> Tensor:
        """An invariant box |x_i| <= box_i for |u| <= u_max (inf where none is known)."""

    @abstractmethod
    def iss(self, p: Params, u_max: Tensor) -> Bound:
        """The published input-to-state stability condition."""

    @abstractmethod
    def delta_iss(self, p: Params, u_max: Tensor) -> Bound:
        """The published incremental input-to-state stability condition."""

    @abstractmethod
    def comparison(self, p: Params, u_max: Tensor) -> Comparison:
        """The elementwise comparison system behind the weighted deltaISS condition."""

    def observer_comparison(self, p: Params, u_max: Tensor, L: Mapping[str, Tensor], seen: Seen) -> Comparison:
        """Model against its copy whose `injected` gates see L e, e = C dx + dy, dx of all that is `seen`; N for |dy|.

        Of a cell without such gates: its comparison, with what its input differs by.
        """
        system = self.comparison(p, u_max)
        M = system.N @ seen.M.abs()
        return Comparison(lambda v: system.T(v[seen.own]) + M @ v, system.N.new_zeros(self.nx, len(seen.C)))


def pull_back(p: Params, free: Sequence[Tensor]) -> PullBack:
    """The transpose of the derivative of p, which torch made of `free`.

    Parts of one tensor share one gradient: a slice each would cost torch more than all the rest.
    """

    def back(grads: dict[str, np.ndarray]) -> np.ndarray:
        bars, made = dict[int, np.ndarray](), dict[int, tuple[Tensor, np.ndarray]]()
        for k, g in grads.items():
            v = p[k]
            if v.is_leaf:
                bars[id(v)] = bars[id(v)] + g if id(v) in bars else g
                continue
            whole = v if v._base is None else v._base
            whole = whole if whole.requires_grad and whole.is_contiguous() and v.is_contiguous() else v
            _, bar = made.setdefault(id(whole), (whole, np.zeros(whole.numel())))
            start = v.storage_offset() - whole.storage_offset()
            bar[start : start + g.size] += g.ravel()
        made = {k: (whole, bar) for k, (whole, bar) in made.items() if bar.any()}
        if made:
            weights = [torch.from_numpy(bar).view(whole.shape) for whole, bar in made.values()]
            slopes = torch.autograd.grad([whole for whole, _ in made.values()], free, weights, materialize_grads=True)
            for v, slope in zip(free, slopes, strict=True):
                bars[id(v)] = bars[id(v)] + slope.numpy() if id(v) in bars else slope.numpy()
        return np.concatenate([bars[id(v)].ravel() if id(v) in bars else np.zeros(v.numel()) for v in free])

    return back


def map_arrays(p: Params) -> Params:
    """Explicit parameters as CasADi constants (DM), for symbolic evaluation of f and g."""
    return Params({k: ca.DM(v.detach().double().numpy()) for k, v in p.items()})


class Initialiser:
    """Reproducible random parameters in float64: one seed, one sequence of draws."""

    def __init__(self, seed: int):
        self.rng = np.random.default_rng(seed)

    def uniform(self, rows: int, columns: int, radius: float | None = None) -> nn.Parameter:
        """Entries uniform in [-radius, radius]; by default Glorot's radius sqrt(6 / (rows + columns))."""
        radius = math.sqrt(6 / (rows + columns)) if radius is None else radius
        return nn.Parameter(torch.from_numpy(self.rng.uniform(-radius, radius, (rows, columns))))

    def row_bounded(self, rows: int, columns: int, row_sum: float) -> nn.Parameter:
        """Entries whose absolute row sums all equal `row_sum`: the size of an inf-norm at the start of training."""
        M = self.rng.uniform(-1, 1, (rows, columns))
        return nn.Parameter(torch.from_numpy(row_sum * M / np.abs(M).sum(1, keepdims=True)))

    def spread(self, rows: int, low: float, high: float) -> nn.Parameter:
        """A column from low to high, evenly: gate biases that spread the time constants of the units."""
        return nn.Parameter(torch.linspace(low, high, rows, dtype=torch.float64)[:, None])

    def zeros(self, rows: int) -> nn.Parameter:
        """A zero column."""
        return nn.Parameter(torch.zeros(rows, 1, dtype=torch.float64))
