"""Observers of one call signature: when which measurement corrects what, estimation within bounds, certified gains."""

import casadi as ca
import numpy as np
import pytest
from test_mpc_closed_loop import two_tanks
from test_mpc_observers import A, B, C
from zoo import identified, quick_gru

from mpc import (
    EKF,
    MHE,
    NMPC,
    CertifiedObserver,
    DisturbanceObserver,
    OffsetFreeObserver,
    SystemProcess,
    linear_system,
    run,
    warm_up,
)
from rnn_control import design_observer

L = np.array([[0.3], [0.2]])
# name -> observer of x+ = A x + B u, y = C x, and which estimates y(k) corrects: at k, and those of x at k + 1
OBSERVERS = {
    "open loop": (OffsetFreeObserver, "d", ""),
    "EKF": (lambda s: EKF(s, 0.1, 0.1, 0.1), "x d", "x"),
    "constant gain": (lambda s: DisturbanceObserver(s, 0.1, 0.1, 0.1), "x d", "x"),
    "input disturbance": (lambda s: EKF(s, 0.1, 0.0, 0.1, input_disturbance_std=0.1), "x v", "x"),
    "MHE": (lambda s: MHE(s, 0.1, 0.1, 0.1, window=3), "x d", "x"),
    "innovation": (lambda s: CertifiedObserver(linear_system(A, np.hstack([B, L]), C, dt=1.0)), "d", "x"),
}


@pytest.fixture(params=OBSERVERS)
def observed(request):
    make, *corrected = OBSERVERS[request.param]
    return (lambda: make(linear_system(A, B, C, dt=1.0))), *corrected


def played(make, us, ys):
    """Estimates at 0, 1, ...: ys[k] is measured, then us[k] applied."""
    observer = make()
    observer.reset(np.zeros(1), np.zeros(1))
    return [observer.update(u, y) for u, y in zip([None, *us[:-1]], ys, strict=True)]


def test_timing_without_errors_the_estimate_at_k_is_the_state_at_k(observed):
    us, xs = np.random.default_rng(0).uniform(-1, 1, (12, 1)), [np.zeros(2)]
    for u in us[:-1]:
        xs.append(A @ xs[-1] + B @ u)
    found = played(observed[0], us, np.array(xs) @ C.T)
    assert np.array([e.x for e in found]) == pytest.approx(np.array(xs), abs=1e-6)


def test_timing_the_measurement_at_k_corrects_what_is_said_and_when(observed):
    make, now, later = observed
    us, ys = np.zeros((8, 1)), np.zeros((8, 1))
    other = np.where(np.arange(8)[:, None] == 5, 0.3, ys)
    first, second = played(make, us, ys), played(make, us, other)
    moved = [[n for n in "xdv" if getattr(a, n) is not None and np.abs(getattr(a, n) - getattr(b, n)).max() > 1e-5]
             for a, b in zip(first, second, strict=True)]  # fmt: skip
    assert moved[:5] == [[]] * 5 and moved[5] == now.split()
    assert ("x" in moved[6]) == bool(later)


def test_timing_the_input_held_from_k_on_moves_the_estimate_at_k_plus_1(observed):
    us, ys = np.zeros((8, 1)), np.full((8, 1), np.nan)
    pushed = np.where(np.arange(8)[:, None] == 5, 1.0, us)
    first, second = played(observed[0], us, ys), played(observed[0], pushed, ys)
    moves = np.array([b.x - a.x for a, b in zip(first, second, strict=True)])
    assert moves[:6] == pytest.approx(0, abs=1e-9)
    assert moves[6:] == pytest.approx(np.array([B[:, 0], A @ B[:, 0]]), abs=1e-6)


@pytest.mark.parametrize("window", [1, 4])
def test_mhe_of_a_linear_system_is_the_kalman_filter(window):
    rng = np.random.default_rng(0)
    us, ys = rng.normal(size=(10, 1)), rng.normal(size=(10, 1))
    ys[6] = np.nan
    settings = (linear_system(A, B, C, dt=1.0), 0.5, 0.2, 0.1)
    mhe, ekf = MHE(*settings, window=window, x0_std=1.0), EKF(*settings, x0_std=1.0)
    for k in range(10):
        found, expected = (o.update(us[k - 1] if k else None, ys[k]) for o in (mhe, ekf))
        assert mhe.ok and np.append(found.x, found.d) == pytest.approx(np.append(expected.x, expected.d), abs=1e-5)


def test_mhe_keeps_its_bounds_where_a_filter_does_not():
    s = two_tanks()
    mhe = MHE(s, 0.01, 0.0, 0.05, window=4, bounds={"x": {"x1": (0.9, None)}})
    mhe.reset([1.0, 1.0], [1.0, 1.0])
    for _ in range(6):
        x = mhe.update([1.0, 1.0], [0.5, 1.0]).x
    assert mhe.ok and x[0] == pytest.approx(0.9, abs=1e-6)


def test_mhe_finds_the_optimum_of_newtons_method_where_the_measurements_contradict_the_model():
    s = two_tanks()
    mhe = MHE(s, 0.01, 0.02, 0.05, window=5)
    mhe.reset([1.0, 1.0], [1.0, 1.0])
    for k in range(8):
        mhe.update([1.0, 1.0], [0.5 + 0.1 * (-1) ** k, 1.4])
    window = mhe._problem
    found, options = [], {"ipopt.tol": 1e-10, "ipopt.print_level": 0, "print_time": False, "ipopt.sb": "yes"}
    newton = ca.nlpsol("newton", "ipopt", window._build()[0], options)
    for solver in (window._solver, newton):
        window._solver = solver
        found.append(window.solve(mhe._behind, mhe._us, mhe._ys))
    assert found[0] == pytest.approx(found[1], abs=1e-7)


def test_jacobian_of_the_estimation_problem_equals_casadis():
    window = MHE(two_tanks(1.0), 0.01, 0.0, 0.05, window=3, input_disturbance_std=0.02)._problem
    problem, jacobian = window._build()
    x, p = (np.random.default_rng(0).uniform(0.5, 1.5, problem[k].numel()) for k in "xp")
    literal = ca.Function("J", [problem["x"], problem["p"]], [ca.jacobian(problem["g"], problem["x"])])(x, p)
    assert jacobian(x, p)[1].full() == pytest.approx(literal.full(), abs=1e-12)


def test_mhe_that_is_not_solved_goes_on_open_loop():
    s = two_tanks()
    mhe = MHE(s, 0.01, 0.05, 0.01, window=3, max_time=1e-9)
    mhe.start([1.0, 0.9])
    estimate = mhe.update([1.2, 0.7], [5.0, 5.0])
    assert not mhe.ok and estimate.x == pytest.approx(s.f([1.0, 0.9], [1.2, 0.7]).full().ravel())


@pytest.fixture(scope="module")
def gated():
    model = identified(quick_gru(2, 2, 4, seed=1))
    return model.to_casadi(), design_observer(model)


def test_a_certified_observer_forgets_where_it_started_at_its_rate(gated):
    plain, design = gated
    rng, x = np.random.default_rng(0), np.zeros(4)
    observer = CertifiedObserver(design.system)
    observer.x, V = np.full(4, 0.9), []
    for _ in range(15):
        estimate = observer.update(None, plain.g(x).full().ravel())
        V.append((np.abs(x - estimate.x) / design.scale).max())
        u = rng.uniform(plain.u_min, plain.u_max)
        x, _ = plain.f(x, u).full().ravel(), observer._advance(u)
    assert (np.array(V[1:]) <= design.rate * np.array(V[:-1]) * (1 + 1e-9)).all()


def test_a_certified_observer_leaves_no_offset(gated):
    """Theorem 20."""
    plain, design = gated
    process = SystemProcess(plain)
    controller = NMPC(design.system, 10, measured=design.innovations)
    u = (0.6 * plain.u_min + 0.4 * plain.u_max, 0.3 * plain.u_min + 0.7 * plain.u_max)
    start, goal = (warm_up(OffsetFreeObserver(plain), [v] * 2, [plain.g(plain.x0).full().ravel()] * 2).x for v in u)
    reference, size = plain.g(goal).full().ravel(), controller.scales.y_range
    sent = {f"d_{plain.y_names[0]}": [(20.0, 0.05 * size[0])], f"d_{plain.u_names[1]}": [(40.0, 0.1)]}
    record = run(process, controller, CertifiedObserver(design.system), reference, 150, disturbances=sent, u0=u[0])
    assert start is not goal and record.ok.all()
    assert np.abs(record.y_true[-1] - reference) / size == pytest.approx(0, abs=1e-4)
