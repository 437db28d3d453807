"""The theorems: what a certificate promises is true of every trajectory tried, and what is not true is refused."""

import json

import domain
import numpy as np
import pytest
import torch
from zoo import BY_CONSTRUCTION, cascade_of_three, identified, randomised, tensors

from rnn_control import ESN, GRU, Certificate, certify
from rnn_control.bounds import Comparison
from rnn_control.conditions import condition, is_proved
from rnn_control.contract import contract
from rnn_control.forgetting import size
from rnn_control.model import Params
from rnn_control.perron import steady_gain
from rnn_control.stored import weights_hash

ROUNDING = 1e-9
METHODS = ("published", "weighted")


def random_sets(factory, shape=(2, 2, 4), sets=25, seed=0):
    """(model, explicit parameters, u_max) of dense random draws, certified or not."""
    rng, model = np.random.default_rng(seed), factory(*shape)
    free = [domain.draw(model, rng) for _ in range(sets)]
    p = domain.thetas(model, free, torch.ones(sets))
    for s in range(sets):
        yield model, Params({k: v[s] for k, v in p.items()}), torch.from_numpy(rng.uniform(0.3, 2, model.nu))


def box_of(model, p, u_max):
    """The invariant box, or a wide one where there is none."""
    return torch.nan_to_num(model.state_box(p, u_max), posinf=5.0)


def columns(rng, limit, count=128):
    """Random columns within |.| <= limit, a quarter of them corners."""
    values = rng.uniform(-1, 1, (len(limit), count))
    values[:, : count // 4] = np.sign(values[:, : count // 4])
    return limit[:, None] * torch.from_numpy(values)


def pairs(rng, limit, count=128):
    """Two sets of columns, half of them close together."""
    a, b = columns(rng, limit, count), columns(rng, limit, count)
    close = torch.arange(count) % 2 == 0
    return a, torch.where(close, (a + 1e-3 * b).clamp(-limit[:, None], limit[:, None]), b)


class Theorems:
    """Inherit it, and override the fixture `factory`: tests/test_new_cell.py is an example."""

    def test_enough_parameter_sets_are_certified(self, certified):
        assert sum(len(sets.rate) for sets in certified) >= domain.ENOUGH

    @pytest.mark.parametrize("bang_bang", [False, True], ids=["random", "bang_bang"])
    def test_trajectories_obey_the_certified_rate_and_gain(self, certified, bang_bang):
        """Theorems 1, 3, 5, 7, 8, 9, 10, 12, 13 and 14, by the family."""
        rng = np.random.default_rng(0)
        for sets in certified:
            with torch.no_grad():
                ratios = domain.ratios(sets, domain.random_start(sets, 15, 8, rng, bang_bang=bang_bang))
            assert bool((ratios <= 1 + ROUNDING).all())

    def test_searched_trajectories_obey_the_certified_rate_and_gain(self, certified):
        rng = np.random.default_rng(0)
        for sets in certified:
            start = domain.searched_start(sets, 3, 4, rng)
            with torch.no_grad():
                ratios = domain.ratios(sets, start)
            assert bool((ratios <= 1 + ROUNDING).all())

    def test_comparison_system_dominates_one_step(self, factory):
        """(C): Theorems 4, 6, 7, 8, 9, 10, 12, 13 and 14, by the family."""
        rng = np.random.default_rng(0)
        for model, p, u_max in random_sets(factory):
            system = model.comparison(p, u_max)
            xa, xb = pairs(rng, box_of(model, p, u_max))
            ua, ub = pairs(rng, u_max)
            ub[:, ::3] = ua[:, ::3]
            step = (model.f(p, xa, ua) - model.f(p, xb, ub)).abs()
            bound = torch.vmap(system.T, 1, 1)((xa - xb).abs()) + system.N @ (ua - ub).abs()
            assert bool((step <= bound * (1 + 1e-12) + 1e-13).all())

    def test_comparison_system_is_monotone_and_homogeneous(self, factory):
        rng = np.random.default_rng(0)
        for model, p, u_max in random_sets(factory):
            T = model.comparison(p, u_max).T
            v, d = (torch.from_numpy(rng.uniform(0, 1, model.nx)) for _ in range(2))
            assert bool((T(v + d) >= T(v)).all()) and bool((T(v + d) <= (T(v) + T(d)) * (1 + 1e-12)).all())
            torch.testing.assert_close(T(7 * v), 7 * T(v), rtol=1e-12, atol=0)

    def test_state_box_is_invariant(self, factory):
        rng = np.random.default_rng(0)
        for model, p, u_max in random_sets(factory):
            box = model.state_box(p, u_max)
            x_next = model.f(p, columns(rng, box_of(model, p, u_max)), columns(rng, u_max))
            assert bool((x_next.abs() <= box[:, None] * (1 + 1e-12)).all())

    def test_output_box_and_output_map_bound_the_output(self, factory):
        rng = np.random.default_rng(0)
        for model, p, u_max in random_sets(factory):
            xa, xb = pairs(rng, box_of(model, p, u_max))
            ya, yb = model.g(p, xa), model.g(p, xb)
            limit = model.output_map(p).abs() @ (xa - xb).abs()
            assert bool(((ya - yb).abs() <= limit * (1 + 1e-12) + 1e-13).all())
            assert bool((ya.abs() <= model.output_box(p, u_max)[:, None] * (1 + 1e-12)).all())

    @pytest.mark.parametrize(
        "property, method", [("delta_iss", "published"), ("delta_iss", "weighted"), ("iss", "published")]
    )
    def test_slightly_violated_condition_is_refused(self, factory, property, method):
        model = randomised(factory(2, 2, 3), 1, 0.1)
        domain.violate(model, property, method)
        bound = condition(model, model.theta(), model.input_box(), property, method)
        cannot_be_violated = model.kind in BY_CONSTRUCTION and method == "published"
        assert is_proved(bound) == cannot_be_violated
        assert cannot_be_violated or 0 < float(bound.residual.detach().max()) < 0.02

    @pytest.mark.parametrize("method", METHODS)
    def test_certified_gain_bounds_outputs_in_physical_units(self, factory, method):
        """Theorem 2 (a) behind the weighted condition, Theorems 3 to 14 behind the published ones."""
        rng = np.random.default_rng(0)
        for seed in range(2):
            model = randomised(factory(2, 3, 5, seed=seed), seed, 0.08)
            contract(model, "delta_iss", method, 0.02)
            physical = identified(model, seed)
            certificate = certify(physical, method=method)
            low, high = np.array(certificate.input_box).T
            ua, ub = (rng.choice([-1, 1], (150, 2)) * (high - low) / 2 + (high + low) / 2 for _ in range(2))
            ub[:, seed % 2] = ua[:, seed % 2]
            spread = abs(physical.simulate(ua) - physical.simulate(ub)).max(0)
            assert certificate.holds
            assert (spread <= np.array(certificate.gain) @ abs(ua - ub).max(0) + 1e-9).all()

    @pytest.mark.parametrize("method", [*METHODS, "lmi"])
    def test_outputs_forget_their_initial_states_in_physical_units(self, factory, method):
        rng, model = np.random.default_rng(0), randomised(factory(2, 3, 3), 1, 0.08)
        contract(model, "delta_iss", "published" if method == "lmi" else method, 0.02)
        physical = identified(model, 1)
        certificate = certify(physical, method=method)
        box = np.ones(model.nx) if certificate.state_box is None else np.array(certificate.state_box)
        ua, ub = (physical.scaler.u_out(rng.choice([-1, 1], (150, 2))) for _ in range(2))
        xa, xb = (rng.choice([-1, 1], model.nx) * box for _ in range(2))
        start, left = size(certificate, xa - xb), certificate.rate ** np.arange(150)[:, None]
        for du, u in ((0 * ua[0], ua), (abs(ua - ub).max(0), ub)):
            spread = abs(physical.states(ua, xa)[1] - physical.states(u, xb)[1])
            promised = np.array(certificate.memory) * left * start + np.array(certificate.gain) @ du
            assert certificate.holds and (spread <= promised * (1 + 1e-9) + 1e-9).all()

    @pytest.mark.parametrize("method", METHODS)
    def test_larger_input_box_proves_no_more(self, factory, method):
        model = randomised(factory(2, 2, 4), 1, 0.08)
        contract(model, "delta_iss", method, 0.05)
        rates = [certify(model, method=method, input_box=np.array([[-r, r]] * 2)).rate for r in (0.2, 1, 3)]
        assert np.all(np.diff(rates) >= -1e-3 * (1 - rates[0]))

    def test_certificate_survives_json(self, factory):
        certificate = certify(identified(randomised(factory(2, 2, 4), 1)))
        assert Certificate.from_json(certificate.to_json()) == certificate
        assert certificate.others

    def test_refused_certificate_is_strict_json(self, factory):
        model = factory(2, 2, 4)
        next(model.parameters()).data.fill_(torch.nan)
        certificate = certify(identified(model))
        assert not certificate.holds and np.isinf(certificate.gain).all()
        json.loads(certificate.to_json(), parse_constant=pytest.fail)
        assert Certificate.from_json(certificate.to_json()).to_json() == certificate.to_json()  # NaN differs from NaN

    def test_outputs_end_within_the_ultimate_bound(self, factory):
        rng, model = np.random.default_rng(0), randomised(factory(2, 3, 5), 1, 0.1)
        contract(model, "iss", "published", 0.05)
        physical = identified(model)
        certificate = certify(physical, "iss")
        low, high = np.array(certificate.ultimate).T
        for held in (1, 40):
            u = np.repeat(rng.choice([-1, 1], (400, 2)), held, 0)[:400]
            y = physical.simulate(physical.scaler.u_out(u))[200:]
            assert (y >= low).all() and (y <= high).all()

    def test_hash_changes_with_one_bit_of_one_weight(self, factory):
        model = randomised(factory(2, 2, 4), 1)
        hashes = {weights_hash(model)}
        with torch.no_grad():
            for value in tensors(model).values():
                last = (-1,) * value.dim()
                value[last] = torch.nextafter(value[last], torch.tensor(9.0, dtype=torch.float64))
                hashes.add(weights_hash(model))
        assert len(hashes) == 1 + len(tensors(model))


class TestTheoremsOfTheZoo(Theorems):
    pass


@pytest.mark.parametrize("method", METHODS)
def test_mixed_norms_in_a_deep_cascade_obey_the_bound(method):
    sets = domain.sample(cascade_of_three, "delta_iss", method, (2, 1, 2), 0)
    start = domain.searched_start(sets, 5, 4, np.random.default_rng(0))
    with torch.no_grad():
        assert bool((domain.ratios(sets, start) <= 1 + ROUNDING).all())
    assert len(sets.rate) >= 50


def test_steady_gain_is_no_underestimate_when_memory_is_very_long():
    """Theorem 2 (b) and (c)."""
    one = torch.ones(1, 1, dtype=torch.float64)
    for rate in (0.9, 1 - 1e-5, 1 - 1e-8):
        gain = steady_gain(Comparison(lambda v, rate=rate: rate * v, one), one[:, 0])
        assert float(gain) >= 1 / (1 - rate) * (1 - 1e-7)


def test_physical_input_box_is_reported_as_it_was_used():
    physical = identified(randomised(GRU(2, 1, 4), 0, 0.05))
    low, high = (
        physical.scaler.u_mid - 0.5 * physical.scaler.u_half,
        physical.scaler.u_mid + 0.2 * physical.scaler.u_half,
    )
    box = np.stack([low, high], 1)
    pairs, one = certify(physical, input_box=box), certify(physical, "iss", input_box=box)
    assert pairs.rate <= certify(physical).rate and (np.array(pairs.input_box) == box).all()
    wide = np.array(one.input_box)  # ISS counts inputs from the middle
    assert wide.mean(1) == pytest.approx(physical.scaler.u_mid)
    assert (wide[:, 0] <= low + 1e-9).all() and (wide[:, 1] >= high - 1e-9).all()


@pytest.mark.parametrize(
    "box", [[[-1, 1]], [-1, 1], [[1, -1], [-1, 1]], [[-1, float("nan")], [-1, 1]], [[0, 1, 2], [0, 1, 2]]], ids=str
)
def test_impossible_input_box_is_refused(box):
    with pytest.raises(ValueError, match="lower, upper per input"):
        certify(GRU(2, 1, 4), input_box=np.array(box))


@pytest.mark.parametrize("options", [dict(property="ISS"), dict(method="sdp")], ids=str)
def test_unknown_option_of_certify_is_refused(options):
    with pytest.raises(ValueError, match="choose"):
        certify(GRU(2, 1, 4), **options)


def test_hash_changes_with_a_constant_of_the_architecture():
    assert len({weights_hash(randomised(ESN(1, 1, 3, leak=leak), 0)) for leak in (0.3, 0.31)}) == 2


def test_best_method_is_the_one_with_the_smallest_rate():
    certificate = certify(GRU(2, 1, 4))
    assert all(certificate.holds >= other.holds and certificate.rate <= other.rate for other in certificate.others)
