"""Integral action in the place of an observer of disturbances; and restarts of controllers without an observer."""

import numpy as np
import pytest
from test_mpc_closed_loop import two_tanks
from test_mpc_offset import FAMILIES, held_and_disturbed, pair

from mpc import NMPC, PI, IntegralNMPC, Loop, SystemProcess, linear_system, restore_state, run, save_state

MAKERS = {
    "integral": lambda s: IntegralNMPC(NMPC(s, 6, bounds={"du": 0.3}), gain=0.2),
    "PI": lambda s: PI(s, [Loop("h1", "q1", 0.5, 60.0), Loop("h2", "q2", 0.5, 60.0)]),
}


@pytest.mark.parametrize("name", FAMILIES)
def test_no_offset_despite_mismatch_and_disturbances(name):
    _, plant, controller = pair(name)
    size = controller.scales.y_range
    process, start, reference, sent = held_and_disturbed(plant, size)
    loop = IntegralNMPC(controller, gain=0.1)
    record = run(process, loop, None, reference, 300, disturbances=sent, u0=start, progress=False)
    assert record.ok.all() and record.reachable[-1]
    assert np.abs(record.y_true[-1] - reference) / size == pytest.approx(0, abs=1e-4)


def test_after_a_reference_far_out_of_reach_the_loop_moves_as_after_one_at_the_limit():
    system, sent = linear_system([[0.8]], [[0.2]], [[1.0]], 1.0), {"d_y1": [(0, 0.1)]}
    loop, runs = IntegralNMPC(NMPC(system, 8), gain=0.2), []
    for level in (5.0, 1.1):
        reference = {"y1": [(0, 0.0), (10, level), (110, 0.5)]}
        runs.append(run(SystemProcess(system), loop, None, reference, 160, disturbances=sent, progress=False))
    far, limit = runs
    assert far.y_true[109] == pytest.approx([1.1], abs=1e-6) and not far.reachable[109]
    assert far.y_true[110:] == pytest.approx(limit.y_true[110:], abs=1e-4)
    assert far.y_true[-1] == pytest.approx([0.5], abs=1e-3)


def test_a_preview_leaves_no_offset_either():
    system = linear_system([[0.8]], [[0.2]], [[1.0]], 1.0)
    reference, sent = {"y1": [(0, 0.0), (60, 0.5)]}, {"d_y1": [(0, 0.1)]}
    loop = IntegralNMPC(NMPC(system, 8), gain=0.1)
    record = run(SystemProcess(system), loop, None, reference, 160, disturbances=sent, preview=True, progress=False)
    assert record.y_true[[50, -1]].ravel() == pytest.approx([0.0, 0.5], abs=2e-3)


def test_the_nearest_target_is_reported():
    result = NMPC(linear_system([[0.8]], [[0.2]], [[1.0]], 1.0), 8).step(np.zeros(1), None, 5.0)
    assert not result.reachable and result.target == pytest.approx([1.0])


@pytest.mark.parametrize("kind", MAKERS)
def test_a_restored_controller_moves_as_the_saved_one_bit_by_bit(kind, tmp_path):
    s, ys = two_tanks(), 1.0 + 0.2 * np.random.default_rng(0).normal(size=(8, 2))
    first, second = MAKERS[kind](s), MAKERS[kind](s)
    first.reset(np.ones(2))
    for y in ys[:5]:
        first.step(y, None, [1.4, 1.1])
    save_state(tmp_path / "loop.npz", first, None)
    restore_state(tmp_path / "loop.npz", second, None)
    assert all((first.step(y, None, [1.4, 1.1]).u == second.step(y, None, [1.4, 1.1]).u).all() for y in ys[5:])


def test_missing_measurements_and_references_neither_move_nor_break_the_integral():
    loop = MAKERS["integral"](two_tanks())
    loop.step([1.1, 0.9], None, [1.2, 1.0], np.ones(2))
    before = loop.d
    result = loop.step([np.nan, np.nan], None, [np.nan, 1.0])
    assert (loop.d == before).all() and np.isfinite(result.u).all() and not result.ok
    assert "NaN measurement of h1, h2" in result.status


def test_wrong_loops_are_explained():
    more = linear_system(0.5 * np.eye(2), np.eye(2), [[1.0, 1.0]], 1.0)
    with pytest.raises(ValueError, match="measured disturbances"):
        IntegralNMPC(NMPC(more, 5, measured=["u2"]))
    with pytest.raises(ValueError, match="0 < gain < 2"):
        IntegralNMPC(NMPC(more, 5, {"y": 1.0}), gain=2.0)


def test_the_integral_does_not_push_an_output_through_its_bound():
    system = linear_system([[0.8]], [[0.2]], [[1.0]], 1.0)
    loop = IntegralNMPC(NMPC(system, 8, bounds={"y": {"y1": (None, 0.4)}}), gain=0.1)
    record = run(SystemProcess(system), loop, None, 0.6, 150, progress=False)
    assert record.y_true[-1] == pytest.approx([0.4], abs=1e-3) and record.y_true.max() < 0.45
