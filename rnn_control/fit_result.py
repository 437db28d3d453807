"""FitResult: what came of a training."""

from dataclasses import dataclass, field

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from .certificate import Certificate
from .identified import IdentifiedModel
from .linear import LinearModel
from .notebook import html_table
from .starts import Encoder


@dataclass(frozen=True, eq=False)
class FitResult:
    """The best model found, its certificate, and how it got there (one row of `history` an iteration)."""

    model: IdentifiedModel
    certificate: Certificate | None
    history: dict[str, np.ndarray] = field(repr=False)
    best_iteration: int
    interrupted: bool
    seconds: float
    weights: list[np.ndarray] = field(default_factory=list, repr=False)
    """Factor (T, ny) of every sample's weight by the last `weighting`, an array a record or window; ones without."""
    drift: np.ndarray | None = None
    """(records, nu): by how much an unrecorded load seems to have moved over each record, in the units of u."""
    linear: LinearModel | None = field(default=None, repr=False)
    """The linear model of the same records, None where there is none: see `linear_reference`."""
    linear_error: float = float("nan")
    """Its error by the measure of `history["valid"]`."""
    encoder: Encoder | None = field(default=None, repr=False)
    """Of initial="encoder": the model's state from a past window, without a search."""

    def rows(self) -> list[tuple[str, str]]:
        """How well the model predicts, beside the linear one, and how it was found, as (name, value) pairs."""
        linear = (
            [] if self.linear is None else [(f"of a linear model of {self.linear.order} states", self.linear_error)]
        )
        errors = [("validation RMSE / std", float(self.history["valid"][self.best_iteration])), *linear]
        return [(name, f"{error:.4g}") for name, error in errors] + [
            ("kept", f"iteration {self.best_iteration} of {len(self.history['loss'])}"),
            ("trained in", f"{self.seconds:.1f} s" + (", interrupted" if self.interrupted else "")),
        ]

    def __str__(self) -> str:
        rows, model = self.rows(), self.model
        width = max(len(name) for name, _ in rows)
        title = f"Fit of a {model.model.kind} model, {model.model.nx} states, dt = {model.dt:g} s"
        text = "\n".join([title, *(f"  {name:<{width}}  {value}" for name, value in rows)])
        return text if self.certificate is None else f"{text}\n{self.certificate}"

    def _repr_html_(self) -> str:
        rows = self.rows()
        proof = "" if self.certificate is None else self.certificate._repr_html_()
        return self.model._repr_html_() + html_table("Fit", rows) + proof

    def plot(self) -> Figure:
        """Training objective, validation error and stability margin over the iterations."""
        panels = 2 if self.certificate is None else 3
        figure, axes = plt.subplots(panels, 1, sharex=True, figsize=(7, 1 + 1.8 * panels))
        h, k = self.history, np.arange(len(self.history["loss"]))
        axes[0].semilogy(k, h["loss"], lw=1)
        axes[0].set_ylabel("objective [-]")
        axes[1].semilogy(k, h["valid"], lw=1, color="C1")
        axes[1].set_ylabel("validation\nRMSE / std [-]")
        if self.linear is not None:
            axes[1].axhline(self.linear_error, color="0.3", lw=0.8, ls="--")
            corner = dict(transform=axes[1].get_yaxis_transform(), ha="right", va="bottom", fontsize="small")
            axes[1].text(0.99, self.linear_error, "linear model", color="0.3", **corner)
        if panels == 3:
            axes[2].plot(k, h["residual"], lw=1, color="C2")
            axes[2].axhline(0, color="0.3", lw=0.8, ls="--")
            axes[2].set_yscale("symlog", linthresh=1e-2)
            axes[2].set_ylabel("stability residual\n(proved if < 0) [-]")
        for ax in axes:
            ax.axvline(self.best_iteration, color="0.3", lw=0.8, ls=":")
        axes[-1].set_xlabel("iteration (dotted: the model that was kept)")
        figure.tight_layout()
        return figure
