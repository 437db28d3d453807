"""The deployed controller as C text: the files of c/ around the sizes and numbers of one controller."""

import re
from typing import Any

import numpy as np

from .c_model import Model, output_function
from .c_numbers import numbers
from .c_observer import observer_text, table
from .cell import build_cell
from .compiled import BASE, NOINLINE, sizes, template
from .condensed import MAX_ITER, CondensedSolver, scaled_settings
from .innovation import CertifiedObserver
from .nmpc import NMPC
from .target import SteadyTarget

INCLUDES = '#include "controller.h"\n\n#include <math.h>\n#include <stddef.h>\n#include <string.h>\n'
# a time limit needs a clock, which C99 does not have
NO_CLOCK = "static double seconds_now(void) { return 0; }"
# names that files of types define
MACRO, TYPE = re.compile(r"^#define (\w+)", re.M), re.compile(r"^} (\w+);", re.M)
# the pieces of struct Settings, in its order
SETTINGS = ("y", "u", "u", "y", "u", "u", "u", "u", "y", "y")


class ControllerText:
    """The three texts of one controller: header, code, and nothing of the record that tests them."""

    def __init__(self, c: NMPC, observer: Any, solver: CondensedSolver):
        self._c, self._solver, self._problem = c, solver, c._problem
        # the model without a register of measured disturbances
        base, s, ny = c.target.system, c.target.scales, c.system.ny
        self._observer = observer_text(observer, s._replace(y_mid=s.y_mid[:ny], y_range=s.y_range[:ny]))
        cells, nw = [build_cell(self._problem.system, self._problem.scales)], len(c._measured.names)
        cells += [build_cell(base, s, "base")] if nw else []
        self._model = Model(cells, output_function(base, s), *self._observer.functions)
        own = {
            "NY": ny,
            "BX": base.nx,
            "BU": base.nu,
            "NW": nw,
            "NM": 0 if isinstance(observer, CertifiedObserver) else nw,
            "NP": c._measured.rows,
        }
        self._sizes = {**sizes(self._model, self._problem.blocks), **own, **self._observer.sizes}
        self._types = template("types.h", "target_types.h", *self._observer.types)
        self._macros, self._names = (*self._sizes, *MACRO.findall(self._types)), TYPE.findall(self._types)

    def header(self) -> str:
        """controller.h; every name in it begins with mpc or MPC."""
        defines = "\n".join(f"#define {name} {value}" for name, value in self._sizes.items())
        text = (
            template("controller.h")
            .replace("/*SIZES*/", defines)
            .replace("/*TYPES*/\n", self._types)
            .replace("/*OBSERVER*/\n", self._observer.memory)
        )
        text = re.sub(rf"\b({'|'.join(self._macros)})\b", r"MPC_\1", text)
        return re.sub(rf"\b({'|'.join(self._names)})\b", r"mpc_\1", text)

    def code(self) -> str:
        """controller.c: one translation unit whose only names outside are those of the header.

        Raises: ValueError for a model that CasADi cannot write as C.
        """
        lines = [INCLUDES, *(f"#define {m} MPC_{m}" for m in self._macros)]
        lines += [f"typedef mpc_{name} {name};" for name in self._names]
        lines += [f"#define {name} {value}" for name, value in self._limits().items()]
        lines += [
            "" if self._c._measured.names else BASE,
            NOINLINE,
            self._model.text(),
            *self._constants(),
            NO_CLOCK,
            "",
        ]
        end, name = self._end()
        files = "qp.c", "horizon.c", "sqp.c", "linear.c", "target.c", "observer.c", *self._observer.files
        return "\n".join([*lines, template(*files), *end, template(name, "measured.c", "controller.c", "start.c")])

    def _limits(self) -> dict[str, Any]:
        iterations = self._solver.iterations
        return {
            "BLOCKS": f"{{{', '.join(map(str, self._problem.blocks))}}}",
            "MAX_ITER": MAX_ITER if iterations is None else iterations,
            "REAL_TIME": int(iterations is not None),
            "TOLERANCE": repr(self._solver.tol),
            "COST_UNIT": repr(self._problem.cost_unit),
            **self._observer.constants,
        }

    def _constants(self) -> list[str]:
        c, b, around = self._c, self._c.bounds, self._c.target.scales
        rest, s = self._observer.rest, self._problem.scales._replace(u_mid=around.u_mid, u_half=around.u_half)
        lines = [table(name, getattr(s, name)) for name in s._fields]
        lines += [
            table(f"u_{n}", v) for n, v in (("min", b.u_min), ("max", b.u_max), ("fall", b.du_min), ("rise", b.du_max))
        ]
        lines += [table(name, values) for name, values in self._observer.arrays.items()]
        start, nx = (c.system.x0 - around.x_mid) / around.x_half, c.system.nx
        lines += [table("start", start), table("rest_start", np.append(start, rest.start[nx:]))]
        lines += [table("target_start", c.target.start)]
        lines += [_struct("Settings", "settings", self._settings())]
        targets = (("rest_settings", rest), ("target_settings", c.target))
        return lines + [_struct("TargetSettings", name, self._target(t)) for name, t in targets]

    def _settings(self) -> list[str]:
        size = {"y": self._problem.system.ny, "u": self._problem.system.nu}
        parts = np.split(scaled_settings(self._problem), np.cumsum([size[n] for n in SETTINGS])[:-1])
        return [numbers(p) for p in parts]

    def _target(self, t: SteadyTarget) -> list[str]:
        counted = ", ".join(map(str, t.counted.tolist()))
        low, high = t.box
        ours = self._problem.scales.y_range[: len(t.scales.y_range)]
        share, sizes = ours / t.scales.y_range, (str(len(t.counted)), str(len(t.tracked)))
        return [*sizes, f"{{{counted}}}", str(t.nu), *map(numbers, (t.Q, low, high, t.rest, share))]

    def _end(self) -> tuple[list[str], str]:
        """Lines and the file of the terminal cost."""
        c, end = self._c, self._c._end
        if end.weight is None:
            return [], "terminal_none.c"
        if not isinstance(end.weight, np.ndarray):
            return [], "terminal_cost_to_go.c"
        P = np.outer(c.scales.x_half, c.scales.x_half) * c._measured.pad(end.weight) / self._problem.cost_unit
        return [f"#define HOLD {end.hold}", table("end_weight", P.ravel())], "terminal_fixed.c"


def _struct(kind: str, name: str, parts: list[str]) -> str:
    return f"static const {kind} {name} = {{\n  {(',' + chr(10) + '  ').join(parts)}}};"
