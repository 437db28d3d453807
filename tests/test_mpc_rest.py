"""Inputs that are to rest somewhere: there exactly where outputs leave them free, and never at the outputs' cost."""

import numpy as np
import pytest
from controllers import learned, no_compiler

import mpc.compiled
from mpc import NMPC, OffsetFreeObserver, SteadyTarget, SystemProcess, export_c, linear_system, run
from mpc.deploy import STRICT
from mpc.nearest import Asked
from rnn_control import GRU

SOLVERS = ["condensed alone", "ipopt", "fatrop"]


def blend(gains=(1.0, 0.5), a=0.5):
    """y = gains' u at rest; more inputs than outputs."""
    return linear_system([[a]], [(1 - a) * np.array(gains)], [[1.0]], 1.0, u_names=["F", "G", "H"][: len(gains)])


@pytest.mark.parametrize("solver", SOLVERS)
def test_a_spare_input_comes_to_rest_where_it_is_to_and_the_output_at_its_reference(solver):
    s = blend()
    c, push = NMPC(s, 12, rest={"F": 0.2}, solver=solver), {"d_F": [(40.0, 0.1)]}
    record = run(
        SystemProcess(s), c, OffsetFreeObserver(s), [0.5], 90, disturbances=push, u0=[0.6, -0.2], progress=False
    )
    assert record.ok.all() and record.reachable.all()
    assert record.u[39] == pytest.approx([0.2, 0.6], abs=1e-4) and record.y_true[39] == pytest.approx([0.5], abs=1e-5)
    assert record.u[-1] == pytest.approx([0.2, 0.4], abs=1e-4) and record.y_true[-1] == pytest.approx([0.5], abs=1e-5)


@pytest.mark.parametrize(
    "rest, reference, u",
    [
        ({"F": 0.2}, 0.9, (0.4, 1.0)),  # G is at its bound: F goes as far from its place as it must
        ({"F": 0.2, "G": 0.2}, 0.8, (0.6, 0.4)),  # neither can have its place: the least distance
        ({"G": -0.5}, 0.5, (0.75, -0.5)),
        ({"G": -0.5}, 0.9, (1.0, -0.2)),
    ],
)
@pytest.mark.parametrize("compiler", [True, False])
def test_outputs_come_before_the_place_of_an_input(rest, reference, u, compiler, monkeypatch):
    if not compiler:
        no_compiler(monkeypatch)
    c = NMPC(blend(), 5, rest=rest)
    for start in ([0.0, 0.0], [0.9, -0.9]):
        c.reset(np.array(start))
        result = c.step(np.zeros(1), None, [reference])
        target = c.target.solve(np.array([reference]), np.zeros(1), np.zeros(2))
        assert result.reachable and target.u == pytest.approx(u, abs=1e-4)
        assert target.y == pytest.approx([reference], abs=1e-5)


def test_a_bounded_state_comes_before_the_place_of_an_input():
    s = linear_system(0.5 * np.eye(2), 0.5 * np.eye(2), [[1.0, 1.0]], 1.0)
    result = NMPC(s, 10, bounds={"x": {"x1": (None, 0.1)}}, rest={"u1": 0.5}).step(np.zeros(2), None, [0.8])
    assert result.reachable and result.target == pytest.approx([0.8], abs=1e-4)


def test_an_input_rests_beside_a_measured_disturbance():
    s = linear_system([[0.5]], [[0.5, 0.25, 0.2]], [[1.0]], 1.0, u_names=["F", "G", "w"])
    c, x, u = NMPC(s, 12, measured=["w"], rest={"F": 0.2}), np.zeros(1), np.zeros(2)
    for _ in range(40):
        u = c.step(x, None, [0.5], measured=[0.5]).u
        x = 0.5 * x + 0.5 * u[:1] + 0.25 * u[1:] + 0.2 * 0.5
    assert u == pytest.approx([0.2, 0.2], abs=1e-4) and x == pytest.approx([0.5], abs=1e-5)


def test_newton_and_ipopt_find_the_same_place(factory):
    system = learned(factory)
    t = SteadyTarget(system, {"y": {system.y_names[0]: 1.0}}, rest=(system.u_min + 3 * system.u_max) / 4)
    ours, ipopt = (make() for make in t._late)
    x, u = np.split(t._z, [system.nx])
    asked = Asked(np.array([[0.1, 0.1]]), u, *t.box, t.rest)
    costs = [
        ours._settle(z[: system.nx], z[system.nx :], asked).cost for z in (s.solve(x, asked) for s in (ours, ipopt))
    ]
    assert costs[0] <= costs[1] + 1e-9


def test_the_controller_in_c_rests_where_python_does(tmp_path, monkeypatch):
    monkeypatch.setattr(mpc.compiled, "find_compiler", lambda: None)
    system = learned(GRU, size=3)
    name, place = system.u_names[1], 0.7 * system.u_min[1] + 0.3 * system.u_max[1]
    c = NMPC(system, 4, {"y": {"T0": 1.0}}, rest={name: place}, solver="condensed alone")
    s, observer = c.scales, OffsetFreeObserver(system)
    r = s.y_mid + s.y_range * np.repeat([[0.1, 0], [0.6, 0], [-0.1, 0]], 8, 0)
    record = run(SystemProcess(system, 0.002 * s.y_range), c, observer, r, 24, progress=False)
    found = export_c(tmp_path, c, observer, record).test(flags=(*STRICT[:1], "-O0", *STRICT[2:]))
    assert found.agrees, found


@pytest.mark.parametrize(
    "options, word",
    [
        ({"rest": {"K": 0.1}}, "rest names 'K'"),
        ({"rest": {"F": 1.5}}, "outside its bounds"),
        ({"rest": {"F": 0.5}, "bounds": {"u": {"F": (None, 0.4)}}}, "outside its bounds"),
        ({"rest": [0.1, 0.2]}, "give a dict"),
        ({"rest": {"F": 0.1}, "price": lambda x, u, y: u[0]}, "a price says itself"),
    ],
)
def test_places_that_make_no_sense_are_explained(options, word):
    with pytest.raises(ValueError, match=word):
        NMPC(blend(), 5, **options)
