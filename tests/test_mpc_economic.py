"""A price beside the errors: the cheapest rest, inputs that rest where they should, and states kept in bounds."""

import casadi as ca
import numpy as np
import pytest
from controllers import learned
from scipy.optimize import minimize_scalar

from mpc import NMPC, OffsetFreeObserver, SystemProcess, linear_system, run
from mpc.scales import find_scales


def lag(nu=1):
    """y = x, and at rest the mean of the inputs; |u| <= 2."""
    return linear_system([[0.8]], [[0.2 / nu] * nu], [[1.0]], 1.0, u_box=(-2.0, 2.0))


def closed(system, controller, steps=60, **options):
    process, observer = SystemProcess(system), OffsetFreeObserver(system)
    return run(process, controller, observer, 0.5, steps, progress=False, u0=np.zeros(system.nu), **options)


@pytest.mark.parametrize("solver", ["ipopt", "fatrop"])
def test_the_loop_comes_to_rest_where_profit_is_largest(solver):
    system = lag()
    controller = NMPC(system, 40, price=lambda x, u, y: u[0] ** 2 - 3 * y[0], solver=solver)
    record = closed(system, controller)
    assert set(record.status) == {"solved"}
    assert record.y[-1] == pytest.approx([1.5], abs=1e-3)  # d/du (u^2 - 3 u) = 0
    assert controller.aim.solve(np.zeros(1)).u == pytest.approx([1.5], abs=1e-6)


def test_a_disturbance_moves_the_cheapest_rest():
    system = lag()
    record = closed(system, NMPC(system, 40, price=lambda x, u, y: u[0] ** 2 + (y[0] - 1) ** 2), 80,
                    disturbances={"d_y1": [(20, 0.6)]})  # fmt: skip
    assert record.u[19] == pytest.approx([0.5], abs=1e-3)  # u + (u + d - 1) = 0
    assert record.u[-1] == pytest.approx([0.2], abs=1e-3)


@pytest.mark.parametrize("solver", ["ipopt", "fatrop"])
def test_the_cheapest_rest_knows_measured_disturbances(solver):
    system = linear_system([[0.8]], [[0.2, 0.2]], [[1.0]], 1.0, u_box=(-2.0, 2.0))

    def price(x, u, y):
        return (u[0] + u[1]) ** 2 + (y[0] - 1) ** 2 + u[1] * u[0]

    controller = NMPC(system, 40, price=price, solver=solver, measured=["u2"], measured_preview=3)
    process, seen = SystemProcess(system, measured=["u2"]), {"u2": [(0, 0.0), (30, 0.4)]}
    record = run(process, controller, OffsetFreeObserver(system), 0.0, 70, preview=True,
                 measured=["u2"], disturbances=seen, u0=np.zeros(1), progress=False)  # fmt: skip
    assert set(record.status) == {"solved"}
    assert record.u[25] == pytest.approx([0.5], abs=1e-3)  # 2 (u + w) + 2 (u + w - 1) + w = 0
    assert record.u[-1] == pytest.approx([0.0], abs=1e-3)
    target = controller.aim.solve(np.zeros(1), None, np.array([0.0, 0.4]))
    assert target.ok and target.x == pytest.approx([0.4], abs=1e-6) and target.u == pytest.approx([0.0], abs=1e-6)


@pytest.mark.parametrize("solver", ["ipopt", "fatrop"])
def test_a_tariff_seen_ahead_is_paid_for_the_input_of_its_own_sample(solver):
    system = linear_system([[0.8]], [[0.2, 0.0]], [[1.0]], 1.0, u_names=["power", "tariff"])
    controller = NMPC(system, 5, {"du": 0.0}, price=lambda x, u, y: u[1] * u[0] + u[0] ** 2, solver=solver,
                      measured=["tariff"], measured_preview=4)  # fmt: skip
    tariff = np.array([[0.0], [1.0], [-0.5], [0.0], [0.3]])
    plan = controller.step(np.zeros(1), None, 0.0, np.zeros(1), measured=tariff).predicted
    assert plan.u == pytest.approx(-tariff / 2, abs=1e-4)


def test_a_spare_input_rests_where_it_is_wanted_and_the_output_at_its_reference():
    system = lag(2)
    controller = NMPC(system, 40, {"y": 10.0}, price=lambda x, u, y: 0.01 * (u[1] - 0.3) ** 2)
    record = closed(system, controller, 150)
    assert record.y[-1] == pytest.approx([0.5], abs=1e-3)
    assert record.u[-1] == pytest.approx([0.7, 0.3], abs=5e-3)


def test_a_state_is_kept_in_its_bound():
    system = linear_system([[0.8, 0.0], [0.3, 0.7]], [[0.2], [0.0]], [[0.0, 1.0]], 1.0)
    free = NMPC(system, 30, {"y": 1.0, "du": 1e-3})
    kept = NMPC(system, 30, {"y": 1.0, "du": 1e-3}, price=lambda x, u, y: 1e3 * ca.fmax(0, x[0] - 0.6) ** 2)
    most = []
    for controller in (free, kept):
        x, visited = np.zeros(2), []
        for _ in range(40):
            x = system.f(x, controller.step(x, None, 0.55).u).full().ravel()
            visited.append(x[0])
        most.append(max(visited))
    assert most[0] > 0.65 and most[1] < 0.605


def test_both_solvers_find_the_same_cheapest_plan(factory):
    system = learned(factory)
    plans = []
    for solver in ("ipopt", "fatrop"):
        controller = NMPC(system, 8, price=lambda x, u, y: 0.3 * u[0] - y[0] + 0.1 * y[1] ** 2, solver=solver)
        plans.append(controller.step(system.x0, None, np.zeros(2), np.zeros(2)))
    assert all(plan.ok for plan in plans)
    assert plans[1].cost == pytest.approx(plans[0].cost, rel=1e-5, abs=1e-5)


def test_a_plan_under_a_tariff_costs_what_its_samples_cost(factory):
    system, costs = learned(factory), []
    s = find_scales(system)
    w = s.u_mid[1] + s.u_half[1] * np.array([[-0.6], [0.4], [-0.2]])

    def price(x, u, y):
        u, y = (u - s.u_mid) / s.u_half, (y - s.y_mid) / s.y_range
        return u[1] * u[0] + u[0] ** 2 - y[0] + 0.1 * y[1] ** 2

    for solver in ("ipopt", "fatrop"):
        second = dict(measured=system.u_names[1:], measured_preview=2)
        controller = NMPC(system, 6, {"du": 0.0}, price=price, solver=solver, **second)
        result, x, paid = controller.step(system.x0, None, 0.0, system.u_min[:1], measured=w), system.x0, 0.0
        for k, u in enumerate(result.predicted.u):
            x = system.f(x, np.append(u, w[min(k, 2)])).full().ravel()
            paid += float(price(x, np.append(u, w[min(k, 2)]), system.g(x).full().ravel()))
        assert result.ok and result.cost == pytest.approx(paid, rel=1e-6, abs=1e-6)
        costs.append(result.cost)
    assert costs[1] == pytest.approx(costs[0], rel=1e-5, abs=1e-5)


def test_the_target_is_the_cheapest_rest_of_a_learned_model(factory):
    system = learned(factory, seed=4)
    s = find_scales(system)
    (middle, other), (half, _) = s.u_mid, s.u_half

    def price(x, u, y):
        return ((u[0] - middle) / half) ** 2 + (u[1] - other) ** 2 - y[0] / s.y_range[0]

    def at_rest(share):
        x, u = np.array(system.x0), np.array([middle + share * half, other])
        for _ in range(500):
            x = system.f(x, u).full().ravel()
        return float(price(x, u, system.g(x).full().ravel()))

    target = NMPC(system, 5, price=price).aim.solve(np.zeros(2))
    best = minimize_scalar(at_rest, bounds=(-1, 1), method="bounded", options={"xatol": 1e-8})
    found = float(price(target.x, target.u, target.y))
    assert target.ok and found < best.fun + 1e-6
    x_next = system.f(target.x, target.u).full().ravel()
    assert x_next == pytest.approx(target.x, abs=1e-6 * s.x_half.max())


@pytest.mark.parametrize(
    ("price", "options", "message"),
    [
        (lambda x, u, y: y[0] - y[0], {}, "nothing to choose by"),
        (lambda x, u, y: x, {}, "one number a sample"),
        (lambda x, u, y: "much", {}, "no expression of CasADi"),
        (lambda x, u, y: max(y[0], 0), {}, "no expression of CasADi"),
        (lambda x, u, y: ca.log(y[0] - 1e6), {}, "not finite"),
        (lambda x, u, y: y[0], {"solver": "condensed"}, "takes solver='ipopt' or 'fatrop', not 'condensed'"),
        (lambda x, u, y: u[1] ** 2, {"measured": ["u2"]}, "nothing to choose by"),
    ],
)
def test_wrong_prices_are_explained(price, options, message):
    system = linear_system(0.8 * np.eye(2), np.ones((2, 2)), np.eye(2), 1.0)
    with pytest.raises(ValueError, match=message):
        NMPC(system, 5, price=price, **options)


def test_a_saved_state_goes_on_with_the_same_target():
    system = lag()
    controllers = [NMPC(system, 10, price=lambda x, u, y: u[0] ** 2 - 3 * y[0]) for _ in range(2)]
    controllers[0].step(np.zeros(1), None, 0.0, np.zeros(1))
    controllers[1].restore(controllers[0].state())
    first, second = (c.step(np.array([0.3]), None, 0.0).u for c in controllers)
    assert second == pytest.approx(first, abs=1e-6)
