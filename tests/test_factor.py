"""The largest factor that a condition allows is found in few evaluations, and its compiled form is torch's."""

import copy
import math
import pickle
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from zoo import ZOO, randomised

from rnn_control import ESN, GRU, LSTM, Cascade, Contracting, construct
from rnn_control.factor import CompiledExcess, TracedExcess, largest
from rnn_control.lure import ROOM, positive
from rnn_control.model import Params, pull_back
from rnn_control.models.ren import REN
from rnn_control.objective import Objective
from rnn_control.stored import weights_hash

CURVES = {
    "line": (lambda s: 40 * s - 1, 1 / 40),
    "cube": (lambda s: (50 * s) ** 3 - 0.9, 0.9 ** (1 / 3) / 50),
    "kink": (lambda s: max(s - 0.5, 1e4 * (s - 0.5)), 0.5),
    "tiny": (lambda s: 1e30 * s - 1, 1e-30),
    "tinier": (lambda s: (1e240 * s - 1) * (1 + s), 1e-240),
    "rough": (lambda s: 1e300 if s > 0.03 else 1e-8 if s > 0.01 else -1e-8, 0.01),
    "endless": (lambda s: math.inf if s > 1e-3 else s - 1e-4, 1e-4),
    "without a number": (lambda s: math.nan if s > 0.2 else s - 0.1, 0.1),
}
CELLS = [(kind, method) for kind in ("gru", "gru_reset_after", "lstm", "esn", "lipschitz_rnn")
         for method in ("published", "weighted")] + [("nnarx", "published")]  # fmt: skip


@pytest.mark.parametrize("near", [1.0, 0.3, "the root"])
@pytest.mark.parametrize("curve", CURVES)
def test_largest_factor_is_the_root_from_the_allowed_side(curve, near):
    excess, root = CURVES[curve]
    s = largest(excess, root if near == "the root" else near)
    assert excess(s) <= 0
    assert_allclose(s, root, rtol=2e-9)


@pytest.mark.parametrize("curve", ["line", "cube"])
def test_largest_factor_takes_few_evaluations_and_fewer_with_a_guess(curve):
    calls, (excess, root) = [], CURVES[curve]
    largest(lambda s: calls.append(s) or excess(s))
    without = len(calls)
    largest(lambda s: calls.append(s) or excess(s), root * 1.001)
    assert without <= 16 and len(calls) - without <= 10


def test_factor_is_one_where_all_is_allowed_and_none_where_nothing_is():
    assert largest(lambda s: s - 2) == largest(lambda s: s - 2, 0.4) == 1.0
    assert math.isnan(largest(lambda s: s + 1)) and math.isnan(largest(lambda s: math.nan))


def outside(kind, method="auto", spread=0.3):
    """A model by construction whose inner parameters are not certified."""
    model = Contracting(ZOO[kind](2, 2, 4), method=method)
    randomised(model.inner, 0, spread)
    return model


def parameters(model):
    return model.input_box(), model.log_scale, *model.free().values()


@pytest.mark.parametrize("kind, method", CELLS)
def test_compiled_excess_and_its_slopes_are_those_of_torch(kind, method):
    model = outside(kind, method)
    loops = CompiledExcess(model.excess, *parameters(outside(kind, method, 0.01))).at(*parameters(model))
    by_torch = TracedExcess(model.excess).at(*parameters(model))
    for s in (1.0, 0.3):
        assert_allclose(loops(s), by_torch(s), rtol=1e-12)
    expected = by_torch.slopes()
    assert_allclose(loops.slopes(), expected, rtol=1e-12, atol=1e-12 * abs(expected).max())


def pulled(model):
    """Explicit parameters, and the gradient of a random function of the trained ones in the free ones."""
    p, back = model.linearised()
    return p, back({k: g.numpy() for k, g in weights(model).items()})


def weights(model):
    rng = np.random.default_rng(0)
    return {k: torch.from_numpy(rng.normal(size=v.shape)) for k, v in model.theta().items() if v.requires_grad}


@pytest.mark.parametrize("kind", ["gru", "lstm", "esn", "nnarx", "lipschitz_rnn"])
def test_compiled_construction_is_that_of_torch(kind):
    """Theorem 17 (c)."""
    model = outside(kind, spread=1.0)
    p, gradient = pulled(model)
    model.compiled = model.loops()
    q, found = pulled(model)
    assert 0 < model.factor().item() < 1
    for name, value in p.items():
        assert_allclose(q[name].detach(), value.detach(), rtol=1e-8)
    assert_allclose(found, gradient, rtol=1e-6, atol=1e-6 * abs(gradient).max())


def test_compiled_construction_sees_parameters_that_changed_or_moved():
    model, other = outside("gru"), outside("gru", spread=1.0)
    model.compiled = model.loops()
    model.linearised()
    for move in (model.load_state_dict, lambda new: model.load_state_dict(new, assign=True)):
        for state in (other.state_dict(), outside("gru", spread=0.6).state_dict()):
            move({k: v.t().contiguous().t() for k, v in state.items()})  # other strides, the same values
            expected = outside("gru")
            expected.load_state_dict(state)
            for found, wanted in zip(pulled(model), pulled(expected), strict=True):
                if isinstance(found, dict):
                    found, wanted = (torch.cat([v.detach().flatten() for v in p.values()]) for p in (found, wanted))
                assert_allclose(found, wanted, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("feedback", [0.0, 0.3])
def test_reservoir_needs_a_gradient_only_where_the_readout_counts_in_its_factor(feedback):
    """Theorem 17 (c): with feedback the factor depends on what is trained, and so does the reservoir."""
    model = Contracting(ESN(2, 1, 4, feedback=feedback), method="published")
    with torch.no_grad():
        model.inner.Wx.mul_(3)
    assert 0 < model.factor().item() < 1
    assert model.theta().Wx.requires_grad == (feedback > 0)


@pytest.mark.parametrize("kind", ["gru", "ren", "lipschitz_ren", "lipschitz_rnn"])
def test_pull_back_is_the_transposed_derivative(kind):
    model = ZOO[kind](2, 2, 3)
    p, gradient = model.theta(), pulled(model)[1]
    sum((g * p[k]).sum() for k, g in weights(model).items()).backward()
    expected = [v.grad.numpy().ravel() for v in model.parameters() if v.requires_grad]
    assert_allclose(gradient, np.concatenate(expected), rtol=1e-10, atol=1e-12)


def test_pull_back_adds_up_what_parts_of_one_tensor_share():
    X = torch.arange(12.0, dtype=torch.float64).view(4, 3).requires_grad_(True)
    Y, rng = X**2, np.random.default_rng(0)
    p = Params(whole=X, rows=X[1:], upper=Y[:2], middle=Y[1:3], column=Y[:, :1], turned=Y.T, other=3 * X)
    given = {k: rng.normal(size=v.shape) for k, v in p.items()}
    expected = torch.autograd.grad(
        sum((torch.from_numpy(g) * p[k]).sum() for k, g in given.items()), X, retain_graph=True
    )
    assert_allclose(pull_back(p, [X])(given), expected[0].flatten(), rtol=1e-13)


@pytest.mark.parametrize(
    "inner, is_traced", [(lambda: GRU(2, 1, 3), True), (lambda: Cascade(GRU(2, 2, 2), LSTM(2, 1, 2)), False)]
)
def test_construction_is_compiled_once_it_pays_and_where_it_can_be(inner, is_traced, monkeypatch):
    monkeypatch.setattr(construct, "PAYS", 3)
    model = Contracting(inner())
    for _ in range(3):
        model.linearised()
    assert (model.compiled is not None) == is_traced


def test_copies_and_files_of_a_compiled_model_compile_again():
    model = outside("gru")
    model.compiled = model.loops()
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert other.compiled is None
        assert other.factor() == model.factor()


def test_hash_of_weights_does_not_depend_on_what_came_before():
    """A certificate is bound to it, and a model file holds the explicit parameters."""
    model = outside("gru")
    first = weights_hash(model)
    model.linearised()
    moved = outside("gru", spread=1.0)
    moved.compiled, moved.last = model.loops(), model.last * (1 + 1e-3)
    moved.linearised()
    moved.load_state_dict(model.state_dict())
    assert weights_hash(model) == weights_hash(moved) == first


def test_jacobian_of_a_compiled_construction_is_that_of_its_pull_back():
    """What Gauss-Newton takes."""
    model = outside("gru")
    model.compiled = model.loops()
    gradient, given = pulled(model)[1], weights(model)
    free = [v for v in model.parameters() if v.requires_grad]
    sizes = [v.numel() for v in free]
    part = SimpleNamespace(
        model=model, kernel=SimpleNamespace(wrt=tuple(given)), free=free, sizes=sizes, n_theta=sum(sizes)
    )
    found = torch.cat([g.flatten() for g in given.values()]).numpy() @ Objective.explicit_by_free(part)
    assert_allclose(found, gradient, rtol=1e-6, atol=1e-9)


def test_positive_matrix_is_what_it_says_and_its_gradient_too():
    Z = torch.randn(5, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0), requires_grad=True)
    expected = Z.T @ Z + ROOM * (1 + (Z**2).sum() / 4) * torch.eye(4, dtype=Z.dtype)
    weights = torch.randn(4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    assert_allclose(positive(Z).detach(), expected.detach(), rtol=1e-13)
    slopes = [torch.autograd.grad((weights * H).sum(), Z)[0] for H in (positive(Z), expected)]
    assert_allclose(*slopes, rtol=1e-12)


def test_rows_of_an_equilibrium_network_are_those_of_one_lower_triangle():
    model = REN(1, 1, 2, neurons=4)
    with torch.no_grad():
        model.X.add_(0.1 * torch.randn(model.X.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0)))
    H, n = positive(model.root()), model.nx
    H22 = H[n : n + 4, n : n + 4]
    p = model.explicit(H)
    for i in range(1, 4):
        assert_allclose(p[f"D11_{i}"].detach(), (-2 * H22[i, :i] / H22[i, i])[None].detach(), rtol=1e-13)
