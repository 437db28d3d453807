"""rnn-control export: a model for other tools."""

from pathlib import Path

import click

from .output import Rows, show
from .types import INPUT_FILE, OutputFile, as_json, example

EPILOG = example(
    "rnn-control export model.safetensors --to c --out controller_model.c",
    "rnn-control export model.safetensors --to onnx",
)
SUFFIX = {"casadi": ".casadi", "onnx": ".onnx", "c": ".c", "matlab": ".m"}


@click.command(epilog=EPILOG)
@click.argument("model", type=INPUT_FILE)
@click.option("--to", "target", type=click.Choice(list(SUFFIX)), required=True)
@click.option("--out", type=click.Path(path_type=Path), help="File to write; default: beside MODEL.")
@as_json
def export(model, target, out, as_json):
    """Write MODEL as one sampling instant: y = g(x), x_next = f(x, u), u and y in physical units.

    \b
    casadi  a function for ca.Function.load, (x, u) -> (x_next, y)
    onnx    a graph with the same signature, rows (1, n), double
    c       C99 functions NAME_f and NAME_g, nothing to link but the maths library
    matlab  NAME.m, [x_next, y] = NAME(x, u), and NAME.mat with the weights
    """
    from rnn_control import IdentifiedModel
    from rnn_control.files import whole_file
    from rnn_control.interop import step_function, to_c, to_mat, to_matlab, to_onnx

    out = OutputFile(SUFFIX[target]).convert(out or model.with_suffix(SUFFIX[target]), None, None)
    identified = IdentifiedModel.load(model)
    if target == "casadi":
        with whole_file(out) as partial:
            step_function(identified.to_casadi()).save(str(partial))
        files = [out]
    elif target == "onnx":
        files = [to_onnx(identified.to_casadi(), out)]
    elif target == "c":
        files = [to_c(identified, out)]
    else:
        function = to_matlab(identified, out)
        files = [function, to_mat(identified, function.with_suffix(".mat"))]
    show({"files": files}, [Rows("", (), [("written", str(file)) for file in files])], as_json)
    return 0
