import control
import numpy as np
import pytest
from scipy.optimize import lsq_linear

from mpc import NMPC, linear_system

A = np.array([[0.9, 0.2], [-0.1, 0.8]])
B = np.array([[0.1, 0.3], [0.5, 0.0]])
C = np.array([[1.0, 0.0], [0.5, 1.0]])
X = np.array([1.0, -0.5])
NO_TRACKING_OF_U = {"y": 1.0, "u": 0.0, "du": 0.1}


@pytest.fixture
def system():
    return linear_system(A, B, C, dt=1.0, u_box=(-1.0, 1.0))


@pytest.fixture
def wide():
    return linear_system(A, B, C, dt=1.0, u_box=(-20.0, 20.0))


def test_unconstrained_linear_mpc_is_the_lqr(wide):
    Q, R = C.T @ C, 0.3 * np.eye(2)
    K, P, _ = control.dlqr(A, B, Q, R)
    c = NMPC(wide, 6, weights={"y": 1.0, "u": 0.3, "du": 0.0}, terminal=P - Q)
    u = c.step(X, None, 0.0).u
    assert u == pytest.approx(-K @ X, abs=1e-6)


def test_cost_to_go_makes_a_short_horizon_act_like_a_very_long_one(wide):
    weights = {"y": 1.0, "u": 0.0, "du": 0.5}
    stay = NMPC(wide, 60, weights=weights, terminal=None).step(X, None, 0.0, np.zeros(2))
    short = NMPC(wide, 15, weights=weights).step(X, None, 0.0, np.zeros(2))
    assert short.u == pytest.approx(stay.u, abs=1e-3)


def dense_solution(N, u_prev, x, limit, move_weight):
    nu = 2
    powers = [np.linalg.matrix_power(A, i) for i in range(N + 1)]
    G = np.block([[C @ powers[i - j] @ B if j <= i else np.zeros((2, nu)) for j in range(N)] for i in range(N)])
    free = np.concatenate([C @ powers[i + 1] @ x for i in range(N)])
    D = np.eye(N * nu) - np.eye(N * nu, k=-nu)
    first = np.concatenate([u_prev, np.zeros((N - 1) * nu)])
    M = np.vstack([G, np.sqrt(move_weight) * D])
    rhs = np.concatenate([-free, np.sqrt(move_weight) * first])
    return lsq_linear(M, rhs, (-limit, limit), method="bvls", tol=1e-14).x[:nu]


def test_with_active_bounds_the_linear_mpc_is_the_dense_qp(system):
    c = NMPC(system, 8, weights=NO_TRACKING_OF_U, terminal=None)
    x, u_prev = 3 * X, np.array([0.2, -0.1])
    expected = dense_solution(8, u_prev, x, 1.0, 0.1)
    u = c.step(x, None, 0.0, u_prev).u
    assert np.abs(expected).max() == pytest.approx(1.0)
    assert u == pytest.approx(expected, abs=1e-6)


def test_disturbance_estimate_is_added_to_the_predictions(system):
    d = np.array([0.1, -0.2])
    shifted = NMPC(system, 8).step(X, d, [0.3, 0.0]).u
    assert shifted == pytest.approx(NMPC(system, 8).step(X, None, [0.2, 0.2]).u, abs=1e-6)


def test_rates_hold_along_the_whole_plan(system):
    c = NMPC(system, 10, bounds={"du": {"u1": 0.1}})
    result = c.step(3 * X, None, 0.0, np.zeros(2))
    moves = np.diff(np.vstack([np.zeros(2), result.predicted.u]), axis=0)
    assert np.abs(moves[:, 0]).max() <= 0.1 + 1e-6
    assert abs(result.u[0]) <= 0.1


def test_soft_output_bound_is_kept_when_it_can_be(system):
    c = NMPC(system, 15, weights={"y": {"y2": 1.0}}, bounds={"y": {"y1": (-0.05, None)}})
    free = NMPC(system, 15, weights={"y": {"y2": 1.0}})
    x, r = np.zeros(2), {"y2": -1.0}
    assert free.step(x, None, r, np.zeros(2)).predicted.y[:, 0].min() < -0.06
    assert c.step(x, None, r, np.zeros(2)).predicted.y[:, 0].min() > -0.05 - 1e-5


def test_impossible_output_bound_gives_way_and_is_named(system):
    with pytest.warns(UserWarning, match="y1 in"):
        c = NMPC(system, 5, bounds={"y": {"y1": (50.0, None)}})
    result = c.step(X, None, 0.0)
    assert result.ok and result.violated == ("y1",)


def test_preview_acts_before_the_step(system):
    c = NMPC(system, 10)
    preview = np.zeros((11, 2))
    preview[4:] = 0.5
    blind = NMPC(system, 10).step(np.zeros(2), None, preview[0], np.zeros(2)).u
    seeing = c.step(np.zeros(2), None, preview, np.zeros(2)).u
    assert np.abs(blind).max() < 1e-6 < 1e-2 < np.abs(seeing).max()


def test_warm_start_needs_fewer_iterations_and_gives_the_same_input(system):
    warm = NMPC(system, 10)
    first = warm.step(X, None, 0.2, np.zeros(2))
    x = A @ X + B @ first.u
    cold = NMPC(system, 10).step(x, None, 0.2, first.u)
    assert warm.step(x, None, 0.2).u == pytest.approx(cold.u, abs=1e-6)


@pytest.mark.parametrize("u0", [(-1.0, 1.0), (1.0, 1.0), (0.0, 0.0)])
@pytest.mark.parametrize("scale", [0.0, 1.0, 1e3])
def test_inputs_never_leave_their_box(system, u0, scale):
    c = NMPC(system, 5, bounds={"u": {"u1": (-0.3, 0.4)}})
    u = c.step(scale * X, None, [1e3, -1e3], np.array(u0)).u
    assert -0.3 <= u[0] <= 0.4 and abs(u[1]) <= 1.0


def test_nan_state_falls_back_to_the_previous_plan(system):
    c = NMPC(system, 10)
    planned = c.step(X, None, 0.2, np.zeros(2)).predicted
    result = c.step(np.full(2, np.nan), None, 0.2)
    assert not result.ok and result.status.startswith("shifted plan")
    assert result.u == pytest.approx(planned.u[1])


def test_when_the_plan_is_used_up_the_target_takes_over(system):
    c = NMPC(system, 2)
    c.step(X, None, 0.2, np.zeros(2))
    results = [c.step(np.full(2, np.nan), None, 0.2) for _ in range(3)]
    assert [r.status.split(";")[0] for r in results][-1] == "steady-state target"


def test_out_of_time_is_a_status_and_the_input_respects_the_rate(system):
    c = NMPC(system, 20, max_time=1e-9, bounds={"du": 0.05})
    result = c.step(3 * X, None, 0.5, np.zeros(2))
    assert not result.ok and "Time" in result.status
    assert np.abs(result.u).max() <= 0.05


def test_everything_nan_still_gives_the_last_input(system):
    nan = np.full(2, np.nan)
    result = NMPC(system, 5).step(nan, nan, nan, np.array([0.3, 0.4]))
    assert not result.ok
    assert np.isfinite(result.u).all()


def test_nan_reference_keeps_the_last_one_and_says_so(system):
    c = NMPC(system, 10)
    c.step(X, None, [0.2, 0.1], np.zeros(2))
    result = c.step(X, None, [np.nan, 0.1], np.zeros(2))
    assert "NaN reference of y1" in result.status
    assert result.u == pytest.approx(NMPC(system, 10).step(X, None, [0.2, 0.1], np.zeros(2)).u, abs=1e-6)


def test_a_preview_may_come_by_name(system):
    whole, named = NMPC(system, 10), NMPC(system, 10)
    r = np.column_stack([np.linspace(0.0, 0.2, 11), np.full(11, 0.1)])
    expected = whole.step(X, None, r, np.zeros(2)).u
    assert named.step(X, None, {"y1": r[:, 0], "y2": 0.1}, np.zeros(2)).u == pytest.approx(expected)
    with pytest.raises(ValueError, match=r"reference of 'y1' has shape \(5,\); give a number, or \(11,\)"):
        named.step(X, None, {"y1": r[:5, 0]})


def test_unreachable_reference_is_reported(system):
    assert not NMPC(system, 5).step(X, None, 1e3).reachable


def test_reference_beyond_a_bound_of_its_output_is_reported_and_the_bound_aimed_for():
    system = linear_system([[0.8]], [[0.2]], [[1.0]], 1.0)
    bounded = NMPC(system, 10, bounds={"y": {"y1": (None, 0.4)}})
    beyond = bounded.step([0.0], None, 0.6)
    assert not beyond.reachable and beyond.ok and beyond.target == pytest.approx([0.4], abs=1e-6)
    assert bounded.step([0.0], None, 0.4).reachable


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"weights": {"y": {"y3": 1.0}}}, "did you mean 'y"),
        ({"weights": {"x": 1.0}}, "weights names 'x'"),
        ({"weights": {"y": [1.0, 2.0, 3.0]}}, "there are 2 channels"),
        ({"weights": {"y": 0.0}}, "nothing to track"),
        ({"weights": {"du": -1.0}}, "must be finite and >= 0"),
        ({"bounds": {"u": {"u1": (0.5, -0.5)}}}, "'u1' contradict"),
        ({"bounds": {"u": {"u2": (-2.0, 1.0)}}}, "leave the box"),
        ({"bounds": {"y": {"y1": (1.0, 0.0)}}}, "'y1' contradict"),
        ({"bounds": {"du": {"u1": 0.0}}}, "must be > 0 per step"),
        ({"bounds": {"du": {"U1": 1.0}}}, "did you mean 'u1'"),
        ({"terminal": np.eye(3)}, "symmetric"),
        ({"max_time": -1.0}, "max_time is -1"),
        ({"y_range": {"y1": -1.0}}, "ranges must be positive"),
    ],
)
def test_wrong_settings_are_refused_with_the_reason(system, arguments, message):
    with pytest.raises(ValueError, match=message):
        NMPC(system, 5, **arguments)


@pytest.mark.parametrize("reference", [[1.0, 2.0, 3.0], np.zeros((4, 2)), {"y9": 1.0}])
def test_wrong_reference_is_refused(system, reference):
    with pytest.raises(ValueError, match="reference"):
        NMPC(system, 5).step(X, None, reference)


def test_one_input_one_output_works_with_and_without_bounds():
    s = linear_system([[0.9]], [[0.1]], [[1.0]], dt=1.0)
    free, bounded = NMPC(s, 5), NMPC(s, 5, bounds={"du": 1.0, "y": {"y1": (-1.0, 1.0)}})
    u = [c.step(np.zeros(1), None, 0.1, np.zeros(1)).u for c in (free, bounded)]
    assert u[0] == pytest.approx(u[1], abs=1e-4)
