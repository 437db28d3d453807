"""A recorded closed loop run again, in Python for reference and as the text of a C program."""

from copy import copy
from typing import Any, NamedTuple

import numpy as np

from .c_observer import table
from .closed_loop import mark_missing
from .compiled import template
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
    """Measurements y and references r (T, ny), or (T, (N + 1) ny) with preview; what the controller made of them."""

    y: np.ndarray
    r: np.ndarray
    results: list[StepResult]
    half: np.ndarray


def run_again(controller: NMPC, observer: Any, record: Record, u0: Any, preview: bool) -> Again:
    """The controller and the observer over the record's measurements, without IPOPT; both are left as they were.

    Raises: ValueError for a record of other channels, or with other inputs.
    """
    if record.u_names != controller.u_names or record.y_names != controller.y_names or not len(record):
        raise ValueError("the record has no rows, or other channels than the controller; record a run of this one")
    c, o = controller, copy(observer)
    state, solvers, ipopt = c.state(), c._solvers, c.target._stands_in
    c._solvers, c.target._stands_in = solvers.alone(), ()
    try:
        r = previews(record.reference, c.horizon) if preview else record.reference[:, None]
        results = _loop(c, o, record.y, r if preview else r[:, 0], u0)
    finally:
        c._solvers, c.target._stands_in = solvers, ipopt
        c.restore(state)
    u, half = np.array([result.u for result in results]), c.scales.u_half
    wrong = np.flatnonzero((np.abs(u - record.u) > SAME * half).any(axis=1))
    if len(wrong):
        k = int(wrong[0])
        raise ValueError(
            f"at step {k} the record has u = {record.u[k]}, the controller without IPOPT gives {u[k]}; "
            "record a run of this controller and observer, with solver='condensed alone', and give its u0 and preview"
        )
    return Again(record.y, r.reshape(len(r), -1), results, half)


def previews(reference: np.ndarray, horizon: int) -> np.ndarray:
    """(T, N + 1, ny): what run showed of reference (T, ny) at each step; the last row is held beyond the end."""
    rows = np.arange(len(reference))[:, None] + np.arange(horizon + 1)
    return reference[np.minimum(rows, len(reference) - 1)]


def _loop(c: NMPC, observer: Any, ys: np.ndarray, rs: np.ndarray, u0: Any) -> list[StepResult]:
    u_prev, results = None if u0 is None else np.asarray(u0, float).reshape(-1), []
    c.reset(u_prev)
    observer.reset(ys[0], u_prev)
    for k, (y, r) in enumerate(zip(ys, rs, strict=True)):
        estimate = observer.update(u_prev if k else None, y)
        results.append(mark_missing(c.step(estimate.x, estimate.d, r, u_prev), y, c.y_names))
        u_prev = results[-1].u
    return results


def replay_text(again: Again, u0: Any, preview: bool) -> str:
    """replay_test.c with the numbers of a run."""
    names = ",\n  ".join(f'"{r.status.split("; ")[0]}"' for r in again.results)
    lines = [f"#define STEPS {len(again.y)}", f"#define STEP mpc_step{'_preview' if preview else ''}"]
    lines += [f"#define START {'' if u0 is None else 'mpc_hold(&m, u0);'}"]
    lines += [] if u0 is None else [table("u0", np.asarray(u0, float).reshape(-1))]
    lines += [table("measured", again.y), table("wanted", again.r), table("half", again.half)]
    lines += [table("applied", np.array([r.u for r in again.results]))]
    lines += [f"static const char *const names_of[] = {{\n  {names}}};"]
    for name, flags in (("fine", [r.ok for r in again.results]), ("reached", [r.reachable for r in again.results])):
        lines += [f"static const int {name}[] = {{{', '.join(str(int(flag)) for flag in flags)}}};"]
    return template("replay.c").replace("/*RECORD*/", "\n".join(lines))
