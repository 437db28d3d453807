"""Limits by direction and by channel: rates of fall and rise, prices of soft bounds, and bounds that make no sense."""

import casadi as ca
import numpy as np
import pytest
from controllers import learned, no_compiler

import mpc.compiled
from mpc import NMPC, PI, DiscreteSystem, Loop, OffsetFreeObserver, SystemProcess, export_c, linear_system, run
from mpc.deploy import STRICT
from mpc.metrics import rate_violations
from mpc.scales import find_scales
from rnn_control import GRU

SOLVERS = ["condensed alone", "ipopt", "fatrop"]
RATES = {"u1": (-0.05, 0.3), "u2": 0.2}


def plant():
    return linear_system([[0.6, 0.1], [0.0, 0.7]], [[0.4, 0.0], [0.1, 0.3]], np.eye(2), 1.0)


@pytest.mark.parametrize("solver", SOLVERS)
def test_an_input_falls_and_rises_no_faster_than_it_may(solver):
    s = plant()
    c = NMPC(s, 8, bounds={"du": RATES}, solver=solver)
    record = run(SystemProcess(s), c, OffsetFreeObserver(s), np.repeat([[0.8, 0.3], [-0.6, 0.3]], 12, 0), 24, u0=[0, 0])
    du = np.diff(record.u, axis=0, prepend=0)
    assert record.ok.all() and rate_violations(record) == 0
    assert du.max(0) == pytest.approx([0.3, 0.2], abs=1e-6) and du[:, 0].min() == pytest.approx(-0.05, abs=1e-6)


def test_solvers_agree_under_rates_by_direction_and_prices_by_channel(factory, monkeypatch):
    system = learned(factory)
    s, half = find_scales(system), (system.u_max - system.u_min) / 2
    bounds = {
        "du": {n: (-0.1 * h, 0.4 * h) for n, h in zip(system.u_names, half, strict=True)},
        "y": np.column_stack([s.y_mid - 0.1 * s.y_range, s.y_mid + 0.1 * s.y_range]),
    }
    options = {
        "bounds": bounds,
        "y_range": s.y_range,
        "soft_penalty": {system.y_names[0]: 3.0, system.y_names[1]: 30.0},
    }
    cs = [NMPC(system, 6, **options, **more) for more in ({}, *({"solver": n, "tol": 1e-10} for n in SOLVERS[1:]))]
    no_compiler(monkeypatch)
    cs.append(NMPC(system, 6, **options))
    results = [c.step(system.x0, 0.3 * s.y_range, s.y_mid + 0.5 * s.y_range, s.u_mid + 0.2 * half) for c in cs]
    assert all(r.ok and r.violated for r in results)
    assert [r.cost for r in results] == pytest.approx([results[0].cost] * 4, rel=1e-6)
    assert results[3].u == pytest.approx(results[0].u, rel=1e-7)


def test_of_two_bounds_that_exclude_one_another_the_cheaper_gives_way():
    s = linear_system([[0.5]], [[0.5]], [[1.0], [-1.0]], 1.0)
    for dear in s.y_names:
        with pytest.warns(UserWarning, match="all at once"):
            c = NMPC(s, 5, {"y": 0.01}, {"y": {"y1": (0.3, None), "y2": (0.3, None)}}, soft_penalty={dear: 1000.0})
        record = run(SystemProcess(s), c, OffsetFreeObserver(s), [0.0, 0.0], 15, progress=False)
        assert record.y_true[-1, s.y_names.index(dear)] == pytest.approx(0.3, abs=1e-3)


@pytest.mark.parametrize("level, u", [(0.9, 0.8), (-0.9, 0.45)])
def test_the_ladder_keeps_rates_by_direction(level, u):
    result = NMPC(plant(), 5, bounds={"du": RATES}).step(
        np.array([np.nan, 0.0]), None, [level, 0.0], np.array([0.5, 0.0])
    )
    assert result.status.startswith("steady-state target") and result.u[0] == pytest.approx(u)


def test_pi_keeps_rates_by_direction():
    s = plant()
    pi = PI(s, [Loop("y1", "u1", 5.0, 2.0)], bounds={"du": RATES, "x": {"anything": (0, 1)}}, u0=[0.0, 0.0])
    record = run(SystemProcess(s), pi, None, np.repeat([[0.8, 0.0], [-0.8, 0.0]], 5, 0), 10, progress=False)
    du = np.diff(record.u[:, 0], prepend=0)
    assert du.max() == pytest.approx(0.3) and du.min() == pytest.approx(-0.05)


def test_the_controller_in_c_keeps_rates_by_direction_and_prices_by_channel(tmp_path, monkeypatch):
    monkeypatch.setattr(mpc.compiled, "find_compiler", lambda: None)
    system = learned(GRU, size=3)
    s, half = find_scales(system), (system.u_max - system.u_min) / 2
    bounds = {
        "du": {n: (-0.2 * h, 0.6 * h) for n, h in zip(system.u_names, half, strict=True)},
        "y": np.column_stack([s.y_mid - 0.1 * s.y_range, s.y_mid + 0.1 * s.y_range]),
    }
    penalty = {system.y_names[0]: 2.0, system.y_names[1]: 200.0}
    c = NMPC(system, 4, bounds=bounds, soft_penalty=penalty, solver="condensed alone")
    observer, r = OffsetFreeObserver(system), s.y_mid + 0.4 * s.y_range * np.repeat([[1, -1], [-1, 1]], 8, 0)
    record = run(SystemProcess(system, 0.01 * s.y_range), c, observer, r, 16, progress=False)
    found = export_c(tmp_path, c, observer, record).test(flags=(*STRICT[:1], "-O0", *STRICT[2:]))
    assert found.agrees, found


@pytest.mark.parametrize(
    "options, word",
    [
        ({"bounds": {"du": {"u1": (0.1, 0.3)}}}, "able to stay where it is"),
        ({"bounds": {"du": {"u1": (0.0, 0.0)}}}, "not both 0"),
        ({"bounds": {"du": {"u1": (0.3, -0.1)}}}, "contradict"),
        ({"bounds": {"du": {"u1": "fast"}}}, "give a pair"),
        ({"bounds": {"du": {"u1": np.nan}}}, "u1.*must be > 0"),
        ({"bounds": {"du": "fast"}}, "give numbers"),
        ({"bounds": {"y": {"y1": (np.nan, 1.0)}}}, "NaN for channel 'y1'"),
        ({"bounds": {"u": {"u1": (np.nan, 1.0)}}}, "NaN for channel 'u1'"),
        ({"bounds": {"x": {"x1": (np.nan, 1.0)}}}, "NaN for channel 'x1'"),
        ({"bounds": {"u": {"u1": (2.0, None)}}}, "leave the box"),
        ({"bounds": {"u": {"u1": (-9.0, -2.0)}}}, "leave the box"),
        ({"bounds": {"y": "high"}}, "give numbers"),
        ({"weights": {"y": {"y1": "much"}}}, "give one number"),
        ({"soft_penalty": {"y9": 1.0}}, "soft_penalty names 'y9'"),
        ({"soft_penalty": {"y1": -1.0}}, "soft_penalty of 'y1' is -1"),
        ({"soft_penalty": {"y1": (1.0, 2.0)}}, "give one number"),
        ({"soft_penalty": np.inf}, "positive and finite"),
    ],
)
def test_limits_that_make_no_sense_are_explained(options, word):
    with pytest.raises(ValueError, match=word):
        NMPC(plant(), 5, **options)


def settled(gain=1.0):
    """y1 = u1 and y2 = gain y1 at rest, u1 from -1 to 1."""
    return linear_system([[0.5]], [[0.5]], [[1.0], [gain]], 1.0)


@pytest.mark.parametrize(
    "bounds, words",
    [
        ({"y": {"y1": (1.5, None)}}, r"keep these bounds at rest.*: y1 in \[1.5, inf\] comes to 1\."),
        ({"y": {"y2": (None, -3.0)}}, r": y2 in \[-inf, -3\] comes to -2\."),
        ({"x": {"x1": (1.5, None)}}, r": x1 in \[1.5, inf\] comes to 1"),
        ({"u": {"u1": (None, 0.2)}, "y": {"y1": (0.3, 0.9)}}, r": y1 in \[0.3, 0.9\] comes to 0.2\."),
        ({"y": {"y1": (None, 0.3), "y2": (0.8, None)}}, r": y1 in .*; y2 in "),
    ],
)
@pytest.mark.parametrize("solver", ["condensed", "ipopt"])
def test_bounds_that_no_input_keeps_at_rest_are_named_at_build_time(bounds, words, solver):
    with pytest.warns(UserWarning, match=words):
        NMPC(settled(2.0), 5, {"y": {"y1": 1.0}}, bounds, solver=solver)


def test_bounds_that_only_an_end_of_the_box_keeps_are_not():
    """y = x^3 - x at rest has a hill in between: from the middle of the box the search goes down the wrong side."""
    x, u = ca.MX.sym("x"), ca.MX.sym("u")
    names = dict(u_names=("u",), y_names=("y",), u_units=("-",), y_units=("-",))
    f, g = ca.Function("f", [x, u], [0.5 * x + 0.5 * u]), ca.Function("g", [x], [x**3 - x])
    system = DiscreteSystem(f, g, 1.0, np.zeros(1), u_min=np.array([-1.5]), u_max=np.array([1.5]), **names)
    NMPC(system, 5, bounds={"y": {"y": (1.0, 1.2)}})


def test_a_measured_disturbance_that_can_keep_a_bound_is_no_ground_to_warn():
    s = linear_system([[0.5]], [[0.5, 0.5]], [[1.0]], 1.0, u_names=["u", "w"])
    NMPC(s, 5, bounds={"y": {"y1": (1.5, None)}}, measured=["w"])
    with pytest.warns(UserWarning, match="comes to 2"):
        NMPC(s, 5, bounds={"y": {"y1": (2.5, None)}}, measured=["w"])
