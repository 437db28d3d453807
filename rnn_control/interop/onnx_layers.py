"""Recurrent layers in ONNX files, with their weights: to be certified, exported and controlled. Needs onnx.

ONNX has an operator for a whole GRU or LSTM, which is what torch and Keras export of a layer. Its weights and those of
the linear read-out behind it are taken out; nothing of the file is executed.

    GRU:  W (1, 3n, nu), R (1, 3n, n), B (1, 6n), gates z r h; linear_before_reset: the reset multiplies the product
    LSTM: W (1, 4n, nu), R (1, 4n, n), B (1, 8n), gates i o f c

Reference: ONNX operators GRU and LSTM, version 14 and later.
"""

from pathlib import Path
from typing import Any

import numpy as np

from ..identified import IdentifiedModel
from ..models.gru import GRU
from ..models.gru_reset_after import GRUResetAfter
from ..models.lstm import LSTM
from ..scaler import Scaler
from .weights import gates, identified

try:
    import onnx
    from google.protobuf.message import DecodeError
except ImportError as error:
    raise ImportError('layers in ONNX files need onnx: pip install "rnn-control[interop]"') from error

CELLS: dict[tuple[str, int], tuple[str, type]] = {
    ("GRU", 1): ("zrn", GRUResetAfter), ("GRU", 0): ("zfr", GRU), ("LSTM", 0): ("iofc", LSTM),
}  # fmt: skip
"""(operator, linear_before_reset) -> this package's names of its gates, in ONNX's order, and the cell."""
HARMLESS = {"hidden_size", "layout", "linear_before_reset", "direction"}
"""Attributes that change no equation; direction only as the default "forward"."""


def from_onnx_layer(path: str | Path, scaler: Scaler, **labels: Any) -> IdentifiedModel:
    """The one GRU or LSTM in the file with the Gemm, or MatMul and Add, that reads its states out.

    scaler and labels: see from_torch. Raises ValueError for a file that holds anything else.
    """
    graph = _read(Path(path)).graph
    known = {t.name: onnx.numpy_helper.to_array(t).astype(float) for t in graph.initializer}
    known |= {
        node.output[0]: onnx.numpy_helper.to_array(node.attribute[0].t).astype(float)
        for node in graph.node
        if node.op_type == "Constant" and node.attribute[0].name == "value"
    }
    layers = [node for node in graph.node if node.op_type in ("GRU", "LSTM", "RNN")]
    if len(layers) != 1 or layers[0].op_type == "RNN":
        raise ValueError(f"{path} has the layers {[n.op_type for n in layers]}; one GRU or LSTM is needed")
    [layer] = layers
    order, cell = CELLS[layer.op_type, _attributes(layer, path).get("linear_before_reset", 0)]
    W, R, *B = (known[name][0] for name in layer.input[1:4] if name)
    b = B[0].reshape(2, -1) if B else np.zeros((2, len(W)))
    C, b_y = _readout(graph, known, R.shape[1], path)
    return identified(cell(W.shape[1], len(C), R.shape[1]), gates(order, W, R, b), C, b_y, scaler, labels)


def _read(path: Path) -> Any:
    if not path.exists():
        raise FileNotFoundError(f"no ONNX file {path}")
    try:
        return onnx.load(str(path))
    except DecodeError as error:
        raise ValueError(f"{path} is no ONNX file: {error}") from error


def _attributes(layer: Any, path) -> dict[str, Any]:
    """By name; ValueError for those that have no equal here."""
    found = {a.name: onnx.helper.get_attribute_value(a) for a in layer.attribute}
    odd = sorted(set(found) - HARMLESS)
    if odd or found.get("direction", b"forward") != b"forward" or (layer.op_type == "LSTM" and any(layer.input[7:8])):
        raise ValueError(f"{path}: the {layer.op_type} has {odd or 'a direction or peepholes'} that no cell here has")
    return found


def _readout(graph: Any, known: dict[str, np.ndarray], n: int, path) -> tuple[np.ndarray, Any]:
    """C (ny, n) and b_y (ny,) of the last product with a constant matrix of n rows or columns."""
    products = [node for node in graph.node if node.op_type in ("Gemm", "MatMul") and node.input[1] in known]
    if not products:
        raise ValueError(f"{path} has no linear read-out: no Gemm or MatMul with a constant matrix")
    node = products[-1]
    is_turned = any(a.name == "transB" and a.i for a in node.attribute)
    C = known[node.input[1]] if is_turned else known[node.input[1]].T
    if len(products) > 1 or C.shape[1] != n:
        shapes = [known[product.input[1]].shape for product in products]
        raise ValueError(f"{path} reads the states out by products with {shapes}; one with ({n}, ny) is needed")
    if node.op_type == "Gemm":
        return C, known[node.input[2]] if len(node.input) > 2 else 0.0
    added = [i for other in graph.node if other.op_type == "Add" and node.output[0] in other.input for i in other.input]
    return C, next((known[name] for name in added if name in known), 0.0)
