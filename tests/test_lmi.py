"""The matrix inequality: channels are exact, P contracts at the rate, the gain holds, and special cases are known."""

import clarabel
import domain
import numpy as np
import pytest
import torch
from scipy import sparse
from zoo import ZOO, TermByTerm, cascade_of_three, identified, randomised

from rnn_control import ESN, GRU, LSTM, LipschitzRNN, certify
from rnn_control.barrier import Inequality, Point
from rnn_control.bounds import two_norm
from rnn_control.channels import trace
from rnn_control.contract import contract
from rnn_control.forgetting import distance
from rnn_control.lmi import best_rate, is_positive
from rnn_control.model import Params

FAMILIES = {**ZOO, "cascade_of_three": cascade_of_three}


SPREADS = {"nnarx": 0.4, "esn": 0.5, "lipschitz_rnn": 0.1, "cascade": 0.25, "cascade_of_three": 0.25}


def dense(name, size=2):
    """A random model of dense weights that the inequality certifies."""
    return randomised(FAMILIES[name](2, 2, size), 1, SPREADS.get(name, 0.3))


def whole_box(model, u_max):
    return np.nan_to_num(model.state_box(model.theta(), u_max).detach().numpy(), posinf=3.0)


@pytest.fixture(params=FAMILIES, scope="module")
def pair(request):
    model = dense(request.param)
    return model, certify(model, method="lmi")


def starts(model, certificate, rng, count=200):
    """Two sets of starts in the box, half of them close together, and inputs, a quarter of them corners."""
    box = np.full(model.nx, 2.0) if certificate.state_box is None else np.array(certificate.state_box)
    xa, xb = (rng.uniform(-1, 1, (model.nx, count)) for _ in range(2))
    xb[:, ::2] = (xa + 1e-3 * xb)[:, ::2].clip(-1, 1)
    u = rng.uniform(-1, 1, (model.nu, count))
    u[:, ::4] = np.sign(u[:, ::4])
    return (torch.from_numpy(a) for a in (box[:, None] * xa, box[:, None] * xb, u))


def test_differences_pass_through_channels_within_their_ranges(pair):
    """Theorem 15."""
    model, _ = pair
    box, u_max, p = whole_box(model, model.input_box()), np.ones(model.nu), model.theta()
    c, rng = trace(model, p, box, u_max), np.random.default_rng(0)
    for _ in range(20):
        (xa, xb), (ua, ub) = (rng.uniform(-1, 1, (2, n)) for n in (model.nx, model.nu))
        f = [model.f(p, *(torch.from_numpy(v[:, None]) for v in (box * x, u))) for x, u in ((xa, ua), (xb, ub))]
        dx, du, dx_next = box * (xa - xb), ua - ub, (f[0] - f[1]).detach().numpy()[:, 0]
        low, high = reach_of_channels(c, dx, du)
        assert (low - 1e-12 <= dx_next).all() and (dx_next <= high + 1e-12).all()


def reach_of_channels(c, dx, du):
    """Bounds of F (dx; q; du) by intervals, channel after channel."""
    lo, hi = (np.concatenate([dx, np.zeros(len(c.p)), du]) for _ in range(2))
    for k, row in enumerate(c.p):
        ends = np.maximum(row, 0) @ lo + np.minimum(row, 0) @ hi, np.maximum(row, 0) @ hi + np.minimum(row, 0) @ lo
        products = [theta * end for theta in (c.lo[k], c.hi[k]) for end in ends]
        lo[len(dx) + k], hi[len(dx) + k] = min(products), max(products)
    up, down = np.maximum(c.F, 0), np.minimum(c.F, 0)
    return up @ lo + down @ hi, up @ hi + down @ lo


def test_image_of_the_box_contains_every_next_state(pair):
    model, certificate = pair
    xa, _, u = starts(model, certificate, np.random.default_rng(0))
    box = whole_box(model, model.input_box())
    xa = xa.clamp(*(torch.from_numpy(s * box[:, None]) for s in (-1, 1)))
    image = trace(model, model.theta(), box, np.ones(model.nu)).image
    assert (model.f(model.theta(), xa, u).abs().detach().numpy() <= image[:, None] * (1 + 1e-12)).all()


def test_distance_in_the_metric_shrinks_at_the_certified_rate(pair):
    """Theorem 16 (a)."""
    model, certificate = pair
    xa, xb, u = starts(model, certificate, np.random.default_rng(1))
    for _ in range(5):
        before = distance(certificate, (xa - xb).T.detach().numpy())
        xa, xb = (model.f(model.theta(), x, u) for x in (xa, xb))
        after = distance(certificate, (xa - xb).T.detach().numpy())
        assert certificate.holds and (after <= certificate.rate * before + 1e-12).all()


def test_searched_pairs_shrink_at_the_certified_rate(pair):
    model, certificate = pair
    P, p = torch.tensor(certificate.metric, dtype=torch.float64), {k: v.detach() for k, v in model.theta().items()}
    xa, e, u = starts(model, certificate, np.random.default_rng(2), 32)
    raw = [v.clone().requires_grad_(True) for v in (xa / 4, 0.1 * e, u / 2)]
    box = torch.tensor(certificate.state_box or [2.0] * model.nx, dtype=torch.float64)[:, None]
    adam = torch.optim.Adam(raw, lr=0.1)
    for _ in range(60):
        a, b, v = box * torch.tanh(raw[0]), box * torch.tanh(raw[0] + raw[1]), torch.tanh(raw[2])
        step = model.f(Params(p), a, v) - model.f(Params(p), b, v)
        ratio = ((step * (P @ step)).sum(0) / ((a - b) * (P @ (a - b))).sum(0)).sqrt()
        assert bool((ratio <= certificate.rate * (1 + 1e-9)).all())
        adam.zero_grad()
        (-ratio.sum()).backward()
        adam.step()


def test_certified_gain_bounds_outputs_in_physical_units(pair):
    """Theorem 16 (b)."""
    physical, rng = identified(pair[0], 1), np.random.default_rng(0)
    certificate = certify(physical, method="lmi")
    low, high = np.array(certificate.input_box).T
    ua, ub = (rng.choice([-1, 1], (150, 2)) * (high - low) / 2 + (high + low) / 2 for _ in range(2))
    spread = abs(physical.simulate(ua) - physical.simulate(ub)).max(0)
    assert (spread <= np.array(certificate.gain) @ abs(ua - ub).max(0) + 1e-9).all()


@pytest.mark.parametrize("name", ["gru", "lstm", "nnarx", "lipschitz_rnn"])
def test_richer_method_gives_the_better_rate(name):
    model = dense(name)
    published, weighted, lmi = (certify(model, method=m) for m in ("published", "weighted", "lmi"))
    assert lmi.holds and lmi.rate < min(weighted.rate, published.rate)


@pytest.mark.parametrize("name", ["gru", "esn"])
def test_slightly_violated_condition_is_refused(name):
    model = randomised(FAMILIES[name](1, 1, 2), 1, 0.1)
    domain.violate(model, "delta_iss", "lmi")
    certificate = certify(model, method="lmi")
    assert 0 < certificate.residual < 0.05 and not certificate.holds


@pytest.mark.parametrize("share", [0.9, 1.1])
def test_changed_metric_or_multiplier_breaks_the_inequality(pair, share):
    model, certificate = pair
    box = np.array(certificate.state_box or [np.inf] * model.nx)
    c = trace(model, model.theta(), box, np.ones(model.nu)).without_inputs()
    P, tau = np.array(certificate.metric), np.array(certificate.multipliers)[c.kept]
    problem = Inequality(c, 0 * P)
    assert is_positive(problem, certificate.rate**2, Point(P, tau))
    assert not is_positive(problem, (0.8 * certificate.rate) ** 2, Point(P, tau))
    P[-1, -1] *= share if share < 1 else 100.0
    assert not is_positive(problem, (0.9 * certificate.rate) ** 2, Point(P, tau))


@pytest.mark.parametrize("leak", [0.3, 1.0])
def test_echo_state_network_is_at_least_as_fast_as_its_norm_says(leak):
    model = randomised(ESN(1, 1, 4, leak=leak), 3)
    with torch.no_grad():
        model.Wy.zero_()
        model.Wx.mul_(0.9 / two_norm(model.Wx))
    assert certify(model, method="lmi").rate <= 1 - 0.93 * leak * 0.1


def linear_rnn(seed):
    """A Lipschitz RNN without its nonlinear part."""
    model = randomised(LipschitzRNN(1, 1, 3), seed, 0.2)
    with torch.no_grad():
        model.MW.copy_(model.gamma_W * torch.eye(3) / (2 * (1 - model.beta)))
    return model


@pytest.mark.parametrize("seed", range(3))
def test_rate_of_a_linear_system_is_its_spectral_radius(seed):
    model = linear_rnn(seed)
    radius = abs(np.linalg.eigvals(model.theta().L.detach().numpy())).max()
    assert radius <= certify(model, method="lmi").rate <= 1 - 0.92 * (1 - radius)


@pytest.mark.parametrize("name", ["gru", "esn"])
def test_independent_solver_finds_no_better_rate(name):
    model = dense(name)
    box = np.array(certify(model, method="lmi").state_box or [np.inf] * model.nx)
    c = trace(model, model.theta(), box, np.ones(model.nu)).without_inputs()
    margin = 1 - best_rate(c)[0]
    problem = Inequality(c, np.zeros((model.nx, model.nx)))
    assert largest_eigenvalue(problem, 1 - 0.99 * margin) > 1e-7
    assert largest_eigenvalue(problem, 1 - 1.03 * margin) < 1e-7


def largest_eigenvalue(problem, rate):
    """max s, M >= s I, P >= s I, tau >= s, trace P = 1, by Clarabel."""
    nx, K, n = problem.nx, problem.K, problem.nx + problem.K
    basis = [np.zeros((nx, nx)) for _ in problem.i]
    for D, i, j in zip(basis, problem.i, problem.j, strict=True):
        D[i, j] = D[j, i] = 1.0
    points = [Point(D, np.zeros(K)) for D in basis] + [Point(np.zeros((nx, nx)), t) for t in np.eye(K)]
    columns = [np.concatenate([[np.trace(q.P)], triangle(problem.M(rate**2, q)), triangle(q.P), q.tau]) for q in points]
    columns.append(np.concatenate([[0.0], -triangle(np.eye(n)), -triangle(np.eye(nx)), -np.ones(K)]))
    A = -np.array(columns).T
    cones = [clarabel.ZeroConeT(1), clarabel.PSDTriangleConeT(n), clarabel.PSDTriangleConeT(nx)]
    cones.append(clarabel.NonnegativeConeT(K))
    settings = clarabel.DefaultSettings()
    settings.verbose = False
    b, q = np.zeros(len(A)), np.zeros(len(points) + 1)
    b[0], q[-1], N = -1.0, -1.0, len(points) + 1
    solver = clarabel.DefaultSolver(sparse.csc_matrix((N, N)), q, sparse.csc_matrix(A), b, cones, settings)
    return solver.solve().x[-1]


def triangle(A):
    """Upper triangle, column by column, what is off the diagonal times sqrt 2."""
    scaled = A * (np.sqrt(2) - (np.sqrt(2) - 1) * np.eye(len(A)))
    return np.concatenate([scaled[: j + 1, j] for j in range(len(A))])


def test_smallest_state_box_is_inside_and_gives_the_better_rate():
    model = dense("gru")
    usual, regional = certify(model, method="lmi"), certify(model, method="lmi", state_box="smallest")
    assert regional.holds and regional.rate < usual.rate and max(regional.state_box) < 1
    given = certify(model, method="lmi", state_box=1.01 * np.array(regional.state_box))
    assert regional.rate <= given.rate <= usual.rate


@pytest.mark.parametrize("seed", range(3))
def test_box_that_only_the_class_proves_is_the_smallest_and_sharpens_the_rate(seed):
    model = TermByTerm(2, 1, 4, seed=seed)
    usual, regional = certify(model, method="lmi"), certify(model, method="lmi", state_box="smallest")
    own = model.state_box(model.theta(), model.input_box())
    assert regional.state_box == tuple(own.tolist()) and regional.rate < usual.rate
    proved = certify(model, method="lmi", state_box="smallest", rigorous=True)  # intervals know nothing of that proof
    assert proved.holds and proved.state_box is None and proved.rate == usual.rate


@pytest.mark.parametrize("size", [3, 4])
def test_gain_stays_in_proportion_where_gates_see_no_states(size):
    """Without inputs their multipliers have no upper end: they ran to 1e100, and gains with their roots."""
    model = randomised(LSTM(2, 2, size), 0, 0.3)
    with torch.no_grad():
        for name in ("Uf", "Ui", "Uc"):
            getattr(model, name).zero_()
    contract(model, "delta_iss", "weighted", 0.02)
    found = certify(model, method="lmi")
    assert found.holds and np.max(found.gain) < 5 and found.overshoot < 10


def test_refused_box_is_widened_only_where_that_helps():
    with pytest.raises(ValueError, match="nor is it within any wider box"):
        certify(TermByTerm(2, 1, 4), state_box=np.full(4, 9.0))
    with pytest.raises(ValueError, match="widen it there"):
        certify(randomised(GRU(2, 1, 4), 0, 0.1), state_box=np.full(4, 1e-3))


def test_states_stay_in_the_smallest_box():
    model = dense("lstm")
    box = np.array(certify(model, method="lmi", state_box="smallest", input_box=[[-0.5, 0.5]] * 2).state_box)[:, None]
    rng = np.random.default_rng(0)
    for _ in range(20):
        x, u = rng.uniform(-1, 1, (model.nx, 100)), rng.choice([-0.5, 0.5], (2, 100))
        x_next = model.f(model.theta(), torch.from_numpy(box * np.sign(x)), torch.from_numpy(u))
        assert (abs(x_next.detach().numpy()) <= box).all()


@pytest.mark.parametrize("box, words", [([0.1] * 2, "invariant"), ([1.0] * 3, "radii"), ("least", "smallest")], ids=str)
def test_impossible_state_box_is_refused(box, words):
    with pytest.raises(ValueError, match=words):
        certify(dense("gru"), state_box=box)


def test_best_method_tries_the_inequality_on_small_models_only():
    tried = [{c.method, *(o.method for o in c.others)} for c in (certify(GRU(1, 1, n)) for n in (3, 30))]
    assert tried == [{"published", "weighted", "lmi"}, {"published", "weighted"}]


def test_too_large_a_model_is_refused_with_a_sentence():
    with pytest.raises(ValueError, match="too many"):
        certify(ESN(1, 1, 150), method="lmi")
