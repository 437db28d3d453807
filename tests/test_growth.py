"""How a deep search begins: near a linear model where that is better, and on parts of records that are long."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

import rnn_control.search as search
import rnn_control.stages as planned
from rnn_control import ESN, GRU, MODELS, Experiment, fit
from rnn_control.judge import Tracker, Validation
from rnn_control.kernel import Batch, make_kernel
from rnn_control.linear_start import imitate
from rnn_control.near_linear import linear_of, near_linear
from rnn_control.objective import Objective
from rnn_control.stages import budget, stages
from rnn_control.starts import at_rest
from rnn_control.subspace import StateSpace
from rnn_control.windows import parts

SPRING = StateSpace(
    0.997 * np.array([[0.98, 0.2], [-0.2, 0.98]]), np.array([[0.0], [0.1]]), np.array([[0.1, 0]]), np.zeros(1)
)


def oscillator(samples, seed):
    """Normalised samples of a lightly damped spring that hardens: poles of radius 0.97, as the Silverbox has."""
    rng, (p, v) = np.random.default_rng(seed), (0.0, 0.0)
    u, y = np.convolve(rng.normal(size=samples), np.ones(4) / 4, "same"), []
    for force in u:
        y.append(p)
        v += 0.3 * (force - p - 0.2 * v - 0.1 * p**3)
        p += 0.3 * v
    return u[:, None] / abs(u).max(), np.array(y)[:, None] / np.std(y)


def batch(*lengths):
    records = [oscillator(n, seed) for seed, n in enumerate(lengths)]
    return Batch([u for u, _ in records], [y for _, y in records], [np.ones_like(y) for _, y in records])


@pytest.mark.parametrize(
    "lengths, expected",
    [((8191,), []), ((8192,), [(4096,)]), ((60000, 20000), [(3072, 1024), (12288, 4096)]), ((50,) * 10, [])],
)
def test_parts_are_the_beginnings_of_all_records_and_grow_fourfold(lengths, expected):
    whole = Batch(*([np.arange(n)[:, None] for n in lengths] for _ in range(3)))
    found = list(parts(whole))
    assert [tuple(map(len, part.u)) for part in found] == expected
    assert all((a == b[: len(a)]).all() for part in found for a, b in zip(part.y, whole.y, strict=True))


def copied(model):
    return {k: v.clone() for k, v in model.state_dict().items()}


@pytest.mark.parametrize("kind", ["gru", "lstm", "lipschitz_rnn", "ren", "nnarx"])
def test_the_other_start_is_near_the_linear_model_of_a_resonance(kind):
    data, model = batch(400), MODELS[kind](1, 1, 4, seed=1)
    kernel, drawn = make_kernel(model, compiled=False), copied(model)
    near = near_linear(model, kernel, data, linear_of(model, data))
    assert all(torch.equal(drawn[k], v) for k, v in model.state_dict().items())
    model.load_state_dict(near)
    ((_, yhat),) = kernel.simulate(model.theta(), np.zeros((1, model.nx)), data.u)
    assert ((data.y[0] - yhat) ** 2).sum() < 0.15 * (data.y[0] ** 2).sum()


@pytest.mark.parametrize("model, samples", [(ESN(1, 1, 5), 400), (GRU(1, 1, 3), 6)])
def test_cells_and_records_without_linear_start_have_no_other(model, samples):
    assert linear_of(model, batch(samples)) is None
    assert near_linear(model, make_kernel(model, compiled=False), batch(samples), None) == {}


def test_frozen_parameters_have_no_other_start():
    model = GRU(1, 1, 3, seed=1)
    model.bz.requires_grad_(False)
    assert near_linear(model, make_kernel(model, compiled=False), batch(400), linear_of(model, batch(400))) == {}


def test_prior_leaves_a_linear_start_its_large_read_out():
    model, u = GRU(1, 1, 2), batch(400).u
    with torch.no_grad():
        imitate(model, SPRING, 1e-6)
    y = SPRING.simulate(np.zeros(2), u[0]) + 0.01 * np.random.default_rng(0).normal(size=(400, 1))
    data = Batch(u, [y], [np.ones_like(y)])
    kernel, starts = make_kernel(model, compiled=False), at_rest(data, 2)
    J = Objective(model, kernel, data, property=None, method="weighted", margin=0.01, starts=starts)
    v = J.start()
    J.settle(v, 1.0)
    assert J(v)[0] > 10 * J.error**2  # by a prior of variance one
    J.expect(v)
    assert J(v)[0] < 1.2 * J.error**2
    J.decay, spread = 1.0, np.maximum(1, abs(v))
    value, g, H = J.gauss_newton(v)
    J.decay = 0.0
    prior = value - J(v)[0], g - J(v)[1], np.diag(H - J.gauss_newton(v)[2])
    for found, expected in zip(prior, (((v / spread) ** 2).sum(), 2 * v / spread**2, 2 / spread**2), strict=True):
        assert_allclose(found, expected, rtol=1e-6, atol=1e-9)


def test_a_long_record_is_searched_on_a_part_first():
    steps = []

    def until_the_part_is_done(step):
        steps.append(step)
        if step.iteration == 10:
            raise KeyboardInterrupt

    options = dict(certificate=None, polish=100, progress=False, log=until_the_part_is_done)
    fit(GRU(1, 1, 3), Experiment(*oscillator(8200, 0), 1.0), **options)
    assert steps[0].total == 1 + 10 + 5
    assert steps[-1].best < 0.7 * steps[0].error


def long_objective(model, lengths):
    data, kernel = batch(*lengths), make_kernel(model)
    options = dict(property=None, method="weighted", margin=0.01, starts=at_rest(data, model.nx))
    return Objective(model, kernel, data, **options)


def test_parts_with_too_few_samples_for_the_variables_are_left_out(monkeypatch):
    J = long_objective(GRU(1, 1, 3), (40000,))
    lengths = lambda: [len(s.data.u[0]) for s in stages(J)]  # noqa: E731
    assert lengths() == [4096, 16384, 40000]
    monkeypatch.setattr(planned, "SAMPLES", 4096 // J.n_theta + 1)
    assert lengths() == [16384, 40000]


def test_an_interrupt_keeps_what_was_found_on_a_part_and_not_judged_yet(monkeypatch):
    monkeypatch.setattr(planned, "LARGEST", 10)
    monkeypatch.setattr(planned, "LARGEST_OF_LONG", 10)
    J, seen = long_objective(GRU(1, 1, 3), (40000,)), []
    tracker = Tracker(J, Validation(J.model, J.kernel, [], [], 50, []), [], budget(J, 0, 400))

    def interrupted(stage, v, n, report, part):
        for k in range(5):
            seen.append(v * (1 - 0.01 * k))
            report(seen[-1], 0.0)
        raise KeyboardInterrupt

    monkeypatch.setattr(search, "whitened", interrupted)
    monkeypatch.setattr(tracker, "valid", lambda J, v: -float(len(tracker.rows)))
    assert search.optimise(J, tracker, 0, 400, 0.0, 10**6, 0)
    assert len(tracker.rows) == 2 and (tracker.best == seen[-1]).all()


def test_iterates_on_a_part_are_judged_as_seldom_as_they_are_cheap(monkeypatch):
    rows, asked = [], []
    monkeypatch.setattr(planned, "LARGEST", 10)
    monkeypatch.setattr(planned, "LARGEST_OF_LONG", 10)
    monkeypatch.setattr(
        search, "whitened", lambda J, v, n, report, part: asked.append((J, n, part)) or play(v, n, report)
    )

    def play(v, n, report):
        for _ in range(n):
            report(v, 1.0)
        return v

    J = long_objective(GRU(1, 1, 3), (40000,))
    tracker = Tracker(J, Validation(J.model, J.kernel, [], [], 50, []), [rows.append], budget(J, 0, 400))
    assert not search.optimise(J, tracker, 0, 400, 0.0, 10**6, 0)
    parts_, taken, matrices = zip(*asked, strict=True)
    assert [len(s.data.u[0]) for s in parts_[::5]] == [4096, 16384, 40000] and parts_[-1] is J
    assert taken[::5] == (80, 40, 20)
    assert matrices[0] is None and set(matrices[5:]) == {parts_[0]}
    assert len(rows) == 1 + -(-400 // 9) + 200 // 2 + 100 == rows[0].total
