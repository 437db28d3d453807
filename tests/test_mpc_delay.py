import numpy as np
import pytest
from test_mpc_closed_loop import two_tanks

from mpc import EKF, NMPC, OffsetFreeObserver, SystemProcess, linear_system, run, with_delay
from mpc.system import evaluate


def response(system, inputs):
    x, ys = system.x0, []
    for u in inputs:
        x = evaluate(system.f, x, u)
        ys.append(evaluate(system.g, x))
    return np.array(ys)


@pytest.mark.parametrize("steps", [{"q1": 3}, {"q2": 1}, {"q1": 2, "q2": 4}, {}])
def test_delayed_inputs_act_later_by_whole_samples(steps):
    s, rng = two_tanks(), np.random.default_rng(0)
    u = rng.uniform(0, 3, (12, 2))
    late = np.full_like(u, 1.5)
    for i, name in enumerate(s.u_names):
        late[steps.get(name, 0) :, i] = u[: len(u) - steps.get(name, 0), i]
    assert response(with_delay(s, steps), u) == pytest.approx(response(s, late))


def test_no_offset_with_dead_time_and_mismatch():
    delays = {"q1": 3, "q2": 1}
    model, plant = with_delay(two_tanks(), delays), with_delay(two_tanks(k1=1.15, k2=0.7), delays)
    record = run(SystemProcess(plant), NMPC(model, 12), OffsetFreeObserver(model), [1.3, 1.2], 200)
    assert record.ok.all() and record.y_true[-1] == pytest.approx([1.3, 1.2], abs=1e-4)


@pytest.mark.parametrize("steps", [{"h1": 3}, {"h2": 1, "q1": 2}])
def test_delayed_outputs_are_those_of_earlier_samples(steps):
    s, rng = two_tanks(), np.random.default_rng(0)
    u, inputs = rng.uniform(0, 3, (12, 2)), {n: d for n, d in steps.items() if n in s.u_names}
    now, late = response(with_delay(s, inputs), u), response(with_delay(s, steps), u)
    first = evaluate(s.g, s.x0)
    for j, name in enumerate(s.y_names):
        d = steps.get(name, 0)
        assert late[:, j] == pytest.approx(np.concatenate([np.full(d, first[j]), now[: len(now) - d, j]]))


def test_seconds_are_samples_and_past_values_have_names():
    s = two_tanks()
    late = with_delay(s, {"q1": 1}, seconds={"h2": 2 * s.dt})
    assert late.x_names == ("x1", "x2", "q1(k-1)", "h2(k-2)", "h2(k-1)")


@pytest.mark.parametrize("observer", ["open loop", "EKF"])
@pytest.mark.parametrize("every", [1, 4])
def test_no_offset_with_a_late_analyser_that_reads_every_so_often(observer, every):
    """h2 is measured six samples late, every or every fourth sample; the plant's outlets are not the model's."""
    late = {"h2": 6, "q1": 1}
    model, plant = with_delay(two_tanks(), late), with_delay(two_tanks(k1=1.15, k2=0.7), late)

    class Analyser(SystemProcess):
        def measure(self):
            y, self.count = super().measure().copy(), getattr(self, "count", -1) + 1
            y[1] = y[1] if self.count % every == 0 else np.nan
            return y

    estimator = OffsetFreeObserver(model, 0.2) if observer == "open loop" else EKF(model, 0.01, 0.02, 0.01)
    record = run(Analyser(plant), NMPC(model, 20), estimator, [1.3, 1.2], 400, progress=False)
    assert record.y_true[-1] == pytest.approx([1.3, 1.2], abs=1e-3)


def test_an_integrator_measured_late_has_no_offset_under_a_kalman_filter():
    model = with_delay(linear_system([[1.0]], [[0.1]], [[1.0]], 1.0, y_names=["level"]), {"level": 3})
    filter = EKF(model, 0.01, 0.0, 0.01, input_disturbance_std=0.05)
    push = {"d_u1": [(50.0, 0.2)]}
    record = run(SystemProcess(model), NMPC(model, 20), filter, [0.5], 300, disturbances=push, progress=False)
    assert record.y_true[-1] == pytest.approx([0.5], abs=1e-4)


@pytest.mark.parametrize(
    "given",
    [
        {"steps": {"h1": -2}},
        {"seconds": {"h1": 0.31}},
        {"steps": {"h1": 1}, "seconds": {"h1": 1.0}},
        {"seconds": {"h": 1.0}},
    ],
)
def test_wrong_delays_of_outputs_are_refused(given):
    with pytest.raises(ValueError, match="delay"):
        with_delay(two_tanks(), **given)


@pytest.mark.parametrize("steps", [{"q1": -1}, {"q1": 1.5}, {"q3": 1}])
def test_wrong_delays_are_refused(steps):
    with pytest.raises(ValueError, match="delay"):
        with_delay(two_tanks(), steps)
