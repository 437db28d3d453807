import casadi as ca
import numpy as np
import pytest

from mpc import (
    EKF,
    DiscreteSystem,
    OffsetFreeObserver,
    is_disturbance_detectable,
    linear_system,
    warm_up,
    with_output_disturbance,
)

A = np.array([[0.9, 0.2], [-0.1, 0.8]])
B = np.array([[0.1], [0.5]])
C = np.array([[1.0, 0.0]])


@pytest.fixture
def system():
    return linear_system(A, B, C, dt=1.0)


def kalman(A, B, C, Q, R, P, us, ys):
    x, found = np.zeros(len(A)), []
    for u, y in zip(us, ys, strict=True):
        K = P @ C.T @ np.linalg.inv(C @ P @ C.T + R)
        x = x + K @ (y - C @ x)
        P = P - K @ C @ P
        found.append(x)
        x, P = A @ x + B @ u, A @ P @ A.T + Q
    return np.array(found)


def test_ekf_of_a_linear_system_is_the_kalman_filter(system):
    rng = np.random.default_rng(0)
    us, ys = rng.normal(size=(30, 1)), rng.normal(size=(30, 1))
    ekf = EKF(system, 0.5, 0.2, 0.1, x0_std=1.0, d0_std=2.0)
    ekf.start(np.zeros(2))
    before = [None, *us[:-1]]
    found = [ekf.update(u, y) for u, y in zip(before, ys, strict=True)]
    Aa, Ba = np.diag([0.0, 0.0, 1.0]), np.vstack([B, [[0.0]]])
    Aa[:2, :2] = A
    Q, P = np.diag([0.01, 0.01, 0.04]), np.diag([1.0, 1.0, 4.0])
    expected = kalman(Aa, Ba, np.hstack([C, [[1.0]]]), Q, np.array([[0.25]]), P, us, ys)
    assert np.array([[*e.x, *e.d] for e in found]) == pytest.approx(expected, abs=1e-10)


@pytest.mark.parametrize("gain", [0.1, 1.0, 1.9])
def test_offset_free_observer_explains_a_constant_output(system, gain):
    observer = OffsetFreeObserver(system, gain)
    observer.reset(np.array([0.3]), np.array([0.2]))
    for _ in range(200):
        estimate = observer.update(np.array([0.2]), np.array([2.0]))
    assert estimate.innovation == pytest.approx(0.0, abs=1e-6)
    assert system.g(estimate.x).full().ravel() + estimate.d == pytest.approx(2.0, abs=1e-6)


@pytest.mark.parametrize("observer", [OffsetFreeObserver, lambda s: EKF(s, 0.1, 0.1, 0.1)])
def test_missing_measurement_goes_on_open_loop(system, observer):
    o = observer(system)
    o.reset(np.array([0.5]), np.array([0.1]))
    before = o.update(None, np.array([0.5]))
    after = o.update(np.array([1.0]), np.array([np.nan]))
    assert after.x == pytest.approx(A @ before.x + B @ [1.0])
    assert after.d == pytest.approx(before.d)


def test_reset_without_input_finds_the_rest_that_explains_the_output(system):
    observer = OffsetFreeObserver(system)
    observer.reset(np.array([0.7]))
    u = (0.7 / (C @ np.linalg.solve(np.eye(2) - A, B)))[0]
    assert A @ observer.x + B @ u == pytest.approx(observer.x)
    assert observer.d == pytest.approx(0.0, abs=1e-8)


def test_warm_up_follows_the_timing_convention(system):
    rng = np.random.default_rng(1)
    us, x = rng.uniform(-1, 1, (80, 1)), np.zeros(2)
    xs = [x := A @ x + B @ u for u in us]
    estimate = warm_up(OffsetFreeObserver(system), us[1:], np.array(xs)[:-1] @ C.T)
    assert estimate.x == pytest.approx(xs[-2], abs=1e-3)


def test_an_integrator_hides_output_disturbances(system):
    integrator = linear_system([[1.0]], [[1.0]], [[1.0]], dt=1.0)
    assert is_disturbance_detectable(system, np.zeros(2), np.zeros(1))
    assert not is_disturbance_detectable(integrator, np.zeros(1), np.zeros(1))


def test_output_disturbance_is_a_constant_state_on_the_output(system):
    augmented = with_output_disturbance(system)
    z = np.array([0.3, -0.1, 0.7])
    assert augmented.f(z, 0.5).full().ravel()[2] == 0.7
    assert augmented.g(z).full().ravel() == pytest.approx(C @ z[:2] + 0.7)


@pytest.mark.parametrize("gain", [0.0, 2.0, -1.0])
def test_gain_that_does_not_converge_is_refused(system, gain):
    with pytest.raises(ValueError, match="0 < gain < 2"):
        OffsetFreeObserver(system, gain)


def test_measurement_noise_of_zero_is_refused(system):
    with pytest.raises(ValueError, match="measurement_std"):
        EKF(system, 0.0, 0.1, 0.1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dt": 0.0}, "dt is 0"),
        ({"x0": np.zeros(3)}, "x0 has size"),
        ({"u_names": ("a", "b")}, "u_names has size 2"),
        ({"u_min": [2.0]}, "input box of 'u1'"),
        ({"y_names": ("u1",)}, "repeat"),
        ({"g": ca.Function("g", [x := ca.MX.sym("x", 5)], [x])}, "g's argument"),
    ],
)
def test_systems_that_do_not_fit_together_are_refused(system, change, message):
    names = DiscreteSystem.__dataclass_fields__
    with pytest.raises(ValueError, match=message):
        DiscreteSystem(**{**{n: getattr(system, n) for n in names}, **change})


@pytest.mark.parametrize("mode", [1.0, 1.05])
def test_an_observer_that_never_corrects_the_state_warns_of_a_model_that_does_not_forget(mode):
    system = linear_system([[mode, 0.1], [0.0, 0.5]], [[0.0], [1.0]], [[1.0, 0.0]], 1.0)
    with pytest.warns(UserWarning, match="take EKF or MHE"):
        OffsetFreeObserver(system)
