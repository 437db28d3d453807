"""What an operator meets: partial references, lost sensors, manual operation, restarts, and sentences that explain."""

import numpy as np
import pytest
from test_mpc_closed_loop import two_tanks

from mpc import NMPC, PI, Loop, OffsetFreeObserver, Record, SystemProcess, linear_system, run

A, B, C = np.array([[0.9, 0.2], [-0.1, 0.8]]), np.array([[0.1, 0.3], [0.5, 0.0]]), np.array([[1.0, 0.0], [0.5, 1.0]])
X = np.array([1.0, -0.5])


@pytest.fixture
def system():
    return linear_system(A, B, C, dt=1.0)


def test_a_reference_for_some_outputs_is_enough(system):
    result = NMPC(system, 5, bounds={"u": {"u1": (-0.9, 0.9)}}).step(X, None, {"y1": 0.2}, np.zeros(2))
    assert result.ok and "no reference of y2 yet" in result.status
    s = two_tanks()
    assert run(SystemProcess(s), NMPC(s, 5), OffsetFreeObserver(s), {"h1": 1.2}, 5).ok.all()


def test_an_output_left_out_later_keeps_the_reference_it_had(system):
    c = NMPC(system, 5)
    c.step(X, None, [0.2, 0.1], np.zeros(2))
    kept = c.step(X, None, {"y1": 0.3}, np.zeros(2))
    assert kept.status == "solved"
    assert kept.u == pytest.approx(NMPC(system, 5).step(X, None, [0.3, 0.1], np.zeros(2)).u, abs=1e-6)


def test_a_loop_without_measurements_is_not_reported_solved():
    s = two_tanks()
    process = SystemProcess(s, noise_std={"h2": np.inf})
    record = run(process, NMPC(s, 5), OffsetFreeObserver(s), [1.2, 1.1], 4)
    assert not record.ok.any()
    assert all(status.startswith("solved on prediction; NaN measurement of h2") for status in record.status)


def test_record_says_which_references_are_out_of_reach(tmp_path):
    s = two_tanks()
    reference = {"h1": [(0.0, 1.0), (30.0, 50.0)], "h2": 1.0}
    record = run(SystemProcess(s), NMPC(s, 5), OffsetFreeObserver(s), reference, 5)
    record.save(tmp_path / "run.npz")
    assert Record.load(tmp_path / "run.npz").reachable.tolist() == [True] * 3 + [False] * 2


@pytest.mark.parametrize("solver", ["condensed", "ipopt"])
def test_out_of_time_the_best_plan_so_far_is_applied(solver):
    s = two_tanks()
    patient, hasty = NMPC(s, 20, solver=solver), NMPC(s, 20, solver=solver, max_time=1e-4)
    best = patient.step([0.5, 0.5], None, [1.5, 1.2], [1.0, 1.0])
    result = hasty.step([0.5, 0.5], None, [1.5, 1.2], [1.0, 1.0])
    if not result.ok:
        assert "Time" in result.status
        assert result.predicted is None or best.cost <= result.cost < np.inf
    assert np.isfinite(result.u).all()


def test_best_iterate_is_better_than_standing_still(system):
    from mpc.plan import Situation

    c = NMPC(system, 8, terminal=None)
    now = Situation(X, np.zeros(2), np.zeros(2), np.ones((8, 2)), X, np.zeros(2), np.zeros((2, 2)), 0.0, np.zeros(2))
    cold = c._problem.cold_plan(now)
    optimum, cost, _, ok = c._solvers._first.solve(now, cold)
    found = c._problem.best(now, cold, [cold._replace(u=cold.u + np.nan), optimum])
    assert ok and found is not None and found[1] == pytest.approx(cost, rel=1e-9)
    assert c._problem.best(now, optimum, [cold]) is None


@pytest.mark.parametrize("controller", [NMPC(linear_system(A, B, C, dt=1.0), 8, bounds={"du": 0.05})])
def test_back_from_manual_operation_there_is_no_bump(controller):
    for _ in range(3):
        controller.step(X, None, [0.5, 0.5], np.zeros(2))
    controller.follow(np.array([0.7, -0.6]))
    u = controller.step(X, None, [0.5, 0.5]).u
    assert np.abs(u - [0.7, -0.6]).max() <= 0.05 + 1e-12


def test_pi_takes_over_from_manual_operation_without_a_bump():
    s = two_tanks()
    pi = PI(s, [Loop("h1", "q1", 1.0, 50.0)])
    pi.step(np.array([1.0, 1.0]), None, [1.4, 1.0])
    pi.follow(np.array([2.0, 0.5]))
    assert pi.step(np.array([1.4, 1.0]), None, [1.4, 1.0]).u == pytest.approx([2.0, 0.5])


@pytest.mark.parametrize("solver", ["condensed", "ipopt"])
def test_a_restored_controller_goes_on_as_the_saved_one(solver, tmp_path):
    s = two_tanks()
    first, second = (NMPC(s, 6, solver=solver) for _ in range(2))
    for k in range(3):
        first.step([1.0 + 0.1 * k, 1.0], np.array([0.01, 0.0]), [1.4, 1.1])
    np.savez(tmp_path / "state.npz", **first.state())
    with np.load(tmp_path / "state.npz") as state:
        second.restore(state)
    a, b = (c.step([1.3, 1.05], None, {"h1": 1.4}) for c in (first, second))
    assert (a.status, a.u) == (b.status, pytest.approx(b.u, abs=1e-6))
    a, b = (c.step([np.nan] * 2, None, {}) for c in (first, second))
    assert a.status == b.status and a.u == pytest.approx(b.u, abs=1e-6)


def test_a_state_that_lacks_part_of_its_plan_is_refused():
    first, second = (NMPC(two_tanks(), 6) for _ in range(2))
    first.step([1.0, 1.0], None, [1.4, 1.1])
    state = {name: v for name, v in first.state().items() if name != "plan_y"}
    with pytest.raises(ValueError, match="lacks plan_y"):
        second.restore(state)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"horizon": 20.5}, "horizon is 20.5"),
        ({"horizon": "20"}, "horizon is 20"),
        ({"bounds": {"u": {"u1": ("a", 50)}}}, "bounds\\['u'\\] of 'u1' is \\('a', 50\\)"),
        ({"moves": [2, 2]}, "horizon's sum 5"),
        ({"solver": "magic"}, "choose 'condensed', 'condensed alone', 'fatrop' or 'ipopt'"),
        ({"solver": "fatrop", "max_time": 0.1}, "cannot keep a max_time"),
        ({"solver": "fatrop", "iterations": 1}, "of the condensed solver only"),
        ({"iterations": 0}, "at least 1"),
    ],
)
def test_wrong_controllers_are_explained(system, arguments, message):
    with pytest.raises(ValueError, match=message):
        NMPC(system, **{"horizon": 5, **arguments})


def test_an_identified_model_is_sent_to_to_casadi():
    class IdentifiedModel:
        f = g = None

    with pytest.raises(ValueError, match=r"IdentifiedModel is no System.*to_casadi\(\)"):
        NMPC(IdentifiedModel(), 5)


@pytest.mark.parametrize("steps", [-1, 0, 2.5])
def test_a_run_needs_whole_steps(system, steps):
    with pytest.raises(ValueError, match="steps is"):
        run(SystemProcess(system), NMPC(system, 3), OffsetFreeObserver(system), 0.0, steps)


def test_pi_with_an_observer_is_explained():
    s = two_tanks()
    with pytest.raises(ValueError, match="observer=None"):
        run(SystemProcess(s), PI(s, [Loop("h1", "q1", 1.0, 9.0)]), OffsetFreeObserver(s), 1.0, 3)


@pytest.mark.parametrize("kind", ["csv", "foreign npz", "npy"])
def test_a_file_that_is_no_record_is_named(kind, tmp_path):
    path = tmp_path / f"file.{kind.split()[-1]}"
    if kind == "csv":
        path.write_text("t,u\n0,1\n")
    elif kind == "npy":
        np.save(path, np.zeros(3))
    else:
        np.savez(path, a=np.zeros(3))
    with pytest.raises(ValueError, match="record of a closed loop|no closed-loop record"):
        Record.load(path)
