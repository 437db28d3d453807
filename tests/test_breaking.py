"""Parameters trained to break a condition break the wrong ones, and no other."""

import breaking
import breaking_metric
import numpy as np
import pytest
import torch
from wrong_rules import WRONG
from zoo import ZOO, randomised

from rnn_control import GRU
from rnn_control.conditions import PROPERTIES, TRAINABLE


@pytest.mark.parametrize("property, method", [(name, method) for name in PROPERTIES for method in TRAINABLE])
def test_no_parameters_break_the_condition(factory, property, method):
    for found in breaking.break_rule(breaking.rule_of(method, property), factory(1, 1, 2), 24, 1, ascents=6, long=40):
        assert found.sets >= 4 and found.broken == 0


@pytest.mark.parametrize("rule", [breaking.sharpest, breaking.sharpest_iss])
@pytest.mark.parametrize("kind", ["gru", "lstm"])
def test_no_parameters_break_the_sharper_of_two_comparison_systems(kind, rule):
    for found in breaking.break_rule(rule, ZOO[kind](1, 1, 2), 8, 1, ascents=3, long=40):
        assert found.sets > 0 and found.broken == 0


@pytest.mark.parametrize("property", PROPERTIES)
@pytest.mark.parametrize("kind", ["gru", "ren"])
def test_no_parameters_break_what_a_metric_proves(kind, property):
    options = dict(ascents=4, long=40, rounds=1, kin=6)
    for found in breaking_metric.break_metric(ZOO[kind](1, 1, 2), 14, 1, property, **options):
        assert found.sets > 0 and found.broken == 0


def test_sets_trained_against_a_metric_are_new_ones():
    model, rng = ZOO["esn"](1, 1, 2), np.random.default_rng(1)
    free, u_max, rules = breaking_metric.certified(model, 2, rng, "delta_iss")
    path = {k: (v, 0.05 * torch.ones_like(v)) for k, v in free.items()}
    moved, said = breaking.onto(rules, model, lambda share: breaking_metric.along(path, share), u_max)
    assert said.is_accepted.all() and all((moved[k] != v).all() for k, v in free.items())


def test_metric_that_proves_too_fast_a_rate_is_broken(monkeypatch):
    honest = breaking_metric.metric_bound

    def hasty(c, rate, point, box, is_iss):
        bound = honest(c, rate, point, box, is_iss)
        return bound._replace(rate=bound.rate**2, drive=bound.drive / 4, sharp_gain=bound.gain() / 4)

    monkeypatch.setattr(breaking_metric, "metric_bound", hasty)
    _, trained = breaking_metric.break_metric(
        ZOO["esn"](1, 1, 2), 14, 1, "delta_iss", ascents=4, long=40, rounds=1, kin=6
    )
    assert trained.broken > 0


@pytest.mark.parametrize("name", WRONG)
def test_wrong_condition_is_broken(name):
    rule, make = WRONG[name]
    _, trained = breaking.break_rule(rule, make(), 150, 0, ascents=30, long=20)
    assert trained.broken > 0 and trained.worst > 1.001


def test_training_brings_sets_closer_to_the_promise():
    blind, trained = breaking.break_rule(breaking.rule_of("weighted"), GRU(1, 1, 2), 24, 0, ascents=30, long=10)
    assert trained.worst > blind.worst


def test_stacked_parameters_are_those_of_the_models(factory):
    models = [randomised(factory(1, 1, 2), seed) for seed in range(2)]
    free = {k: torch.stack([m.state_dict()[k] for m in models]) for k in models[0].state_dict()}
    stacked = breaking.thetas(models[0], free)
    for s, model in enumerate(models):
        assert all(torch.equal(stacked[k][s], v) for k, v in model.theta().items())


def test_verdicts_of_a_stack_are_those_of_the_sets(factory):
    model, rule = factory(1, 1, 2), breaking.rule_of("published")
    p = breaking.thetas(model, breaking.draw(model, 5, np.random.default_rng(0)))
    u_max = torch.ones(5, 1, dtype=torch.float64)
    whole = breaking.judge(rule, model, p, u_max)
    for s in range(5):
        one = breaking.judge(rule, model, {k: v[s : s + 1] for k, v in p.items()}, u_max[s : s + 1])
        torch.testing.assert_close(one.rate[0], whole.rate[s], rtol=1e-12, atol=1e-14)
