"""A controller and its observer as dependency-free C99, with a program that replays a recorded run against it."""

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .c_observer import check_observer
from .c_text import ControllerText
from .cell import build_step
from .compiled import find_compiler, template
from .condensed import CondensedSolver
from .ekf import EKF, DisturbanceObserver
from .innovation import CertifiedObserver
from .mhe import MHE
from .nmpc import NMPC
from .observers import OffsetFreeObserver
from .record import Record
from .replay import Replay, replay_text, run_again

STRICT = ("-std=c99", "-O2", "-Wall", "-Wextra", "-Werror", "-pedantic")
# A mode this close to one is one: the process integrates.
SINGULAR = 1e-9


@dataclass(frozen=True)
class ExportedController:
    """The folder that export_c wrote."""

    folder: Path

    def test(self, compiler: str | None = None, flags: tuple[str, ...] = STRICT) -> Replay:
        """Compile the controller with flags, replay the record through it, and say what came out.

        Raises: RuntimeError without a compiler, or with its words where it refuses the code.
        """
        compiler = compiler or find_compiler()
        if compiler is None:
            raise RuntimeError("no C compiler: set CC, or install gcc or clang")
        objects = ["controller.o", "replay_test.o"]
        for name in objects:
            _run([compiler, *flags, "-c", name.replace(".o", ".c"), "-o", name], self.folder)
        _run([compiler, *flags, *objects, "-o", "replay_test", "-lm"], self.folder)
        return Replay.parse(_run(["./replay_test", "controller.o"], self.folder, may_fail=True))


def export_c(
    folder: str | Path,
    controller: NMPC,
    observer: OffsetFreeObserver | DisturbanceObserver | EKF | CertifiedObserver | MHE,
    record: Record,
    *,
    u0: Any = None,
    preview: bool = False,
) -> ExportedController:
    """Write controller.c, controller.h, replay_test.c, Makefile and README into folder.

    The C code is the whole loop from y and r to u: observer, target, terminal cost, condensed solver, and the ladder
    when it fails, in fixed memory and without IPOPT. Of an MHE it takes the steps of Gauss-Newton's method; where they
    fail, the estimate goes on open loop. replay_test.c feeds it the record's measurements and references and compares
    inputs to 1e-9 of half their box, and statuses. All the same numbers as in Python, whose run is repeated here first.

    record: a closed loop run of this controller and observer; u0 (nu,), preview: as they were given to run

    Raises ValueError, naming it, for what the C code cannot do (solver "ipopt", max_time, another observer than these,
    disturbances of inputs, an MHE with bounds, a process whose terminal cost needs a Riccati equation, one that
    integrates), or a record that the controller does not repeat.
    """
    solver = _check_supported(controller, observer)
    again = run_again(controller, observer, record, u0, preview)
    text, folder = ControllerText(controller, observer, solver), Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    files = {
        "controller.h": text.header(),
        "controller.c": text.code(),
        "replay_test.c": replay_text(again, u0, preview),
        "Makefile": template("controller.mk"),
        "README": _readme(controller, bool(again.w.size)),
    }
    for name, content in files.items():
        (folder / name).write_text(content, encoding="utf-8")
    return ExportedController(folder)


def _check_supported(c: NMPC, observer: Any) -> CondensedSolver:
    if type(c) is not NMPC:
        raise ValueError(f"export_c writes an NMPC, not a {type(c).__name__}")
    check_observer(observer, c._measured.names)
    if observer.system is not c.system and observer.system.f.serialize() != c.system.f.serialize():
        raise ValueError("observer and controller have different systems; build both on the same one")
    solver = c._solvers._first
    if not isinstance(solver, CondensedSolver):
        raise ValueError("solver is 'ipopt'; the C code has the condensed solver only: solver='condensed alone'")
    if np.isfinite(solver.max_time):
        raise ValueError("max_time is set, but C99 has no clock; limit the solver's iterations instead")
    _check_rest(c)
    return solver


def _check_rest(c: NMPC) -> None:
    """The process must come to rest by itself wherever the input is held."""
    nx = c.system.nx
    J: Any = build_step(c.target.system, c.target.scales)(*np.split(c.target.start, [nx]))[2]
    modes = np.linalg.eigvals(J.full()[:, :nx])
    if np.abs(modes - 1).min() < SINGULAR:
        raise ValueError("the process integrates; its nearest targets need IPOPT, which the C code does not have")
    if isinstance(c._end.weight, str) and np.abs(modes).max() >= 1:
        raise ValueError(
            "the process is not stable by itself, and its cost to go needs a Riccati equation, which the C code does "
            "not solve; give terminal=P (nx, nx) or terminal=None"
        )


def _readme(c: NMPC, is_read: bool) -> str:
    """is_read: whether measured disturbances are read, and not known from the observer."""
    nu, s = len(c.u_names), c.system
    kinds = {"u": (s.u_names[:nu], s.u_units[:nu]), "y": (s.y_names, s.y_units)}
    kinds |= {"w": (s.u_names[nu:], s.u_units[nu:])} if is_read else {}
    lines = [
        f"  {kind}[{i}]  {name} [{unit}]"
        for kind, channels in kinds.items()
        for i, (name, unit) in enumerate(zip(*channels, strict=True))
    ]
    measure = "    mpc_measure(&m, w, MPC_NP);      double w[MPC_NP][MPC_NM]: from now on, one row a step\n"
    parts = dict(channels="\n".join(lines), measure=measure if is_read else "")
    return template("README").format(dt=c.dt, N=c.horizon, **parts)


def _run(command: list[str], folder: Path, may_fail: bool = False) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode and not (may_fail and done.stdout):
        raise RuntimeError(f"{command[0]} fails: {done.stderr.strip()[:2000]}")
    return done.stdout
