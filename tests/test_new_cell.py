"""A new architecture in one class and one registry line inherits the whole suite; see also docs/adding_a_model.md."""

import pytest
import torch
from test_certify import Theorems
from test_zoo_models import Conformance

from rnn_control import MODELS, Model, certify
from rnn_control.bounds import Bound, Comparison, two_norm
from rnn_control.conditions import METHODS
from rnn_control.model import Initialiser
from rnn_control.ops import tanh


class TanhRNN(Model):
    """x+ = tanh(A x + B u + b), y = C x + b_y: contracts where ||A||_2 < 1."""

    kind = "tanh_rnn"
    recurrent = ("A",)

    def __init__(self, nu, ny, size=8, *, seed=0):
        super().__init__(nu, ny, size, dict(nu=nu, ny=ny, size=size))
        start = Initialiser(seed)
        self.A, self.B, self.b = start.row_bounded(size, size, 0.6), start.uniform(size, nu), start.zeros(size)
        self.C, self.b_y = start.uniform(ny, size), start.zeros(ny)

    def f(self, p, x, u):
        return tanh(p.A @ x + p.B @ u + p.b)

    def state_box(self, p, u_max):
        return torch.ones(self.nx, dtype=u_max.dtype)

    def delta_iss(self, p, u_max):
        rate, ones = two_norm(p.A), torch.ones(self.nx, dtype=u_max.dtype)
        return Bound(rate - 1, rate, ones, ((self.nx, 2.0),), two_norm(p.B), 2.0)

    def iss(self, p, u_max):
        bound = self.delta_iss(p, u_max)
        return bound._replace(offset=torch.linalg.vector_norm(p.b) / (1 - bound.rate))

    def comparison(self, p, u_max):
        return Comparison(lambda v: p.A.abs() @ v, p.B.abs())


@pytest.fixture(scope="module")
def factory():
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(MODELS, "tanh_rnn", TanhRNN)
        yield TanhRNN


class TestNewCellConforms(Conformance):
    pass


class TestNewCellIsStable(Theorems):
    pass


@pytest.mark.parametrize("method", METHODS)
def test_a_function_at_the_end_of_f_is_a_channel(factory, method):
    found = certify(factory(1, 1, 3, seed=1), method=method, rigorous=True)
    assert found.holds and found.proof == "exact arithmetic"
