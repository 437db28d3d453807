"""What a run shows of its stability: the cost's fall, the tube, and the errors that tightened bounds tolerate."""

import numpy as np
import pytest
from test_mpc_certified import CERTIFICATE, RATE, at, contracting
from test_report import Page
from zoo import identified, quick_gru

from mpc import (
    NMPC,
    OffsetFreeObserver,
    SystemProcess,
    cost_decrease,
    needed_horizon,
    robust_margin,
    run,
    stability_report,
    tube,
)
from rnn_control import Report, certify


def closed(horizon=5, steps=25, **options):
    """A run towards a rest point, and its controller."""
    system = contracting()
    controller = NMPC(system, horizon, {"y": 1.0, "du": 0.2}, terminal=CERTIFICATE, **options)
    r = at(system.g, rest(system, [0.1, -0.1]))
    process = SystemProcess(system, x0=np.full(4, 0.4))
    return process, controller, OffsetFreeObserver(system, gain=1.0), r, steps


def rest(system, u):
    x = np.zeros(4)
    for _ in range(400):
        x = at(system.f, x, u)
    return x


def test_without_errors_the_cost_falls_as_proved_and_under_a_disturbance_it_need_not():
    *loop, r, steps = closed()
    process, controller, observer = loop
    observer.reset = lambda y, u: setattr(observer, "x", process.x.copy())
    record = run(process, controller, observer, r, steps, u0=np.zeros(2), progress=False)
    fall = cost_decrease(record, controller)
    assert np.isfinite(fall[1:-1]).all() and np.isnan(fall[[0, -1]]).all()
    assert fall[1:-1].min() > -1e-6 * record.cost.max()
    pushed = run(process, controller, observer, r, steps, disturbances={"d_y": [(10, 1.0)]}, u0=np.zeros(2))
    assert np.nanargmin(cost_decrease(pushed, controller)) == 9


def test_a_certified_terminal_cost_needs_one_step_and_none_more():
    system = contracting()
    assert needed_horizon(NMPC(system, 3, terminal=CERTIFICATE), CERTIFICATE) == 1
    assert needed_horizon(NMPC(system, 3, terminal=None), {**CERTIFICATE, "overshoot": 2.0}) == 43
    assert needed_horizon(NMPC(system, 3, terminal=None), {"rate": 0.99999, "overshoot": 100.0}) is None


@pytest.mark.parametrize("seed", range(5))
def test_trajectories_stay_in_their_tube(seed):
    model = identified(quick_gru(2, 2, 4, seed=seed), seed)
    system, certificate, rng = model.to_casadi(), certify(model, method="lmi"), np.random.default_rng(seed)
    e, v, N = rng.uniform(0, 0.2, 4), 0.1 * (system.u_max - system.u_min), 60
    h = tube(system, certificate, N, state_error=e, input_error=v)
    a = rng.uniform(-0.5, 0.5, 4)
    b = a + e * rng.choice([-1, 1], 4)
    for k in range(N + 1):
        assert (np.abs(at(system.g, a) - at(system.g, b)) <= h[k] * (1 + 1e-9)).all()
        u = rng.uniform(system.u_min + v, system.u_max - v)
        a, b = at(system.f, a, u), at(system.f, b, u + v * rng.choice([-1, 1], 2))


def test_the_tube_narrows_at_the_rate_and_needs_a_gain_for_inputs():
    h = tube(contracting(), CERTIFICATE, 4, state_error=0.1)
    assert h[1:] == pytest.approx(RATE * h[:-1])
    with pytest.raises(ValueError, match="needs the certificate's gain"):
        tube(contracting(), CERTIFICATE, 4, input_error=0.1)


@pytest.mark.parametrize(("error", "holds"), [(0.03, True), (0.2, False)])
def test_limits_hold_as_long_as_errors_are_tolerated(error, holds):
    _, _, observer, r, steps = closed()
    system, u0 = contracting(), np.array([0.1, -0.1])
    process = SystemProcess(system, x0=rest(system, u0))
    controller = closed(bounds={"y": {"y": (None, r[0] + 0.02)}})[1]
    beyond, sent = r + [0.2, 0.0], {"d_y": [(15, error)]}
    record = run(process, controller, observer, beyond, steps, disturbances=sent, u0=u0, progress=False)
    margins = robust_margin(record, {"y": (None, r[0] + 0.1)})
    assert margins["y"].seen == pytest.approx(error, abs=1e-6) and margins["z"].tolerated == np.inf
    assert (margins["y"].seen <= margins["y"].tolerated) == holds
    assert (record.y_true[:, 0] <= r[0] + 0.1).all() == holds


def test_the_page_says_what_was_shown(tmp_path):
    process, controller, observer, r, steps = closed()
    record = run(process, controller, observer, r, steps, u0=np.zeros(2), progress=False)
    stability_report(record, Report("Loop"), controller, CERTIFICATE, state_error=0.1).save(tmp_path / "loop.html")
    html, page = (tmp_path / "loop.html").read_text(), Page()
    page.feed(html)
    assert page.open == [] and html.count("<figure>") == 2 and "least horizon" in html and "tolerated error" in html
