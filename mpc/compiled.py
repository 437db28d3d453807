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
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path

import casadi as ca

from .c_model import Model
from .cell import Cell

SOLVER = ("types.h", "target_types.h", "clock.c", "qp.c", "horizon.c", "sqp.c", "feedback.c", "linear.c", "target.c",
          "library.c")  # fmt: skip
# what the text of a solver depends on, beside its system and horizon
GENERATORS = ("jacobian.py", "cell.py", "programme.py", "c_programme.py", "c_model.py", "c/product.c", "c/tanh.c")
FLAGS = ("-O2", "-ftree-vectorize", "-march=native", "-ffast-math", "-fno-finite-math-only", "-fPIC", "-std=gnu11")
# the model without a register of measured disturbances, where there is none
BASE = "\n".join(f"#define base_{name} model_{name}" for name in ("roll", "cell", "curve"))
CALLED = ("model_roll", "model_cell", "model_curve")
HEADERS = "#include <math.h>\n#include <string.h>\n#include <stddef.h>\n"
TANH = re.compile(r"for \(i=0, rr=(\w+), cs=(\w+); i<(\d+); \+\+i\) \*rr\+\+ = tanh\( \*cs\+\+ \);")
NOINLINE = "#if defined(__GNUC__)\n#define NOINLINE __attribute__((noinline))\n#else\n#define NOINLINE\n#endif\n"


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


def sizes(model: Model, blocks: tuple[int, ...]) -> dict[str, int]:
    """The macros that c/types.h is written in; blocks[k] is the move that stage k belongs to."""
    (nx, nu), ny, moves = (model.roll.size1_in(i) for i in (0, 1)), model.roll.size1_out(1), blocks[-1] + 1
    size = {"N": len(blocks), "NX": nx, "NU": nu, "NG": ny, "NB": moves, "NV": moves * nu, "BX": nx, "BU": nu}
    return {**size, **model.sizes()}


def sources(cell: Cell, blocks: tuple[int, ...]) -> Iterator[str]:
    """Solver and model as C, each for a compiler of its own."""
    model = Model([cell])
    defines = [f"#define {name} {value}" for name, value in sizes(model, blocks).items()] + [BASE]
    defines.append(f"#define BLOCKS {{{', '.join(map(str, blocks))}}}")
    calls = [f"int {name}(const double **arg, double **res, long long *iw, double *w, int mem);" for name in CALLED]
    yield "\n".join((HEADERS, NOINLINE, template("product.c"), *calls, *defines, template(*SOLVER)))
    text = TANH.sub(r"tanh_all(\3, \2, \1);", model.text())
    text = re.sub(rf"^static (?=int (?:{'|'.join(CALLED)})\()", "", text, flags=re.M)
    yield "\n".join((HEADERS, NOINLINE, template("tanh.c"), text))


def load(key: tuple[str, ...], make: Callable[[], Iterator[str]]) -> ctypes.CDLL | None:
    """The library that make() has the sources of, from the cache where key, compiler flags and processor are known.

    None where there is no compiler; and with a warning, where there is one and it fails.
    """
    compiler = find_compiler()
    if compiler is None:
        return None
    parts = (*key, template(*SOLVER), *_generators(), compiler, *FLAGS, ca.CasadiMeta.version(), _processor())
    path = cache_folder() / f"{hashlib.sha256(chr(0).join(parts).encode()).hexdigest()[:24]}.so"
    try:
        if not path.exists():
            _compile(compiler, make(), path)
        library = ctypes.CDLL(str(path))
    except (OSError, ValueError, subprocess.CalledProcessError) as failure:
        # ValueError: a model that CasADi cannot write as C
        words = failure.stderr.decode() if isinstance(failure, subprocess.CalledProcessError) else str(failure)
        text = f"the controller runs without compiled code, several times slower: {words.strip()[:500]}"
        warnings.warn(text, RuntimeWarning, stacklevel=5)
        return None
    p, i = ctypes.c_void_p, ctypes.c_int
    for call in (library.solve, library.prepare, library.finish):
        call.argtypes, call.restype = [p], i
    library.find_rest.argtypes, library.find_rest.restype = [p, p, p, p, p], i
    for size in (library.task_size, library.work_size, library.rows_offset, library.rows_end, library.rest_size):
        size.argtypes, size.restype = [], ctypes.c_size_t
    return library


def _compile(compiler: str, texts: Iterator[str], path: Path) -> None:
    """Compile with fast arithmetic, link without: fast-math start-up code would change the caller's rounding.

    A text is compiled while the next one is written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        runs: list[subprocess.Popen[bytes]] = []
        try:
            for i, text in enumerate(texts):
                c = Path(folder, f"part{i}.c")
                c.write_text(text)
                command = [compiler, *FLAGS, "-c", str(c), "-o", str(c.with_suffix(".o"))]
                runs.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE))
        finally:
            ended = [(run.args, *run.communicate(), run.returncode) for run in runs]
        for command, out, words, status in ended:
            if status:
                raise subprocess.CalledProcessError(status, command, out, words)
        objects, so = [str(o) for o in Path(folder).glob("*.o")], Path(folder, "controller.so")
        subprocess.run([compiler, "-shared", *objects, "-o", str(so), "-lm"], check=True, capture_output=True)
        os.replace(so, path)


def _generators() -> Iterator[str]:
    return ((files("mpc") / name).read_text(encoding="utf-8") for name in GENERATORS)


def _processor() -> str:
    """What -march=native depends on, so that a shared cache never serves another machine's code."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    return next((line for line in lines if line.startswith(("flags", "Features"))), platform.platform())
