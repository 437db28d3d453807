"""C source to a loaded library: compiled once into a cache on disk, found again by what it was made from."""

import ctypes
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np


def pointer(a: np.ndarray):
    return a.ctypes.data_as(ctypes.POINTER(ctypes.c_double))


FLAGS = ("-O3", "-march=native", "-ffast-math", "-fPIC", "-std=c99", "-fopenmp-simd")


def cache_folder() -> Path:
    """Where compiled kernels are kept: $RNN_CONTROL_CACHE, else the user's cache folder."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("RNN_CONTROL_CACHE") or Path(base) / "rnn_control")


def load_library(source: str) -> ctypes.CDLL:
    """Compile C source into the cache, once per source, flags and processor, and load it."""
    key = hashlib.sha256("\n".join((source, *FLAGS, platform.processor(), processor())).encode()).hexdigest()[:24]
    path = cache_folder() / f"{key}.so"
    if not path.exists():
        compile_library(source, path)
    library = ctypes.CDLL(str(path))
    d = ctypes.POINTER(ctypes.c_double)
    library.rollout.argtypes, library.rollout.restype = [d, d, ctypes.c_long, d, d], None
    library.adjoint.argtypes, library.adjoint.restype = [d, d, ctypes.c_long, d, d, d, d, d, d], ctypes.c_double
    return library


def processor() -> str:
    """The features -march=native depends on, so that a cache on a shared disk never serves another machine's code."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    return next((line for line in lines if line.startswith(("flags", "Features"))), platform.platform())


def compile_library(source: str, path: Path) -> None:
    """cc -c with fast arithmetic, then a link without: fast-math start-up code would change the caller's rounding."""
    compiler = next((c for c in (os.environ.get("CC"), "cc", "gcc", "clang") if c and shutil.which(c)), None)
    if compiler is None:
        raise OSError("no C compiler found")
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        c, o, so = (Path(folder, "kernel" + end) for end in (".c", ".o", ".so"))
        c.write_text(source)
        subprocess.run([compiler, *FLAGS, "-c", str(c), "-o", str(o)], check=True, capture_output=True)
        subprocess.run([compiler, "-shared", str(o), "-o", str(so), "-lm"], check=True, capture_output=True)
        os.replace(so, path)
