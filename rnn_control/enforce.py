"""What a training has to enforce, and the model that it begins with."""

import numpy as np

from .contract import contract, roomiest_method
from .kernel import Batch, Kernel
from .model import Model
from .models.network import Network
from .readout import fit_readout


def enforced_on(model: Model, certificate: str | None, method: str, margin: float) -> tuple[str | None, str]:
    """The property that a training has to see to, None if the model has it by construction, and by which condition."""
    constructed = None if certificate is None else model.by_construction(certificate)
    if certificate is not None and method == "auto":
        method = constructed or roomiest_method(model, certificate, margin)
    return None if method == constructed else certificate, method


def begin(model: Model, kernel: Kernel, data: Batch, enforced: str | None, method: str, margin: float) -> None:
    """Shrink the model to what is enforced and fit its read-out. Raises CertificateError where no shrinkage will do."""
    if enforced is not None:
        contract(model, enforced, method, margin)
    if enforced is None or not isinstance(model, Network):
        # inside a network they count in its loops: what proves them would shrink the rest to nothing
        fit_readout(model, kernel, np.zeros((len(data.u), model.nx)), data)
    if enforced is not None:
        contract(model, enforced, method, margin)
