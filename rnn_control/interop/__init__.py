"""Other people's tools: files and objects out, trained models in."""

from .acados_model import to_acados
from .c_source import to_c
from .do_mpc_model import to_do_mpc
from .matlab import to_mat, to_matlab
from .onnx_files import from_onnx, in_units, step_function, to_onnx
from .python_control import linearise, rest, to_control
from .weights import from_keras, from_torch, to_torch, with_box

__all__ = [
    "from_keras", "from_onnx", "from_torch", "in_units", "linearise", "rest", "step_function", "to_acados", "to_c",
    "to_control", "to_do_mpc", "to_mat", "to_matlab", "to_onnx", "to_torch", "with_box",
]  # fmt: skip
