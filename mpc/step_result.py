"""What a controller returns at every step."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np


class Prediction(NamedTuple):
    """The plan behind an input: u (N, nu) from now on, y (N + 1, ny) with y[0] the present."""

    u: np.ndarray
    y: np.ndarray


@dataclass(frozen=True, eq=False)
class StepResult:
    """An input to apply, and how it came about.

    u (nu,) is finite and within the input bounds whatever happened. status begins with "solved",
    "shifted plan", "steady-state target" or "last input", then says what went wrong; ok: nothing
    did. reachable: the reference can be held at rest. cost is inf without a solution; solve_time
    in s is the wall time of the whole step. violated names the outputs and states whose soft bounds
    the plan breaks. predicted is None without a solution. target (ny,): outputs at rest that it aims for, the
    nearest to a reference out of reach; None if no rest was found.
    """

    u: np.ndarray
    status: str
    ok: bool
    reachable: bool = True
    cost: float = np.inf
    solve_time: float = 0.0
    violated: tuple[str, ...] = ()
    predicted: Prediction | None = None
    target: np.ndarray | None = None
