"""rnn-control doctor: what is here, and what is missing."""

import os
import platform
import shutil
import sys
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

import click

from .output import Rows, show
from .types import as_json, example

EPILOG = example("rnn-control doctor", "rnn-control doctor --json > environment.json")
OPTIONAL = {
    "clarabel": "tests of matrix inequalities", "pandas": "data frames", "pyarrow": "parquet",
    "h5py": "MATLAB 7.3 files", "onnx": "checks of exported graphs", "onnxruntime": "checks of exported graphs",
    "do-mpc": "hand-over to do-mpc", "optuna": "searches over cells and sizes",
}  # fmt: skip
SOLVERS = {"nlpsol": ("ipopt", "fatrop", "sqpmethod"), "conic": ("osqp", "daqp", "qpoases", "highs"),
           "integrator": ("cvodes", "idas")}  # fmt: skip


@click.command(epilog=EPILOG)
@as_json
def doctor(as_json):
    """Versions, solvers, C compiler, threads: paste it into a bug report.

    Exit code 1: something that is needed is missing.
    """
    core = {name: installed(name) for name in needed()}
    extras = {name: installed(name) for name in OPTIONAL}
    solvers = available_solvers() if core.get("casadi") else {}
    compiler = next((c for c in (os.environ.get("CC"), "cc", "gcc", "clang") if c and shutil.which(c)), None)
    missing = [name for name, found in core.items() if found is None]
    missing += [] if solvers.get("ipopt") else ["ipopt"]
    cache = Path(
        os.environ.get("RNN_CONTROL_CACHE")
        or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "rnn_control")
    )
    machine = {
        "python": f"{platform.python_version()} {sys.executable}", "platform": platform.platform(),
        "processors": os.cpu_count(), "threads": os.environ["OMP_NUM_THREADS"], "compiler": compiler, "kernels": cache,
        "terminal": sys.stdout.isatty(),
    }  # fmt: skip
    result = {"machine": machine, "packages": core, "extras": extras, "solvers": solvers, "missing": missing}
    slow = "none: training runs in torch, more slowly"
    tables = [
        Rows("Machine", (), [(k, str(v if v is not None else slow)) for k, v in machine.items()]),
        Rows("Packages", (), [(name, found or "MISSING") for name, found in core.items()]),
        Rows("Extras", (), [(n, found or "-", "" if found else f"for {OPTIONAL[n]}") for n, found in extras.items()]),
        Rows("Solvers in CasADi", (), [(name, "yes" if found else "no") for name, found in solvers.items()]),
        Rows("", (), [("missing: " + ", ".join(missing) if missing else "Everything that is needed is here.",)]),
    ]
    show(result, tables, as_json)
    return 1 if missing else 0


def needed() -> list[str]:
    """The core dependencies, from the metadata of the installed package; its imports if it is not installed."""
    try:
        lines = requires("rnn-control") or []
    except PackageNotFoundError:
        return ["numpy", "scipy", "torch", "casadi", "control", "safetensors", "tqdm", "matplotlib", "click", "rich"]
    return [line.split(">")[0].split("=")[0].strip() for line in lines if "extra ==" not in line]


def installed(name: str) -> str | None:
    """Its version."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def available_solvers() -> dict[str, bool]:
    """Which plug-ins of CasADi load."""
    import casadi as ca

    has = {"nlpsol": ca.has_nlpsol, "conic": ca.has_conic, "integrator": ca.has_integrator}
    return {name: has[kind](name) for kind, names in SOLVERS.items() for name in names}
