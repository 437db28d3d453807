import numpy as np
import pytest
from test_mpc_closed_loop import two_tanks

from mpc import NMPC, OffsetFreeObserver, SystemProcess, run, with_delay
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


@pytest.mark.parametrize("steps", [{"q1": -1}, {"q1": 1.5}, {"q3": 1}])
def test_wrong_delays_are_refused(steps):
    with pytest.raises(ValueError, match="delay"):
        with_delay(two_tanks(), steps)
