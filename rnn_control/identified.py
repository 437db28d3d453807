"""IdentifiedModel: a model with its scaling, sampling time, names and units; the one place that converts units."""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from torch import Tensor

from .data import Experiment
from .equations import equations
from .export import CasadiModel, casadi_functions
from .initial import Visited, initial_states
from .kernel import Kernel, make_kernel
from .metrics import Score, percent, score
from .model import Model
from .model_file import read_model, write_model
from .models import build
from .notebook import html_table
from .scaler import Scaler


@dataclass(frozen=True, eq=False)
class IdentifiedModel:
    """A trained model in physical units.

    model: normalised equations; scaler: u to [-1, 1] and y to zero mean and unit deviation; dt in s; `info`: where it
    comes from (data fingerprint, seed, certificate asked for, package version). residual (ny,): deviations of what the
    free run leaves unexplained, in units of y; initial states are estimated with the weights 1 / residual^2 of the
    outputs, all alike without. visited: mean and spread of the normalised states over the training records; runs begin
    at the mean, and initial states are looked for around it. None: the origin.
    """

    model: Model
    scaler: Scaler
    dt: float
    u_names: tuple[str, ...]
    y_names: tuple[str, ...]
    u_units: tuple[str, ...]
    y_units: tuple[str, ...]
    info: dict[str, Any] = field(default_factory=dict)
    residual: np.ndarray | None = None
    visited: Visited | None = None

    @property
    def x0(self) -> np.ndarray:
        """Where runs begin that are told no initial state, (nx,): at the mean of the training's, in the state box."""
        if self.visited is None:
            return np.zeros(self.model.nx)
        box = self._state_box()
        return np.clip(self.visited.mean, -box, box)

    def simulate(self, u: np.ndarray, x0: np.ndarray | None = None) -> np.ndarray:
        """Free run: outputs y(0) .. y(T-1), (T, ny), for inputs u (T, nu) from x0 (nx,), by default the model's x0."""
        return self.states(u, x0)[1]

    def states(self, u: np.ndarray, x0: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """The states x(0) .. x(T), (T+1, nx), normalised, beside the outputs (T, ny) of `simulate`."""
        u = self._channels(u, self.model.nu, "u", self.u_names)
        x0 = self.x0 if x0 is None else np.asarray(x0, float)
        if x0.shape != (self.model.nx,):
            raise ValueError(f"x0 has shape {x0.shape}; the model has nx = {self.model.nx} states")
        [(x, y)] = self._kernel.simulate(self.model.theta(), x0[None], [self.scaler.u_in(u)])
        return x, self.scaler.y_out(y)

    def initial_state(self, u: np.ndarray, y: np.ndarray) -> np.ndarray:
        """The state x(0), (nx,), that best explains a window of u (T, nu) and y (T, ny; NaN where it is missing).

        An output counts by 1 / residual^2.
        """
        u = self._channels(u, self.model.nu, "u", self.u_names)
        y = self._channels(y, self.model.ny, "y", self.y_names, may_lack=True)
        if len(u) != len(y):
            raise ValueError(f"u has {len(u)} samples, y has {len(y)}; they must be of one window")
        residual = None if self.residual is None else self.residual / self.scaler.y_std
        us, ys = [self.scaler.u_in(u)], [self.scaler.y_in(y)]
        return initial_states(self._kernel, self.model, us, ys, residual, self.visited)[0]

    def warm_up(self, u_past: np.ndarray, y_past: np.ndarray) -> np.ndarray:
        """The present state after a past window: x at the sample that follows the last of u_past, y_past."""
        return self.states(u_past, self.initial_state(u_past, y_past))[0][-1]

    def predict(self, experiment: Experiment, washout: int = 50) -> list[np.ndarray]:
        """Free-run outputs on every record; x(0) is estimated from its first `washout` samples (0: the model's x0)."""
        self._check(experiment)
        out = []
        for u, y in zip(experiment.us, experiment.ys, strict=True):
            x0 = self.initial_state(u[:washout], y[:washout]) if washout > 0 else None
            out.append(self.simulate(u, x0))
        return out

    def score(self, experiment: Experiment, washout: int = 50) -> Score:
        """FIT % and RMSE per output of the free run, over the samples after the first `washout`, which give x(0)."""
        shortest = min(len(u) for u in experiment.us)
        if shortest <= washout:
            raise ValueError(
                f"washout is {washout}, the shortest record has {shortest} samples; take a smaller washout"
            )
        return score(experiment.ys, self.predict(experiment, washout), self.y_names, self.y_units, washout)

    def to_casadi(self) -> CasadiModel:
        """The same equations as CasADi functions in physical units."""
        f, g = casadi_functions(self.model, self.scaler)
        return CasadiModel(
            f, g, self.dt, self.x0, self.u_names, self.y_names, self.u_units, self.y_units,
            self.scaler.u_mid - self.scaler.u_half, self.scaler.u_mid + self.scaler.u_half, self._state_box(),
        )  # fmt: skip

    def plot(self, experiment: Experiment, washout: int = 50) -> Figure:
        """Measured outputs and the free run of the model, with FIT, one panel per output; first record."""
        prediction, result = self.predict(experiment, washout)[0], self.score(experiment, washout)
        time = experiment.time(0)
        figure, axes = plt.subplots(self.model.ny, 1, sharex=True, figsize=(8, 1 + 2.2 * self.model.ny), squeeze=False)
        for j, ax in enumerate(axes[:, 0]):
            ax.plot(time, experiment.ys[0][:, j], color="0.7", lw=2.6, label="measured")
            ax.plot(time, prediction[:, j], color="C0", lw=1.2, label=f"model, free run (FIT {percent(result.fit[j])})")
            ax.axvspan(time[0], time[min(washout, len(time) - 1)], color="0.9", lw=0, zorder=0)
            ax.set_ylabel(f"{self.y_names[j]} [{self.y_units[j]}]" if self.y_units[j] else self.y_names[j])
            ax.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, frameon=False)
        axes[-1, 0].set_xlabel("time [s]")
        figure.tight_layout()
        return figure

    def _repr_html_(self) -> str:
        ends = zip(self.u_names, self.u_units, self.scaler.u_min.tolist(), self.scaler.u_max.tolist(), strict=True)
        rows = [("input", name, unit, f"{low:.5g} .. {high:.5g}") for name, unit, low, high in ends]
        rows += [("output", name, unit, "") for name, unit in zip(self.y_names, self.y_units, strict=True)]
        title = f"{self.model.kind}, {self.model.nx} states, dt = {self.dt:g} s"
        return html_table(title, rows, ("", "channel", "unit", "box"))

    def save(self, path: str | Path) -> Path:
        """Write one .safetensors file: weights, and a JSON header with architecture, scaling, names, units, info, hash.

        Written beside, synced and renamed: an interrupted save leaves the old file whole.
        """
        text, made = equations(self.model)
        header = dict(
            spec=self.model.spec(), equations=text._asdict(), scaler=self.scaler.to_dict(), dt=self.dt,
            u_names=self.u_names, y_names=self.y_names, u_units=self.u_units, y_units=self.y_units, info=self.info,
            residual=None if self.residual is None else self.residual.tolist(),
            visited=None if self.visited is None else [self.visited.mean.tolist(), self.visited.spread],
        )  # fmt: skip
        return write_model(path, header, {**self.model.state_dict(), **made})

    @classmethod
    def load(cls, path: str | Path) -> "IdentifiedModel":
        """Read what `save` wrote; nothing in it is executed. A damaged, tampered or newer file raises ValueError."""
        header, state = read_model(path)
        try:
            model = build(header["spec"])
            model.load_state_dict({k: v for k, v in state.items() if k in model.state_dict()})
        except (TypeError, KeyError, RuntimeError) as error:
            raise ValueError(f"{path}: the weights do not fit the architecture in its header: {error}") from error
        cls._check_equations(path, model, header["equations"], state)
        rest: dict[str, Any] = {k: tuple(header[k]) for k in ("u_names", "y_names", "u_units", "y_units")}
        rest["residual"] = None if header["residual"] is None else np.array(header["residual"])
        try:
            rest["visited"] = None if header["visited"] is None else Visited.read(header["visited"], model.nx)
        except (TypeError, IndexError, ValueError) as error:
            raise ValueError(f"{path}: where its runs begin cannot be read: {error}") from error
        return cls(model, Scaler.from_dict(header["scaler"]), header["dt"], info=header["info"], **rest)

    @staticmethod
    def _check_equations(path, model: Model, stored: dict | None, state: dict[str, Tensor]):
        """ValueError unless the equations, and the parameters made for them, are those of the model that was built."""
        text, made = equations(model)
        made = made if stored else {}  # older files have no equations
        odd = set(state) - set(model.state_dict()) ^ set(made)
        odd |= {k for k in set(made) - odd if not torch.allclose(state[k], made[k], 1e-9, 1e-12)}
        if stored and stored != text._asdict() or odd:
            raise ValueError(
                f"{path}: the equations in it, or the parameters {sorted(odd)} made for them, are not those of "
                f"{model.kind!r} in this version; do not use it"
            )

    @cached_property
    def _kernel(self) -> Kernel:
        return make_kernel(self.model)

    def _state_box(self) -> np.ndarray:
        return self.model.state_box(self.model.theta(), self.model.input_box()).detach().numpy()

    def _check(self, experiment: Experiment):
        if (experiment.u_names, experiment.y_names) != (self.u_names, self.y_names):
            raise ValueError(
                f"the experiment has inputs {experiment.u_names} and outputs {experiment.y_names}; "
                f"the model was trained on {self.u_names} and {self.y_names}, in this order"
            )
        for label in ("u", "y"):
            names, ours, theirs = (
                getattr(o, f"{label}_{k}") for o, k in ((self, "names"), (self, "units"), (experiment, "units"))
            )
            for name, unit, other in zip(names, ours, theirs, strict=True):
                if unit and other and unit != other:
                    raise ValueError(
                        f'channel "{name}" of the experiment is in {other}, the model was trained in {unit}; convert '
                        f"it, or give {label}_units= if only the spelling differs"
                    )
        if not np.isclose(experiment.dt, self.dt, rtol=1e-6):
            raise ValueError(f"the experiment has dt = {experiment.dt} s, the model {self.dt} s; resample the data")

    @staticmethod
    def _channels(a, n: int, name: str, channels, may_lack: bool = False) -> np.ndarray:
        a = np.asarray(a, float)
        a = a[:, None] if a.ndim == 1 and n == 1 else a
        if a.ndim != 2 or a.shape[1] != n:
            raise ValueError(
                f"{name} has shape {a.shape}; it must be (T, {n}): time down, {', '.join(channels)} across"
            )
        bad = np.isinf(a) if may_lack else ~np.isfinite(a)
        if bad.any():
            raise ValueError(f"{name} has a NaN or inf at sample {int(np.argwhere(bad)[0, 0])}")
        return a


def unwrapped(model: Model | IdentifiedModel) -> tuple[Model, Scaler]:
    """The cell, and its scaling: none for a cell on its own."""
    if isinstance(model, IdentifiedModel):
        return model.model, model.scaler
    return model, Scaler.none(model.nu, model.ny)
