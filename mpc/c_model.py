"""The model as C: CasADi's code, stripped to what a solver calls, and around it that of the Jacobians."""

import re
from collections.abc import Sequence
from importlib.resources import files

import casadi as ca

from .c_numbers import Tables
from .c_programme import ProgrammeText
from .cell import Cell
from .scales import Scales, scaled_expressions
from .system import System

COMMENT = re.compile(r"^  /\* #\d+:.*?\*/\n", re.M | re.S)
# CasADi's functions to be asked for sizes and sparsity from outside
INTERFACE = re.compile(
    r"^[\w* ]+\b(?:parts_)?(?:model|base)_(?:casadi|roll|cell|curve|output|slope)_\w+\([^)]*\) ?"
    r"\{(?:[^\n]*\}\n|.*?^\}\n)\n?",
    re.M | re.S,
)
PATTERN = re.compile(r"^static const casadi_int (casadi_s\d+)\[\d+\] =\s*\{.*?\};\n", re.M | re.S)
EXPORTED = re.compile(r"^(?=(?:int|void|casadi_real) (?:casadi|model|base|parts)_\w+\()", re.M)
BODY = re.compile(r"^(static int casadi_f\d+\(.*?\) \{\n)", re.M)
ARGUMENTS = "  (void)arg, (void)res, (void)iw, (void)w, (void)mem;\n"
# CasADi's dense product runs down the rows of A in its inner loop; down a column it is several times as fast
PRODUCT = re.compile(r"void casadi_mtimes_dense\(.*?\n}\n", re.DOTALL)
FAST_PRODUCT = """static void casadi_mtimes_dense(const casadi_real* x, casadi_int m, casadi_int n,
    const casadi_real* y, casadi_int cols, casadi_real* z, casadi_int tr) {
  if (!tr) {
    add_product((int) m, (int) n, (int) cols, x, y, (int) n, z, (int) m);
    return;
  }
  for (casadi_int i = 0; i < cols; ++i)
    for (casadi_int j = 0; j < n; ++j) {
      casadi_real sum = 0;
      for (casadi_int k = 0; k < m; ++k) sum += x[j*m + k]*y[i*m + k];
      z[i*n + j] += sum;
    }
}
"""


def output_function(system: System, scales: Scales) -> ca.Function:
    """base_output: y = g(x), scaled."""
    x, u = ca.MX.sym("x", system.nx), ca.MX.sym("u", system.nu)
    _, g = scaled_expressions(system, scales, x, u)
    return ca.Function("base_output", [x], [ca.densify(g)], {"cse": True})


class Model:
    """roll, cell, curve of cells and others of CasADi as static functions of C99."""

    def __init__(self, cells: Sequence[Cell], *others: ca.Function):
        programmes = [p for c in cells for p in (c.cell, c.curve)]
        self.roll, self._tables = cells[0].roll, Tables()
        self._functions = *(c.roll for c in cells), *(p.parts for p in programmes), *others
        self._programmes = tuple(ProgrammeText(p, self._tables) for p in programmes)

    def sizes(self) -> dict[str, int]:
        """SZ_ARG, SZ_RES, SZ_IW, SZ_W: of the vectors that the functions need, CasADi's names."""
        names = self._programmes[0].sizes
        return {
            name: max(
                *(getattr(F, name.lower())() for F in self._functions), *(p.sizes[name] for p in self._programmes)
            )
            for name in names
        }

    def text(self) -> str:
        """Raises ValueError for a model that CasADi cannot write as C."""
        generator = ca.CodeGenerator("model", {"with_header": False})
        try:
            for F in self._functions:
                generator.add(F)
            text = generator.dump()
        except RuntimeError as failure:
            raise ValueError(f"the model cannot be written as C: {str(failure).strip()[:300]}") from failure
        text = INTERFACE.sub("", COMMENT.sub("", PRODUCT.sub(FAST_PRODUCT, text, count=1)))
        text = BODY.sub(rf"\1{ARGUMENTS}", EXPORTED.sub("static ", text.replace("CASADI_SYMBOL_EXPORT ", "")))
        # a sparsity pattern that only the interface named: its definition and the macro of its name are left
        text = PATTERN.sub(lambda found: found[0] if len(re.findall(rf"\b{found[1]}\b", text)) > 2 else "", text)
        product = (files("mpc") / "c" / "product.c").read_text(encoding="utf-8")
        programmes = [p.text() for p in self._programmes]
        return "\n".join((product, text, *self._tables.lines(), *programmes))
