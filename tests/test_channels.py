"""Cells whose channels are odd: what has no bound, what is no channel at all, what is saturated or nothing."""

from fractions import Fraction

import numpy as np
import pytest
import torch
from zoo import randomised, tensors

from rnn_control import GRU, NNARX, certify, ops
from rnn_control.channels import images, trace
from rnn_control.contract import contract
from rnn_control.increments import Increment, Tape


class Product(GRU):
    """A cell with products of what has no bound."""

    def f(self, p, x, u):
        return 0.5 * x + 0.1 * x * (p.Wr @ u) ** 2 + 0.1 * ops.relu(x) * x

    def comparison(self, p, u_max):
        return super().comparison(p, u_max)._replace(state_box=None)


@pytest.mark.parametrize("seed", range(5))
def test_intervals_of_large_sums_hold_in_exact_arithmetic(seed):
    rng, n = np.random.default_rng(seed), 20
    W, b, box = 1e9 * rng.normal(size=(n, n)), 1e9 * rng.normal(size=(n, 1)), rng.uniform(size=(n, 1))
    v = torch.from_numpy(W) @ Increment(Tape(n), -box, box, np.eye(n, n + 1)) + torch.from_numpy(b)
    exact = np.vectorize(Fraction, otypes=[object])
    radius = abs(exact(W)) @ exact(box)
    assert (exact(v.lo) <= exact(b) - radius).all() and (exact(v.hi) >= exact(b) + radius).all()


def test_product_of_unbounded_states_is_refused():
    certificate = certify(Product(1, 1, 2), method="lmi")
    assert not certificate.holds and certificate.residual == np.inf


class Power(GRU):
    """A cell with a power that no channel bounds, and one with a relu of what is zero."""

    def f(self, p, x, u):
        return 0.3 * x + 0.1 * p.Wr @ u + 0.1 * (ops.tanh(x) + 1.5) ** p.bz[:1]


class Idle(GRU):
    def f(self, p, x, u):
        return 0.5 * x + 0.1 * p.Wr @ u + p.Ur @ ops.relu(0.0 * x)


def test_operation_that_no_channel_bounds_is_refused_and_other_methods_go_on():
    certificate = certify(Power(1, 1, 2), method="lmi")
    assert not certificate.holds and certificate.residual == np.inf
    assert {c.method for c in certify(Power(1, 1, 2)).others} < {"published", "weighted", "lmi"}


def test_relu_of_nothing_has_both_slopes():
    model = Idle(1, 1, 2)
    c = trace(model, model.theta(), np.ones(2), np.ones(1))
    assert (c.lo <= c.hi).all() and certify(model, method="lmi").rate > 0.5


def test_saturated_gate_keeps_its_channels():
    model = GRU(1, 1, 3)
    with torch.no_grad():
        tensors(model)["bz"].fill_(39.0)
    c = trace(model, model.theta(), np.ones(3), np.ones(1))
    assert len(c.p) == 15 and (c.lo < c.hi).all()


class Mixture(GRU):
    """A relu of a mixture of what has no bound, by a gate that nothing moves."""

    def f(self, p, x, u):
        return 0.5 * x + 3.0 * ops.relu(ops.mix(ops.sigmoid(p.Wz @ u), p.Ur @ x, p.Ur @ x))

    def comparison(self, p, u_max):
        return super().comparison(p, u_max)._replace(state_box=None)


def test_relu_of_an_unbounded_mixture_is_no_constant():
    model = Mixture(1, 1, 2)
    with torch.no_grad():
        model.Wz.zero_()
        model.Ur.copy_(torch.eye(2))
    assert not certify(model, method="lmi").holds  # x = 1 becomes 3.5


class Twice(GRU):
    def f(self, p, x, u):
        return 0.5 * x + 0.1 * ops.relu(ops.relu(p.Ur @ x + p.Wr @ u))


def test_relu_of_what_is_not_negative_is_the_identity():
    c = trace(Twice(1, 1, 2), Twice(1, 1, 2).theta(), np.ones(2), np.ones(1))
    assert len(c.p) == 2 and certify(Twice(1, 1, 2), method="lmi", rigorous=True).holds


def test_images_hold_and_are_met(factory):
    """Corners and random points of a box stay in its image; a box of one point has itself for an image."""
    model, rng = randomised(factory(2, 2, 4), 0, 0.5), np.random.default_rng(0)
    p, u_max, middle = model.theta(), np.array([1.0, 0.5]), rng.uniform(-0.2, 0.2, model.nx)
    low, high = middle - 0.3, middle + 0.2
    x, u = rng.uniform(low, high, (500, model.nx)).T, rng.uniform(-u_max, u_max, (500, 2)).T
    x[:, ::2] = np.where(rng.random((model.nx, 250)) < 0.5, low[:, None], high[:, None])
    x, u = torch.from_numpy(x), torch.from_numpy(u)
    x_low, x_high, y_low, y_high = images(model, p, low, high, u_max)
    x_next, y = model.f(p, x, u).detach().numpy(), model.g(p, x).detach().numpy()
    assert (x_next >= x_low[:, None]).all() and (x_next <= x_high[:, None]).all()
    assert (y >= y_low[:, None]).all() and (y <= y_high[:, None]).all()
    point = torch.from_numpy(middle[:, None])
    ends = images(model, p, middle, middle, np.zeros(2))
    there = model.f(p, point, torch.zeros(2, 1, dtype=torch.float64)).detach().numpy()[:, 0]
    assert np.allclose(ends[0], there, rtol=0, atol=1e-9) and np.allclose(ends[1], there, rtol=0, atol=1e-9)


def test_outputs_settle_far_within_what_iss_promises():
    """Layers of relu: the published gain multiplies norms; images know each weight (it was 200 times what is seen)."""
    model = randomised(NNARX(2, 2, 4), 1, 0.3)
    contract(model, "iss", "published", 0.02)
    certificate = certify(model, "iss")
    widths = np.diff(certificate.ultimate)[:, 0]
    assert (widths < 0.1 * 2 * (np.array(certificate.gain).sum(1) + certificate.offset)).all()
