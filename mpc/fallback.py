"""Previous plan of a controller: warm start of the next solve, and stand-in when it fails."""

import numpy as np

from .ocp import HorizonProblem
from .plan import Plan
from .settings import limit_input
from .target import Target


class PlanMemory:
    """Keeps the last plan, shifted by one step for every step that passes."""

    def __init__(self, problem: HorizonProblem):
        self._problem = problem
        self._plan: Plan | None = None
        self._ahead: tuple[Plan, np.ndarray] | None = None
        self.reset()

    def reset(self) -> None:
        self.guess = None
        self._left = 0

    @property
    def guess(self) -> Plan | None:
        """The last plan, shifted when it is first asked for: its input goes out first."""
        if self._ahead is not None:
            self._plan, self._ahead = self._problem.shift(*self._ahead), None
        return self._plan

    @guess.setter
    def guess(self, plan: Plan | None) -> None:
        self._plan, self._ahead = plan, None

    def choose(self, plan: Plan | None, rung: str, target: Target, u_prev: np.ndarray) -> tuple[np.ndarray, str]:
        """Input to apply and the rung of the ladder it stands on.

        A plan of this step, else the previous plan as long as it lasts, else the input of the steady-state
        target, else the last input; each within rates and box.
        """
        if plan is not None:
            u = plan.u[0]
        elif self.guess is not None and self._left > 0:
            u, rung = self.guess.u[0], "shifted plan"
        elif target.ok:
            u, rung = target.u, "steady-state target"
        else:
            u, rung = u_prev, "last input"
        return limit_input(self._problem.bounds, u, u_prev), rung

    def advance(self, plan: Plan | None, target: Target) -> None:
        """One step passes, with a new plan or with the one at hand."""
        if plan is not None:
            self._left = self._problem.N
        plan = self.guess if plan is None else plan
        if plan is None:
            return
        self._left -= 1
        self._ahead = plan, target.u if target.ok else plan.u[-1]

    def state(self) -> dict[str, np.ndarray]:
        """The plan, field by field, and for how many steps it lasts; empty without one."""
        if self.guess is None:
            return {}
        known = {f"plan_{name}": v.copy() for name, v in self.guess._asdict().items() if v is not None}
        return {**known, "plan_left": np.array(self._left)}

    def restore(self, state: dict[str, np.ndarray]) -> None:
        self.reset()
        if "plan_u" in state:
            known = {name: np.array(state[f"plan_{name}"], float) for name in Plan._fields if f"plan_{name}" in state}
            lacks = {"u", "x", "y"} - known.keys()
            if lacks:
                raise ValueError(f"the state lacks plan_{min(lacks)}: another version saved it; start anew")
            self.guess = Plan(**known)
            self._left = int(state["plan_left"])
