"""C source to a loaded library: compiled once into a cache on disk, found again by what it was made from."""

import ctypes
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from pathlib import Path

# no -ffast-math: it would undo the rounding in exp_, and its start-up code changes the caller's rounding
FLAGS = ("-O2", "-march=native", "-ffp-contract=fast", "-fno-math-errno", "-fno-trapping-math", "-fPIC", "-std=gnu11")


def cache_folder() -> Path:
    """Where compiled kernels and their printed sources are kept: $RNN_CONTROL_CACHE, else the user's cache folder."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("RNN_CONTROL_CACHE") or Path(base) / "rnn_control")


def load_library(source: str, *defines: str) -> ctypes.CDLL:
    """Compile C source into the cache, once per source, flags and processor, and load it."""
    parts = (source, *FLAGS, *defines, platform.processor(), processor())
    path = cache_folder() / f"{hashlib.sha256(chr(10).join(parts).encode()).hexdigest()[:24]}.so"
    if not path.exists():
        compile_library(source, path, [f"-D{name}" for name in defines])
    return ctypes.CDLL(str(path))


def processor() -> str:
    """The features -march=native depends on, so that a cache on a shared disk never serves another machine's code."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    return next((line for line in lines if line.startswith(("flags", "Features"))), platform.platform())


def compile_library(source: str, path: Path, defines: list[str]) -> None:
    """One compiler call; the library appears in the cache whole or not at all."""
    compiler = next((c for c in (os.environ.get("CC"), "cc", "gcc", "clang") if c and shutil.which(c)), None)
    if compiler is None:
        raise OSError("no C compiler found")
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        c, so = Path(folder, "kernel.c"), Path(folder, "kernel.so")
        c.write_text(source)
        command = [compiler, *FLAGS, *defines, "-shared", str(c), "-o", str(so)]
        subprocess.run(command, check=True, capture_output=True)
        os.replace(so, path)
