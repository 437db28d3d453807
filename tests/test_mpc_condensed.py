"""The condensed solver: same optimum as IPOPT, same numbers compiled and not, whatever the model."""

import casadi as ca
import numpy as np
import pytest
from controllers import learned, no_compiler, tight
from scipy.optimize import minimize

import mpc.compiled
from mpc import NMPC, DiscreteSystem, linear_system
from mpc.fatrop import FatropSolver
from mpc.jacobian import jacobian
from mpc.plan import Plan
from mpc.qp import solve_qp
from plants import PLANTS
from rnn_control.model import map_arrays


def planned(system, x, u):
    """The plan that inputs u (N, nu) lead to from x."""
    xs = [x := system.f(x, u_k).full().ravel() for u_k in u]
    return Plan(u, np.array(xs), np.array([system.g(x).full().ravel() for x in xs]))


def side_by_side(system, first, second, steps=6, seed=0, lead=False):
    """Results of both at every step of a loop that the first closes: previews partly out of reach, disturbances.

    With lead, the second starts from the first's plan: of several local optima it is to find the same.
    """
    rng, s = np.random.default_rng(seed), first.scales
    x, u, pairs = np.array(system.x0), s.u_mid, []
    r = s.y_mid + s.y_range * np.repeat(rng.uniform(-0.6, 0.6, (steps, 2)), 6, 0)
    for k in range(steps):
        d = 0.15 * s.y_range * np.sin(k)
        ahead = first.step(x, d, r[k : k + 9], u)
        if lead:
            second._memory.guess = planned(system, x, ahead.predicted.u)
        pairs.append([ahead, second.step(x, d, r[k : k + 9], u)])
        u = pairs[-1][0].u
        x = system.f(x, u).full().ravel()
    return zip(*pairs, strict=True)


def test_condensed_solver_and_ipopt_reach_the_same_optimum(factory):
    system = learned(factory)
    ours, theirs = side_by_side(system, tight(system), tight(system, solver="ipopt", tol=1e-10), lead=True)
    assert all(r.status == "solved" for r in ours)
    assert [r.cost for r in ours] == pytest.approx([r.cost for r in theirs], rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("moves", [None, [1, 1, 2, 4]])
def test_fatrop_reaches_the_same_optimum_or_of_several_a_better_one(factory, moves):
    system = learned(factory)
    first, second = tight(system, moves=moves), tight(system, moves=moves, solver="fatrop")
    ours, theirs = side_by_side(system, first, second, lead=True)
    assert all(r.ok for r in theirs)
    excess = np.array([(t.cost - o.cost) / (1 + o.cost) for o, t in zip(ours, theirs, strict=True)])
    assert excess.max() < 1e-6 and (abs(excess) < 1e-6).sum() >= 5


def test_fatrop_needs_no_help_and_says_where_it_found_nothing():
    system = linear_system([[0.9, 0.2], [0.0, 0.8]], [[0.0], [1.0]], [[1.0, 0.0]], 1.0)
    controller = NMPC(system, 12, bounds={"du": 0.3, "y": {"y1": (-1.0, 1.5)}})
    problem, best = controller._problem, controller.step(np.array([1.0, 0.5]), None, [1.4], np.zeros(1))
    solver, now = FatropSolver(problem, 1e-8), controller._now
    _, cost, words, ok = solver.solve(now, problem.cold_plan(now))
    assert ok and not words and cost == pytest.approx(best.cost, rel=1e-6)
    plan, _, words, ok = solver.solve(now._replace(x=np.array([np.nan, 0.0])), problem.cold_plan(now))
    assert not ok and words and np.isfinite(plan.u).all()


def test_compiled_and_numpy_solver_make_the_same_steps(factory, monkeypatch):
    system = learned(factory)
    first = tight(system)
    no_compiler(monkeypatch)
    compiled, plain = side_by_side(system, first, tight(system), steps=3)
    difference = np.array([a.u - b.u for a, b in zip(compiled, plain, strict=True)]) / first.scales.u_half
    assert np.abs(difference).max() < 1e-6
    assert [r.cost for r in compiled] == pytest.approx([r.cost for r in plain], rel=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_condensed_solver_solves_every_step_alone(factory, seed):
    system = learned(factory, seed)
    alone, again = tight(system, solver="condensed alone"), tight(system, solver="condensed alone")
    results, _ = side_by_side(system, alone, again, steps=4, seed=seed)
    assert [r.status for r in results] == ["solved"] * 4


def cell(factory):
    model = factory(2, 3, 5, seed=1)
    x, u, lam = ca.MX.sym("x", model.nx), ca.MX.sym("u", 2), ca.MX.sym("lam", model.nx)
    f = model.f(map_arrays(model.theta()), x, u)
    gradient = ca.vertcat(ca.jtimes(f, x, lam, True), ca.jtimes(f, u, lam, True))
    return x, u, lam, f, gradient


@pytest.mark.parametrize("order", [1, 2])
def test_matrix_jacobian_is_casadis(factory, order):
    x, u, lam, f, gradient = cell(factory)
    e = f if order == 1 else gradient
    both = [jacobian(e, x, u), ca.horzcat(ca.jacobian(e, x), ca.jacobian(e, u))]
    ours, casadis = ca.Function("J", [x, u, lam], both)(*(0.3 * np.arange(1, n + 1) for n in (x.numel(), 2, x.numel())))
    assert ours.full() == pytest.approx(casadis.full(), abs=1e-13)


@pytest.mark.parametrize("name", PLANTS)
def test_matrix_jacobian_of_a_plants_scalar_equations_is_casadis(name):
    plant = PLANTS[name]()
    system = plant.discretise(plant.sampling_time)
    x, u = ca.MX.sym("x", system.nx), ca.MX.sym("u", system.nu)
    (f,) = system.f.call([x, u], True, False)
    both = ca.Function("J", [x, u], [jacobian(f, x, u), ca.horzcat(ca.jacobian(f, x), ca.jacobian(f, u))])
    ours, casadis = (J.full() for J in both(plant.nominal.x, plant.nominal.u))
    assert ours == pytest.approx(casadis, rel=1e-9, abs=1e-9)


def test_matrix_jacobian_of_every_third_row():
    x = ca.MX.sym("x", 9)
    e = ca.sin(x)[2::3]
    both = ca.Function("J", [x], [jacobian(e, x), ca.jacobian(e, x)])(np.linspace(0, 1, 9))
    assert np.allclose(*(np.array(J) for J in both))


def test_what_the_matrix_jacobian_does_not_know_is_left_to_casadi():
    x = ca.MX.sym("x", 2)
    e = ca.vertcat(ca.norm_2(x), ca.mmax(x))
    J = ca.Function("J", [x], [jacobian(e, x)])
    assert J([3.0, 4.0]).full() == pytest.approx(np.array([[0.6, 0.8], [0.0, 1.0]]))


def random_qp(seed):
    rng = np.random.default_rng(seed)
    n, m = 5, 9
    H, A = rng.normal(size=(n, n)), np.vstack([np.eye(n), rng.normal(size=(m - n, n))])
    middle, width = 0.5 * rng.normal(size=m), rng.uniform(0.1, 1.0, m)
    middle[:n] = 0.0
    return (
        H @ H.T + 0.1 * np.eye(n),
        3 * rng.normal(size=n),
        A,
        middle - width,
        middle + width,
        np.where(np.arange(m) < n, np.inf, rng.uniform(1.0, 4.0, m)),
    )


@pytest.mark.parametrize("seed", range(8))
def test_qp_with_rows_that_give_way_is_the_penalised_problem(seed):
    H, g, A, low, high, c = random_qp(seed)
    L = np.linalg.cholesky(H)
    found = solve_qp(L, g, A, low, high, c, [])
    assert found is not None
    d, work = found

    def cost(z):
        d, s = z[:5], z[5:]
        return 0.5 * d @ H @ d + g @ d + c[5:] @ (s + s**2)

    rows = [{"type": "ineq", "fun": lambda z: A[5:] @ z[:5] + z[5:] - low[5:]}]
    rows += [{"type": "ineq", "fun": lambda z: high[5:] - A[5:] @ z[:5] + z[5:]}]
    box = [*zip(low[:5], high[:5], strict=True), *[(0, None)] * 4]
    best = minimize(cost, np.zeros(9), bounds=box, constraints=rows, method="SLSQP", options={"ftol": 1e-14})
    assert d == pytest.approx(best.x[:5], abs=1e-5)
    again = solve_qp(L, g, A, low, high, c, work)
    assert again is not None and again[0] == pytest.approx(d, abs=1e-9)


def bent(sharpness=4.0):
    """A strongly curved scalar system: Gauss-Newton alone is slow on it."""
    x, u = ca.MX.sym("x"), ca.MX.sym("u")
    f = ca.Function("f", [x, u], [0.7 * x + ca.sin(sharpness * u) + 0.5 * u])
    names = dict(u_names=("u",), y_names=("y",), u_units=("-",), y_units=("-",))
    return DiscreteSystem(f, ca.Function("g", [x], [x + 0.3 * x**2]), 1.0, [0.0], u_min=[-2.0], u_max=[2.0], **names)


@pytest.mark.parametrize("compiler", [True, False])
def test_curved_models_converge_and_end_where_no_step_pays(compiler, monkeypatch):
    if not compiler:
        no_compiler(monkeypatch)
    system = bent()
    ours, theirs = NMPC(system, 6), NMPC(system, 6, solver="ipopt")
    for x in np.linspace(-2, 2, 9):
        a, b = (c.step([x], None, 0.5, [0.1]) for c in (ours, theirs))
        assert a.status == "solved"
        assert a.cost == pytest.approx(b.cost, rel=1e-6)


def test_real_time_iterations_settle_where_converged_ones_do(factory):
    system = learned(factory)
    ends = []
    for c in (tight(system, iterations=1), tight(system)):
        x, u = np.array(system.x0), c.scales.u_mid
        for _ in range(40):
            u = c.step(x, None, c.scales.y_mid + 0.1 * c.scales.y_range, u).u
            x = system.f(x, u).full().ravel()
        ends.append((u - c.scales.u_mid) / c.scales.u_half)
    assert ends[0] == pytest.approx(ends[1], abs=1e-3)


@pytest.mark.parametrize("solver", ["condensed", "ipopt"])
def test_blocked_moves_stay_equal_within_a_block(solver):
    A, B, C = [[0.9, 0.2], [-0.1, 0.8]], [[0.1, 0.3], [0.5, 0.0]], np.eye(2)
    system = linear_system(A, B, C, dt=1.0)
    c = NMPC(system, 9, moves=[1, 2, 6], solver=solver, bounds={"du": 0.3})
    u = c.step([1.0, -0.5], None, [0.5, -0.2], np.zeros(2)).predicted.u
    assert u[1] == pytest.approx(u[2]) and np.ptp(u[3:], axis=0) == pytest.approx(0.0)
    assert np.abs(np.diff(np.vstack([np.zeros(2), u]), axis=0)).max() <= 0.3 + 1e-8


def test_blocked_moves_have_one_optimum():
    system = bent(1.0)
    costs = [
        NMPC(system, 9, moves=[1, 2, 6], solver=s, tol=1e-10).step([1.0], None, 0.3, [0.1]).cost
        for s in ("condensed", "ipopt")
    ]
    assert costs[0] == pytest.approx(costs[1], rel=1e-6)


@pytest.mark.parametrize("compiler", [True, False])
def test_a_model_that_returns_nan_is_a_status(compiler, monkeypatch):
    if not compiler:
        no_compiler(monkeypatch)
    x, u = ca.MX.sym("x"), ca.MX.sym("u")
    f = ca.Function("f", [x, u], [0.5 * x + u + ca.if_else(x > 5, ca.log(-x * x), 0.0)])
    names = dict(u_names=("u",), y_names=("y",), u_units=("-",), y_units=("-",))
    system = DiscreteSystem(f, ca.Function("g", [x], [x]), 1.0, [0.0], u_min=[-1.0], u_max=[1.0], **names)
    result = NMPC(system, 4).step([9.0], None, 0.5, [0.2])
    assert not result.ok and np.isfinite(result.u).all()


def test_a_compiler_that_fails_is_reported_and_done_without(monkeypatch):
    monkeypatch.setattr(mpc.compiled, "FLAGS", ("-no-such-flag",))
    system = linear_system([[0.5]], [[1.0]], [[1.0]], dt=1.0)
    with pytest.warns(RuntimeWarning, match="no-such-flag"):
        c = NMPC(system, 3)
    assert c.step([1.0], None, 0.2, [0.0]).ok


def test_the_second_build_comes_from_the_cache(monkeypatch):
    system = linear_system([[0.5]], [[1.0]], [[1.0]], dt=1.0)
    NMPC(system, 4)
    monkeypatch.setattr(mpc.compiled, "_compile", lambda *_: pytest.fail("compiled again"))
    assert NMPC(system, 4, weights={"du": 2.0}).step([1.0], None, 0.2, [0.0]).ok
