"""Where constant inputs bring a model, and what small changes do there: rests, gains, zeros, step responses."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from scipy.linalg import eigvals

from .identified import IdentifiedModel

LEVELS = 11  # along each input, the others in the middle of the box
ANYWHERE = 16  # further points of the box, corners first
STARTS = 5  # initial states
WIDE = 3.0  # normalised starts where no invariant box is known
AT_REST = 1e-10  # normalised change in a step
SPREAD = 1e-4  # of the standard deviation of an output: two rests are one
STEP = 0.25  # of the box


@dataclass(frozen=True, eq=False)
class SteadyMap:
    """Rests of a model over its input box; P points, the sweeps of each input first.

    u (P, nu), y (P, ny) physical, x (P, nx); settled (P,): at rest from every start; spread (P, ny): how far apart
    the rests from different starts are. gain (P, ny, nu): dy/du at rest, physical. zero_time (P,) in s: the closed loop
    cannot be faster, for a zero z outside the unit circle forbids it, 2 dt / ln |z|; nan unless nu = ny.
    """

    model: IdentifiedModel
    u: np.ndarray
    y: np.ndarray
    x: np.ndarray
    settled: np.ndarray
    spread: np.ndarray
    gain: np.ndarray
    zero_time: np.ndarray

    def sweep(self, i: int) -> slice:
        """The points at which input i goes from the lower to the upper end of its box."""
        return slice(i * LEVELS, (i + 1) * LEVELS)

    @property
    def is_unique(self) -> bool:
        """Whether every start came to the same rest, at every point."""
        return bool(self.settled.all() and (self.spread <= SPREAD * self.model.scaler.y_std).all())

    def plot(self) -> Figure:
        """Steady outputs (rows) along every input (columns), the others in the middle."""
        m = self.model
        figure, axes = _grid(m)
        for (j, i), ax in np.ndenumerate(axes):
            ax.plot(self.u[self.sweep(i), i], self.y[self.sweep(i), j], "o-", ms=3, lw=1.2)
        for i, ax in enumerate(axes[-1]):
            ax.set_xlabel(_axis(m.u_names[i], m.u_units[i]))
        return figure


def steady_map(model: IdentifiedModel, seed: int = 0, longest: int = 10_000) -> SteadyMap:
    """Let the model come to rest at points of its input box, from several states, and linearise it there."""
    cell, scaler, rng = model.model, model.scaler, np.random.default_rng(seed)
    u = _points(cell.nu, rng)
    x, moved = _rest(model, u, rng, longest)
    y = scaler.y_out(cell.g(cell.theta(), torch.from_numpy(x.reshape(-1, cell.nx).T)).detach().numpy().T)
    y = y.reshape(STARTS, len(u), cell.ny)
    system = model.to_casadi()
    jacobians, output = system.f.jacobian(), system.g.jacobian()
    gain, zero_time = np.full((len(u), cell.ny, cell.nu), np.nan), np.full(len(u), np.nan)
    for k, (x_k, u_k) in enumerate(zip(x[0], scaler.u_out(u), strict=True)):
        A, B = (np.asarray(M.full()) for M in jacobians(x_k, u_k, 0))
        C = np.asarray(output(x_k, 0).full())
        gain[k] = C @ np.linalg.lstsq(np.eye(cell.nx) - A, B, rcond=None)[0]
        if cell.nu == cell.ny:
            zero_time[k] = _zero_time(A, B * scaler.u_half, C / scaler.y_std[:, None], model.dt)
    return SteadyMap(model, scaler.u_out(u), y[0], x[0], moved.max(0) < AT_REST, np.ptp(y, axis=0), gain, zero_time)


def plot_steps(model: IdentifiedModel) -> Figure:
    """Outputs (rows) after a step of each input (columns) by a quarter of its box, from rest in the middle."""
    cell, scaler = model.model, model.scaler
    x, _ = _rest(model, np.zeros((1, cell.nu)), np.random.default_rng(0), 10_000)
    long = 2000
    runs = [model.simulate(_step(scaler, i, long), x[0, 0]) for i in range(cell.nu)]
    swing = max(int(np.flatnonzero((abs(y - y[-1]) > 0.02 * np.ptp(y, axis=0) + 1e-12).any(1)).max(initial=1))
                for y in runs)  # fmt: skip
    shown = min(long, max(10, int(1.3 * swing)))
    figure, axes = _grid(model)
    for (j, i), ax in np.ndenumerate(axes):
        ax.plot(model.dt * np.arange(shown), runs[i][:shown, j], drawstyle="steps-post", lw=1.2)
    for i, ax in enumerate(axes[-1]):
        size = f"{2 * STEP * scaler.u_half[i]:.3g} {model.u_units[i]}".strip()
        ax.set_xlabel(f"time [s] after\n{model.u_names[i]} + {size}")
    return figure


def _step(scaler, i: int, samples: int) -> np.ndarray:
    u = np.zeros((samples, len(scaler.u_half)))
    u[:, i] = 2 * STEP
    return scaler.u_out(u)


def _points(nu: int, rng) -> np.ndarray:
    """Normalised inputs (P, nu)."""
    sweeps = np.zeros((nu, LEVELS, nu))
    sweeps[range(nu), :, range(nu)] = np.linspace(-1, 1, LEVELS)
    corners = rng.choice([-1.0, 1.0], (ANYWHERE // 2, nu))
    return np.vstack([sweeps.reshape(-1, nu), corners, rng.uniform(-1, 1, (ANYWHERE - len(corners), nu))])


@torch.no_grad()
def _rest(model: IdentifiedModel, u: np.ndarray, rng, longest: int) -> tuple[np.ndarray, np.ndarray]:
    """States (STARTS, P, nx) after a long time at inputs u (P, nu), normalised, and what they still move (STARTS, P).

    The first start is where runs of the model begin, the others are corners of the state box.
    """
    cell = model.model
    p = cell.theta()
    box = torch.nan_to_num(cell.state_box(p, cell.input_box()), nan=WIDE, posinf=WIDE).numpy()
    starts = np.vstack([model.x0, box * rng.choice([-1.0, 1.0], (STARTS - 1, cell.nx))])
    x = torch.from_numpy(np.repeat(starts, len(u), axis=0).T.copy())
    held = torch.from_numpy(np.tile(u, (STARTS, 1)).T.copy())
    moved = torch.zeros(x.shape[1])
    for _ in range(longest):
        x_next = cell.f(p, x, held)
        moved, x = (x_next - x).abs().amax(0), x_next
        if float(moved.max()) < AT_REST:
            break
    return x.T.numpy().reshape(STARTS, len(u), -1), moved.numpy().reshape(STARTS, len(u))


def _zero_time(A: np.ndarray, B: np.ndarray, C: np.ndarray, dt: float) -> float:
    """2 dt / ln |z| of the transmission zero z nearest outside the unit circle; 0 if there is none.

    det [[A - z I, B], [C, 0]] = 0; a zero far outside, as that of an infinite one, limits nothing.
    """
    n, m = B.shape
    pencil = np.block([[A, B], [C, np.zeros((len(C), m))]])
    weight = np.zeros_like(pencil)
    weight[:n, :n] = np.eye(n)
    found: Any = eigvals(pencil, weight, homogeneous_eigvals=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        z = abs(found[0] / found[1])
    z = z[np.isfinite(z) & (z > 1 + 1e-9)]
    return float(2 * dt / np.log(z.min())) if len(z) else 0.0


def _grid(model: IdentifiedModel):
    ny, nu = model.model.ny, model.model.nu
    size = (max(4.0, 3 * nu + 0.6), 0.8 + 1.8 * ny)
    figure, axes = plt.subplots(ny, nu, squeeze=False, sharex="col", sharey="row", figsize=size, layout="constrained")
    for j, ax in enumerate(axes[:, 0]):
        ax.set_ylabel(_axis(model.y_names[j], model.y_units[j]))
    return figure, axes


def _axis(name: str, unit: str) -> str:
    return f"{name} [{unit}]" if unit else name
