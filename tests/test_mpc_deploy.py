"""The controller in C99 makes the steps of the one in Python: nominal, blind, out of reach, and on every rung."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import casadi as ca
import numpy as np
import pytest
from controllers import no_compiler
from deployed import QUICK, SANITISE, Blind, learned, recorded, replayed, tight

import mpc.c_text
import mpc.condensed
import mpc.deploy
from mpc import (
    EKF,
    NMPC,
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
from rnn_control import GRU, LSTM

NOTHING: Any = None


@pytest.fixture(autouse=True)
def numpy_solver(monkeypatch):
    """What is replayed was computed by NumPy, which needs no compiling."""
    no_compiler(monkeypatch)


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


def test_disturbances_of_inputs_are_refused_by_name(tmp_path):
    observer = EKF(scalar(0.5), 1.0, 0.0, 1.0, input_disturbance_std=1)
    with pytest.raises(ValueError, match="inputs"):
        export_c(tmp_path, NMPC(scalar(0.5), 3), observer, NOTHING)


def test_another_observer_is_refused_by_name(tmp_path):
    with pytest.raises(ValueError, match="SimpleNamespace; the C code has .*MHE"):
        export_c(tmp_path, NMPC(scalar(0.5), 3), SimpleNamespace(), NOTHING)


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
