"""A real-time iteration in two parts: prepared before the measurement, finished after it."""

import numpy as np
import pytest
from controllers import learned, no_compiler, tight

from mpc import linear_system
from rnn_control import GRU, LSTM


def prepared_loop(controller, system, prepare, jump=0.0, steps=12, push=0.0):
    """Inputs of a loop around the model whose states jump, and which is told of pushed inputs, in shares of ranges."""
    s, rng, x, u, inputs = controller.scales, np.random.default_rng(4), np.array(system.x0), controller.scales.u_mid, []
    for k in range(steps):
        r = s.y_mid + 0.4 * s.y_range * (1 if k < steps // 2 else -1)
        result = controller.step(x, 0.02 * s.y_range * np.sin(k), r, u, push * s.u_half * np.cos(k))
        u = result.u
        inputs.append(u)
        if prepare:
            controller.prepare()
        x = system.f(x, u).full().ravel() + jump * s.x_half * rng.uniform(-1, 1, system.nx)
    return np.array(inputs)


@pytest.mark.parametrize("compiled", [True, False])
def test_prepared_iterations_of_a_linear_model_are_exact_whatever_the_state(monkeypatch, compiled):
    if not compiled:
        no_compiler(monkeypatch)
    system = linear_system([[0.9, 0.2], [-0.1, 0.8]], [[0.5, 0.0], [0.1, 0.4]], np.eye(2), 1.0)
    converged, prepared = tight(system), tight(system, iterations=1)
    found, expected = (prepared_loop(c, system, c is prepared, 0.3, push=0.2) for c in (prepared, converged))
    assert found == pytest.approx(expected, abs=1e-7)


def test_prepared_iterations_settle_where_converged_ones_do(factory):
    system = learned(factory)
    controllers = tight(system, iterations=1), tight(system)
    assert controllers[0]._solvers._first.is_compiled
    first, second = (prepared_loop(c, system, True, 0.0, 60) for c in controllers)
    assert first[[29, 59]] == pytest.approx(second[[29, 59]], abs=2e-3 * np.ptp(second))


def test_prepared_iterations_are_the_same_compiled_and_in_numpy(factory, monkeypatch):
    system = learned(factory)
    compiled = prepared_loop(tight(system, iterations=1), system, True, 0.05, push=0.1)
    no_compiler(monkeypatch)
    plain = tight(system, iterations=1)
    assert not plain._solvers._first.is_compiled
    assert prepared_loop(plain, system, True, 0.05, push=0.1) == pytest.approx(compiled, abs=1e-6)


def test_what_was_prepared_is_dropped_with_the_plan():
    system = learned(GRU)
    c, fresh = tight(system, iterations=1), tight(system, iterations=1)
    s = c.scales
    r, x = s.y_mid + 0.3 * s.y_range, system.x0 + 0.3 * s.x_half
    c.step(system.x0, None, -r, s.u_mid)
    c.prepare()
    c.reset(s.u_mid)
    assert c.step(x, None, r).u == pytest.approx(fresh.step(x, None, r, s.u_mid).u, abs=1e-12)


def costs_far_from_the_forecast(controller, system, rng):
    """Of a prepared step, and of the plan it started from; state, disturbance and reference are drawn at random."""
    s, draw = controller.scales, lambda share, middle, unit: middle + share * unit * rng.uniform(-1, 1, len(unit))
    controller.reset(s.u_mid)
    u = controller.step(system.x0, None, draw(0.3, s.y_mid, s.y_range), s.u_mid).u
    controller.prepare()
    guess, x = controller._memory.guess, draw(1.5 * rng.uniform(), system.x0, s.x_half)
    result = controller.step(x, draw(0.3, 0, s.y_range), draw(0.4, s.y_mid, s.y_range), u)
    assert result.ok
    return result.cost, controller._problem.played(controller._now, guess.u)[1]


@pytest.mark.parametrize("compiled", [True, False])
def test_a_state_far_from_the_forecast_costs_a_prepared_step_no_more_than_standing_still(monkeypatch, compiled):
    if not compiled:
        no_compiler(monkeypatch)
    system, rng = learned(LSTM), np.random.default_rng(4)
    c = tight(system, iterations=1)
    step, still = np.array([costs_far_from_the_forecast(c, system, rng) for _ in range(30)]).T
    assert (step <= still * (1 + 1e-9)).all()


@pytest.mark.parametrize("prepare", [True, False])
def test_what_a_user_does_to_a_prediction_does_not_reach_the_next_step(prepare):
    system = learned(GRU)
    touched, untouched = (tight(system, iterations=1) for _ in range(2))
    s, inputs = touched.scales, []
    for c in (touched, untouched):
        predicted = c.step(system.x0, None, s.y_mid + 0.3 * s.y_range, s.u_mid).predicted
        if c is touched:
            predicted.u[:], predicted.y[:] = np.nan, np.nan
        if prepare:
            c.prepare()
        inputs.append(c.step(system.x0, None, s.y_mid + 0.3 * s.y_range).u)
    assert inputs[0] == pytest.approx(inputs[1], abs=0)
