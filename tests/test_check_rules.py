"""The rules of the interpreter hold for pairs of states and inputs; what is called positive or an upper bound is."""

from decimal import Context, Decimal
from fractions import Fraction

import numpy as np
import pytest
import torch
from zoo import BY_CONSTRUCTION, ZOO, cascade_of_three, enlarge_biases, randomised

from rnn_control import check
from rnn_control.channels import FUNCTIONS
from rnn_control.equations import equations
from rnn_control.stored import stored

PAIRS = 12
ROUNDING = 1e-12


ANYWHERE = ("esn", "nnarx", "lipschitz_rnn", *BY_CONSTRUCTION)
"""Kinds whose conditions need no box of states."""
BIASED = ("gru", "gru_reset_after", "lstm", "cascade")
"""Kinds whose gates are also read far from the middle, where constants lie outside of what gates see."""


@pytest.fixture(
    params=[*ZOO, "three", *(f"{k} anywhere" for k in ANYWHERE), *(f"{k} biased" for k in BIASED)], scope="module"
)
def system(request):
    """(model, box, {is_iss: (trace, x+)}) of a model of large random weights, over its box or any within radius 2."""
    kind, _, how = request.param.partition(" ")
    model = randomised((ZOO | {"three": cascade_of_three})[kind](2, 1, 2), 0, 1.0)
    if how == "biased":
        enlarge_biases(model, 4.0)
    own = model.state_box(model.theta(), model.input_box()).detach().numpy()
    with_box = how != "anywhere" and bool(np.isfinite(own).all())
    box = np.where(np.isfinite(own), own, 2.0)
    c = dict(state_box=box.tolist() if with_box else None, input_box=[[-1.0, 1.0]] * 2, scale=[1.0] * model.nx)
    spec, equations, raw = stored(model)
    header = dict(equations=equations, scaler=dict(u_mid=[0.0] * 2, u_half=[1.0] * 2))
    found = {}
    for is_iss in (False, True):
        trace = check.Trace(is_iss, True)
        with np.errstate(invalid="ignore"):
            found[is_iss] = trace, check.linear_system(header, raw, c, {"x0": slice(0, model.nx)}, trace)[1]
    return model, box, found


def draw(model, box, seed):
    """Pairs of states and inputs in the boxes: some alike, some at corners; and their successors."""
    rng = np.random.default_rng(seed)
    near = 10.0 ** rng.uniform(-6, 0.3, PAIRS)
    first = rng.uniform(-1, 1, (len(box) + 2, PAIRS)).clip(-0.9, 0.9) / 0.9
    both = [first, np.clip(first + near * rng.normal(size=first.shape), -1, 1)]
    x, u = [box[:, None] * a[:-2] for a in both], [a[-2:] for a in both]
    after = [model.f(model.theta(), torch.from_numpy(a), torch.from_numpy(b)) for a, b in zip(x, u, strict=True)]
    return x, u, [a.detach().numpy() for a in after]


def levels(*rows, one):
    """Bounds of increments of states and inputs, and of the constant, as fractions: a column for each case."""
    return {
        k: check.exact(v) for k, v in zip(("x0", "u", "1"), (*rows, np.full((1, rows[0].shape[1]), one)), strict=True)
    }


def bounds_of(trace, x_next, x, u, one, balls):
    size = lambda a: np.linalg.norm(a, axis=0) + 0 * a if balls else abs(a)  # noqa: E731
    return check.Bounds(trace, levels(size(x), abs(u), one=one), balls)


@pytest.mark.parametrize("balls", [set(), {"x0"}], ids=["rows", "columns"])
@pytest.mark.parametrize("is_iss", [False, True])
def test_bounds_hold_for_states_and_their_differences(system, is_iss, balls):
    """Theorem 11."""
    model, box, found = system
    (trace, x_next), (x, u, after) = found[is_iss], draw(model, box, int(is_iss))
    dx, du, true = ((a[0] if is_iss else a[0] - a[1]) for a in (x, u, after))
    bounds = bounds_of(trace, x_next, dx, du, float(is_iss), balls)
    rows = bounds.best(x_next.form)
    assert (abs(true) <= rows.astype(float) * (1 + ROUNDING) + ROUNDING).all()
    norm = bounds.norm(x_next.form, rows).astype(float)
    assert (np.linalg.norm(true, axis=0) <= norm * (1 + ROUNDING) + ROUNDING).all()


def random_form(rng, rows, groups):
    """A form of so many rows with about half of the terms of these groups of three."""
    return {k: check.exact(rng.normal(size=(rows, 3))) * (rng.random((rows, 3)) < 0.5) for k in groups}


@pytest.mark.parametrize("seed", range(30))
def test_bounds_hold_for_any_forms(seed):
    rng, trace = np.random.default_rng(seed), check.Trace(False, True)
    e = {k: rng.normal(size=(3, 1)) for k in ("x0", "u")}
    value = lambda form: sum(M.astype(float) @ e[k] for k, M in form.items())  # noqa: E731
    for k in range(3):
        low, high = np.sort(rng.normal(size=(2, 3)), 0)
        p = random_form(rng, 3, ["x0", "u", *range(k)])
        trace.channel(p, check.exact(low), check.exact(high))
        e[k] = rng.uniform(low, high)[:, None] * value(p)
    form = random_form(rng, 4, ["x0", "u", 0, 1, 2])
    if seed % 2:  # a channel of which every row has one entry is put at its ends
        form[rng.integers(3).item()] = check.exact(np.eye(4)[:, :3] * rng.normal())
    bounds = bounds_of(trace, form, e["x0"], e["u"], 0.0, {"x0"} if seed % 3 else set())
    rows, true = bounds.best(form), value(form)
    assert (abs(true) <= rows.astype(float) * (1 + ROUNDING)).all()
    assert np.linalg.norm(true) <= float(bounds.norm(form, rows)[0]) * (1 + ROUNDING)


@pytest.mark.parametrize("low", [0.5, 1.0])
def test_bounds_hold_for_what_is_lost_when_forms_are_rounded(low):
    """x+ = 1.5 / a theta (-a x) with a = 2^-300 and low <= theta <= 1; low = 1 is a linear system."""
    trace, one = check.Trace(False, False), check.exact(np.ones(1))
    trace.channel({"x0": -Fraction(1, 2**300) * check.eye(1)}, Fraction(low) * one, one)
    rows = bounds_of(trace, {}, np.ones((1, 1)), np.ones((1, 1)), 0.0, set()).best({0: 3 * 2**299 * check.eye(1)})
    assert rows >= 1.5


@pytest.mark.parametrize("kind", [*ZOO, "three"])
def test_equations_in_the_file_are_those_of_the_class(kind):
    """Both ways of reading them: numbers through the text, and f and g themselves."""
    model = randomised((ZOO | {"three": cascade_of_three})[kind](2, 1, 3), 0, 0.5)
    text, made = equations(model)
    state, p = {**model.state_dict(), **made}, model.theta()
    x, u = (torch.randn(n, 5, dtype=torch.float64) for n in (model.nx, 2))
    names = {k: state[v].detach() for k, v in text.names.items()}
    values = check.run(text.text, {**names, "x": x, "u": u}, FUNCTIONS, float)
    torch.testing.assert_close(values["x_next"], model.f(p, x, u).detach(), rtol=1e-13, atol=1e-13)
    torch.testing.assert_close(values["y"], model.g(p, x).detach(), rtol=1e-13, atol=1e-13)


WRITTEN = {
    "(a + b) @ x": "y = (A + B) @ x", "a - (b + c)": "y = x - (x + u)", "powers": "y = x ** 2 * u",
    "slices": "y = (x + u)[1:] + x[:2]", "negative": "y = (-0.5) * x - -2.0 * u",
}  # fmt: skip


@pytest.mark.parametrize("text", WRITTEN.values(), ids=WRITTEN)
def test_text_is_read_as_python_reads_it(text):
    rng = np.random.default_rng(0)
    names = {k: rng.normal(size=(3, 3 if k in "AB" else 1)) for k in "ABxu"}
    expected = eval(text.removeprefix("y = "), {}, names)
    np.testing.assert_allclose(check.run(text, names, {}, float)["y"], expected, rtol=1e-14)


@pytest.mark.parametrize("text", ["y = __import__('os')", "y = x.low", "y = x[0]", "import os", "y = x / 2", "y = [x]"])
def test_text_that_is_no_equation_is_not_run(text):
    with pytest.raises((check.NotChecked, ValueError)):
        check.run(text, dict(x=np.ones((1, 1))), {})


@pytest.mark.parametrize("n", [1, 2, 7])
@pytest.mark.parametrize("shift, is_positive", [(1e-9, True), (-1e-9, False), (0.0, False)])
def test_positive_is_positive(n, shift, is_positive):
    """A singular matrix, exactly, and what lies on either side of it."""
    B = check.exact(np.random.default_rng(n).normal(size=(n, max(n - 1, 1)))) * (n > 1)
    A = B @ B.T
    assert check.is_positive(A + Fraction(shift) * check.eye(n)) is is_positive


@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (5, 3), (6, 6)])
@pytest.mark.parametrize("size", [0.0, 1e-30, 1.0, 1e30])
def test_two_norm_is_an_upper_bound_and_tight(shape, size):
    """Theorem 11 (c)."""
    M = size * np.random.default_rng(sum(shape)).normal(size=shape)
    found, true = check.two_norm(check.exact(M)), np.linalg.norm(M, 2)
    assert true * (1 - 1e-14) <= found <= true * (1 + 1e-12) + 1e-50


@pytest.mark.parametrize("seed", range(4))
def test_sigmoid_is_bounded_from_above_and_tightly(seed):
    rng = np.random.default_rng(seed)
    deep = Context(prec=120)
    for a in map(float, [*rng.normal(size=20) * 10.0 ** rng.integers(-9, 3, 20), 0.0, 399.99, -399.99]):
        true = 1 / (1 + Fraction(deep.exp(Decimal(-a))))
        bound = check.sigma(Fraction(a))
        assert true <= bound <= true + Fraction(1, 10**38)
    assert check.sigma(Fraction(10) ** 9) == 1 and 0 < check.sigma(-(Fraction(10) ** 9)) < 1e-50
