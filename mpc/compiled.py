"""The condensed solver in C: the text in c/ around the code of one cell, compiled once and kept on disk."""

import ctypes
import hashlib
import os
import platform
import re
import shutil
import subprocess
import tempfile
import warnings
from collections.abc import Callable, Sequence
from importlib.resources import files
from pathlib import Path

import casadi as ca

from .cell import Cell

SOLVER = ("types.h", "clock.c", "qp.c", "horizon.c", "sqp.c", "library.c")
FLAGS = ("-O2", "-ftree-vectorize", "-march=native", "-ffast-math", "-fno-finite-math-only", "-fPIC", "-std=gnu11")
HEADERS = "#include <math.h>\n#include <string.h>\n#include <stddef.h>\n"
NOINLINE = "#if defined(__GNUC__)\n#define NOINLINE __attribute__((noinline))\n#else\n#define NOINLINE\n#endif\n"
# CasADi's dense product runs down the rows of A in its inner loop; down a column it is five times as fast
PRODUCT = re.compile(r"void casadi_mtimes_dense\(.*?\n}\n", re.DOTALL)
FAST_PRODUCT = """NOINLINE static void casadi_mtimes_dense(const casadi_real* x, casadi_int m, casadi_int n,
    const casadi_real* y, casadi_int cols, casadi_real* z, casadi_int tr) {
  for (casadi_int i = 0; i < cols; ++i) {
    if (tr) {
      const casadi_real* b = y + i*m;
      for (casadi_int j = 0; j < n; ++j) {
        casadi_real sum = 0;
        for (casadi_int k = 0; k < m; ++k) sum += x[j*m + k]*b[k];
        z[i*n + j] += sum;
      }
      continue;
    }
    casadi_real* restrict c = z + i*m;
    const casadi_real* b = y + i*n;
    casadi_int k = 0;
    for (; k + 3 < n; k += 4) {
      const casadi_real* restrict a = x + k*m;
      for (casadi_int j = 0; j < m; ++j) c[j] += a[j]*b[k] + a[j+m]*b[k+1] + a[j+2*m]*b[k+2] + a[j+3*m]*b[k+3];
    }
    for (; k < n; ++k) for (casadi_int j = 0; j < m; ++j) c[j] += x[k*m + j]*b[k];
  }
}
"""


def find_compiler() -> str | None:
    """$CC, cc, gcc or clang, whichever is there first."""
    return next((c for c in (os.environ.get("CC"), "cc", "gcc", "clang") if c and shutil.which(c)), None)


def cache_folder() -> Path:
    """Where compiled controllers are kept: $RNN_CONTROL_CACHE, else the user's cache folder."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("RNN_CONTROL_CACHE") or Path(base) / "rnn_control_mpc")


def template(*names: str) -> str:
    """Texts of c/, one after the other."""
    folder = files("mpc") / "c"
    return "\n".join((folder / name).read_text(encoding="utf-8") for name in names)


def sizes(functions: Sequence[ca.Function], blocks: tuple[int, ...]) -> dict[str, int]:
    """The macros that c/types.h is written in; blocks[k] is the move that stage k belongs to.

    functions: model_roll, and whatever else the solver calls
    """
    (nx, nu), ny = (functions[0].size1_in(i) for i in (0, 1)), functions[0].size1_out(1)
    found = {"N": len(blocks), "NX": nx, "NU": nu, "NY": ny, "NB": blocks[-1] + 1, "NV": (blocks[-1] + 1) * nu}
    work = ("SZ_ARG", "SZ_RES", "SZ_IW", "SZ_W")
    return found | {name: max(getattr(F, name.lower())() for F in functions) for name in work}


def source(cell: Cell, blocks: tuple[int, ...]) -> str:
    """The whole solver as C."""
    defines = [f"#define {name} {value}" for name, value in sizes(cell, blocks).items()]
    defines.append(f"#define BLOCKS {{{', '.join(map(str, blocks))}}}")
    generator = ca.CodeGenerator("model", {"with_header": False})
    for F in cell:
        generator.add(F)
    model = PRODUCT.sub(FAST_PRODUCT, generator.dump(), count=1)
    return "\n".join((HEADERS, NOINLINE, model, *defines, template(*SOLVER)))


def load(key: tuple[str, ...], make: Callable[[], str]) -> ctypes.CDLL | None:
    """The library that make() is the source of, from the cache where key, compiler flags and processor are known.

    None where there is no compiler; and with a warning, where there is one and it fails.
    """
    compiler = find_compiler()
    if compiler is None:
        return None
    parts = (*key, template(*SOLVER), FAST_PRODUCT, compiler, *FLAGS, ca.CasadiMeta.version(), _processor())
    path = cache_folder() / f"{hashlib.sha256(chr(0).join(parts).encode()).hexdigest()[:24]}.so"
    try:
        if not path.exists():
            _compile(compiler, make(), path)
        library = ctypes.CDLL(str(path))
    except (OSError, RuntimeError, subprocess.CalledProcessError) as failure:
        # RuntimeError is CasADi's, for a model that it cannot write as C
        words = failure.stderr.decode() if isinstance(failure, subprocess.CalledProcessError) else str(failure)
        text = f"the controller runs without compiled code, several times slower: {words.strip()[:500]}"
        warnings.warn(text, RuntimeWarning, stacklevel=5)
        return None
    p, i, d = ctypes.c_void_p, ctypes.c_int, ctypes.c_double
    library.solve.argtypes, library.solve.restype = [p, p, p, p, p, p, p, i, d, d], i
    for size in (library.work_size, library.rows_offset, library.rows_end):
        size.argtypes, size.restype = [], ctypes.c_size_t
    return library


def _compile(compiler: str, text: str, path: Path) -> None:
    """Compile with fast arithmetic, link without: fast-math start-up code would change the caller's rounding."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        c, o, so = (Path(folder, "controller" + end) for end in (".c", ".o", ".so"))
        c.write_text(text)
        subprocess.run([compiler, *FLAGS, "-c", str(c), "-o", str(o)], check=True, capture_output=True)
        subprocess.run([compiler, "-shared", str(o), "-o", str(so), "-lm"], check=True, capture_output=True)
        os.replace(so, path)


def _processor() -> str:
    """What -march=native depends on, so that a shared cache never serves another machine's code."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    return next((line for line in lines if line.startswith(("flags", "Features"))), platform.platform())
