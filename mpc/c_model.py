"""The model's functions as C by CasADi, stripped to what a controller calls: static, and free of warnings."""

import re

import casadi as ca

from .cell import Cell
from .compiled import FAST_PRODUCT, PRODUCT
from .scales import Scales, scaled_expressions
from .system import System

COMMENT = re.compile(r"^  /\* #\d+:.*?\*/\n", re.M | re.S)
# CasADi's functions to be asked for sizes and sparsity from outside
INTERFACE = re.compile(
    r"^[\w* ]+\bmodel_(?:casadi|roll|cell|curve|output)_\w+\([^)]*\) ?\{(?:[^\n]*\}\n|.*?^\}\n)\n?", re.M | re.S
)
PATTERN = re.compile(r"^static const casadi_int (casadi_s\d+)\[\d+\] =\s*\{.*?\};\n", re.M | re.S)
EXPORTED = re.compile(r"^(?=(?:int|void|casadi_real) (?:casadi|model)_\w+\()", re.M)
BODY = re.compile(r"^(static int casadi_f\d+\(.*?\) \{\n)", re.M)
ARGUMENTS = "  (void)arg, (void)res, (void)iw, (void)w, (void)mem;\n"


def model_functions(cell: Cell, system: System, scales: Scales) -> tuple[ca.Function, ...]:
    """model_roll, model_cell, model_curve, and model_output: y = g(x), scaled."""
    x, u = ca.MX.sym("x", system.nx), ca.MX.sym("u", system.nu)
    _, g = scaled_expressions(system, scales, x, u)
    return *cell, ca.Function("model_output", [x], [ca.densify(g)], {"cse": True})


def model_text(functions: tuple[ca.Function, ...]) -> str:
    """C99 of the functions, all static.

    Raises: ValueError for a model that CasADi cannot write as C.
    """
    generator = ca.CodeGenerator("model", {"with_header": False})
    try:
        for F in functions:
            generator.add(F)
        text = generator.dump()
    except RuntimeError as failure:
        raise ValueError(f"the model cannot be written as C: {str(failure).strip()[:300]}") from failure
    text = INTERFACE.sub("", COMMENT.sub("", PRODUCT.sub(FAST_PRODUCT, text, count=1)))
    text = BODY.sub(rf"\1{ARGUMENTS}", EXPORTED.sub("static ", text.replace("CASADI_SYMBOL_EXPORT ", "")))
    # a sparsity pattern that only the interface named: its definition and the macro of its name are left
    return PATTERN.sub(lambda found: found[0] if len(re.findall(rf"\b{found[1]}\b", text)) > 2 else "", text)
