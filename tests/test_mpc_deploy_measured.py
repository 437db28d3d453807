"""The controller in C99 reads measured disturbances, and their preview, as the one in Python does."""

import subprocess
from dataclasses import replace

import numpy as np
import pytest
from controllers import no_compiler
from deployed import SANITISE, Blind, replayed, under_weather

from mpc import EKF, DisturbanceObserver, OffsetFreeObserver, export_c
from mpc.compiled import find_compiler
from mpc.deploy import STRICT


@pytest.fixture(autouse=True)
def numpy_solver(monkeypatch):
    """What is replayed was computed by NumPy, which needs no compiling."""
    no_compiler(monkeypatch)


@pytest.mark.parametrize("preview", [0, 3])
@pytest.mark.parametrize(
    "observe", [OffsetFreeObserver, lambda s: EKF(s, 1.0, 1.0, 0.01), lambda s: DisturbanceObserver(s, 1.0, 1.0, 0.01)]
)
def test_measured_disturbances_replay(observe, preview, tmp_path):
    c, observer, record, given = under_weather(observe, preview, Blind)
    replayed(tmp_path, c, observer, record, flags=SANITISE, **given)


@pytest.mark.parametrize("terminal", [None, np.eye(3)])
def test_options_of_the_controller_replay_under_measured_disturbances(terminal, tmp_path):
    c, observer, record, given = under_weather(OffsetFreeObserver, 2, terminal=terminal, iterations=1, moves=[1, 4])
    replayed(tmp_path, c, observer, record, flags=STRICT, **given)
    assert f"w[0]  {c.system.u_names[1]}" in (tmp_path / "README").read_text()


MISSING = """
#include <math.h>
#include <stdio.h>
#include "controller.h"
static mpc_t all, some;
int main(void) {
  double u0[] = {%r}, y[] = {%r, %r}, w[] = {%r, %r, %r}, lost[] = {NAN}, u[1], v[1], gap = 0;
  mpc_hold(&all, u0), mpc_hold(&some, u0);
  for (int k = 0; k < 4; ++k) {
    mpc_measure(&all, w, 3);
    if (k < 3) mpc_measure(&some, k == 1 ? lost : w, k == 1 ? 1 : 3);
    mpc_step(&all, y, y, u), mpc_step(&some, y, y, v);
    gap = fmax(gap, fabs(u[0] - v[0]));
    printf("%%d %%d ", all.ok, some.ok);
  }
  printf("%%g\\n", gap);
  return 0;
}
"""


def test_a_measured_disturbance_that_goes_missing_in_c_is_the_last_one_and_no_step_is_ok(tmp_path):
    c, observer, record, given = under_weather(OffsetFreeObserver, 2)
    replayed(tmp_path, c, observer, record, **given)
    numbers = (*given["u0"].tolist(), *record.y[0].tolist(), *[float(c.system.u_max[1])] * 3)
    (tmp_path / "missing.c").write_text(MISSING % numbers)
    compiler = find_compiler() or ""
    subprocess.run(
        [compiler, "-std=c99", "missing.c", "controller.o", "-lm", "-o", "missing"], cwd=tmp_path, check=True
    )
    said = subprocess.run(["./missing"], cwd=tmp_path, check=True, capture_output=True, text=True).stdout
    assert said.split() == ["1", "1", "1", "0", "1", "1", "1", "0", "0"]


def test_a_record_without_what_is_measured_is_refused(tmp_path):
    c, observer, record, given = under_weather(OffsetFreeObserver)
    with pytest.raises(ValueError, match="give u0"):
        export_c(tmp_path, c, observer, record)
    blind = replace(record, disturbance_names=tuple(f"old {n}" for n in record.disturbance_names))
    with pytest.raises(ValueError, match="no disturbance"):
        export_c(tmp_path, c, observer, blind, **given)
