"""Identification: minimise the free-run simulation error, and keep the best model that satisfies its certificate."""

import time
import warnings
from collections.abc import Callable, Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

from .certificate import Certificate
from .certify import certify
from .construct import Contracting
from .contract import CertificateError, contract
from .data import Experiment
from .diagnose import warn
from .drift import follow_drift, warn_of_drift
from .enforce import begin, enforced_on
from .finish import finish
from .fit_options import check_numbers, check_options, limits_of, steps_ahead
from .fit_result import FitResult
from .floor import Floor, climb, find_floor
from .identified import IdentifiedModel
from .judge import Tracker, Validation
from .kernel import Batch, make_kernel
from .linear import LinearModel, linear_reference
from .model import Model
from .models.ren import EquilibriumNetwork
from .near_linear import linear_of, near_linear
from .noise import StateNoise
from .objective import Objective
from .prediction import predictor
from .rehearsal import Rehearsal, is_few, rehearse
from .scaler import Scaler
from .search import Found, optimise
from .stages import budget, goes_deep
from .starts import STARTS, Encoder
from .watch import Bar, Step
from .weighting import Weighting
from .windows import hold_out, ramps, windows


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
    horizon: int | str | None = None,
    epochs: int = 150,
    polish: int = 1500,
    rate: float = 1e-2,
    patience: int = 400,
    prior: float = 1.0,
    limits: Mapping[str, tuple[Any, Any]] | None = None,
    weighting: Weighting | None = None,
    noise: StateNoise | None = None,
    drift: str | None = "auto",
    linear: LinearModel | None = None,
    u_min: np.ndarray | None = None,
    u_max: np.ndarray | None = None,
    seed: int = 0,
    progress: bool = True,
    log: Callable[[Step], object] | None = None,
) -> FitResult:
    """Identify a model from records by minimising its simulation error, subject to a stability certificate.

    model: architecture with its starting parameters; it is trained in place. train, valid: Experiments; without valid
    the training error decides, or where the search goes deep (below) the last fifth of each record, which is kept from
    it until a few last steps on everything. Without valid, and with fewer than ten samples to a parameter, a search
    under a certificate is rehearsed on four fifths of each record: where it errs more on the last fifth than the start
    that it has from a linear model, that start, from all samples, is what is returned. certificate: "delta_iss", "iss"
    or None, enforced on the parameters while training and on the model that is returned. method: condition to train
    with, "published", "weighted" or "auto" (the one that shrinks the starting model least). margin: 1 - rate that is
    aimed for: 0.01 forgets 99 % in some 500 steps.
    washout: samples at the start of each record whose errors do not count (at most a quarter of the record).
    initial: "estimated" (the records' initial states are trained along), "washout" (records start at rest), or for many
    windows "encoder": read from a window's first samples by a map that is trained along, the result's `encoder`.
    horizon: None or "simulation" minimises the simulation error; a number k, or "one-step", a prediction error, for
    disturbances that a free run cannot know: the free run is corrected by the measured outputs at every k-th sample, so
    that each sample is predicted one to k steps ahead (k = 1: the one-step error); by an observer gain that is trained
    along, or the measured lags of a NNARX, see rnn_control.prediction. The least free-run error, on valid or on train,
    still picks the best.
    window: cut the training records into windows of that many samples; None takes them whole. epochs: Adam steps on
    random windows; polish: L-BFGS iterations on all of them; patience: iterations without a better validation error. Up
    to 1000 parameters (300 of long records), without a certificate or with one by construction (REN, Contracting), the
    search goes deep: Levenberg-Marquardt, a tenth as many steps and a tenth of the patience, from the start that was
    given and from a linear model. So it does up to 8000 parameters where there are five samples for each, by L-BFGS in
    coordinates that a Gauss-Newton matrix gives. Records of 8192 samples and more: from the better of the two, without
    Adam, first on 4096 samples, or as many as make five for each parameter, then on four times as many, with half as
    many steps each time.
    prior: weight of the parameters' squares, in units of the noise: 1 / (their variance before any data); those that a
    linear start has larger than one count over their size in it.
    limits: least and largest value of trained parameters by their names, such as {"C": (0, np.inf)}, numbers or arrays
    of their shapes: what is known of a plant, such as the sign of a gain. All optimisers and starts keep to them.
    weighting: for records that are partly wrong, Huber() against single wild samples, MultiplicativeWeights() against
    whole stretches; the result's `weights` tell which ones were distrusted. valid is taken to be sound.
    noise: StateNoise(std), on the normalised states while training: a model that bears disturbances better, such as a
    NNARX (horizon=1) that predicts from lags with noise, and follows the records a little less well.
    drift: "auto" looks in the residuals for a load that nobody recorded and that moved all along the record; where it
    shows it is trained along, a ramp on the inputs of each record, and the result's `drift` tells how far it moved.
    None: no such load.
    linear: the linear model of the same records and input box that must not be better; None identifies it. A search
    that ends with a larger validation error than it goes on from the linear model, for cells that `start_linear` knows.
    Under a penalty that start may come down to a hundredth of the margin, for a mode of the records that is so slow.
    u_min, u_max (nu,): input box in physical units on which the certificate shall hold; default: range of the training
    inputs. seed: of the random windows. Ctrl-C returns the best model so far. progress: a line on a terminal. log: is
    called with every Step, as TensorBoard of rnn_control.tensorboard is; a KeyboardInterrupt that it raises ends the
    search like Ctrl-C.

    A certificate says nothing of accuracy: a model that predicts no better than the mean, or much worse than others met
    on the way that had no proof, is returned with a warning.
    Raises ValueError for unknown options, CertificateError if no certified model was found (an interrupt too early).
    """
    check_options(model, train, valid, certificate, method, initial, drift)
    horizon = steps_ahead(horizon)
    check_numbers(margin=margin, washout=washout, epochs=epochs, polish=polish, rate=rate, prior=prior)
    started, drawn = time.perf_counter(), {k: v.clone() for k, v in model.state_dict().items()}
    scaler = Scaler.fit(train, u_min=u_min, u_max=u_max)
    kernel = make_kernel(model)
    data = windows(scaler, train, window, washout)
    if certificate is not None:
        warn(train)
    enforced, method = enforced_on(model, certificate, method, margin)
    if enforced is not None and valid is None and horizon is None and epochs + polish > 0 and is_few(model, train):
        linear = linear or linear_reference(train, None, u_min, u_max)
        same = dict(
            certificate=certificate, method=method, margin=margin, washout=washout, initial=initial, window=window,
            epochs=epochs, polish=polish, rate=rate, patience=patience, prior=prior, limits=limits, noise=noise,
            weighting=weighting, drift=drift, u_min=u_min, u_max=u_max, seed=seed, progress=progress,
        )  # fmt: skip
        rehearsal = Rehearsal(False) if linear is None else rehearse(fit, model, train, linear, same)
        if rehearsal.interrupted is not None:
            return rehearsal.interrupted
        if rehearsal.in_vain:
            epochs = polish = 0
            warnings.warn(
                "searched for on the first four fifths of the records, this model predicts the rest less well than the "
                "linear model that it started from: that start is returned, trained no further; give longer records, a "
                "smaller model, or a validation part that chooses instead",
                stacklevel=2,
            )
    system = linear_of(model, data) if enforced is None and horizon is None else None
    if system is not None:
        model.meet(system.radius(), system.swings())
    begin(model, kernel, data, enforced, method, margin)
    options: dict[str, Any] = dict(property=certificate, method=method, margin=margin, prior=prior, weighting=weighting)
    options |= dict(starts=STARTS[initial](data, model.nx), limits=limits_of(model, limits, certificate))
    trained, judge = model, valid
    if horizon is not None:
        trained, judge = predictor(model, horizon), valid or train
        data = trained.batch(data)
    held = hold_out(data) if judge is None and goes_deep(Objective(trained, kernel, data, **options)) else []
    w = min([washout, *(len(u) // 4 for u in (judge.us if judge else data.u))])
    us, ys = ([scaler.u_in(u) for u in judge.us], [scaler.y_in(y) for y in judge.ys]) if judge else ([], [])
    validation, options["held"] = Validation(model, kernel, us, ys, w, held), held
    other = near_linear(model, kernel, data, system)
    with Bar(f"fit {model.kind}", progress) as bar:
        logs = [bar] if log is None else [bar, log]

        def search(trained: Model, data: Batch, epochs: int, polish: int, rows=(), other=()) -> Found:
            if noise is not None:
                at_work = noise.kernel(trained)
            else:
                at_work = kernel if trained is model else make_kernel(trained)
            objective, near = Objective(trained, at_work, data, **options), None
            if other:
                trained.load_state_dict(other)
                near = objective.start()
                trained.load_state_dict(begun)
            tracker = Tracker(
                objective, validation, logs, budget(objective, epochs, polish, 1 + bool(other)), started, rows
            )
            options_ = (epochs, polish, rate, patience, seed)
            return Found(objective, tracker, optimise(objective, tracker, *options_, near=near))

        begun = {k: v.clone() for k, v in model.state_dict().items()}
        found, floor = search(trained, data, epochs, polish, other=other), Floor()
        try:
            if not found.interrupted:
                floor = find_floor(found.tracker, train, valid, u_min, u_max, linear)
                found = found._replace(interrupted=climb(floor, found.tracker, drawn, polish, patience, seed))
        except KeyboardInterrupt:
            found = found._replace(interrupted=True)
        if drift == "auto" and horizon is None:
            found = follow_drift(search, found, begun, data, ramps(train, window, washout), epochs, polish)
        found = finish(found, held)
    return _result(found, floor, scaler, train, certificate, seed, time.perf_counter() - started)


def _result(found, floor, scaler, train, certificate, seed, seconds) -> FitResult:
    objective, tracker, interrupted = found
    if tracker.best is None:
        raise CertificateError(
            f"no {'' if certificate is None else certificate + ' '}model with a finite error was found in "
            f"{len(tracker.rows)} iterations; train longer, sample the plant more slowly, or ask for a smaller margin"
        )
    objective.load(tracker.best)
    drift = warn_of_drift(objective.model, scaler, train)
    residual, visited = tracker.valid.seen(objective, tracker.best)
    objective.model = objective.model.plain()
    if certificate is not None:
        # judged during training with the trained weights of the norm; a user's check starts from none
        contract(objective.model, certificate, objective.method, 1e-8)
    info: dict[str, Any] = dict(seed=seed, data=train.fingerprint(), certificate=certificate, version=_version())
    labels = {k: getattr(train, k) for k in ("dt", "u_names", "y_names", "u_units", "y_units")}
    seen: dict[str, Any] = dict(residual=None if residual is None else scaler.y_std * residual, visited=visited)
    identified = IdentifiedModel(objective.model, scaler, info=info, **seen, **labels)
    proof = None if certificate is None else certify(identified, certificate, objective.method)
    loss, valid, residual = (np.array(column) for column in zip(*tracker.rows, strict=True))
    history = dict(loss=loss, valid=valid, residual=residual)
    _warn_of_poor(tracker, valid, floor, proof)
    reads = objective.starts.size and not objective.starts.is_own
    encoder = Encoder.trained(identified, tracker.best[-objective.starts.size :]) if reads else None
    return FitResult(
        identified, proof, history, tracker.best_iteration, interrupted, seconds, objective.factors, drift,
        floor.linear, floor.error, encoder,
    )  # fmt: skip


def _warn_of_poor(tracker: Tracker, valid: np.ndarray, floor: Floor, proof: Certificate | None):
    """A certificate says nothing of accuracy: say so where the model is useless, or its rate not the one asked for."""
    kept, seen, model = tracker.best_error, float(np.nanmin(valid)), tracker.valid.model
    margin = 1 - model.rate if isinstance(model, (Contracting, EquilibriumNetwork)) else tracker.objective.margin
    slowest = 0.0 if floor.linear is None else floor.linear.system.radius()
    if kept >= 1:
        worse = f"the kept model is no better than the mean of the outputs: validation error {kept:.2g} deviations"
    elif kept > 2 * seen:
        worse = f"the certificate costs accuracy: validation error {kept:.2g} deviations, {seen:.2g} seen without proof"
    elif proof and slowest > 1 - margin and proof.rate > 1 - (1.1 if kept > 1.1 * floor.error else 0.5) * margin:
        worse = (
            f"the records have a mode that keeps {slowest:.5g} a sample, slower than the margin {margin:.2g} asks for: "
            f"certified is a rate of {proof.rate:.5g}, with a validation error of {kept:.2g} deviations; that of the "
            f"linear model is {floor.error:.2g}"
        )
        if not tracker.objective.is_free and floor.linear and floor.linear.system.swings():
            worse += "; the mode swings, which a REN proves at a smaller price: try that"
    else:
        return
    warnings.warn(
        f"{worse} (iteration {tracker.best_iteration} of {len(valid)}); the plant may integrate, be much slower than "
        "the samples, or move elsewhere in the validation part: sample more slowly, ask for a smaller margin, train on "
        "a longer record, or compare certificate=None",
        stacklevel=4,
    )


@cache
def _version() -> str:
    try:
        return version("rnn-control")
    except PackageNotFoundError:
        return "unknown"
