"""Certified observers of gated cells: the error falls at the rate that is stated, whatever one tries."""

from functools import cache

import numpy as np
import pytest
import torch
from zoo import identified, randomised

from rnn_control import ESN, GRU, LSTM, Cascade, Network, design_observer
from rnn_control.model import Params
from rnn_control.observer import inject, observer_comparison


def series(nu, ny, size, *, seed=0):
    return Cascade(GRU(nu, 3, size, seed=seed), LSTM(3, ny, size, seed=seed))


def feedback(nu, ny, size, *, seed=0):
    """The second block reads what the first shows, and an ESN closes the loop."""
    blocks = {
        "first": (["a", "b", "back"], GRU(nu + 1, 1, size, seed=seed), ["y"]),
        "second": (["y"], LSTM(1, ny, size, seed=seed), ["z", "hidden"]),
        "loop": (["hidden"], ESN(1, 1, 3, seed=seed), ["back"]),
    }
    return Network(["a", "b"], blocks, ["y", "z"])


SEEDS, KINDS = range(4), (GRU, LSTM, series, feedback)


@cache
def observed(kind, seed):
    """Cells with gates that read the states the output shows, so that a correction has something to gain."""
    rng = np.random.default_rng(seed)
    cell = randomised(kind(2, 2, 5, seed=seed), seed, spread=rng.uniform(0.05, 0.6))
    with torch.no_grad():
        for m in cell.modules():
            for k in getattr(m, "injected", ()):
                m.theta()["U" + k].add_(torch.from_numpy(rng.normal(size=(5, m.ny))) @ m.theta()["C"])
    model = identified(cell, seed)
    return model, design_observer(model)


def errors(model, design, rng, steps=12, pairs=256):
    """V(x - x^) along steps of hard pairs: states at corners of the box or close together, inputs at theirs."""
    cell, p = model.model, Params({k: v.detach().double() for k, v in model.model.theta().items()})
    L = {k: torch.from_numpy(v) for k, v in design.gains.items()}
    box = cell.state_box(p, cell.input_box())[:, None]
    random = lambda *shape: torch.from_numpy(rng.uniform(-1, 1, shape))  # noqa: E731
    x = box * random(cell.nx, pairs).sign()
    near = torch.from_numpy(10.0 ** rng.uniform(-6, 0.3, pairs))
    x_hat, found = torch.clamp(x + near * box * random(cell.nx, pairs), -box, box), []
    for _ in range(steps):
        found.append(((x - x_hat).abs() / torch.from_numpy(design.scale)[:, None]).amax(0))
        u, e = random(2, pairs).sign(), cell.g(p, x) - cell.g(p, x_hat)
        x, x_hat = cell.f(p, x, u), torch.clamp(inject(cell, p, L, x_hat, u, e), -box, box)
    return torch.stack(found)


@torch.no_grad()
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("kind", KINDS)
def test_the_error_of_every_pair_falls_at_the_certified_rate(kind, seed):
    """Theorems 18, 19 and 24."""
    model, design = observed(kind, seed)
    V = errors(model, design, np.random.default_rng(seed))
    assert (V[1:] <= design.rate * V[:-1] * (1 + 1e-9) + 1e-12).all()


@pytest.mark.parametrize("kind", KINDS)
def test_gains_never_worsen_the_rate_and_often_improve_it(kind):
    designs = [observed(kind, seed)[1] for seed in SEEDS]
    gained = np.array([d.open_loop_rate - d.rate for d in designs])
    assert (gained >= 0).all() and (gained > 0.02).sum() >= 2


@pytest.mark.parametrize("kind", [GRU, LSTM])
def test_gains_certify_what_is_not_certified_without(kind):
    designs = [observed(kind, seed)[1] for seed in SEEDS]
    assert any(d.rate < 1 <= d.open_loop_rate for d in designs)


@pytest.mark.parametrize("kind", [series, feedback])
def test_without_gains_a_network_is_no_worse_than_its_certificate(kind):
    model, design = observed(kind, 0)
    cell, p = model.model, Params({k: v.detach().double() for k, v in model.model.theta().items()})
    zero = {k: torch.zeros(L.shape, dtype=torch.float64) for k, L in design.gains.items()}
    v = torch.linspace(0.1, 1, cell.nx, dtype=torch.float64)
    one, other = cell.comparison(p, cell.input_box()), observer_comparison(cell, p, zero)
    assert (other.T(v) <= one.T(v) * (1 + 1e-12)).all() and not other.N.any()


@pytest.mark.parametrize("kind", [GRU, LSTM])
def test_without_gains_it_is_the_certificate_of_the_cell(kind):
    cell = randomised(kind(2, 2, 5), 0)
    p = Params({k: v.detach().double() for k, v in cell.theta().items()})
    zero = {k: torch.zeros(5, 2, dtype=torch.float64) for k in cell.injected}
    v = torch.linspace(0.1, 1, cell.nx, dtype=torch.float64)
    one, other = cell.comparison(p, cell.input_box()), observer_comparison(cell, p, zero)
    assert other.T(v).tolist() == pytest.approx(one.T(v).tolist(), rel=1e-14) and not other.N.any()


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_of_measurement_moves_the_estimate_no_more_than_stated(kind):
    model, design = observed(kind, 3)
    f, s, rng = design.system.f, design.system, np.random.default_rng(0)
    x = x_hat = np.zeros(s.nx)
    for _ in range(60):
        u, noise = rng.choice([s.u_min[:2], s.u_max[:2]]), 0.1 * model.scaler.y_std * rng.choice([-1, 1], 2)
        e = (s.g(x) - s.g(x_hat)).full().ravel() + noise
        x, x_hat = f(x, np.append(u, [0, 0])).full().ravel(), f(x_hat, np.append(u, e)).full().ravel()
        x_hat = np.clip(x_hat, -s.x_max, s.x_max)
        assert (np.abs(x - x_hat) <= design.sensitivity @ (0.1 * model.scaler.y_std) * (1 + 1e-9)).all()


def test_other_cells_are_refused():
    with pytest.raises(ValueError, match="of kind esn"):
        design_observer(identified(ESN(2, 2, 4)))
