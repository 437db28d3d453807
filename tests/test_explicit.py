"""Explicit parameters that C loops make, and their pull-back, are those of torch, and as certified."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from zoo import ZOO, randomised

from rnn_control import Cascade, Contracting, LipschitzRNN, explicit
from rnn_control.conditions import condition, is_proved
from rnn_control.explicit import Linearised, compiled_theta
from rnn_control.model import Params
from rnn_control.printed import where_possible

MADE = "ren", "lipschitz_ren", "lipschitz_rnn"
"""Families whose explicit parameters torch computes."""


def drawn(p):
    rng = np.random.default_rng(0)
    return {k: rng.normal(size=v.shape) for k, v in p.items() if v.requires_grad}


@pytest.fixture(params=[(kind, size) for kind in MADE for size in (1, 3, 9)], ids=lambda v: f"{v[0]}-{v[1]}")
def both(request):
    """(p, pull-back) by torch and by the loops, traced at other parameters than those they are asked for."""
    kind, size = request.param
    model = ZOO[kind](2, 1, size)
    loops = compiled_theta(model)
    randomised(model, 0, 0.3)
    return model.linearised(), loops()


def test_compiled_parameters_are_those_of_torch(both):
    (p, _), (q, _) = both
    assert p.keys() == q.keys()
    for name, value in p.items():
        assert_allclose(q[name].detach(), value.detach(), rtol=1e-12, atol=1e-12 * float(value.detach().abs().max()))


def test_compiled_pull_back_is_that_of_torch(both):
    (p, back), (_, loops) = both
    found, expected = loops(drawn(p)), back(drawn(p))
    assert_allclose(found, expected, rtol=1e-12, atol=1e-12 * abs(expected).max())


@pytest.mark.parametrize("kind", ["gru", "gru_reset_after", "lstm", "esn", "nnarx", "lipschitz_rnn"])
def test_compiled_parameters_of_a_construction_are_those_of_torch(kind):
    model, s = Contracting(ZOO[kind](2, 2, 3)), torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
    free = {k: v.detach().requires_grad_(True) for k, v in model.free().items()}
    p, (q, loops) = model.shrunk(s, free), model.loops()[1]((s, *free.values()))
    for name, value in p.items():
        assert_allclose(q[name].detach(), value.detach(), rtol=1e-12)
    weights = drawn(p)
    total = sum((torch.from_numpy(g) * p[k]).sum() for k, g in weights.items())
    expected = torch.cat([g.flatten() for g in torch.autograd.grad(total, [s, *free.values()])]).numpy()
    assert_allclose(loops(weights), expected, rtol=1e-12, atol=1e-12 * abs(expected).max())


@torch.no_grad()
def proved_rate(model, loops, step):
    """Rate that is proved of the parameters that the loops make after a step of that size, infinite if none is."""
    rng = np.random.default_rng(0)
    for value in model.parameters():
        value.add_(step * torch.from_numpy(np.sign(rng.normal(size=value.shape))))
    p = Params({k: v.detach().double() for k, v in loops()[0].items()})
    bounds = [condition(model, p, model.input_box(), "delta_iss", method) for method in ("published", "weighted")]
    return min(float(bound.rate) if is_proved(bound) else np.inf for bound in bounds)


@pytest.mark.parametrize("step", [1e3, 1e6])
@pytest.mark.parametrize("kind", ["ren", "lipschitz_ren"])
def test_no_step_leaves_the_certified_set_where_loops_make_the_parameters(kind, step):
    """Theorem 13."""
    model = ZOO[kind](2, 1, 3)
    assert proved_rate(model, compiled_theta(model), step) <= model.rate + 1e-9


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
@pytest.mark.parametrize("step", [1e3, 1e6])
@pytest.mark.parametrize("kind", ["gru", "gru_reset_after", "lstm", "esn", "nnarx", "lipschitz_rnn"])
def test_no_step_of_a_compiled_construction_leaves_the_certified_set(kind, step, dtype):
    """Theorem 17 (a)."""
    model = Contracting(ZOO[kind](2, 1, 3), rate=0.98).to(dtype)
    model.compiled = where_possible(model.loops)
    assert proved_rate(model, model.linearised, step) <= 0.98 + 1e-9


def cascade():
    return Cascade(ZOO["ren"](2, 2, 2), ZOO["gru"](2, 1, 2))


@pytest.mark.parametrize("make, pays", [(lambda: ZOO["ren"](2, 1, 2), True), (lambda: ZOO["gru"](2, 1, 2), False),
                                        (cascade, True), (lambda: Contracting(ZOO["gru"](2, 1, 2)), False),
                                        (lambda: ZOO["ren"](2, 1, 2).float(), False)])  # fmt: skip
def test_parameters_are_compiled_once_it_pays_where_torch_would_compute_them(make, pays, monkeypatch):
    monkeypatch.setattr(explicit, "PAYS", 2)
    model = make()
    linearised, (p, back) = Linearised(model), model.linearised()
    expected = back(drawn(p))
    for _ in range(3):
        q, back = linearised()
        assert_allclose(back(drawn(q)), expected, rtol=1e-5, atol=1e-6)
    assert (linearised.compiled is not None) == pays


ODD = {
    "numpy": lambda M: torch.from_numpy(np.tanh(M.detach().numpy())),
    "a number": lambda M: M * float(M.detach().abs().max()),
    "a choice": lambda M: M if M.sum() > 0 else -M,
    "an eigenvalue": lambda M: torch.linalg.eigvalsh(M + M.T)[:1, None] * M,
    "data": lambda M: M.data * 2,
    "a sort": lambda M: M.sort(dim=0)[0],
    "a largest": lambda M: M.max(dim=0)[0] * M,
    "computed indices": lambda M: M[M.argmax(1)],
    "a mask": lambda M: M * (M > 0),
}


@pytest.mark.parametrize("name", ODD)
def test_parameters_made_in_an_unusual_way_are_still_those_of_torch(name, monkeypatch):
    class Odd(LipschitzRNN):
        def theta(self):
            return Params({**super().theta(), "W": ODD[name](self.MW)})

    monkeypatch.setattr(explicit, "PAYS", 1)
    model = Odd(2, 1, 3)
    linearised = Linearised(model)
    linearised()
    p, (q, _) = randomised(model, 0).theta(), linearised()
    assert_allclose(q.W.detach(), p.W.detach(), rtol=1e-12)


def test_parameters_stay_with_torch_without_a_compiler(monkeypatch):
    def none(*_):
        raise OSError("no C compiler found")

    monkeypatch.setattr(explicit, "PAYS", 1)
    monkeypatch.setattr("rnn_control.library.load_library", none)
    linearised = Linearised(ZOO["ren"](2, 1, 2))
    assert linearised()[0].keys() == linearised.model.theta().keys() and linearised.compiled is None
