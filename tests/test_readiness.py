"""Control-readiness: what is found is there, and models unfit for control are told apart."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from matplotlib import pyplot as plt
from zoo import identified, inputs, quick_gru, two_rests

from rnn_control import GRU, Experiment, certify, control_readiness
from rnn_control.initial import Visited
from rnn_control.interop import linearise, rest
from rnn_control.steady_map import plot_steps, steady_map


def record(model, samples=300) -> Experiment:
    u = model.scaler.u_out(inputs(np.random.default_rng(0), samples, model.model.nu))
    noise = 0.01 * model.scaler.y_std * np.random.default_rng(1).standard_normal((samples, model.model.ny))
    return Experiment(
        u, model.simulate(u) + noise, model.dt, model.u_names, model.y_names, model.u_units, model.y_units
    )


@torch.no_grad()
def two_tanh(Ur=0.0, C=(1.0, -1.0), br=1.0):
    """At rest x_i = tanh(u + Ur x_i +- br): y bends where C subtracts them, and is bistable where Ur > 1."""
    model = GRU(1, 1, 2)
    for value in model.parameters():
        value.zero_()
    model.Wr.fill_(1.0)
    model.br.copy_(torch.tensor([[br], [-br]]))
    model.Ur.copy_(Ur * torch.eye(2))
    model.bf.fill_(10.0)
    model.C.copy_(torch.tensor([C]))
    return identified(model)


def verdicts(model) -> dict[str, str]:
    return {check.name: check.verdict for check in control_readiness(model, record(model)).checks}


@pytest.fixture(scope="module")
def model():
    return identified(quick_gru(2, 2, 4, seed=3))


@pytest.fixture(scope="module")
def steady(model):
    return steady_map(model)


def test_gains_are_slopes_of_the_rests(model, steady):
    system, h = model.to_casadi(), 1e-4 * model.scaler.u_half
    for k in (0, 5, -1):
        ends = [[system.g(rest(system, steady.u[k] + s * h * e)).full().ravel() for s in (1, -1)] for e in np.eye(2)]
        slopes = np.array([(up - down) / (2 * h[i]) for i, (up, down) in enumerate(ends)]).T
        np.testing.assert_allclose(steady.gain[k], slopes, rtol=1e-4, atol=1e-9 * abs(slopes).max())


def test_zeros_are_those_of_the_linearisations(model, steady):
    for k in range(len(steady.u)):
        z = abs(linearise(model.to_casadi(), steady.u[k], steady.x[k]).zeros())
        z = z[(z > 1) & (z < 1e4)]
        expected = 2 * model.dt / np.log(z.min()) if len(z) else 0.0
        assert steady.zero_time[k] == pytest.approx(expected, rel=1e-5, abs=0.5)


def test_rests_lie_where_a_long_simulation_ends(model, steady):
    ends = [model.simulate(np.tile(u, (800, 1)))[-1] for u in steady.u[::9]]
    np.testing.assert_allclose(steady.y[::9], ends, rtol=0, atol=1e-6 * model.scaler.y_std.min())
    assert steady.is_unique


def test_of_several_rests_those_are_shown_where_runs_of_the_model_end():
    model = replace(identified(two_rests()), visited=Visited(np.array([0.4, 0.95]), 0.1))
    found = steady_map(model)
    assert not found.is_unique
    np.testing.assert_allclose(found.x[:, 1], 0.957, atol=1e-3)


def test_sweeps_move_one_input_over_its_box(model, steady):
    u = steady.u[steady.sweep(1)]
    assert np.ptp(u[:, 0]) < 1e-12 and u[[0, -1], 1] == pytest.approx([model.scaler.u_min[1], model.scaler.u_max[1]])


@pytest.mark.parametrize(
    "model, name, verdict",
    [
        (two_tanh(C=(1.0, 1.0)), "one steady state for each input", "good"),
        (two_tanh(C=(1.0, 1.0)), "monotone steady-state map", "good"),
        (two_tanh(Ur=3.0, C=(1.0, 1.0), br=0.1), "one steady state for each input", "bad"),
        (two_tanh(), "monotone steady-state map", "care"),
        (two_tanh(), "static gains", "care"),
        (two_tanh(br=0.0), "static gains", "bad"),
    ],
)
def test_verdict_on(model, name, verdict):
    assert verdicts(model)[name] == verdict


def test_certificate_proves_what_was_only_tried(model):
    ready = control_readiness(model, record(model), certificate=certify(model))
    assert ready.checks[0].text.startswith("proved") and ready.verdict in ("good", "care")
    assert len(ready.gains()) == 4 and str(ready).count("\n") == 5


def test_a_record_of_half_the_region_does_not_reach_the_rest(model):
    whole = record(model)
    half = Experiment((whole.u + model.scaler.u_min) / 2, whole.y, model.dt, model.u_names, model.y_names)
    [reach] = [c for c in control_readiness(model, half).checks if c.name == "reach of the data"]
    assert reach.verdict == "care"


def test_figures_have_a_panel_for_each_pair(model, steady):
    assert len(steady.plot().axes) == len(plot_steps(model).axes) == 4
    plt.close("all")
