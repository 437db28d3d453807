"""Whether a search without a validation part is worth it: it is rehearsed on most of the records."""

import copy
import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

from .data import Experiment
from .fit_result import FitResult
from .linear import LinearModel, fit_linear
from .model import Model

FIRST = 0.8
"""Share of each record that is trained on; the rest judges, and has no say in anything else."""
EACH = 10
"""Samples of outputs to a parameter from which on a model under a certificate hardly learns them by heart."""


class Rehearsal(NamedTuple):
    """Whether the search errs more than its start on what neither has seen; its end, if the user interrupted it."""

    in_vain: bool
    interrupted: FitResult | None = None


def is_few(model: Model, train: Experiment) -> bool:
    """Whether there are fewer than EACH samples to a trained parameter."""
    return EACH * sum(v.numel() for v in model.parameters() if v.requires_grad) > sum(y.size for y in train.ys)


def rehearse(
    fit: Callable[..., Any], model: Model, train: Experiment, linear: LinearModel, options: dict[str, Any]
) -> Rehearsal:
    """Of a search on FIRST of each record, and the start that it has from a linear model, which errs more on the rest.

    Of copies of the model, one is searched for as `options` say, one is that start, from the linear model of the same
    samples and the order of `linear`. fit: `rnn_control.fit`. Not in vain where FIRST of the records cannot be trained
    on, such as one in which an input does not move yet. After a Ctrl-C the model is what was found so far.
    """
    box, start = {k: options[k] for k in ("u_min", "u_max")}, dict(epochs=0, polish=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what there is to say of the records is said of the model that is returned
        try:
            first, rest = train.split(FIRST)
            options = options | dict(linear=fit_linear(first, order=linear.order, **box))
            searched = fit(twin := copy.deepcopy(model), first, first, **options)
            begun = None if searched.interrupted else fit(copy.deepcopy(model), first, first, **options | start)
        except ValueError:
            return Rehearsal(False)
    if begun is None or begun.interrupted:
        model.load_state_dict(twin.state_dict())
        return Rehearsal(False, replace(searched, interrupted=True))
    washout = min(50, *(len(u) // 4 for u in rest.us))
    error, of_start = (r.model.score(rest, washout).mean_error(r.model.scaler.y_std) for r in (searched, begun))
    return Rehearsal(error > of_start)
