"""Bounds of states: kept by every solver, in the target and in C, named where they give way."""

import numpy as np
import pytest
from controllers import learned, no_compiler

import mpc.compiled
from mpc import (
    EKF,
    NMPC,
    DiscreteSystem,
    IntegralNMPC,
    OffsetFreeObserver,
    SteadyTarget,
    SystemProcess,
    export_c,
    linear_system,
    run,
    with_delay,
)
from mpc.deploy import STRICT
from mpc.scales import find_scales
from mpc.system import evaluate
from rnn_control import GRU

SOLVERS = ["condensed alone", "ipopt", "fatrop"]


def jacket(x_names=(), **changes):
    """y follows x1, which the jacket x2 drives; at rest y = x2 / 2 and x2 = 2 u."""
    s = linear_system([[0.8, 0.1], [0.0, 0.5]], [[0.0], [1.0]], [[1.0, 0.0]], dt=1.0)
    parts = {n: getattr(s, n) for n in s.__dataclass_fields__} | {"x_names": x_names} | changes
    return DiscreteSystem(**parts)


def bounded(solver=None, high=0.6, system=None, **options):
    system = jacket() if system is None else system
    return NMPC(system, 12, {"y": 1.0, "du": 1e-3}, {"x": {"x2": (None, high)}}, solver=solver, **options)


def visited(controller, reference, steps=40, system=None):
    """States of the closed loop with the model itself, and the results."""
    system, results = controller.system if system is None else system, []
    xs, u = [np.array(system.x0)], np.zeros(len(controller.u_names))
    for _ in range(steps):
        results.append(controller.step(xs[-1], None, reference, u))
        u = results[-1].u
        xs.append(evaluate(system.f, xs[-1], u))
    return np.array(xs), results


@pytest.mark.parametrize("solver", SOLVERS)
def test_a_state_stays_in_its_bound_on_the_way_and_the_output_arrives(solver):
    free, _ = visited(NMPC(jacket(), 12, {"y": 1.0, "du": 1e-3}, solver=solver), [0.25])
    xs, results = visited(bounded(solver), [0.25])
    assert free[:, 1].max() > 0.9 and xs[:, 1].max() == pytest.approx(0.6, abs=1e-5)
    assert all(r.ok and r.reachable and not r.violated for r in results)
    assert xs[-1] == pytest.approx([0.25, 0.5], abs=1e-4)


@pytest.mark.parametrize("solver", SOLVERS)
def test_a_reference_that_needs_a_state_beyond_its_bound_is_out_of_reach(solver):
    xs, results = visited(bounded(solver), [0.45])
    assert all(r.ok and not r.reachable and r.target == pytest.approx([0.3], abs=1e-5) for r in results)
    assert xs[-1] == pytest.approx([0.3, 0.6], abs=1e-4)


def test_without_a_compiler_the_plans_are_the_same(monkeypatch):
    _, compiled = visited(bounded(), [0.25], 5)
    no_compiler(monkeypatch)
    _, numpy = visited(bounded(), [0.25], 5)
    assert [r.cost for r in compiled] == pytest.approx([r.cost for r in numpy], abs=1e-9)


@pytest.mark.parametrize("solver", ["ipopt", "fatrop"])
def test_solvers_agree_on_the_cost_of_learned_models_with_bounded_states(factory, solver):
    system = learned(factory)
    s, costs = find_scales(system), []
    bounds = {"x": np.column_stack([s.x_mid - 0.4 * s.x_half, s.x_mid + 0.4 * s.x_half])}
    for c in (NMPC(system, 6, bounds=bounds), NMPC(system, 6, bounds=bounds, solver=solver, tol=1e-10)):
        costs.append(c.step(system.x0, None, s.y_mid + 0.3 * s.y_range, s.u_mid + 0.2 * s.u_half).cost)
    assert costs[0] == pytest.approx(costs[1], rel=1e-6)


def test_a_bound_that_no_plan_keeps_gives_way_and_names_the_state():
    c = NMPC(jacket(("core", "y1")), 6, bounds={"x": {"y1": (None, 0.1), "core": (-9.0, 9.0)}})
    result = c.step(np.array([0.0, 4.0]), None, [0.0], np.zeros(1))
    assert result.ok and result.violated == ("state y1",)


def test_a_state_is_kept_under_a_price():
    c = NMPC(jacket(), 12, bounds={"x": {"x2": (None, 0.6)}}, price=lambda x, u, y: -y[-1])
    xs, results = visited(c, {})
    assert all(r.ok for r in results) and xs[:, 1].max() == pytest.approx(0.6, abs=1e-5)
    assert xs[-1] == pytest.approx([0.3, 0.6], abs=1e-4)


def test_a_state_is_kept_where_an_input_is_measured():
    s = linear_system([[0.8, 0.1], [0.0, 0.5]], [[0.0, 0.05], [1.0, 0.1]], [[1.0, 0.0]], 1.0, u_names=["u", "w"])
    c = NMPC(s, 12, {"y": 1.0, "du": 1e-3}, {"x": {"x2": (None, 0.6)}}, measured=["w"], measured_preview=2)
    x, visits = np.zeros(2), []
    for k in range(40):
        w = 0.5 * (k > 20)
        u = c.step(x, None, [0.25], measured=[w]).u
        x = evaluate(s.f, x, np.append(u, w))
        visits.append(x)
    assert np.max(visits, axis=0)[1] == pytest.approx(0.6, abs=1e-5) and x[0] == pytest.approx(0.25, abs=1e-4)


def test_a_state_is_kept_behind_a_dead_time():
    system = with_delay(jacket(), {"u1": 2})
    xs, results = visited(bounded(system=system), [0.25])
    assert all(r.ok for r in results) and xs[:, 1].max() == pytest.approx(0.6, abs=1e-5)


def test_offset_free_and_integral_action_take_a_controller_with_bounded_states():
    system, process = jacket(), SystemProcess(jacket())
    push = {"d_u1": [(20.0, 0.05)]}
    for wrap, observer in ((lambda c: c, OffsetFreeObserver(system)), (lambda c: IntegralNMPC(c, 0.3), None)):
        record = run(process, wrap(bounded()), observer, [0.25], 120, disturbances=push, progress=False)
        assert record.ok.all() and record.y_true[-1] == pytest.approx([0.25], abs=1e-4)


def test_a_restored_controller_goes_on_with_its_bounded_states():
    first, second = bounded(), bounded()
    visited(first, [0.25], 3)
    second.restore(first.state())
    x, u = np.array([0.1, 0.55]), np.array([0.3])
    assert second.step(x, None, [0.25], u).u == pytest.approx(first.step(x, None, [0.25], u).u, abs=0)


def filtered(system):
    return EKF(system, measurement_std=0.01, disturbance_std=0.1, process_std=0.01)


@pytest.mark.parametrize("level, watch", [(0.1, OffsetFreeObserver), (0.5, OffsetFreeObserver), (0.5, filtered)])
def test_the_controller_in_c_keeps_states_as_python_does(level, watch, tmp_path, monkeypatch):
    monkeypatch.setattr(mpc.compiled, "find_compiler", lambda: None)
    system = learned(GRU, size=3)
    s, half = find_scales(system), (system.u_max - system.u_min) / 2
    x = {n: (m - 0.2 * h, m + 0.2 * h) for n, m, h in zip(("x1", "x3"), s.x_mid[[0, 2]], s.x_half[[0, 2]], strict=True)}
    c = NMPC(system, 4, bounds={"x": x, "du": 0.6 * half, "y": {"T0": (None, s.y_mid[0])}}, solver="condensed alone")
    observer, r = watch(system), s.y_mid + level * s.y_range * np.repeat([[1, -1], [-1, 1]], 8, 0)
    record = run(SystemProcess(system, 0.01 * s.y_range), c, observer, r, 16, progress=False)
    assert not record.reachable.all()
    found = export_c(tmp_path, c, observer, record).test(flags=(*STRICT[:1], "-O0", *STRICT[2:]))
    assert found.agrees, found


def test_outputs_without_weight_are_kept_in_bounds_at_rest_too():
    """Two outputs, one input: y2 = 2 y1 at rest, and its bound comes before the reference of y1."""
    s = linear_system([[0.5, 0.0], [0.0, 0.5]], [[0.5], [1.0]], np.eye(2), 1.0)
    result = NMPC(s, 10, {"y": {"y1": 1.0}}, {"y": {"y2": (None, 0.8)}}).step(np.zeros(2), None, {"y1": 0.6})
    assert not result.reachable and result.target == pytest.approx([0.4, 0.8], abs=1e-5)


def test_a_spare_input_serves_the_bound_where_the_reference_leaves_it_free():
    """y = x1 + x2 can be had within x1 <= 0.1: the rest point next to the last one is not, another is."""
    s = linear_system(0.5 * np.eye(2), 0.5 * np.eye(2), [[1.0, 1.0]], 1.0)
    t = SteadyTarget(s, y_bounds=(np.array([-np.inf]), np.array([np.inf]))).solve(np.array([0.8]))
    result = NMPC(s, 10, bounds={"x": {"x1": (None, 0.1)}}).step(np.zeros(2), None, [0.8])
    assert t.x == pytest.approx([0.4, 0.4]) and result.reachable and result.target == pytest.approx([0.8], abs=1e-4)


@pytest.mark.parametrize(
    "bounds, word", [({"x3": (0, 1)}, "did you mean"), ({"x1": (1, 0)}, "contradict"), ([[0, 1]], "shape")]
)
def test_wrong_bounds_of_states_are_refused(bounds, word):
    with pytest.raises(ValueError, match=word):
        NMPC(jacket(), 5, bounds={"x": bounds})


@pytest.mark.parametrize("compiler", [True, False])
def test_targets_are_found_along_the_bounds_of_states(compiler, monkeypatch):
    """Bounds are walls to a search on a penalty: every fourth here was lost before the penalty grew by degrees."""
    if not compiler:
        no_compiler(monkeypatch)
    system, rng = learned(GRU, seed=1, size=5), np.random.default_rng(0)
    s = find_scales(system)
    bounds = {"x": np.column_stack([s.x_mid - 0.15 * s.x_half, s.x_mid + 0.2 * s.x_half])[: system.nx]}
    t = NMPC(system, 3, bounds=bounds).target
    t._stands_in = ()  # no IPOPT
    wanted = [np.append(s.y_mid + 0.4 * s.y_range * rng.normal(size=2), 0 * s.x_mid) for _ in range(30)]
    assert all(t.solve(r).ok for r in wanted)
