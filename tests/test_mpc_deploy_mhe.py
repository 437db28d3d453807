"""The controller in C99 has moving horizon estimation, by the steps of Gauss-Newton's method that Python takes."""

import re
import subprocess
from typing import Any

import casadi as ca
import numpy as np
import pytest
from controllers import no_compiler
from deployed import QUICK, SANITISE, Blind, learned, recorded, replayed, tight, under_weather

from mpc import MHE, NMPC, DiscreteSystem, SystemProcess, export_c, linear_system, run, with_delay
from mpc.compiled import find_compiler
from mpc.deploy import STRICT
from mpc.scales import find_scales
from mpc.smoothing import Smoother
from plants import PLANTS
from rnn_control import GRU, LSTM, LipschitzRNN

NOTHING: Any = None


@pytest.fixture(autouse=True)
def numpy_solver(monkeypatch):
    """What is replayed was computed by NumPy, which needs no compiling."""
    no_compiler(monkeypatch)


def watching(system, share: Any = 0.05, window=5):
    """An estimator of states and of disturbances of a share of the outputs' range."""
    s = find_scales(system)
    return MHE(system, 0.01 * s.y_range, share * s.y_range, 0.01 * s.x_half, window=window)


@pytest.mark.parametrize("factory, share", [(GRU, 0.05), (LSTM, [0.0, 0.05]), (LipschitzRNN, 0.05)])
def test_windows_replay_without_measurements_too(factory, share, tmp_path):
    c = tight(learned(factory))
    observer, record = recorded(c, Blind, observe=lambda s: watching(s, share))
    assert any("missing" in s or "prediction" in s for s in record.status)
    replayed(tmp_path, c, observer, record, flags=SANITISE)


def test_a_window_compiles_without_a_warning_and_starts_from_a_held_input(tmp_path):
    c, u0 = tight(learned()), learned().u_min + 0.4 * (learned().u_max - learned().u_min)
    observer, record = recorded(c, observe=lambda s: watching(s, window=1), u0=u0)
    found = replayed(tmp_path, c, observer, record, flags=STRICT, u0=u0)
    assert 0 < found.worst_step_s < c.dt and found.memory_bytes > 0 and found.object_bytes > 0
    defined = re.findall(r"^#define (\w+)|^} (\w+);", (tmp_path / "controller.h").read_text(), re.M)
    assert all(name.lower().startswith("mpc_") for pair in defined for name in pair if name)


def test_measured_disturbances_replay(tmp_path):
    c, observer, record, given = under_weather(watching, 3, Blind)
    replayed(tmp_path, c, observer, record, flags=SANITISE, **given)


def test_late_outputs_and_inputs_replay(tmp_path):
    late = with_delay(learned(), dict.fromkeys((learned().y_names[1], learned().u_names[0]), 2))
    c = tight(late)
    observer, record = recorded(c, Blind, observe=lambda s: watching(s, [0.05, 0.0]))
    replayed(tmp_path, c, observer, record, flags=SANITISE)


def test_the_equations_of_a_plant_replay(tmp_path):
    plant = PLANTS["ph_neutralisation"]()
    system = plant.discretise(plant.sampling_time)
    c, s, observer = NMPC(system, 4, solver="condensed alone"), find_scales(system), watching(system)
    process = SystemProcess(system, noise_std=0.01 * s.y_range)
    record = run(process, c, observer, np.tile(s.y_mid + 0.1 * s.y_range, (12, 1)), 12, progress=False)
    replayed(tmp_path, c, observer, record)


def bent():
    """x lags u; the output rises and falls with it, so that steps are halved, and windows have several optima."""
    x, u = ca.MX.sym("x"), ca.MX.sym("u")
    names = dict(u_names=("u1",), y_names=("y1",), u_units=("-",), y_units=("-",))
    F, G = ca.Function("f", [x, u], [0.7 * x + u]), ca.Function("g", [x], [x + 0.8 * ca.sin(2 * x)])
    return DiscreteSystem(F, G, 1.0, np.zeros(1), u_min=-np.ones(1), u_max=np.ones(1), **names)


def test_halved_steps_and_windows_that_are_not_solved_replay(tmp_path, monkeypatch):
    calls, solved, own = [], [], Smoother.solve
    for name in ("_play", "_step"):
        method = getattr(Smoother, name)
        monkeypatch.setattr(Smoother, name, lambda *a, n=name, f=method: calls.append(n) or f(*a))
    monkeypatch.setattr(Smoother, "solve", lambda *a: solved.append(own(*a)) or solved[-1])
    system = bent()
    c = NMPC(system, 3, terminal=None, solver="condensed alone")
    observer = MHE(system, 0.05, 0.02, 0.5, window=4).alone()
    process, push = SystemProcess(system, noise_std=0.3), {"d_y1": [(10, 0.5)]}
    record = run(process, c, observer, np.repeat([[0.5], [-0.9], [1.5]], 8, 0), 24, disturbances=push, progress=False)
    halved = calls.count("_play") - calls.count("_step") - len(solved)
    assert halved > 0 and 0 < sum(track is None for track in solved) < len(solved)
    replayed(tmp_path, c, observer, record, flags=SANITISE)


COPY = """
#include <stdio.h>
#include <string.h>
#include "controller.h"
static mpc_t m, kept;
int main(void) {
  double y[] = {%r, %r}, u[MPC_NU], v[MPC_NU];
  mpc_init(&m);
  for (int k = 0; k < 12; ++k) {
    if (k == 8) kept = m;
    mpc_step(&m, y, y, u);
  }
  memset(&m, 0, sizeof m);
  for (int k = 8; k < 12; ++k) mpc_step(&kept, y, y, v);
  printf("%%d\\n", memcmp(u, v, sizeof u));
  return 0;
}
"""


def test_a_copy_of_the_memory_goes_on_as_the_controller_would_have(tmp_path):
    c = tight(learned())
    observer, record = recorded(c, observe=watching)
    replayed(tmp_path, c, observer, record)
    (tmp_path / "copy.c").write_text(COPY % tuple(record.y[0].tolist()))
    build = [find_compiler() or "", *QUICK, "copy.c", "controller.o", "-lm", "-o", "copy"]
    subprocess.run(build, cwd=tmp_path, check=True)
    assert subprocess.run(["./copy"], cwd=tmp_path, check=True, capture_output=True).stdout == b"0\n"


@pytest.mark.parametrize(
    "word, options",
    [
        ("without bounds", {"bounds": {"x": {"x1": (0, None)}}}),
        ("no clock", {"max_time": 1.0}),
        ("disturbances of inputs", {"input_disturbance_std": 1.0}),
    ],
)
def test_what_a_window_in_c_cannot_do_is_refused_by_name(word, options, tmp_path):
    system = linear_system([[0.5]], [[1.0]], [[1.0]], 1.0)
    with pytest.raises(ValueError, match=word):
        export_c(tmp_path, NMPC(system, 3), MHE(system, 1.0, 0.0, 1.0, **options), NOTHING)


def test_a_record_in_which_ipopt_stepped_in_is_refused(tmp_path, monkeypatch):
    c = tight(learned())
    observer, record = recorded(c, observe=watching, steps=8)
    monkeypatch.setattr(Smoother, "solve", lambda *a: None)
    with pytest.raises(ValueError, match=r"mhe\.alone\(\)"):
        export_c(tmp_path, c, observer, record)


def test_the_copy_without_ipopt_leaves_the_estimator_as_it_was():
    observer = MHE(linear_system([[0.5]], [[1.0]], [[1.0]], 1.0), 1.0, 0.0, 1.0, window=2)
    observer.reset([0.0], [0.0])
    before, twin = observer.state(), observer.alone()
    for k in range(5):
        twin.update([1.0] if k else None, [1.0])
    after = observer.state()
    assert all(np.array_equal(before[name], after[name]) for name in before)
