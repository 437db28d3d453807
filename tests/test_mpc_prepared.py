"""A real-time iteration in two parts: prepared before the measurement, finished after it."""

import numpy as np
import pytest
from controllers import learned, no_compiler, tight

from mpc import linear_system
from rnn_control import GRU


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


def test_a_state_far_from_the_forecast_costs_a_prepared_step_no_more_than_standing_still():
    system = learned(GRU)
    c = tight(system, iterations=1)
    s = c.scales
    u = c.step(system.x0, None, s.y_mid + 0.3 * s.y_range, s.u_mid).u
    c.prepare()
    guess, x, r = c._memory.guess, system.x0 - 1.5 * s.x_half, s.y_mid - 0.4 * s.y_range
    result = c.step(x, 0.5 * s.y_range, r, u)
    _, cost = c._problem.played(c._now, guess.u)
    assert result.ok and result.cost <= cost * (1 + 1e-9)
