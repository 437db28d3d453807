"""Several starts of one architecture, trained in parallel processes, ranked by the validation error."""

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from inspect import signature
from typing import Any, NamedTuple

from joblib import Parallel, delayed
from tqdm import tqdm

from .construct import Contracting
from .contract import CertificateError
from .data import Experiment
from .fit import fit
from .fit_result import FitResult
from .linear import linear_reference
from .model import Model
from .models import build
from .notebook import html_table
from .screening import Screened, Screening


class Restart(NamedTuple):
    """What came of one seed: a result, or the reason why there is none; and what `fit` warned of."""

    seed: int
    result: FitResult | None
    failure: str
    warned: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Restarts(Sequence[FitResult]):
    """Results from the smallest validation error to the largest.

    seeds and errors (RMSE / std on the validation part) go with them; failures: seed -> why it has no certified model.
    """

    results: tuple[FitResult, ...]
    seeds: tuple[int, ...]
    errors: tuple[float, ...]
    failures: dict[int, str]
    interrupted: bool = field(default=False)
    screened: dict[int, float] = field(default_factory=dict)
    """Errors of all seeds by the screening, of which the best are the results; empty without one."""

    @property
    def best(self) -> FitResult:
        return self.results[0]

    def __getitem__(self, i):
        return self.results[i]

    def __len__(self) -> int:
        return len(self.results)

    def _repr_html_(self) -> str:
        ranked = zip(self.seeds, self.errors, self.results, strict=True)
        rows = [(seed, error, f"{r.seconds:.1f} s") for seed, error, r in ranked]
        rows += [(seed, why, "") for seed, why in self.failures.items()]
        return html_table("Restarts", rows, ("seed", "validation RMSE / std", "trained in"))


def fit_best(
    model: Model,
    train: Experiment,
    valid: Experiment | None = None,
    seeds: Iterable[int] = range(4),
    jobs: int = 2,
    *,
    screening: Screening | None = None,
    progress: bool = True,
    **options: Any,
) -> Restarts:
    """`fit` from one fresh start of the architecture per seed; test records have no say in which is best.

    model gives the architecture only and stays as it is. options: those of `fit`, seed aside. jobs: processes. Inside
    `joblib.parallel_config(backend="dask")` the same call runs on a cluster, which repeats what a dead worker lost.
    screening: all seeds are first trained a little as one batch, on a GPU if there is one, and `fit` goes on from the
    best few of them; Ctrl-C then ends the screening, and the next one what is below.
    A seed without certified model is listed in `failures`. Ctrl-C returns the seeds that are done.
    Raises ValueError for unknown options, CertificateError if every seed failed, KeyboardInterrupt if none was done.
    """
    seeds = [int(seed) for seed in seeds]
    options = {"linear": linear_reference(train, valid, options.get("u_min"), options.get("u_max"))} | options
    if not seeds or len(set(seeds)) < len(seeds):
        raise ValueError(f"seeds are {seeds}; give at least one, each of them once")
    drawn = {seed: redrawn(model, seed) for seed in seeds}
    screened = _screened(screening, model, drawn, train, valid, options, progress)
    tasks = (delayed(_restart)(start, seed, train, valid, options) for seed, start in screened.models.items())
    done, interrupted = [], screened.interrupted
    outcomes: Any = Parallel(n_jobs=jobs, return_as="generator_unordered")(tasks)
    total = len(screened.models)
    with tqdm(total=total, desc=f"fit {model.kind}", disable=None if progress else True, leave=False) as bar:
        try:
            for outcome in outcomes:
                done.append(outcome)
                bar.update()
                if outcome.result is not None and outcome.result.interrupted:
                    raise KeyboardInterrupt  # it reached `fit`, which returned its best so far
        except KeyboardInterrupt:
            if not done:
                raise
            interrupted = True
    return _ranked(done, interrupted, screened.errors)


def error_of(result: FitResult) -> float:
    """Validation error, RMSE / std, of the iterate that was kept."""
    return float(result.history["valid"][result.best_iteration])


def redrawn(model: Model, seed: int) -> Model:
    """The architecture with fresh starting parameters."""
    if isinstance(model, Contracting):
        inner = redrawn(model.inner, seed)
        return Contracting(inner, rate=model.rate, property=model.property, method=model.method)
    return build(reseeded(model.spec(), seed))


def reseeded(spec: dict[str, Any], seed: int) -> dict[str, Any]:
    """The specification with a seed in every cell: `seed` in the first, then seed + 1000, seed + 2000 ..."""
    seeds = iter(range(seed, seed + 1_000_000, 1000))

    def visit(part) -> Any:
        if isinstance(part, (list, tuple)):
            return [visit(item) for item in part]
        if not isinstance(part, dict):
            return part
        inner = {key: visit(value) for key, value in part.items()}
        is_cell = "kind" in part and not any(isinstance(v, (dict, list, tuple)) for v in part.values())
        return {**inner, "seed": next(seeds)} if is_cell else inner

    return visit(spec)


def _screened(screening: Screening | None, model, drawn, train, valid, options, progress) -> Screened:
    """All starts as they are without a screening."""
    if screening is None:
        return Screened(drawn, {}, False)
    signature(fit).bind(model, train, valid, **options)  # a misspelt option is told before the screening
    known = ("certificate", "method", "margin", "washout", "u_min", "u_max")
    return screening(model, drawn, train, valid, progress=progress, **{k: v for k, v in options.items() if k in known})


def _restart(model, seed, train, valid, options) -> Restart:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            result, failure = fit(model, train, valid, seed=seed, progress=False, **options), ""
        except CertificateError as error:
            result, failure = None, str(error)
    return Restart(seed, result, failure, tuple(str(w.message) for w in caught))


def _ranked(done: list[Restart], interrupted: bool, screened: dict[int, float]) -> Restarts:
    failures = {r.seed: r.failure for r in done if r.result is None}
    kept = sorted(((error_of(r.result), r.seed, r) for r in done if r.result is not None), key=lambda k: k[:2])
    if not kept:
        raise CertificateError(f"none of the seeds {sorted(failures)} has a model: {failures[min(failures)]}")
    for message in kept[0][2].warned:
        warnings.warn(f"seed {kept[0][1]}, the best: {message}", stacklevel=3)
    errors, seeds, restarts = zip(*kept, strict=True)
    return Restarts(tuple(r.result for r in restarts), seeds, errors, failures, interrupted, screened)
