"""Whether a search without a validation part is worth it: it is rehearsed on most of the records."""

import copy
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

from .contract import CertificateError
from .data import Experiment
from .linear import LinearModel, fit_linear
from .model import Model

FIRST = 0.8
"""Share of each record that is trained on; the rest judges, and has no say in anything else."""
EACH = 10
"""Samples of outputs to a parameter from which on a model under a certificate hardly learns them by heart."""


class Rehearsal(NamedTuple):
    """Whether the search errs more than its start on what neither has seen, and whether the user interrupted it."""

    in_vain: bool
    interrupted: bool


def is_few(model: Model, train: Experiment) -> bool:
    """Whether there are fewer than EACH samples to a trained parameter."""
    return EACH * sum(v.numel() for v in model.parameters() if v.requires_grad) > sum(y.size for y in train.ys)


def rehearse(
    fit: Callable[..., Any], model: Model, train: Experiment, linear: LinearModel, options: dict[str, Any]
) -> Rehearsal:
    """Of a search on FIRST of each record, and the start that it has from a linear model, which errs more on the rest.

    Of copies of the model, one is searched for as `options` say, one is that start, from the linear model of the same
    samples and the order of `linear`. fit: `rnn_control.fit`. Not in vain where FIRST of the records cannot be trained
    on, such as one in which an input does not move yet.
    """
    box, start = {k: options[k] for k in ("u_min", "u_max")}, dict(epochs=0, polish=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what there is to say of the records is said of the model that is returned
        try:
            first, rest = train.split(FIRST)
            options = options | dict(linear=fit_linear(first, order=linear.order, **box))
            results = [fit(copy.deepcopy(model), first, first, **options | how) for how in ({}, start)]
        except (ValueError, CertificateError):
            return Rehearsal(False, False)
    washout = min(50, *(len(u) // 4 for u in rest.us))
    searched, begun = (result.model.score(rest, washout).mean_fit for result in results)
    return Rehearsal(not searched >= begun, any(result.interrupted for result in results))
