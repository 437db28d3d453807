"""The controller in C99 makes the steps of the one in Python: nominal, blind, out of reach, and on every rung."""

import subprocess
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import casadi as ca
import numpy as np
import pytest
from zoo import identified

import mpc.c_text
import mpc.compiled
import mpc.condensed
import mpc.deploy
from mpc import (
    EKF,
    MHE,
    NMPC,
    CertifiedObserver,
    DiscreteSystem,
    DisturbanceObserver,
    ExportedController,
    OffsetFreeObserver,
    SystemProcess,
    export_c,
    linear_system,
    run,
)
from mpc.deploy import STRICT
from mpc.scales import find_scales
from rnn_control import GRU, LSTM, design_observer

QUICK = ("-std=c99", "-O0", "-Werror")
SANITISE = ("-std=c99", "-O0", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")


NOTHING: Any = None


@pytest.fixture(autouse=True)
def numpy_solver(monkeypatch):
    """What is replayed was computed by NumPy, which needs no compiling."""
    monkeypatch.setattr(mpc.compiled, "find_compiler", lambda: None)


class Blind(SystemProcess):
    """Misses a measurement every third sample, both every sixth, the first included."""

    def measure(self):
        y, self.count = super().measure().copy(), getattr(self, "count", -1) + 1
        y[[0, 1] if self.count % 6 == 0 else [1]] = np.nan if self.count % 3 == 0 else y[1]
        return y


def learned(factory=GRU, size=3):
    return identified(factory(2, 2, size, seed=3)).to_casadi()


def tight(system, **options):
    s = find_scales(system)
    half = s.u_half[: system.nu - len(options.get("measured", ()))]
    y = np.column_stack([s.y_mid - 0.2 * s.y_range, s.y_mid + 0.15 * s.y_range])
    return NMPC(system, 4, bounds={"du": 0.6 * half, "y": y}, **{"solver": "condensed alone", **options})


def recorded(controller, process=SystemProcess, level=0.3, steps=16, observe=OffsetFreeObserver, **options):
    """A record of references within a level of the range, changed every eighth step, under a disturbance."""
    system, s, rng = controller.system, controller.scales, np.random.default_rng(1)
    r = s.y_mid + s.y_range * np.repeat(rng.uniform(-level, level, (steps // 8, 2)), 8, 0)
    plant, push = process(system, noise_std=0.01 * s.y_range), {"d_T0": [(10 * system.dt, 0.1 * s.y_range[0])]}
    observer = observe(system)
    return observer, run(plant, controller, observer, r, steps, disturbances=push, progress=False, **options)


def replayed(folder, controller, observer, record, flags=QUICK, **options):
    found = export_c(folder, controller, observer, record, **options).test(flags=flags)
    assert found.agrees, found
    return found


def test_a_nominal_run_replays_without_a_warning_of_the_compiler(tmp_path, monkeypatch):
    monkeypatch.undo()
    c = tight(learned())
    found = replayed(tmp_path, c, *recorded(c), flags=STRICT)
    assert found.steps == 16 and 0 <= found.mean_step_s <= found.worst_step_s < c.dt
    assert found.memory_bytes > 0 and found.object_bytes == (tmp_path / "controller.o").stat().st_size


@pytest.mark.parametrize("factory, size", [(GRU, 3), (LSTM, 2)])
def test_missing_measurements_and_references_out_of_reach_replay(factory, size, tmp_path):
    c = tight(learned(factory, size))
    observer, record = recorded(c, Blind, level=1.0)
    assert not record.reachable.all() and "solved on prediction" in str(record.status[3])
    replayed(tmp_path, c, observer, record)


@pytest.mark.parametrize("options", [{"iterations": 1, "terminal": np.eye(3)}, {"y_range": 3.0, "moves": [1, 3]}])
def test_options_of_the_controller_replay(options, tmp_path):
    c = tight(learned(), **options)
    u0 = c.system.u_min + 0.3 * (c.system.u_max - c.system.u_min)
    replayed(tmp_path, c, *recorded(c, u0=u0, preview=True), u0=u0, preview=True)


def test_a_solver_that_runs_out_of_iterations_replays(tmp_path, monkeypatch):
    monkeypatch.setattr(mpc.condensed, "MAX_ITER", 1)
    monkeypatch.setattr(mpc.c_text, "MAX_ITER", 1)
    c = tight(learned())
    observer, record = recorded(c)
    assert any("best iterate" in s for s in record.status)
    replayed(tmp_path, c, observer, record)


def breaking():
    """x lags u; beyond 1.5 the model is no number."""
    x, u = ca.MX.sym("x"), ca.MX.sym("u")
    f = 0.5 * x + u + ca.if_else(x > 1.5, ca.log(-1 - x**2), 0.0)
    names = dict(u_names=("u1",), y_names=("y1",), u_units=("-",), y_units=("-",))
    F, G = ca.Function("f", [x, u], [f]), ca.Function("g", [x], [x])
    return DiscreteSystem(F, G, 1.0, np.zeros(1), u_min=-np.ones(1), u_max=np.ones(1), **names)


def test_every_rung_below_the_solver_replays(tmp_path):
    system, process = breaking(), SystemProcess(linear_system([[0.5]], [[1.0]], [[1.0]], 1.0))
    c, observer = NMPC(system, 3, terminal=None, solver="condensed alone"), OffsetFreeObserver(system)
    record = run(process, c, observer, np.repeat([[0.4], [1.9], [0.4]], 8, 0), 24, progress=False)
    rungs = {s.split(";")[0] for s in record.status}
    assert rungs >= {"solved", "best iterate", "shifted plan", "steady-state target", "last input"}
    replayed(tmp_path, c, observer, record, flags=SANITISE)


def scalar(a):
    return linear_system([[a]], [[1.0]], [[1.0]], dt=1.0)


@pytest.mark.parametrize("share", [0.05, [0.0, 0.05]], ids=["all outputs disturbed", "one output disturbed"])
@pytest.mark.parametrize("kind", [DisturbanceObserver, EKF])
@pytest.mark.parametrize("factory", [GRU, LSTM])
def test_filters_replay_without_measurements_too(factory, kind, share, tmp_path):
    y_range = find_scales(learned(factory)).y_range
    observer, record = recorded(
        c := tight(learned(factory)), Blind, observe=lambda s: kind(s, 0.01 * y_range, share * y_range, 0.01)
    )
    assert any("missing" in s or "prediction" in s for s in record.status)
    replayed(tmp_path, c, observer, record, flags=SANITISE)


def test_a_filter_compiles_without_a_warning_and_starts_from_a_held_input(tmp_path):
    c, u0 = tight(learned()), learned().u_min + 0.4 * (learned().u_max - learned().u_min)
    observer, record = recorded(c, observe=lambda s: EKF(s, 1.0, 1.0, 0.01), u0=u0)
    replayed(tmp_path, c, observer, record, flags=STRICT, u0=u0)


def under_weather(observe, preview=0, process=SystemProcess, **options):
    """Controller, observer, record and the input held before, of a model whose second input is measured."""
    system = identified(GRU(2, 2, 3, seed=5)).to_casadi()
    names, (low, high) = system.u_names[1:], (system.u_min, system.u_max)
    s = find_scales(system)
    c = NMPC(system, 5, bounds={"du": 0.6 * s.u_half[:1]}, measured=names, measured_preview=preview,
             **{"solver": "condensed alone", **options})  # fmt: skip
    rng, u0 = np.random.default_rng(2), low[:1] + 0.6 * (high - low)[:1]
    r = s.y_mid + s.y_range * np.repeat(rng.uniform(-0.3, 0.3, (3, 2)), 8, 0)
    sent = {names[0]: [(8 * k * system.dt, level) for k, level in enumerate(rng.uniform(low[1], high[1], 3))]}
    plant, observer = process(system, noise_std=0.01 * s.y_range, measured=names), observe(system)
    given = dict(u0=u0, preview=preview > 0)
    record = run(plant, c, observer, r, 24, disturbances=sent, measured=names, progress=False, **given)
    return c, observer, record, given


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
    compiler = mpc.deploy.find_compiler() or ""
    subprocess.run(
        [compiler, "-std=c99", "missing.c", "controller.o", "-lm", "-o", "missing"], cwd=tmp_path, check=True
    )
    said = subprocess.run(["./missing"], cwd=tmp_path, check=True, capture_output=True, text=True).stdout
    assert said.split() == ["1", "1", "1", "0", "1", "1", "1", "0", "0"]


def gated(factory, u0=None, **options):
    """Controller, certified observer and record of a model with gains in its gates; every third sample is missing."""
    design = design_observer(identified(factory(2, 2, 3, seed=3)))
    c = tight(design.system, measured=design.innovations, **options)
    return c, *recorded(c, partial(Blind, measured=design.innovations), observe=CertifiedObserver, u0=u0)


@pytest.mark.parametrize("start", [None, 0.3])
@pytest.mark.parametrize("factory", [GRU, LSTM])
def test_gated_observers_replay_without_measurements_too(factory, start, tmp_path):
    system = identified(factory(2, 2, 3, seed=3)).to_casadi()
    u0 = None if start is None else system.u_min + start * (system.u_max - system.u_min)
    c, observer, record = gated(factory, u0)
    assert observer.x_max.any() and any("missing" in s or "prediction" in s for s in record.status)
    replayed(tmp_path, c, observer, record, flags=SANITISE if start else STRICT, u0=u0)
    assert "mpc_measure" not in (tmp_path / "README").read_text()


def test_a_gated_observer_whose_innovation_the_controller_does_not_know_is_refused(tmp_path):
    design = design_observer(identified(GRU(2, 2, 3, seed=3)))
    with pytest.raises(ValueError, match="measured=design.innovations"):
        export_c(tmp_path, NMPC(design.system, 3), CertifiedObserver(design.system), NOTHING)


def test_a_record_without_what_is_measured_is_refused(tmp_path):
    c, observer, record, given = under_weather(OffsetFreeObserver)
    with pytest.raises(ValueError, match="give u0"):
        export_c(tmp_path, c, observer, record)
    blind = replace(record, disturbance_names=tuple(f"old {n}" for n in record.disturbance_names))
    with pytest.raises(ValueError, match="no disturbance"):
        export_c(tmp_path, c, observer, blind, **given)


@pytest.mark.parametrize(
    "word, modes, options",
    [
        ("solver is 'ipopt'", (0.5, 0.5), {"solver": "ipopt"}),
        ("max_time", (0.5, 0.5), {"max_time": 1.0}),
        ("different systems", (0.5, 0.6), {}),
        ("integrates", (1.0, 1.0), {}),
        ("Riccati", (1.1, 1.1), {}),
    ],
)
@pytest.mark.filterwarnings("ignore:the model does not forget")
def test_what_c_cannot_do_is_refused_by_name(word, modes, options, tmp_path):
    first, second = (scalar(a) for a in modes)
    with pytest.raises(ValueError, match=word):
        export_c(tmp_path, NMPC(first, 3, **options), OffsetFreeObserver(second), NOTHING)


OTHERS = [
    ("MHE", lambda s: MHE(s, 1.0, 1.0, 1.0)),
    ("inputs", lambda s: EKF(s, 1.0, 0.0, 1.0, input_disturbance_std=1)),
]


@pytest.mark.parametrize("word, make", OTHERS)
def test_another_observer_is_refused_by_name(word, make, tmp_path):
    with pytest.raises(ValueError, match=word):
        export_c(tmp_path, NMPC(scalar(0.5), 3), make(scalar(0.5)), NOTHING)


def test_a_record_of_something_else_is_refused_with_the_step(tmp_path):
    c = tight(learned())
    observer, record = recorded(c, steps=8)
    record.u[5] += 0.1
    with pytest.raises(ValueError, match="at step 5"):
        export_c(tmp_path, c, observer, record)


def test_a_record_that_differs_is_told_by_the_program(tmp_path):
    c = tight(learned())
    exported = export_c(tmp_path, c, *recorded(c, steps=8))
    code = tmp_path / "replay_test.c"
    code.write_text(code.read_text().replace('"solved"', '"last input"', 1))
    assert exported.test(flags=QUICK).statuses_that_differ == 1


def test_without_a_compiler_the_replay_says_so(monkeypatch):
    monkeypatch.setattr(mpc.deploy, "find_compiler", lambda: None)
    with pytest.raises(RuntimeError, match="no C compiler"):
        ExportedController(Path()).test()
