"""Recurrent equilibrium networks: certified whatever their free parameters, refused where rounding undid that."""

import numpy as np
import pytest
import torch
from torch.testing import assert_close
from zoo import randomised, tensors

from rnn_control import GRU, REN, Cascade, Contracting, LipschitzREN
from rnn_control.conditions import condition, is_proved
from rnn_control.lure import Lure, elementwise, energy_residual
from rnn_control.model import Params
from rnn_control.models import build
from rnn_control.simulate import simulate

CELLS = pytest.mark.parametrize("cell", [REN, LipschitzREN])


def published(model, p):
    return condition(model, p, model.input_box(), "delta_iss", "published")


def explicit(model):
    """As `certify` reads them: single precision is not mended by being read in double."""
    return Params({k: v.detach().double() for k, v in model.theta().items()})


@CELLS
@pytest.mark.parametrize("seed", range(50))
def test_any_free_parameters_are_certified_with_the_rate_asked_for(cell, seed):
    rng = np.random.default_rng(seed)
    model = randomised(cell(2, 2, 1 + seed % 8, rate=0.95), seed, 10 ** rng.uniform(-3, 6))
    if seed % 3 == 0:  # few directions only: H is then as badly conditioned as it can be
        with torch.no_grad():
            model.X[4 * model.nx + 2 * model.neurons - 1 :] = 0  # all but two rows and columns
    for precision in (torch.float64, torch.float32):
        bound = published(model, explicit(model.to(precision)))
        assert is_proved(bound) and float(bound.rate) < 0.95 + 1e-3


@CELLS
def test_huge_steps_of_an_optimiser_stay_certified(cell):
    model = cell(1, 1, 4)
    adam = torch.optim.Adam(model.parameters(), lr=50.0)
    u = torch.from_numpy(np.random.default_rng(0).uniform(-1, 1, (20, 1)))
    for _ in range(10):
        adam.zero_grad()
        _, y = simulate(model, model.theta(), torch.zeros(4, dtype=torch.float64), u)
        ((y - 5) ** 2).sum().backward()
        adam.step()
        assert is_proved(published(model, explicit(model)))


UNDONE = {
    "A": lambda v: 1.5 * v,
    "B1": lambda v: 5 * v,
    "C1": lambda v: 5 * v,
    "D11_3": lambda v: v + 4,
    "lam": lambda v: -v,
    "P": lambda v: v - 2 * torch.linalg.eigvalsh(v)[0] * torch.eye(len(v)),
}


@CELLS
@pytest.mark.parametrize("name", UNDONE)
def test_explicit_parameters_that_lost_the_property_are_refused(cell, name):
    model = randomised(cell(2, 1, 4), 3, 1.0)
    p = explicit(model)
    assert is_proved(published(model, p))
    assert not is_proved(published(model, Params({**p, name: UNDONE[name](p[name])})))


def test_metric_too_ill_conditioned_for_floating_point_is_refused():
    model = randomised(REN(2, 1, 4), 0, 1.0)
    p = explicit(model)
    T = torch.diag(torch.tensor([1, 1e4, 1e6, 1e8], dtype=torch.float64))
    back = torch.linalg.inv(T)  # the same system in other coordinates
    q = Params({**p, "A": back @ p.A @ T, "B1": back @ p.B1, "B2": back @ p.B2, "C1": p.C1 @ T, "P": T @ p.P @ T})
    assert is_proved(published(model, p)) and not is_proved(published(model, q))


@CELLS
def test_start_from_is_a_right_inverse(cell):
    source, target = randomised(cell(2, 3, 4, seed=1), 1, 0.7), cell(2, 3, 4, seed=2)
    p = source.theta()
    target.start_from(p)
    q = target.theta()
    common = p.lam[0] / q.lam[0]  # of P and lam, which only the bounded gain fixes
    assert cell is REN or abs(float(common.detach()) - 1) < 1e-9
    assert_close({**q, "P": common * q.P, "lam": common * q.lam}, {**p}, rtol=1e-8, atol=1e-10)


@CELLS
def test_slower_systems_than_asked_for_are_refused_as_a_start(cell):
    slow = cell(2, 1, 4, rate=0.99)
    with pytest.raises(ValueError, match="margin"):
        cell(2, 1, 4, rate=0.9).start_from(slow.theta())


def energies(model, steps):
    """Gradient ascent on sum |dy|^2 / sum |du|^2 from equal initial states: the largest ratio met."""
    rng, p = np.random.default_rng(0), explicit(model)
    raw = torch.from_numpy(rng.normal(size=(2, 4, 20, model.nu))).requires_grad_(True)
    adam, best = torch.optim.Adam([raw], lr=0.1), 0.0
    x0 = torch.zeros(4, model.nx, dtype=torch.float64)
    for _ in range(steps):
        a, b = (simulate(model, p, x0, u)[1] for u in torch.tanh(raw))
        gain = ((a - b) ** 2).sum((1, 2)) / ((raw.tanh()[0] - raw.tanh()[1]) ** 2).sum((1, 2))
        adam.zero_grad()
        (-gain.log().sum()).backward()
        adam.step()
        best = max(best, float(gain.detach().max()))
    return best


@pytest.mark.parametrize("seed", range(3))
def test_searched_inputs_obey_the_bounded_gain_and_come_close(seed):
    model = randomised(LipschitzREN(2, 2, 2, neurons=2, gamma=3.0), seed, 0.5)
    with torch.no_grad():
        model.X_u.mul_(10)
        model.X_y.mul_(10)
        model.b_v.zero_()
    best = energies(model, 40)
    assert 0.2 < best / model.gamma**2 <= 1


def test_gain_below_the_true_one_is_not_proved():
    model = LipschitzREN(1, 1, 2, gamma=10.0)
    p = explicit(model)
    true = energies(model, 40) ** 0.5
    residual = [float(energy_residual(model.lure(p), p.C, p.P, p.lam, gamma)) for gamma in (10.0, 0.99 * true)]
    assert residual[0] < 0 < residual[1]


def test_half_slopes_prove_no_less_than_absolute_values():
    for seed in range(20):
        model = randomised(REN(1, 1, 4), seed, 1.0)
        s = model.lure(explicit(model))
        E = torch.eye(model.neurons, dtype=torch.float64)
        plain = s.A.abs() + s.B1.abs() @ torch.linalg.solve(E - s.D11.abs(), s.C1.abs())
        one = torch.ones(model.nx, dtype=torch.float64)
        assert bool((elementwise(Lure(*s)).T(one) <= plain @ one + 1e-12).all())


@pytest.mark.parametrize("options", [dict(rate=1.0), dict(rate=0.0), dict(neurons=0), dict(neurons=1.5)], ids=str)
@CELLS
def test_impossible_options_are_refused(cell, options):
    with pytest.raises(ValueError, match="must"):
        cell(1, 1, 2, **options)


@CELLS
def test_a_rate_that_was_not_asked_for_is_one_that_the_records_modes_need(cell):
    model, found = cell(1, 1, 2), []
    before = explicit(model)
    for slowest, swings in ((0.5, True), (0.995, False), (0.97, True), (0.9, True)):
        model.meet(slowest, swings)
        found.append(model.rate)
        made = explicit(model)
        assert all(torch.allclose(v, before[k], 1e-6, 1e-9) for k, v in made.items() if k not in ("P", "lam"))
        assert build(model.spec()).rate == model.rate
        far = randomised(build(model.spec()), 0, 1.0)
        assert is_proved(published(far, explicit(far)))
    assert found == pytest.approx([0.99, 0.9975, 0.999, 0.999])
    asked = cell(1, 1, 2, rate=0.9)
    asked.meet(0.97, True)
    assert asked.rate == 0.9


@pytest.mark.parametrize("around", [lambda m: Cascade(m, GRU(1, 1, 2)), Contracting])
def test_what_holds_a_network_tells_the_rate_that_it_has_now(around):
    inner = REN(1, 1, 2)
    model = around(inner)
    inner.meet(0.97, True)
    assert "0.999" in str(model.spec())


def test_gain_that_is_not_positive_is_refused():
    with pytest.raises(ValueError, match="gamma is 0"):
        LipschitzREN(1, 1, 2, gamma=0.0)


@CELLS
def test_every_free_parameter_of_a_start_is_small_enough_to_train(cell):
    assert all(float(v.detach().abs().max()) < 10 for v in tensors(cell(3, 2, 6)).values())
