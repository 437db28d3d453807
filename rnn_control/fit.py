"""Identification: minimise the free-run simulation error, and keep the best model that satisfies its certificate."""

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from .certificate import Certificate
from .certify import TRAINABLE, certify
from .contract import CertificateError, contract, roomiest_method
from .data import Experiment
from .diagnose import warn
from .identified import IdentifiedModel
from .kernel import Batch, make_kernel
from .model import Model
from .models.network import Network
from .notebook import html_table
from .objective import Objective
from .readout import fit_readout
from .scaler import Scaler
from .search import Tracker, Validation, budget, goes_deep, optimise
from .watch import Bar, Step
from .weighting import Weighting


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

    def _repr_html_(self) -> str:
        rows = [
            ("validation RMSE / std", float(self.history["valid"][self.best_iteration])),
            ("kept", f"iteration {self.best_iteration} of {len(self.history['loss'])}"),
            ("trained in", f"{self.seconds:.1f} s" + (", interrupted" if self.interrupted else "")),
        ]
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


def fit(
    model: Model,
    train: Experiment,
    valid: Experiment | None = None,
    *,
    certificate: str | None = "delta_iss",
    method: str = "auto",
    margin: float = 0.01,
    washout: int = 50,
    initial: str = "estimated",
    window: int | None = None,
    epochs: int = 150,
    polish: int = 1500,
    rate: float = 1e-2,
    patience: int = 400,
    prior: float = 1.0,
    weighting: Weighting | None = None,
    u_min: np.ndarray | None = None,
    u_max: np.ndarray | None = None,
    seed: int = 0,
    progress: bool = True,
    log: Callable[[Step], object] | None = None,
) -> FitResult:
    """Identify a model from records by minimising its free-run error, subject to a stability certificate.

    model: architecture with its starting parameters; it is trained in place. train, valid: Experiments; without valid
    the training error decides, or where the search goes deep (below) blocks of the record, a fifth, that are kept from
    it. certificate: "delta_iss", "iss" or None, enforced on the parameters while training and
    on the model that is returned. method: condition to train with, "published", "weighted" or "auto" (the one that
    shrinks the starting model least). margin: 1 - rate that is aimed for: 0.01 forgets 99 % in some 500 steps.
    washout: samples at the start of each record whose errors do not count (at most a quarter of the record).
    initial: "estimated" (the records' initial states are trained along) or "washout" (records start at rest).
    window: cut the training records into windows of that many samples; None takes them whole. epochs: Adam steps on
    random windows; polish: L-BFGS iterations on all of them; patience: iterations without a better validation error.
    Up to 1000 parameters, without a certificate or with one by construction (REN, Contracting), the search goes deep:
    Levenberg-Marquardt, a tenth as many steps and a tenth of the patience.
    prior: weight of the parameters' squares, in units of the noise: 1 / (their variance before any data).
    weighting: for records that are partly wrong, Huber() against single wild samples, MultiplicativeWeights() against
    whole stretches; the result's `weights` tell which ones were distrusted. valid is taken to be sound.
    u_min, u_max (nu,): input box in physical units on which the certificate shall hold; default: range of the training
    inputs. seed: of the random windows. Ctrl-C returns the best model so far. progress: a line on a terminal. log: is
    called with every Step, as TensorBoard of rnn_control.tensorboard is; a KeyboardInterrupt that it raises ends the
    search like Ctrl-C.

    A certificate says nothing of accuracy: a model that predicts no better than the mean, or much worse than others met
    on the way that had no proof, is returned with a warning.
    Raises ValueError for unknown options, CertificateError if no certified model was found (an interrupt too early).
    """
    _check_options(model, train, valid, certificate, method, initial)
    _check_numbers(margin=margin, washout=washout, epochs=epochs, polish=polish, rate=rate, prior=prior)
    started = time.perf_counter()
    scaler = Scaler.fit(train, u_min=u_min, u_max=u_max)
    kernel = make_kernel(model)
    data = _windows(scaler, train, window, washout)
    if certificate is not None:
        warn(train)
    constructed = None if certificate is None else model.by_construction(certificate)
    if certificate is not None and method == "auto":
        method = constructed or roomiest_method(model, certificate, margin)
    enforced = None if method == constructed else certificate
    if enforced is not None:
        contract(model, enforced, method, margin)
    if enforced is None or not isinstance(model, Network):
        # inside a network they count in its loops: what proves them would shrink the rest to nothing
        fit_readout(model, kernel, np.zeros((len(data.u), model.nx)), data)
    if enforced is not None:
        contract(model, enforced, method, margin)
    options: dict[str, Any] = dict(property=certificate, method=method, margin=margin, prior=prior, weighting=weighting)
    objective = Objective(model, kernel, data, estimate_x0=initial == "estimated", **options)
    held = _hold_out(data) if valid is None and goes_deep(objective) else []
    w = min([washout, *(len(u) // 4 for u in (valid.us if valid else ()))])
    us, ys = ([scaler.u_in(u) for u in valid.us], [scaler.y_in(y) for y in valid.ys]) if valid else ([], [])
    with Bar(f"fit {model.kind}", progress) as bar:
        logs, total = [bar] if log is None else [bar, log], budget(objective, epochs, polish)
        tracker = Tracker(objective, Validation(model, kernel, us, ys, w, held), logs, total)
        interrupted = optimise(objective, tracker, epochs, polish, rate, patience, seed)
    return _result(objective, tracker, scaler, train, certificate, seed, interrupted, time.perf_counter() - started)


def _result(objective, tracker, scaler, train, certificate, seed, interrupted, seconds) -> FitResult:
    if tracker.best is None:
        raise CertificateError(
            f"no {'' if certificate is None else certificate + ' '}model with a finite error was found in "
            f"{len(tracker.rows)} iterations; train longer, sample the plant more slowly, or ask for a smaller margin"
        )
    objective.load(tracker.best)
    objective.model = objective.model.plain()
    if certificate is not None:
        # judged during training with the trained weights of the norm; a user's check starts from none
        contract(objective.model, certificate, objective.method, 1e-8)
    info: dict[str, Any] = dict(seed=seed, data=train.fingerprint(), certificate=certificate, version=_version())
    labels = {k: getattr(train, k) for k in ("dt", "u_names", "y_names", "u_units", "y_units")}
    identified = IdentifiedModel(objective.model, scaler, info=info, **labels)
    proof = None if certificate is None else certify(identified, certificate, objective.method)
    loss, valid, residual = (np.array(column) for column in zip(*tracker.rows, strict=True))
    history = dict(loss=loss, valid=valid, residual=residual)
    _warn_of_poor(tracker, valid)
    return FitResult(identified, proof, history, tracker.best_iteration, interrupted, seconds, objective.factors)


def _warn_of_poor(tracker: Tracker, valid: np.ndarray):
    """A certificate says nothing of accuracy: say so where the model that was kept is useless."""
    kept, seen = tracker.best_error, float(np.nanmin(valid))
    if kept >= 1:
        worse = f"the kept model is no better than the mean of the outputs: validation error {kept:.2g} deviations"
    elif kept > 2 * seen:
        worse = f"the certificate costs accuracy: validation error {kept:.2g} deviations, {seen:.2g} seen without proof"
    else:
        return
    warnings.warn(
        f"{worse} (iteration {tracker.best_iteration} of {len(valid)}); the plant may integrate, be much slower than "
        "the samples, or move elsewhere in the validation part: sample more slowly, ask for a smaller margin, train on "
        "a longer record, or compare certificate=None",
        stacklevel=4,
    )


def _windows(scaler: Scaler, train: Experiment, window: int | None, washout: int) -> Batch:
    us, ys, ws = [], [], []
    for u, y, filled in zip(train.us, train.ys, train.interpolated().ys, strict=True):
        u, y, filled, size = scaler.u_in(u), scaler.y_in(y), scaler.y_in(filled), min(window or len(u), len(u))
        skip = min(washout, size // 4)
        for start in (*range(0, len(u) - size, max(size - skip, 1)), len(u) - size):
            us.append(u[start : start + size])
            ys.append(filled[start : start + size])
            ws.append(np.isfinite(y[start : start + size]).astype(float))
            ws[-1][:skip] = 0
    return Batch(us, ys, ws)


BLOCKS = 20
"""Blocks of a record of which every fifth is kept from a training that would learn its noise."""


def _hold_out(data: Batch) -> list[np.ndarray]:
    """Weights of the samples that judge: every fifth block of each record; for the training their weight is zero."""
    held = []
    for w in data.w:
        is_kept = (np.arange(len(w)) * BLOCKS // len(w) % 5 == 2)[:, None]
        held.append(np.where(is_kept, w, 0.0))
        w *= ~is_kept
    return held


def _check_options(model, train, valid, certificate, method, initial):
    if isinstance(model, IdentifiedModel) or not isinstance(model, Model):
        raise ValueError(f"model is a {type(model).__name__}; give an architecture such as GRU(nu=2, ny=2, size=8)")
    if (model.nu, model.ny) != (train.nu, train.ny):
        raise ValueError(
            f"the model has nu = {model.nu}, ny = {model.ny}; the data have {train.nu} inputs {train.u_names} and "
            f"{train.ny} outputs {train.y_names}"
        )
    channels = ("u_names", "y_names", "u_units", "y_units", "dt")
    if valid is not None and any(getattr(valid, k) != getattr(train, k) for k in channels):
        raise ValueError("train and valid have different channels, units or sampling times; split one Experiment")
    if certificate is not None and certificate not in TRAINABLE:
        raise ValueError(f"certificate is {certificate!r}; choose from {', '.join(TRAINABLE)} or None")
    held = [name for name in TRAINABLE if model.by_construction(name)]
    if certificate is not None and held and certificate not in held:
        raise ValueError(
            f"the model has {held[0]} by construction, not {certificate}; ask for certificate={held[0]!r}, or build it "
            f"with property={certificate!r}"
        )
    if method != "auto" and method not in TRAINABLE.get(certificate or "", ("auto",)):
        raise ValueError(
            f"method is {method!r}; for {certificate} choose auto, {', '.join(TRAINABLE.get(certificate or '', ()))}"
        )
    if initial not in ("estimated", "washout"):
        raise ValueError(f'initial is {initial!r}; choose "estimated" or "washout"')


def _check_numbers(**numbers):
    for name, value in numbers.items():
        if not (np.isfinite(value) and value >= 0):
            raise ValueError(f"{name} is {value}; it must not be negative")
    if not 0 < numbers["margin"] < 1:
        raise ValueError(f"margin is {numbers['margin']}; it must lie between 0 and 1, e.g. 0.01")


def _version() -> str:
    try:
        return version("rnn-control")
    except PackageNotFoundError:
        return "unknown"
