"""Search over cells, sizes, certified rates and priors by validation error, resumable. Needs rnn-control[tune]."""

import time
import warnings
from collections.abc import Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from sqlalchemy.exc import IntegrityError, OperationalError

from .contract import CertificateError
from .data import Experiment
from .fit import fit
from .fit_result import FitResult
from .linear import linear_reference
from .models import MODELS
from .notebook import html_table
from .restarts import error_of

LOOKS, BETWEEN_LOOKS = 20, 0.2  # s
HEADER = ("trial", "validation RMSE / std", "kind", "size", "margin", "prior", "rate", "seed", "state")


@dataclass(frozen=True, eq=False)
class Tuned:
    """The result of the best trial, trained again, and a row (`HEADER`) for every trial, best first."""

    best: FitResult
    rows: tuple[tuple, ...]

    def __str__(self) -> str:
        return "\n".join("  ".join(f"{_shown(cell):>12s}" for cell in row) for row in (HEADER, *self.rows))

    def _repr_html_(self) -> str:
        return html_table("Trials", self.rows, HEADER)


def tune(
    train: Experiment,
    valid: Experiment,
    kinds: Sequence[str] = ("gru", "lstm", "ren"),
    trials: int = 30,
    *,
    storage: str | Path | None = None,
    sizes: tuple[int, int] = (2, 16),
    margins: tuple[float, float] = (0.001, 0.1),
    priors: tuple[float, float] = (0.1, 10.0),
    rates: tuple[float, float] = (0.003, 0.03),
    seed: int = 0,
    progress: bool = True,
    **options: Any,
) -> Tuned:
    """Try `trials` combinations (Optuna's tree-structured Parzen estimator) and return the best by validation error.

    kinds: names in MODELS; sizes, margins, priors, rates: ranges on a logarithmic scale; margin is that of `fit` or,
    for cells with a rate by construction, 1 - rate; rate is that of Adam's steps. storage: a file (SQLite) that keeps
    every finished trial; a search that was killed goes on from it with the same call, and `trials` counts what is there
    already; several processes may share it. options: those of `fit`. Ctrl-C ends the search with what is finished.
    Raises ValueError for unknown kinds or a storage of other records, CertificateError if no trial has a model.
    """
    unknown = [kind for kind in kinds if kind not in MODELS]
    if unknown or not kinds:
        raise ValueError(f"no models called {unknown}; kinds are some of {', '.join(MODELS)}")
    study = _study(storage, train, valid, kinds, (sizes, margins, priors, rates), seed, options)
    options = {"linear": linear_reference(train, valid, options.get("u_min"), options.get("u_max"))} | options

    def objective(trial):
        chosen = dict(
            kind=trial.suggest_categorical("kind", list(kinds)),
            size=trial.suggest_int("size", *sizes, log=True),
            margin=trial.suggest_float("margin", *margins, log=True),
            prior=trial.suggest_float("prior", *priors, log=True),
            rate=trial.suggest_float("rate", *rates, log=True),
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # a poor trial is a row of the table
            try:
                result = _train(chosen, seed + trial.number, train, valid, options)
            except CertificateError as error:
                raise optuna.TrialPruned(str(error)) from error
        if result.interrupted:
            raise KeyboardInterrupt
        return error_of(result)

    ended = [t for t in study.get_trials() if t.state.is_finished()]
    if len(ended) < trials:
        with suppress(KeyboardInterrupt), _quiet():
            study.optimize(objective, trials - len(ended), show_progress_bar=progress)
    return _best(study, seed, train, valid, options)


@contextmanager
def _quiet():
    """Without Optuna's line per trial."""
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(verbosity)


def _study(storage, train, valid, kinds, ranges, seed, options) -> optuna.Study:
    """A study of these records and ranges, new or going on."""
    url = None if storage is None else f"sqlite:///{Path(storage).absolute()}"
    sampler = optuna.samplers.TPESampler(seed=seed)
    with _quiet():
        kept = None if url is None else _storage(url)
        study = optuna.create_study(storage=kept, study_name="rnn_control", sampler=sampler, load_if_exists=True)
    about = dict(
        train=train.fingerprint(), valid=valid.fingerprint(), search=repr((list(kinds), ranges, seed, options))
    )
    for key, value in about.items():
        if study.user_attrs.get(key, value) != value:
            raise ValueError(f"{storage} holds a search with another {key}; give another file, or the same arguments")
        study.set_user_attr(key, value)
    return study


def _storage(url: str) -> optuna.storages.RDBStorage:
    """Another process may be making the same tables in a new file: then they are there at one of the next looks."""
    for _ in range(LOOKS - 1):
        with suppress(OperationalError, IntegrityError):
            return optuna.storages.RDBStorage(url)
        time.sleep(BETWEEN_LOOKS)
    return optuna.storages.RDBStorage(url)


def _train(chosen: dict[str, Any], seed: int, train, valid, options) -> FitResult:
    kind, margin = chosen["kind"], chosen["margin"]
    by_construction = kind in ("ren", "lipschitz_ren")
    certified = dict(rate=1 - margin) if by_construction else {}
    cell: Any = MODELS[kind]
    model = cell(train.nu, train.ny, chosen["size"], seed=seed, **certified)
    own = dict(margin=margin / 2 if by_construction else margin, prior=chosen["prior"], rate=chosen["rate"])
    options = own | dict(progress=False) | options
    return fit(model, train, valid, seed=seed, **options)


def _best(study, seed, train, valid, options) -> Tuned:
    trials = study.get_trials()
    done = sorted((t for t in trials if t.state.name == "COMPLETE"), key=lambda t: (t.value, t.number))
    if not done:
        raise CertificateError(f"none of {len(trials)} trials has a model; allow smaller margins or other kinds")
    others = [t for t in trials if t.state.name != "COMPLETE"]
    rows = tuple(
        (t.number, t.value, *(t.params.get(k, "") for k in HEADER[2:7]), seed + t.number, t.state.name.lower())
        for t in (*done, *others)
    )
    return Tuned(_train(done[0].params, seed + done[0].number, train, valid, options), rows)


def _shown(cell) -> str:
    return f"{cell:.4g}" if isinstance(cell, float) else str(cell)
