"""The conditions of stability by name, and what counts as one that holds."""

import torch

from .bounds import Bound, weighted_bound
from .lmi import lmi_bound
from .model import Model, Params
from .perron import perron_weights

PROPERTIES = ("delta_iss", "iss")
TRAINABLE = "published", "weighted"
"""Conditions that are cheap and differentiable: what a training may enforce."""
METHODS = *TRAINABLE, "lmi"
ROUNDING = 1e-9
"""A residual must lie this far below zero: the sums behind it are evaluated in float64, to about 1e-13."""
SLACK = 1e-12
"""A certificate states a rate, an overshoot and gains this much larger than evaluated, so that they can be proved."""


def condition(
    model: Model, p: Params, u_max: torch.Tensor, property: str, method: str, w=None, region: torch.Tensor | None = None
) -> Bound:
    """The bound of one condition; of the TRAINABLE ones differentiable in p, and in the weights w > 0 if given.

    region: an invariant box of states for the matrix inequality, else that of the comparison system.
    """
    if method == "published":
        return model.iss(p, u_max) if property == "iss" else model.delta_iss(p, u_max)
    system, is_iss = model.comparison(p, u_max), property == "iss"
    if method == "lmi":
        return lmi_bound(model, p, u_max, system.state_box if region is None else region, is_iss)
    system = system.of_one(model, p) if is_iss else system
    return weighted_bound(system, perron_weights(system) if w is None else w)


def is_proved(bound: Bound) -> bool:
    """All residuals negative and the rate below one, with room for rounding; NaN and inf are refused."""
    worst, rate = float(bound.residual.detach().max()), float(bound.rate.detach())
    return bool(worst < -ROUNDING and 0 <= rate < 1 - ROUNDING and torch.isfinite(bound.residual).all())
