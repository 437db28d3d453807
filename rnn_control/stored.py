"""A model as its file holds it, and the hash that binds certificates to it."""

from . import check
from .equations import equations
from .model import Model


def weights_hash(model: Model) -> str:
    """sha256 of the architecture and of the free and fixed parameters, as a saved model holds them."""
    return check.weights_hash(*stored(model))


def stored(model: Model) -> tuple[dict, dict, check.Raw]:
    """Architecture, equations, and shape and bytes of every tensor, as in the model's file."""
    text, made = equations(model)
    arrays = {k: v.detach().double().numpy().astype("<f8") for k, v in {**model.state_dict(), **made}.items()}
    return model.spec(), text._asdict(), {k: (v.shape, v.tobytes()) for k, v in arrays.items()}
