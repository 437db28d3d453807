"""Disturbances of inputs, outputs, measured ones; and restarts in the middle of a run."""

import numpy as np
import pytest
from test_mpc_closed_loop import two_tanks

from mpc import (
    EKF,
    MHE,
    NMPC,
    DisturbanceObserver,
    OffsetFreeObserver,
    SystemProcess,
    linear_system,
    restore_state,
    run,
    save_state,
)

A, B, C = np.array([[0.9, 0.2], [-0.1, 0.8]]), np.array([[0.1, 0.3], [0.5, 0.0]]), np.array([[1.0, 0.0], [0.5, 1.0]])
E = np.array([[0.4], [-0.2]])
# name -> deviations per step of the disturbances of outputs and of inputs
MODELS = {"output": (0.05, 0.0), "input": (0.0, 0.05), "both": ({"h1": 0.05}, {"q2": 0.05})}
FILTERS = {"EKF": EKF, "constant gain": DisturbanceObserver}
OBSERVERS = {
    "open loop": OffsetFreeObserver,
    "EKF": lambda s: EKF(s, 0.01, 0.0, 0.01, input_disturbance_std=0.05),
    "constant gain": lambda s: DisturbanceObserver(s, 0.01, 0.05, 0.01),
    "MHE": lambda s: MHE(s, 0.01, 0.05, 0.01, window=3),
}


def played(controller, observer, ys, u):
    """Inputs of the steps that see ys."""
    us = []
    for y in ys:
        estimate = observer.update(u, y)
        more = {} if estimate.v is None else {"v_hat": estimate.v}
        u = controller.step(estimate.x, estimate.d, [1.4, 1.1], u, **more).u
        us.append(u)
    return np.array(us)


@pytest.mark.parametrize("solver", ["condensed", "ipopt"])
@pytest.mark.parametrize("name", OBSERVERS)
def test_a_restored_loop_moves_as_the_saved_one_bit_by_bit(name, solver, tmp_path):
    s, ys = two_tanks(), 1.0 + 0.2 * np.random.default_rng(0).normal(size=(8, 2))
    first, second = ((NMPC(s, 6, bounds={"du": 0.3}, solver=solver), OBSERVERS[name](s)) for _ in range(2))
    first[1].reset(ys[0], np.ones(2))
    u = played(*first, ys[:5], np.ones(2))[-1]
    save_state(tmp_path / "loop.npz", *first)
    restore_state(tmp_path / "loop.npz", *second)
    assert (played(*first, ys[5:], u) == played(*second, ys[5:], u)).all()


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("kind", FILTERS)
def test_no_offset_with_any_disturbance_model(kind, model):
    output_std, input_std = MODELS[model]
    process = SystemProcess(two_tanks(k1=1.15, k2=0.7))
    s, sent = two_tanks(), {"d_q1": [(200.0, 0.1)], "d_h2": [(200.0, -0.05)]}
    observer = FILTERS[kind](s, 0.01, output_std, 0.01, input_disturbance_std=input_std)
    record = run(process, NMPC(s, 10), observer, [1.3, 1.2], 150, disturbances=sent)
    assert record.ok.all()
    assert record.y_true[-1] == pytest.approx([1.3, 1.2], abs=1e-4)


@pytest.mark.parametrize("solver", ["condensed", "ipopt"])
def test_an_input_disturbance_moves_the_model_and_not_the_box(solver):
    s = linear_system(A, B, C, dt=1.0)
    v, x = np.array([0.4, -0.3]), np.array([1.0, -0.5])
    bounds = {"u": {"u1": (-0.5, 0.5)}, "du": 0.6}
    result = NMPC(s, 6, bounds=bounds, solver=solver).step(x, None, [3.0, -2.0], np.zeros(2), v)
    moved = np.clip(result.predicted.u, [-0.5, -1.0], [0.5, 1.0])
    assert result.predicted.u == pytest.approx(moved, abs=1e-9)
    y = [C @ x] + [C @ (x := A @ x + B @ (u + v)) for u in result.predicted.u]
    assert result.predicted.y == pytest.approx(np.array(y), abs=1e-7)


def test_a_measured_input_acts_as_a_known_disturbance_of_an_input_like_it():
    plain = linear_system(A, B, C, dt=1.0)
    more = linear_system(A, np.hstack([B, B[:, :1]]), C, dt=1.0)
    x, u = np.array([0.3, -0.2]), np.zeros(2)
    expected = NMPC(plain, 8).step(x, None, [0.5, 0.2], u, [0.3, 0.0]).u
    controller = NMPC(more, 8, measured=["u3"], y_range=NMPC(plain, 8).scales.y_range)
    assert controller.step(x, None, [0.5, 0.2], u, measured=0.3).u == pytest.approx(expected, abs=1e-6)


def test_the_prediction_knows_measured_disturbances_ahead():
    s, w = linear_system(A, np.hstack([B, E]), C, dt=1.0), np.array([[0.0], [0.5], [-0.5], [0.2]])
    x = np.array([0.3, -0.2])
    result = NMPC(s, 6, measured=["u3"], measured_preview=3).step(x, None, 0.1, np.zeros(2), measured=w)
    held = np.concatenate([w, w[-1:], w[-1:]])
    y = [C @ x] + [C @ (x := A @ x + B @ u + E @ wk) for u, wk in zip(result.predicted.u, held, strict=True)]
    assert result.ok and result.predicted.y == pytest.approx(np.array(y), abs=1e-7)


@pytest.mark.parametrize("preview", [False, True])
def test_a_measured_disturbance_costs_less_the_earlier_it_is_known(preview):
    s, blind = linear_system(A, np.hstack([B, E]), C, dt=1.0), linear_system(A, B, C, dt=1.0)
    scenario = dict(steps=40, disturbances={"u3": [(0.0, 0.0), (10.0, 0.5)]}, u0=np.zeros(2))
    process = SystemProcess(s, measured=["u3"])
    controller = NMPC(s, 10, measured=["u3"], measured_preview=10 * preview)
    unseen = run(process, NMPC(blind, 10), OffsetFreeObserver(blind), 0.0, **scenario)
    seen = run(process, controller, OffsetFreeObserver(s), 0.0, measured=["u3"], preview=preview, **scenario)
    assert seen.y_true[-1] == pytest.approx([0.0, 0.0], abs=1e-4)
    assert sum(seen.ise().values()) < (0.4 if preview else 0.7) * sum(unseen.ise().values())


@pytest.mark.parametrize(
    ("system", "deviations", "message"),
    [
        (linear_system([[1.0]], [[1.0]], [[1.0]], 1.0), (0.1, 0.0), "output 'y1' cannot be seen"),
        (linear_system(A, B, C[:1], 1.0), (0.0, 0.1), "input 'u1', input 'u2' cannot be told apart"),
        (linear_system(A, B, C, 1.0), (0.1, {"u2": 0.1}), "leave 1 of them out"),
        (linear_system(A, B * [1, 0], C, 1.0), (0.0, {"u2": 0.1}), "input 'u2' cannot be seen"),
        (linear_system(np.diag([0.5, 1.0]), B, [[1.0, 0.0]], 1.0), (0.1, 0.0), "a state of the model at rest shows"),
    ],
)
def test_a_disturbance_that_cannot_be_seen_is_named(system, deviations, message):
    with pytest.raises(ValueError, match=message):
        EKF(system, 0.1, deviations[0], 0.1, input_disturbance_std=deviations[1])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"measured": ["u1"]}, "last ones, in its order"),
        ({"measured": ["u4"]}, "names 'u4'"),
        ({"measured": ["u1", "u2", "u3"]}, "nothing is left to move"),
        ({"measured": ["u3"], "measured_preview": 0.5}, "whole number of samples"),
    ],
)
def test_measured_inputs_that_make_no_sense_are_explained(arguments, message):
    with pytest.raises(ValueError, match=message):
        NMPC(linear_system(A, np.hstack([B, E]), C, dt=1.0), 5, **arguments)
