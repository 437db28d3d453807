"""What a training is not begun with: options that do not fit each other, the model or the records."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .conditions import PROPERTIES, TRAINABLE
from .data import Experiment
from .identified import IdentifiedModel
from .model import Model
from .starts import STARTS

HORIZONS = {"simulation": None, "one-step": 1}


def check_options(
    model: Model, train: Experiment, valid: Experiment | None, certificate: str | None, method: str, initial: str,
    drift: str | None,
) -> None:  # fmt: skip
    """Raises ValueError with what is wrong and how to mend it."""
    if isinstance(model, IdentifiedModel) or not isinstance(model, Model):
        raise ValueError(f"model is a {type(model).__name__}; give an architecture such as GRU(nu=2, ny=2, size=8)")
    if any(v.dtype != torch.float64 for v in model.parameters()):
        raise ValueError("the model's parameters are not float64, in which it is trained; call model.double() first")
    if (model.nu, model.ny) != (train.nu, train.ny):
        raise ValueError(
            f"the model has nu = {model.nu}, ny = {model.ny}; the data have {train.nu} inputs {train.u_names} and "
            f"{train.ny} outputs {train.y_names}"
        )
    channels = ("u_names", "y_names", "u_units", "y_units", "dt")
    if valid is not None and any(getattr(valid, k) != getattr(train, k) for k in channels):
        raise ValueError("train and valid have different channels, units or sampling times; split one Experiment")
    if certificate is not None and certificate not in PROPERTIES:
        raise ValueError(f"certificate is {certificate!r}; choose from {', '.join(PROPERTIES)} or None")
    held = [name for name in PROPERTIES if model.by_construction(name)]
    if certificate is not None and held and certificate not in held:
        raise ValueError(
            f"the model has {held[0]} by construction, not {certificate}; ask for certificate={held[0]!r}, or build it "
            f"with property={certificate!r}"
        )
    known = ("auto", *(TRAINABLE if certificate else ()))
    if method not in known:
        raise ValueError(f"method is {method!r}; for {certificate} choose {', '.join(known)}")
    if initial not in STARTS:
        raise ValueError(f"initial is {initial!r}; choose from {', '.join(STARTS)}")
    if drift not in ("auto", None):
        raise ValueError(f'drift is {drift!r}; choose "auto" or None')


def steps_ahead(horizon: int | str | None) -> int | None:
    """The number of samples that a word stands for, None for the simulation. Raises ValueError for other words."""
    if not isinstance(horizon, str):
        return horizon
    if horizon not in HORIZONS:
        raise ValueError(f'horizon is {horizon!r}; give "simulation", "one-step" or a number of samples from 1 on')
    return HORIZONS[horizon]


def limits_of(
    model: Model, limits: Mapping[str, tuple[Any, Any]] | None, certificate: str | None
) -> dict[Tensor, tuple[np.ndarray, np.ndarray]]:
    """Least and largest values of parameters, in their shapes, by the parameter that they are of.

    Raises ValueError for names that are not trained, for values that leave no room, and for ones that a certificate,
    which shrinks the parameter, may leave.
    """
    trained, found = {k: v for k, v in model.named_parameters() if v.requires_grad}, {}
    for name, ends in (limits or {}).items():
        if name not in trained:
            raise ValueError(f"limits name {name!r}; the parameters that are trained are {', '.join(trained)}")
        shape = tuple(trained[name].shape)
        try:
            low, high = (np.broadcast_to(np.asarray(end, float), shape) for end in ends)
        except (TypeError, ValueError) as error:
            raise ValueError(f"limits of {name} are {ends}; give two numbers, or arrays of shape {shape}") from error
        if not (low < high).all():
            raise ValueError(f"limits of {name} are {ends}; the lower ones must be smaller than the upper ones")
        if certificate is not None and name in model.recurrent and not ((low <= 0) & (high >= 0)).all():
            raise ValueError(
                f"limits of {name} are {ends} without zero, towards which {certificate} may have to shrink it; take "
                "zero in, or certificate=None"
            )
        found[trained[name]] = low, high
    return found


def check_numbers(**numbers: float) -> None:
    """Raises ValueError for what is not a number from 0 on, and for a margin of one and more."""
    for name, value in numbers.items():
        if not (np.isfinite(value) and value >= 0):
            raise ValueError(f"{name} is {value}; it must not be negative")
    if not 0 < numbers["margin"] < 1:
        raise ValueError(f"margin is {numbers['margin']}; it must lie between 0 and 1, e.g. 0.01")
