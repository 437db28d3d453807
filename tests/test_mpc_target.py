"""Steady-state targets: the nearest rest point by Newton's method on the inputs is that of IPOPT."""

import numpy as np
import pytest
from zoo import identified

import mpc.nearest
from mpc import NMPC, SteadyTarget, linear_system
from mpc.nearest import Asked
from mpc.rest import CompiledRest
from rnn_control import GRU


@pytest.mark.parametrize("weights", [{"y": [1.0, 0.2]}, {"y": {"T0": 1.0}}])
def test_nearest_rest_point_is_that_of_ipopt(factory, weights):
    system = identified(factory(2, 2, 4, seed=3)).to_casadi()
    t = SteadyTarget(system, weights)
    ours, ipopt = (make() for make in t._late)
    x, u = np.split(t._z, [system.nx])
    asked = Asked(np.array([[1.5, 1.5], [-0.4, -0.4]])[t.tracked], u, *t.box, t.rest)
    found = [solver.solve(x, asked) for solver in (ours, ipopt)]
    a, b = (None if z is None else ours._settle(z[: system.nx], z[system.nx :], asked) for z in found)
    assert found[0] is not None and (np.abs(found[0][system.nx :]) <= 1).all()
    assert a is not None and b is not None and a.cost <= b.cost + 1e-7


def test_a_process_that_integrates_has_its_nearest_target_too():
    s = linear_system([[1.0, 0.1], [0.0, 0.5]], [[0.0], [1.0]], [[1.0, 0.0], [0.0, 1.0]], dt=1.0)
    t = SteadyTarget(s).solve(np.array([1.5, 0.3]))
    assert t.ok and not t.reachable
    assert t.y == pytest.approx([1.5, 0.0], abs=1e-6)


def test_compiled_search_finds_the_targets_of_the_one_in_numpy(factory):
    system = identified(factory(2, 2, 4, seed=3)).to_casadi()
    c = NMPC(system, 3)
    alone = SteadyTarget(system, {"y": c.weights.y}, scales=c.scales)
    assert isinstance(c.target._search, CompiledRest)
    at_rest, rng = alone.solve(c.scales.y_mid).y, np.random.default_rng(0)
    asked = [at_rest + c.scales.y_range * size * rng.normal(size=2) for size in (0.01, 1.0) for _ in range(20)]
    pairs = [(c.target.solve(r), alone.solve(r)) for r in asked]
    assert {ours.reachable for ours, _ in pairs} == {True, False}
    assert all(ours.ok and ours.reachable == theirs.reachable for ours, theirs in pairs)
    off = max(np.abs((ours.y - theirs.y) / c.scales.y_range).max() for ours, theirs in pairs)
    assert off < 1e-6


def test_second_derivatives_are_left_out_where_outputs_decide_and_change_nothing(monkeypatch):
    system = identified(GRU(1, 3, 4, seed=2)).to_casadi()
    ours, always = SteadyTarget(system), SteadyTarget(system)
    near, asked = ours._late[0](), []
    curve, near._curve = near._curve, lambda *at: asked.append(at) or curve(*at)
    size = 0.01 * ours.scales.y_range * np.array([1.0, -1.0, 1.0])
    targets = [ours.solve(ours.scales.y_mid), ours.solve(ours.scales.y_mid + size)]
    assert len(asked) <= 1 and all(t.ok and not t.reachable for t in targets)
    monkeypatch.setattr(mpc.nearest, "SLOW", -1.0)
    assert always.solve(ours.scales.y_mid).u == pytest.approx(targets[0].u, abs=1e-7 * float(ours.scales.u_half[0]))
