"""Make a model satisfy a condition: the largest common shrinkage of its recurrent weights that does."""

import copy

import torch

from .conditions import TRAINABLE, condition
from .model import Model


class CertificateError(RuntimeError):
    """No model with the certificate asked for was found."""


def contract(model: Model, property: str, method: str, margin: float) -> float:
    """Shrink the recurrent weights by the largest common factor in [0, 1] that satisfies a condition with margin.

    Returns the factor. Raises CertificateError where even zero recurrent weights do not satisfy it.
    """
    names = dict(model.named_parameters()) | dict(model.named_buffers())
    full = {name: names[name].detach().clone() for name in model.recurrent}

    @torch.no_grad()
    def room(factor):
        for name, value in full.items():
            names[name].copy_(factor * value)
        excess = condition(model, model.theta(), model.input_box(), property, method).excess(margin)
        return -float(torch.nan_to_num(excess, nan=torch.inf).max())

    if room(1.0) > 0:
        return 1.0
    if room(0.0) <= 0:
        room(1.0)
        raise CertificateError(
            f"{model.kind}: even without recurrent weights the {method} condition for {property} fails"
        )
    low, high = 0.0, 1.0
    for _ in range(30):
        mid = (low + high) / 2
        low, high = (mid, high) if room(mid) > 0 else (low, mid)
    room(low)
    return low


def roomiest_method(model: Model, property: str, margin: float) -> str:
    """The condition that needs the least shrinkage of the model; among those that need none, the best rate.

    For ISS the published one then: the weighted one, which deltaISS enforces too, asks more of the gates.
    """

    @torch.no_grad()
    def merit(method):
        trial = copy.deepcopy(model)
        try:
            factor = contract(trial, property, method, margin)
        except CertificateError:
            return -1.0, 0.0
        bound = condition(trial, trial.theta(), trial.input_box(), property, method)
        return factor, 0.0 if property == "iss" else -float(bound.rate)

    return max(TRAINABLE, key=merit)
