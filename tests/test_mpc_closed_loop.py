import casadi as ca
import matplotlib
import numpy as np
import pytest

from mpc import (
    EKF,
    NMPC,
    PI,
    DiscreteSystem,
    Loop,
    OffsetFreeObserver,
    Record,
    SteadyTarget,
    StepResult,
    SystemProcess,
    compare,
    fit_step,
    linear_system,
    run,
    tune_pi,
)
from mpc.names import labelled

matplotlib.use("Agg")


def two_tanks(k1=1.0, k2=0.8):
    """Nonlinear two-in two-out toy: tank levels in m with outflow by the root of the level."""
    x, u = ca.MX.sym("x", 2), ca.MX.sym("u", 2)
    out = ca.vertcat(k1 * ca.sqrt(ca.fabs(x[0]) + 0.01), k2 * ca.sqrt(ca.fabs(x[1]) + 0.01))
    x_next = x + 0.2 * ca.vertcat(u[0] + 0.2 * u[1] - out[0], u[1] + 0.3 * out[0] - out[1])
    return DiscreteSystem(
        f=ca.Function("f", [x, u], [x_next]),
        g=ca.Function("g", [x], [x]),
        dt=10.0,
        x0=[1.0, 1.0],
        u_names=("q1", "q2"),
        y_names=("h1", "h2"),
        u_units=("L/s", "L/s"),
        y_units=("m", "m"),
        u_min=[0.0, 0.0],
        u_max=[3.0, 3.0],
    )


class Probe:
    """A controller that notes what it sees and applies the number of the step."""

    horizon, dt, takes_measurement = 2, 10.0, False

    def __init__(self, system):
        self.u_names, self.y_names = system.u_names, system.y_names
        self.bounds, self.seen = NMPC(system, 1).bounds, []

    def reset(self, u_prev=None):
        self.seen = []

    def step(self, x_hat, d_hat, reference, u_prev=None):
        self.seen.append((x_hat, reference, u_prev))
        if len(self.seen) == 4:
            raise KeyboardInterrupt
        return StepResult(u=np.full(2, float(len(self.seen))), status="solved", ok=True)


def test_timing_input_k_shows_in_measurement_k_plus_1_and_not_before():
    s = two_tanks()
    record = run(SystemProcess(s), Probe(s), None, 1.0, 3)
    x_next = [s.f(y, u).full().ravel() for y, u in zip(record.y, record.u, strict=True)]
    assert record.y[0] == pytest.approx(s.x0)
    assert record.y[1:] == pytest.approx(np.array(x_next[:-1]))


def test_exact_observer_knows_the_state_at_the_instant_of_the_measurement():
    s, probe = two_tanks(), None
    probe = Probe(s)
    record = run(SystemProcess(s), probe, OffsetFreeObserver(s), 1.0, 3)
    assert np.array([x for x, *_ in probe.seen]) == pytest.approx(record.y_true, abs=1e-6)


def test_preview_starts_at_the_present_row():
    s = two_tanks()
    probe, r = Probe(s), np.arange(8.0).reshape(4, 2)
    run(SystemProcess(s), probe, None, r, 3, preview=True)
    assert probe.seen[1][1] == pytest.approx(r[1:])


def test_interrupted_run_keeps_what_it_has():
    s = two_tanks()
    record = run(SystemProcess(s), Probe(s), None, 1.0, 10)
    assert record.interrupted and len(record) == 3


@pytest.mark.parametrize("disturbance", ["d_h1", "d_q2"])
@pytest.mark.parametrize("observer", [OffsetFreeObserver, lambda s: EKF(s, 0.01, 0.05, 0.01)], ids=["open loop", "EKF"])
def test_no_offset_despite_mismatch_and_constant_disturbance(disturbance, observer):
    model, plant = two_tanks(), two_tanks(k1=1.15, k2=0.7)
    reference = {"h1": [(0.0, 1.0), (300.0, 1.3)], "h2": 1.2}
    record = run(
        SystemProcess(plant),
        NMPC(model, 10),
        observer(model),
        reference,
        150,
        disturbances={disturbance: [(200.0, 0.1)]},
    )
    assert record.ok.all()
    assert record.y_true[-1] == pytest.approx([1.3, 1.2], abs=1e-4)


def test_no_input_bound_is_violated_under_noise_and_large_steps():
    s = two_tanks()
    reference = {"h1": [(0.0, 1.0), (100.0, 9.0), (300.0, 0.0)], "h2": 1.0}
    record = run(SystemProcess(s, noise_std=0.05), NMPC(s, 5), OffsetFreeObserver(s), reference, 40)
    assert record.metrics()["input_violations"] == 0
    assert np.isfinite(record.u).all()


def test_lost_sensor_does_not_stop_the_loop():
    s = two_tanks()
    process = SystemProcess(s, noise_std={"h1": np.inf})
    record = run(process, NMPC(s, 5), OffsetFreeObserver(s), [1.2, 1.1], 20)
    assert np.isfinite(record.u).all()


def test_same_seed_gives_the_same_run():
    s = two_tanks()
    process, pi = SystemProcess(s, noise_std=0.1), PI(s, [Loop("h1", "q1", 1.0, 50.0)])
    first = run(process, pi, None, 1.0, 20, seed=3)
    assert (run(process, pi, None, 1.0, 20, seed=3).y == first.y).all()


def test_target_that_can_be_reached_is_a_rest_point():
    s = two_tanks()
    t = SteadyTarget(s).solve(np.array([1.5, 1.2]), np.array([0.1, -0.1]))
    assert t.reachable and t.y == pytest.approx([1.5, 1.2])
    assert s.f(t.x, t.u).full().ravel() == pytest.approx(t.x)


def test_target_that_cannot_be_reached_is_the_nearest_and_says_so():
    s = linear_system([[0.5]], [[1.0]], [[1.0]], dt=1.0)
    t = SteadyTarget(s).solve(np.array([5.0]))
    assert not t.reachable and t.ok
    assert (t.u, t.y) == (pytest.approx([1.0]), pytest.approx([2.0]))


def test_nearest_target_weighs_the_outputs():
    s = linear_system([[0.0]], [[1.0]], [[1.0], [1.0]], dt=1.0, u_box=(-9.0, 9.0))
    t = SteadyTarget(s, {"y": [3.0, 1.0]}).solve(np.array([0.0, 4.0]))
    assert t.u == pytest.approx([1.0], abs=1e-6)


def first_order(gain=2.0, tau=100.0, dt=1.0, delay=0):
    a = np.exp(-dt / tau)
    A, B = np.diag(np.ones(delay), 1), np.zeros((delay + 1, 1))
    A[0, 0] = a
    B[-1] = gain * (1 - a)
    return linear_system(A, B, np.eye(1, delay + 1), dt=dt, u_box=(-1.0, 1.0))


@pytest.mark.parametrize("delay", [0, 20])
def test_step_fit_finds_gain_lag_and_dead_time(delay):
    fit = fit_step(first_order(delay=delay), "u1", "y1", 0.0)
    assert fit == pytest.approx((2.0, 100.0, delay), rel=0.02, abs=1.0)


def test_tuned_pi_reaches_the_reference_in_its_closed_loop_time():
    s = first_order(delay=20)
    record = run(SystemProcess(s), PI(s, tune_pi(s, {"y1": "u1"}, 0.0), u0=0.0), None, 0.5, 400)
    assert record.y_true.max() < 0.5 * 1.1
    assert record.y_true[100:] == pytest.approx(0.5, abs=0.05)


def test_pi_does_not_wind_up():
    s = first_order()
    reference = {"y1": [(0.0, 5.0), (600.0, 1.0)]}
    record = run(SystemProcess(s), PI(s, [Loop("y1", "u1", 2.0, 50.0)], u0=0.0), None, reference, 900)
    assert record.u[599] == pytest.approx(1.0)
    assert record.u[601, 0] < 1.0


def test_record_survives_saving(tmp_path):
    s = two_tanks()
    record = run(SystemProcess(s), PI(s, [Loop("h1", "q1", 1.0, 50.0)]), None, 1.0, 10)
    record.save(tmp_path / "run.npz")
    again = Record.load(tmp_path / "run.npz")
    assert again.metrics() == record.metrics()
    assert (again.u == record.u).all() and again.u_names == record.u_names


def test_csv_has_a_row_per_instant_and_units_in_its_header(tmp_path):
    s = two_tanks()
    run(SystemProcess(s), Probe(s), None, 1.0, 3).to_csv(tmp_path / "run.csv")
    lines = (tmp_path / "run.csv").read_text().splitlines()
    assert len(lines) == 4 and lines[0].startswith("t [s],q1 [L/s],q2 [L/s],h1 [m]")


def test_compared_records_share_axes_with_units():
    s = two_tanks()
    record = run(SystemProcess(s), Probe(s), None, 1.0, 3)
    figure = compare([record, record], labels=["a", "b"])
    labels = [axis.get_ylabel() for axis in figure.axes]
    matplotlib.pyplot.close(figure)
    assert labels == ["h1 [m]", "h2 [m]", "q1 [L/s]", "q2 [L/s]"]


def test_a_channel_without_a_unit_goes_by_its_name():
    assert (labelled("h1", "m"), labelled("h1", "")) == ("h1 [m]", "h1")


def test_offset_is_the_error_at_the_end_of_each_stretch():
    s = two_tanks()
    record = run(SystemProcess(s), Probe(s), None, {"h1": [(0.0, 1.0), (20.0, 2.0)], "h2": 1.0}, 3)
    error = record.y_true - record.reference
    assert record.offset()["h1"] == pytest.approx([error[1, 0], error[2, 0]])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"reference": {"h3": 1.0}}, "did you mean 'h"),
        ({"reference": np.zeros((3, 5))}, "reference has shape"),
        ({"reference": {"h1": [(10.0, 1.0), (0.0, 2.0)]}}, "goes back in time"),
        ({"disturbances": {"d_q9": 1.0}}, "did you mean 'd_q"),
    ],
)
def test_wrong_scenarios_are_refused(arguments, message):
    s = two_tanks()
    with pytest.raises(ValueError, match=message):
        run(SystemProcess(s), Probe(s), None, **{"reference": 1.0, "steps": 5, **arguments})


def test_sampling_times_that_differ_are_refused():
    s, other = first_order(), first_order(dt=2.0)
    with pytest.raises(ValueError, match="dt: the controller has 2.0 s"):
        run(SystemProcess(s), PI(other, [Loop("y1", "u1", 1.0, 9.0)]), None, 1.0, 5)


def test_process_that_breaks_down_leaves_the_record_so_far():
    class Breaking(SystemProcess):
        def apply(self, u, **disturbance):
            if self.x[0] > 1.1:
                raise RuntimeError("vessel is full")
            super().apply(u, **disturbance)

    s = two_tanks()
    record = run(Breaking(s), NMPC(s, 5), OffsetFreeObserver(s), 1.3, 20)
    assert record.stopped == "vessel is full" and 0 < len(record) < 20


def test_unstable_process_is_held_with_an_ekf():
    s = linear_system([[1.1]], [[1.0]], [[1.0]], dt=1.0, x0=[1.0])
    record = run(SystemProcess(s), NMPC(s, 3), EKF(s, 0.01, 0.01, 0.1), 0.5, 40)
    assert record.y_true[-1] == pytest.approx([0.5], abs=1e-3)


def test_a_tuning_point_outside_the_box_is_refused():
    with pytest.raises(ValueError, match="u0 of 'u1' is 100"):
        tune_pi(first_order(), {"y1": "u1"}, 100.0)
