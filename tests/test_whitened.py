"""L-BFGS in whitened coordinates: it arrives where plain L-BFGS stays behind, keeps to bounds, stops when told."""

from functools import partial

import numpy as np
import pytest
import test_levenberg
from numpy.testing import assert_allclose
from scipy.optimize import minimize
from test_levenberg import record
from zoo import quick_gru

import rnn_control.search as search
import rnn_control.stages as stages
from rnn_control import GRU, REN, fit, fit_linear, start_linear
from rnn_control.data import Experiment
from rnn_control.kernel import Batch
from rnn_control.levenberg import levenberg
from rnn_control.whitened import whitened

objective = partial(test_levenberg.objective, compiled=None)


class Report(list):
    """Every v and value; stops after `most`."""

    def __init__(self, most=10**6):
        self.most = most

    def __call__(self, v, value):
        self.append((v, value))
        return len(self) >= self.most


def from_linear():
    """A GRU that begins as a linear model of its record."""
    train = record(60, 0)
    return objective(start_linear(GRU(1, 1, 6), fit_linear(train, order=2)))


def test_it_goes_deeper_than_plain_iterations_of_the_same_number():
    J, report = from_linear(), Report()
    v = J.start()
    whitened(J, v, 300, report)
    plain = minimize(J, v, jac=True, method="L-BFGS-B", options=dict(maxiter=300, maxfun=620, maxcor=20, ftol=0))
    assert report[-1][1] < 0.5 * plain.fun
    values = [value for _, value in report]
    assert values == sorted(values, reverse=True) and len(values) <= 300
    assert_allclose(values[-1], J(report[-1][0])[0], rtol=1e-9)


def test_both_ways_down_end_at_the_same_optimum():
    J = objective(quick_gru(1, 1, 2, seed=3))
    ends = [method(J, J.start(), 500, Report()) for method in (levenberg, whitened)]
    assert_allclose(*(J(v)[0] for v in ends), rtol=1e-3)


def test_the_matrix_of_a_part_leads_to_the_same_optimum():
    J, calls = objective(quick_gru(1, 1, 2, seed=3)), []
    part = J.on(Batch(*([a[: len(a) // 2] for a in given] for given in J.data)))
    of_all, J.gauss_newton = whitened(J, J.start(), 500, Report()), lambda v: calls.append(v)
    of_part = whitened(J, J.start(), 500, Report(), part)
    assert not calls
    assert J(of_part)[0] < 1.001 * J(of_all)[0]


def test_it_keeps_to_the_bounds_and_moves_along_them():
    model = GRU(1, 1, 3)
    free = objective(model)
    C = whitened(free, free.start(), 100, Report())[: free.n_theta][-4:-1]
    limits = {model.C: (-np.full((1, 3), abs(C).min() / 2), np.full((1, 3), abs(C).min() / 2))}
    J, report = objective(model, limits=limits), Report()
    low, high = J.box()
    end = whitened(J, J.start(), 200, report)
    assert all(((low <= v) & (v <= high)).all() for v, _ in report)
    assert (end == high).any() or (end == low).any()
    assert J(end)[0] < J(J.start())[0]


@pytest.mark.parametrize("most", [1, 2, 7])
def test_it_stops_when_it_is_told(most):
    J, report = from_linear(), Report(most)
    end = whitened(J, J.start(), 300, report)
    assert len(report) == most and (end == report[-1][0]).all()


def test_a_point_from_which_nothing_falls_is_the_end():
    J = objective(GRU(1, 1, 2))
    J.data.y[0][:] = np.nan
    v = J.start()
    assert whitened(J, v, 10, Report()) is v


@pytest.mark.parametrize("model, certificate", [(GRU(1, 1, 3), None), (REN(1, 1, 3, neurons=3), "delta_iss")])
def test_larger_models_with_many_samples_for_each_parameter_are_searched_so(monkeypatch, model, certificate):
    monkeypatch.setattr(stages, "LARGEST", 10)
    monkeypatch.setattr(stages, "LARGEST_OF_LONG", 10)
    monkeypatch.setattr(search, "levenberg", None)
    options = dict(certificate=certificate, epochs=20, polish=400, washout=20, progress=False)
    result = fit(model, record(1200, 0), record(120, 1), **options)
    assert result.model.score(record(200, 2)).fit[0] > 98
    assert certificate is None or result.certificate.holds


def test_models_with_few_samples_for_each_parameter_are_not(monkeypatch):
    monkeypatch.setattr(stages, "LARGEST", 10)
    monkeypatch.setattr(stages, "LARGEST_OF_LONG", 10)
    few, model = record(200, 0), GRU(1, 1, 4)
    assert not stages.goes_deep(objective(model))
    monkeypatch.setattr(search, "whitened", None)
    fit(model, Experiment(few.u, few.y, few.dt), certificate=None, epochs=5, polish=20, progress=False)
