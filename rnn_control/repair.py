"""Post-hoc repair: the least common shrinkage of a trained model's recurrent weights that is certified."""

import copy
import dataclasses
from typing import NamedTuple

import torch

from .certificate import Certificate
from .certify import certify
from .contract import CertificateError
from .identified import IdentifiedModel
from .model import Model

HALVINGS = 12
"""Of the interval in which the factor is looked for: to 0.025 %."""


class Repaired(NamedTuple):
    """A copy of the model, the factor of its recurrent weights, and the certificate that they have."""

    model: Model | IdentifiedModel
    factor: float
    certificate: Certificate


def repair(
    model: Model | IdentifiedModel,
    property: str = "delta_iss",
    rate: float = 0.999,
    method: str = "best",
    rigorous: bool = False,
) -> Repaired:
    """The model with its recurrent weights times the largest factor in [0, 1] found whose certificate has the rate.

    property, method, rigorous: those of `certify`; rate: decay a sample, at most. The given model stays as it is. A
    factor well below one changes what the model says of the plant: compare its score, or train it again from there with
    fit(..., certificate=...). Found by bisection, each of some ten tries a certificate.
    Raises ValueError for a rate outside (0, 1) or a model with its certificate by construction, CertificateError where
    nothing is certified even without recurrent weights.
    """
    if not 0 < rate < 1:
        raise ValueError(f"rate is {rate}; it must lie between 0 and 1, e.g. 0.999")
    plain = model.model if isinstance(model, IdentifiedModel) else model
    if plain.by_construction(property):
        raise ValueError(
            f"a {plain.kind} is certified by construction: there is nothing to repair; build it with a rate"
        )
    low, high, best = 0.0, 1.0, _tried(model, plain, property, rate, method, rigorous, 1.0)
    if best is not None:
        return best
    best = _tried(model, plain, property, rate, method, rigorous, 0.0)
    if best is None:
        raise CertificateError(
            f"{plain.kind}: even without recurrent weights no rate of {rate} is certified for {property} by {method}"
            f"{', in exact arithmetic' if rigorous else ''}; ask for a slower one"
        )
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        found = _tried(model, plain, property, rate, method, rigorous, middle)
        low, high, best = (low, middle, best) if found is None else (middle, high, found)
    return best


@torch.no_grad()
def _tried(model, plain: Model, property, rate, method, rigorous, factor: float) -> Repaired | None:
    shrunk = copy.deepcopy(plain)
    named = dict(shrunk.named_parameters()) | dict(shrunk.named_buffers())
    for name in shrunk.recurrent:
        named[name].mul_(factor)
    whole: Model | IdentifiedModel = shrunk
    if isinstance(model, IdentifiedModel):  # the states of another model go elsewhere than the training took them
        whole = dataclasses.replace(model, model=shrunk, visited=model.visited if factor == 1 else None)
    certificate = certify(whole, property, method, rigorous=rigorous)
    is_enough = certificate.holds and certificate.rate <= rate
    return Repaired(whole, factor, certificate) if is_enough else None
