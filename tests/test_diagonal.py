"""Theorem 23: no Jacobian expands the diagonal metric faster than its rate, and a controller may build on it."""

import numpy as np
import pytest
import torch
from zoo import identified, quick_gru, randomised, tensors

from mpc import NMPC
from rnn_control import GRU, certify, diagonal_metric
from rnn_control.bounds import Comparison
from rnn_control.diagonal import diagonal_norm
from rnn_control.model import Params


def small(model, share):
    """The model with its parameters shrunk until its comparison system contracts."""
    for _ in range(40):
        try:
            return diagonal_metric(model)
        except ValueError:
            for value in tensors(model).values():
                value.data *= share
    return None


def worst(model, found, steps, columns=32):
    """The largest |J|_P met while states and inputs climb to where it is largest, of `columns` starts in the domain."""
    p = Params({k: v.detach().double() for k, v in model.theta().items()})
    box = model.comparison(p, torch.ones(model.nu, dtype=torch.float64)).state_box
    edge = torch.cat([torch.full((model.nx,), 3.0) if box is None else box, torch.ones(model.nu)]).double()
    root = torch.from_numpy(np.sqrt(np.diag(found.metric)))
    rng = np.random.default_rng(0)
    free = torch.from_numpy(rng.uniform(-1, 1, (columns, len(edge)))).requires_grad_(True)
    adam, most = torch.optim.Adam([free], lr=0.1), 0.0

    def step(z):
        return model.f(p, z[: model.nx, None], z[model.nx :, None]).flatten()

    for _ in range(steps):
        adam.zero_grad()
        J = torch.func.vmap(torch.func.jacrev(step))(free * edge)[:, :, : model.nx]
        norms = torch.linalg.matrix_norm(root[:, None] * J / root, 2)
        most = max(most, float(norms.detach().max()))
        (-norms.sum()).backward()
        adam.step()
        free.data.clamp_(-1, 1)
    return most


@pytest.mark.parametrize("seed", range(5))
def test_no_difference_expands_faster_under_a_maximum_of_matrices(seed):
    generator = torch.Generator().manual_seed(seed)
    A, B, a = (torch.rand(6, n, dtype=torch.float64, generator=generator) ** 3 for n in (6, 6, 4000))
    system = Comparison(lambda v: torch.maximum(A @ v, B @ v), torch.ones(6, 1, dtype=torch.float64))
    rate, diagonal = diagonal_norm(system)

    def length(e):
        return (diagonal[:, None] * e**2).sum(0).sqrt()

    for _ in range(50):  # the directions that T itself brings forth expand most
        ratios = length(system.T(a)) / length(a)
        assert ratios.max() <= rate * (1 + 1e-12)
        a = system.T(a) / length(system.T(a))
    assert ratios.max() >= 0.7 * rate


@pytest.mark.parametrize("seed", [1])
def test_no_jacobian_in_the_domain_expands_faster_than_the_rate(factory, seed):
    """Theorem 23."""
    model = randomised(factory(2, 2, 5, seed=seed), seed, 0.5)
    found = small(model, 0.8)
    assert found is not None and found.rate < 1
    assert worst(model, found, 20) <= found.rate + 1e-12


def test_the_rate_is_attained_where_the_model_is_linear():
    model = quick_gru(2, 2, 4)
    with torch.no_grad():
        for name in ("Uz", "Uf", "Ur", "Wz", "Wf", "Wr", "bf"):
            getattr(model, name).zero_()
        model.bz.fill_(1.0)
    found = diagonal_metric(model)
    assert worst(model, found, 1) == pytest.approx(found.rate, rel=1e-6)


def test_the_rate_is_hardly_larger_than_that_of_the_weighted_infinity_norm():
    model = quick_gru(2, 2, 40)
    assert diagonal_metric(model).rate == pytest.approx(certify(model, method="weighted").rate, abs=1e-2)


def test_a_model_that_does_not_contract_is_refused():
    with pytest.raises(ValueError, match="not below one"):
        diagonal_metric(randomised(GRU(2, 2, 6), 0, 3.0))


@pytest.mark.parametrize("horizon", [1, 6])
def test_a_controllers_cost_falls_by_the_cost_of_each_step(horizon):
    model = identified(quick_gru(2, 2, 24))
    system, rng = model.to_casadi(), np.random.default_rng(0)
    c = NMPC(system, horizon, {"du": 0.0}, terminal=diagonal_metric(model))
    u, x = system.u_min + 0.6 * (system.u_max - system.u_min), np.array(system.x0)
    for _ in range(300):
        x = system.f(x, u).full().ravel()
    r, Q, before, costs = system.g(x).full().ravel(), c.weights.y, np.inf, []
    x, u = rng.uniform(-1, 1, system.nx), c.scales.u_mid
    for _ in range(15):
        result = c.step(x, None, r, u)
        assert result.ok and result.reachable and result.cost <= before + 1e-7
        costs.append(result.cost)
        x, u = system.f(x, result.u).full().ravel(), result.u
        before = result.cost - (Q * (system.g(x).full().ravel() - r) ** 2).sum()
    assert costs[-1] < 0.1 * costs[0]
