"""Steady-state targets: the nearest rest point by Newton's method on the inputs is that of IPOPT."""

import numpy as np
import pytest
from zoo import identified

from mpc import SteadyTarget, linear_system
from mpc.nearest import Asked


@pytest.mark.parametrize("weights", [{"y": [1.0, 0.2]}, {"y": {"T0": 1.0}}])
def test_nearest_rest_point_is_that_of_ipopt(factory, weights):
    system = identified(factory(2, 2, 4, seed=3)).to_casadi()
    t = SteadyTarget(system, weights)
    ours, ipopt = t._nearest[0](), t._nearest[1]()
    x, u = np.split(t._z, [system.nx])
    asked = Asked(np.array([1.5, -0.4])[t.tracked], u, *t.box)
    found = [solver.solve(x, asked) for solver in (ours, ipopt)]
    a, b = (None if z is None else ours._settle(z[: system.nx], z[system.nx :], asked) for z in found)
    assert found[0] is not None and (np.abs(found[0][system.nx :]) <= 1).all()
    assert a is not None and b is not None and a.cost <= b.cost + 1e-7


def test_a_process_that_integrates_has_its_nearest_target_too():
    s = linear_system([[1.0, 0.1], [0.0, 0.5]], [[0.0], [1.0]], [[1.0, 0.0], [0.0, 1.0]], dt=1.0)
    t = SteadyTarget(s).solve(np.array([1.5, 0.3]))
    assert t.ok and not t.reachable
    assert t.y == pytest.approx([1.5, 0.0], abs=1e-6)
