"""The architectures, one a file; a new one adds its line to MODELS and nothing else."""

from typing import Any

from ..model import Model
from .esn import ESN
from .gru import GRU
from .gru_reset_after import GRUResetAfter
from .lipschitz_rnn import LipschitzRNN
from .lstm import LSTM
from .network import Cascade, Network
from .nnarx import NNARX
from .ren import REN, LipschitzREN

MODELS: dict[str, type[Model]] = {
    "gru": GRU,
    "gru_reset_after": GRUResetAfter,
    "lstm": LSTM,
    "esn": ESN,
    "nnarx": NNARX,
    "lipschitz_rnn": LipschitzRNN,
    "ren": REN,
    "lipschitz_ren": LipschitzREN,
}


def build(spec: dict[str, Any]) -> Model:
    """The model that `Model.spec()` describes, with its starting parameters."""
    spec = dict(spec)
    kind = spec.pop("kind", None)
    if kind == Cascade.kind:
        return Cascade(*(build(layer) for layer in spec["layers"]))
    if kind == Network.kind:
        blocks = {b["name"]: (b["reads"], build(b["model"]), b["writes"]) for b in spec["blocks"]}
        return Network(spec["inputs"], blocks, spec["outputs"])
    if kind not in MODELS:
        names = ", ".join((*MODELS, Cascade.kind, Network.kind))
        raise ValueError(f"no model called {kind!r}; there are {names}")
    return MODELS[kind](**spec)
