"""The picture of a certificate: two trajectories from opposite corners, below the envelope that was proved."""

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from .certificate import Certificate
from .identified import IdentifiedModel


def distance(certificate: Certificate, e: np.ndarray) -> np.ndarray:
    """V(e) for states e (..., nx), normalised: max over blocks of || e_b / scale_b ||, or sqrt(e' P e)."""
    if certificate.metric is not None:
        return np.sqrt(np.einsum("...i,ij,...j", e, np.array(certificate.metric), e).clip(min=0))
    return size(certificate, e / np.asarray(certificate.scale))


def size(certificate: Certificate, e: np.ndarray) -> np.ndarray:
    """|| e || for states e (..., nx), normalised: the largest over the blocks, unscaled, that `overshoot` refers to."""
    if all(order == "inf" for _, order in certificate.blocks):
        return np.abs(e).max(-1)
    ends = np.cumsum([count for count, _ in certificate.blocks])[:-1]
    parts = zip(np.split(e, ends, -1), certificate.blocks, strict=True)
    return np.max([np.linalg.norm(part, float(order), axis=-1) for part, (_, order) in parts], 0)


def plot_forgetting(model: IdentifiedModel, certificate: Certificate, u: np.ndarray | None = None) -> Figure:
    """Two runs under the same inputs u (T, nu) from opposite corners of the state box: outputs and their distance V.

    u: by default levels at the ends of the certified input box, for the time in which 99 % are forgotten. The dashed
    line is the certified rate^k V(0); dotted are the times after which 50, 90, 99 % are forgotten for certain.
    Raises ValueError for a certificate that does not hold, one for ISS, which speaks of single runs.
    """
    if certificate.property != "delta_iss":
        raise ValueError("two runs have an envelope by deltaISS only: certify(model), not certify(model, 'iss')")
    if not certificate.holds:
        raise ValueError("only a certificate that holds has an envelope; certify(model).holds is what to look at")
    u = _levels(certificate) if u is None else u
    box = np.ones(model.model.nx)
    if certificate.state_box is not None:
        box = np.where(np.isfinite(certificate.state_box), certificate.state_box, 1.0)
    runs = [model.states(u, sign * box) for sign in (1.0, -1.0)]
    time = model.dt * np.arange(len(u))
    figure, axes = plt.subplots(model.model.ny + 1, 1, sharex=True, figsize=(8, 1 + 1.8 * (model.model.ny + 1)))
    for j, ax in enumerate(axes[:-1]):
        for (_, y), corner in zip(runs, ("upper corner", "lower corner"), strict=True):
            ax.plot(time, y[:, j], lw=1, label=corner)
        ax.set_ylabel(f"{model.y_names[j]} [{model.y_units[j] or '-'}]")
    _plot_envelope(axes[-1], certificate, time, runs[0][0][:-1] - runs[1][0][:-1])
    for ax in (axes[0], axes[-1]):
        ax.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2, frameon=False, borderaxespad=0.1)
    axes[-1].set_xlabel("time [s]")
    figure.align_ylabels()
    figure.tight_layout()
    return figure


def _levels(certificate: Certificate, holds: int = 8) -> np.ndarray:
    """Inputs (T, nu) that jump between the ends of the box, each half as often as the one before."""
    steps = int(certificate.steps_to_forget or 1)
    period, k = max(steps // holds, 1), np.arange(steps + 1)
    ends = np.array(certificate.input_box)
    return np.stack([ends[i, (k // (period * 2**i)) % 2] for i in range(len(ends))], 1)


def _plot_envelope(ax, certificate: Certificate, time: np.ndarray, e: np.ndarray):
    """V(e) of states e (T, nx) below rate^k V(0), and the times to forget."""
    V = distance(certificate, e)
    ax.semilogy(time, np.maximum(V, 1e-16), color="C2", lw=1, label="distance of the states")
    ax.semilogy(time, V[0] * certificate.rate ** np.arange(len(e)), "k--", lw=1, label="certified envelope")
    for left in (0.5, 0.1, 0.01):
        steps, seconds = certificate.forgetting(left)
        if seconds is not None and steps < len(time):
            ax.axvline(seconds, color="0.6", lw=0.8, ls=":")
            ax.text(seconds, 0.04, f"{100 * (1 - left):g} % ", transform=ax.get_xaxis_transform(), ha="right",
                    fontsize=8, color="0.4")  # fmt: skip
    ax.set_ylabel("V [-]")
    ax.set_ylim(bottom=max(1e-12, 0.01 * V.min()))
