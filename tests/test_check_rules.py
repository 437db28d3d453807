"""The rules of the checker's interpreter hold for pairs of states and inputs; what it calls positive is positive."""

import json
import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from zoo import BY_CONSTRUCTION, ZOO, cascade_of_three, identified, randomised

from rnn_control import REN, LipschitzRNN, certify, check
from rnn_control.certify import _stored
from rnn_control.channels import FUNCTIONS
from rnn_control.equations import equations

PAIRS = 12
ROUNDING = 1e-12


ANYWHERE = ("esn", "nnarx", "lipschitz_rnn", *BY_CONSTRUCTION)
"""Kinds whose conditions need no box of states."""


@pytest.fixture(params=[*ZOO, "three", *(f"{k} anywhere" for k in ANYWHERE)], scope="module")
def system(request):
    """(model, box, {is_iss: (trace, x+)}) of a model of large random weights, over its box or any within radius 2."""
    kind, _, anywhere = request.param.partition(" ")
    model = randomised((ZOO | {"three": cascade_of_three})[kind](2, 1, 2), 0, 1.0)
    own = model.state_box(model.theta(), model.input_box()).detach().numpy()
    with_box = not anywhere and bool(np.isfinite(own).all())
    box = np.where(np.isfinite(own), own, 2.0)
    c = dict(state_box=box.tolist() if with_box else None, input_box=[[-1.0, 1.0]] * 2, scale=[1.0] * model.nx)
    spec, equations, raw = _stored(model)
    header = dict(equations=equations, scaler=dict(u_mid=[0.0] * 2, u_half=[1.0] * 2))
    found = {}
    for is_iss in (False, True):
        trace = check.Trace(is_iss, True)
        with np.errstate(invalid="ignore"):
            found[is_iss] = trace, check.linear_system(header, raw, c, {"x0": slice(0, model.nx)}, trace)[0]
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


@pytest.fixture(scope="module")
def in_a_metric():
    """(header, tensors, certificate) of a Lipschitz RNN by a matrix inequality that small gain solves: P = 4 I."""
    model = randomised(LipschitzRNN(2, 1, 3), 0, 0.1)
    assert isinstance(model, LipschitzRNN)
    p, h = model.theta(), model.step
    L, W = (torch.linalg.matrix_norm(M, 2).item() for M in (model.euler(p), p.W))
    rate = 0.2 + 0.8 * (L + h * W)
    certificate = json.loads(certify(identified(model), method="published").to_json())
    gain = [[20 * g for g in row] for row in certificate["gain"]]
    steps, metric = math.ceil(math.log(0.01 / 1.001) / math.log(rate)), (4 * np.eye(3)).tolist()
    multipliers = [4 * h * (L + h * W) / W] * 3
    new = dict(
        blocks=[[3, "2.0"]],
        steady=[[rate] * 2, [1.0] * 2],
        metric=metric,
        multipliers=multipliers,
        rate=rate,
        overshoot=1.001,
        gain=gain,
        steps_to_forget=steps,
    )
    labels = {k: certificate[k] for k in ("dt", "u_names", "y_names", "u_units", "y_units")}
    spec, equations, raw = _stored(model)
    header = dict(spec=spec, equations=equations, scaler=identified(model).scaler.to_dict(), **labels)
    return header, raw, {**certificate, **new, "seconds_to_forget": steps * certificate["dt"]}


def test_certificate_in_a_metric_is_proved(in_a_metric):
    check.prove(*in_a_metric)


@pytest.mark.parametrize(
    "field, change",
    {
        "rate": lambda r: r * 0.5,
        "metric": lambda P: [[4.0, 1.0, 0.0], *P[1:]],
        "multipliers": lambda t: [-t[0], *t[1:]],
        "overshoot": lambda m: 1 - 1e-9,
        "gain": lambda G: [[g * 1e-3 for g in row] for row in G],
        "blocks": lambda b: [[3, "inf"]] + [[1, "inf"]],
        "scale": lambda s: [2.0] * 3,
        "steady": lambda s: [[0.5 * r for r in s[0]], s[1]],
    }.items(),
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_changed_certificate_in_a_metric_is_refused(in_a_metric, field, change):
    header, raw, c = in_a_metric
    with pytest.raises(ValueError, match=r"\w"):
        check.prove(header, raw, {**c, field: change(c[field])})


@pytest.mark.parametrize("change", [lambda P: -P, lambda P: P - 4.1 * np.eye(3), lambda P: P * [[1], [1], [-1]]])
def test_indefinite_metric_is_refused(in_a_metric, change):
    header, raw, c = in_a_metric
    with pytest.raises(ValueError, match="metric"):
        check.prove(header, raw, {**c, "metric": change(np.array(c["metric"])).tolist()})


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
    M = size * np.random.default_rng(sum(shape)).normal(size=shape)
    found, true = check.two_norm(check.exact(M)), np.linalg.norm(M, 2)
    assert true * (1 - 1e-14) <= found <= true * (1 + 1e-12) + 1e-50


@pytest.mark.parametrize("change", ["rate", "multipliers", "metric"])
def test_changed_certificate_of_a_network_by_construction_is_refused(change):
    c = certify(randomised(REN(1, 1, 3), 0, 0.5), method="published", rigorous=True)
    spec, equations, raw = _stored(randomised(REN(1, 1, 3), 0, 0.5))
    header = dict(spec=spec, equations=equations, scaler=dict(u_mid=[0.0], u_half=[1.0], y_std=[1.0]))
    fields = {**json.loads(c.to_json()), "holds": c.holds}
    header |= {k: fields[k] for k in ("dt", "u_names", "y_names", "u_units", "y_units")}
    check.prove(header, raw, fields)
    fields[change] = (0.9 * np.array(fields[change]) + 0.2 * (change == "metric")).tolist()
    with pytest.raises(ValueError, match="metric|inequality|rate|overshoot"):
        check.prove(header, raw, fields)
