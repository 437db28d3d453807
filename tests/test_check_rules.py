"""The rules of the checker's interpreter hold for pairs of states and inputs; what it calls positive is positive."""

import json
import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from zoo import KNOWN, cascade_of_three, identified, randomised

from rnn_control import LipschitzRNN, certify, check
from rnn_control.certify import _stored

FAMILIES = KNOWN | {"cascade_of_three": cascade_of_three}
PAIRS = 300
ROUNDING = 1e-12


@pytest.fixture(params=[(k, s) for k in FAMILIES for s in (0, 1)], ids=lambda p: f"{p[0]}-{p[1]}", scope="module")
def system(request):
    """(model, box, trace, x+) of a model of large random weights, over its box or one of radius 2."""
    kind, seed = request.param
    model = randomised(FAMILIES[kind](2, 1, 3), seed, 1.0)
    own = model.state_box(model.theta(), model.input_box()).detach().numpy()
    with_box = seed == 0 and bool(np.isfinite(own).all()) or kind not in ("esn", "nnarx", "lipschitz_rnn")
    box = np.where(np.isfinite(own), own, 2.0)
    c = dict(state_box=box.tolist() if with_box else None, input_box=[[-1.0, 1.0]] * 2)
    header = dict(spec=json.loads(json.dumps(model.spec())), scaler=dict(u_mid=[0.0] * 2, u_half=[1.0] * 2))
    states = [{("x", i): 1} for i in range(model.nx)]
    trace, x_next, _ = check.linear_system(header, _stored(model), c, states)
    return model, box, trace, x_next


def draw(model, box, seed):
    """Pairs of states and inputs in the boxes: some alike, some at corners; and their successors."""
    rng = np.random.default_rng(seed)
    near = 10.0 ** rng.uniform(-6, 0.3, PAIRS)
    first = rng.uniform(-1, 1, (len(box) + 2, PAIRS)).clip(-0.9, 0.9) / 0.9
    both = [first, np.clip(first + near * rng.normal(size=first.shape), -1, 1)]
    x, u = [box[:, None] * a[:-2] for a in both], [a[-2:] for a in both]
    after = [model.f(model.theta(), torch.from_numpy(a), torch.from_numpy(b)) for a, b in zip(x, u, strict=True)]
    return x, u, [a.detach().numpy() for a in after]


def levels(x, u, one):
    return {"x": x, "u": u, "1": np.full((1, PAIRS), one)}


def floats(trace, ranges):
    """The trace with doubles: fast, and as exact as the simulation it is compared with."""
    as_float = lambda form: {k: float(m) for k, m in form.items()}  # noqa: E731
    return [([as_float(f) for f in t[0]], [(float(a), float(b)) for a, b in t[ranges]]) for t in trace]


def test_rows_bound_differences(system):
    model, box, trace, x_next = system
    x, u, after = draw(model, box, 0)
    forms = [{k: float(m) for k, m in form.items()} for form in x_next]
    bound = check.bounds(forms, levels(abs(x[0] - x[1]), abs(u[0] - u[1]), 0.0), floats(trace, 1), [])
    assert (abs(after[0] - after[1]) <= bound * (1 + ROUNDING) + ROUNDING).all()


def test_rows_bound_the_state_itself(system):
    model, box, trace, x_next = system
    x, u, after = draw(model, box, 1)
    forms = [{k: float(m) for k, m in form.items()} for form in x_next]
    bound = check.bounds(forms, levels(abs(x[0]), abs(u[0]), 1.0), floats(trace, 2), [])
    assert (abs(after[0]) <= bound * (1 + ROUNDING) + ROUNDING).all()


@pytest.mark.parametrize("is_iss", [False, True])
def test_columns_bound_in_two_norms(system, is_iss):
    model, box, trace, x_next = system
    x, u, after = draw(model, box, 2)
    dx, du, after = (a[0] if is_iss else a[0] - a[1] for a in (x, u, after))
    chosen = [(forms, iss if is_iss else theta) for forms, theta, iss in trace]
    v = levels(*(np.linalg.norm(a, axis=0, keepdims=True) for a in (dx, du)), float(is_iss))
    bound = check.bounds(x_next, v, chosen, [model.nx]).astype(float)
    assert (np.linalg.norm(after, axis=0) <= bound * (1 + ROUNDING) + ROUNDING).all()


def test_fused_channels_bound_differences(system):
    model, box, trace, x_next = system
    x, u, after = draw(model, box, 3)
    v = {("x", i): abs(d) for i, d in enumerate(x[0] - x[1])} | {("u", i): abs(d) for i, d in enumerate(u[0] - u[1])}
    reach = lambda form: sum(abs(float(m)) * v[k] for k, m in form.items() if k in v)  # noqa: E731
    for key, (p, low, high) in check.channels_of(trace, x_next).items():
        v[key] = max(abs(float(low)), abs(float(high))) * reach(p)
    bound = np.array([reach(form) for form in x_next])
    assert (abs(after[0] - after[1]) <= bound * (1 + ROUNDING) + ROUNDING).all()


def random_form(rng, groups):
    """A form with about half of the terms of these groups of three."""
    return {(k, i): Fraction(rng.normal()) for k in groups for i in range(3) if rng.random() < 0.5}


@pytest.mark.parametrize("seed", range(60))
def test_bounds_hold_for_any_forms(seed):
    rng = np.random.default_rng(seed)
    e, trace = {("x", i): rng.normal() for i in range(3)} | {("u", i): rng.normal() for i in range(3)}, []
    value = lambda form: sum(float(m) * e[k] for k, m in form.items())  # noqa: E731
    for k in range(3):
        ranges = np.sort(rng.normal(size=(3, 2)), 1)
        trace.append(([random_form(rng, ["x", "u", *range(k)]) for _ in range(3)], check.exact(ranges).tolist()))
        e |= {(k, i): rng.uniform(*ranges[i]) * value(p) for i, p in enumerate(trace[k][0])}
    # some rows of one channel alone, as in NNARX
    forms = [
        random_form(rng, [rng.integers(3).item()] if rng.random() < 0.5 else ["x", "u", 0, 1, 2]) for _ in range(4)
    ]
    vectors = {k: np.array([[e[k, i]] for i in range(3)]) for k in "xu"} | {"1": np.zeros((1, 1))}
    true, columns = (
        np.array([value(f) for f in forms]),
        {k: np.array([[np.linalg.norm(a)]]) for k, a in vectors.items()},
    )
    rows = check.bounds(forms, {k: abs(a) for k, a in vectors.items()}, trace, [])
    assert (abs(true) <= rows[:, 0].astype(float) * (1 + ROUNDING)).all()
    assert np.linalg.norm(true) <= float(check.bounds(forms, columns, trace, [4])[0, 0]) * (1 + ROUNDING)


def test_rows_of_one_channel_do_not_hide_those_that_mix_it():
    trace = [([{("x", 0): Fraction(1)}], [(0, 1)])]
    forms = [{(0, 0): 1}, {(0, 0): 1, ("x", 1): Fraction(100)}, {("x", 2): Fraction(1)}]
    v = {k: np.array([[1.0 * (k == "x")]]) for k in "xu1"}
    assert check.bounds(forms, v, trace, [3])[0, 0] >= 100


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
    new = dict(metric=metric, multipliers=multipliers, rate=rate, overshoot=1.001, gain=gain, steps_to_forget=steps)
    labels = {k: certificate[k] for k in ("dt", "u_names", "y_names", "u_units", "y_units")}
    header = dict(spec=model.spec(), scaler=identified(model).scaler.to_dict(), **labels)
    return header, _stored(model), {**certificate, **new, "seconds_to_forget": steps * certificate["dt"]}


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
        "property": lambda p: "iss",
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
    forms = [{("x", j): Fraction(m) for j, m in enumerate(row)} for row in M.tolist()]
    found, true = check.two_norm(forms, "x"), np.linalg.norm(M, 2)
    assert true * (1 - 1e-14) <= found <= true * (1 + 1e-12) + 1e-50
