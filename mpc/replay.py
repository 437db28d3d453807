"""A recorded closed loop run again, in Python for reference and as the text of a C program."""

from copy import copy
from typing import Any, NamedTuple

import numpy as np

from .c_observer import table
from .closed_loop import mark_missing
from .compiled import template
from .innovation import CertifiedObserver
from .mhe import MHE
from .nmpc import NMPC
from .record import Record
from .step_result import StepResult

# Of half an input's box: the two must agree to this.
SAME = 1e-9


class Replay(NamedTuple):
    """What a replay in C came to; differences in shares of half the input box, times in s of processor time."""

    steps: int
    largest_difference: float
    at_step: int
    statuses_that_differ: int
    mean_step_s: float
    worst_step_s: float
    memory_bytes: int
    object_bytes: int

    @classmethod
    def parse(cls, text: str) -> "Replay":
        """From the program's lines "name value"."""
        found = dict(line.split() for line in text.splitlines())
        kinds = cls.__annotations__
        return cls(**{name: kinds[name](float(found[name])) for name in cls._fields})

    @property
    def agrees(self) -> bool:
        """Same inputs to 1e-9, same statuses."""
        return self.largest_difference <= SAME and self.statuses_that_differ == 0


class Again(NamedTuple):
    """Measurements y, references r (T, ny), measured disturbances w (T, nw), with preview rows of r and w one after the
    other; what the controller made of them.
    """

    y: np.ndarray
    r: np.ndarray
    w: np.ndarray
    results: list[StepResult]
    half: np.ndarray


def run_again(controller: NMPC, observer: Any, record: Record, u0: Any, preview: bool) -> Again:
    """The controller and the observer over the record's measurements, without IPOPT; both are left as they were.

    Raises: ValueError for a record of other channels, or with other inputs.
    """
    if record.u_names != controller.u_names or record.y_names != controller.y_names or not len(record):
        raise ValueError("the record has no rows, or other channels than the controller; record a run of this one")
    c, o = controller, observer.alone() if isinstance(observer, MHE) else copy(observer)
    state, solvers, ipopt = c.state(), c._solvers, c.target._stands_in
    c._solvers, c.target._stands_in = solvers.alone(), ()
    try:
        names = () if isinstance(observer, CertifiedObserver) else c._measured.names
        w = record.disturbances[:, _places(names, record, u0)]
        r, w = (previews(a, c.horizon) if preview else a[:, None] for a in (record.reference, w))
        results = _loop(c, o, record.y, r if preview else r[:, 0], w, u0)
    finally:
        c._solvers, c.target._stands_in = solvers, ipopt
        c.restore(state)
    u, half = np.array([result.u for result in results]), c.scales.u_half
    wrong = np.flatnonzero((np.abs(u - record.u) > SAME * half).any(axis=1))
    if len(wrong):
        k = int(wrong[0])
        raise ValueError(
            f"at step {k} the record has u = {record.u[k]}, the controller without IPOPT gives {u[k]}; "
            "record a run of this controller and observer, with solver='condensed alone', of an MHE with mhe.alone(), "
            "and give its u0 and preview"
        )
    w = w[:, : c._measured.rows]
    return Again(record.y, r.reshape(len(r), -1), w.reshape(len(w), -1), results, half)


def _places(names: tuple[str, ...], record: Record, u0: Any) -> list[int]:
    """Where the measured ones are among the record's disturbances."""
    lacks = [name for name in names if name not in record.disturbance_names]
    if lacks:
        raise ValueError(f"the record has no disturbance {lacks[0]!r}, which the controller measures; run with it")
    if names and u0 is None:
        raise ValueError("with measured disturbances, give u0 as it was given to run")
    return [record.disturbance_names.index(name) for name in names]


def previews(reference: np.ndarray, horizon: int) -> np.ndarray:
    """(T, N + 1, ny): what run showed of reference (T, ny) at each step; the last row is held beyond the end."""
    rows = np.arange(len(reference))[:, None] + np.arange(horizon + 1)
    return reference[np.minimum(rows, len(reference) - 1)]


def _loop(c: NMPC, observer: Any, ys: np.ndarray, rs: np.ndarray, ws: np.ndarray, u0: Any) -> list[StepResult]:
    u_prev, results = None if u0 is None else np.asarray(u0, float).reshape(-1), []
    c.reset(u_prev)
    observer.reset(ys[0], None if u_prev is None else np.append(u_prev, ws[0, 0]))
    for k, (y, r, w) in enumerate(zip(ys, rs, ws, strict=True)):
        estimate = observer.update(np.append(u_prev, ws[k - 1, 0]) if k and u_prev is not None else None, y)
        known = w if estimate.w is None else estimate.w
        results.append(mark_missing(c.step(estimate.x, estimate.d, r, u_prev, measured=known), y, c.y_names))
        u_prev = results[-1].u
    return results


def replay_text(again: Again, u0: Any, preview: bool) -> str:
    """replay_test.c with the numbers of a run."""
    names = ",\n  ".join(f'"{r.status.split("; ")[0]}"' for r in again.results)
    lines = [f"#define STEPS {len(again.y)}", f"#define STEP mpc_step{'_preview' if preview else ''}"]
    lines += [f"#define START {'' if u0 is None else 'mpc_hold(&m, u0);'}"]
    lines += [] if u0 is None else [table("u0", np.asarray(u0, float).reshape(-1))]
    lines += [table("measured", again.y), table("wanted", again.r), table("half", again.half)]
    rows = again.w.shape[1]
    lines += [f"#define READ(k) {f'mpc_measure(&m, disturbed[k], {rows} / MPC_NM);' if rows else ''}"]
    lines += [table("disturbed", again.w)] if rows else []
    lines += [table("applied", np.array([r.u for r in again.results]))]
    lines += [f"static const char *const names_of[] = {{\n  {names}}};"]
    for name, flags in (("fine", [r.ok for r in again.results]), ("reached", [r.reachable for r in again.results])):
        lines += [f"static const int {name}[] = {{{', '.join(str(int(flag)) for flag in flags)}}};"]
    return template("replay.c").replace("/*RECORD*/", "\n".join(lines))
