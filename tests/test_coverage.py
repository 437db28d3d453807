"""Coverage: what a record visits, and who leaves it."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from plants import PHNeutralisation, random_steps
from rnn_control import Experiment, coverage

LABELS = dict(u_names=["valve", "pump"], y_names=["T"], u_units=["%", "L/min"], y_units=["K"])


def square(samples=4000, seed=0):
    """Two inputs that fill their square, an output that is their sum."""
    u = np.random.default_rng(seed).uniform(0.0, 1.0, (samples, 2))
    return Experiment(u, u.sum(1), 1.0, **LABELS)


def test_uniform_inputs_visit_every_cell():
    assert coverage(square()).fraction()["valve", "pump"] == 1.0


def test_an_output_that_depends_on_an_input_fills_a_band():
    """y - u is uniform on 0..1, so (u, y) fills the parallelogram: half of the box of y in 0..2, and cut cells."""
    assert 0.5 < coverage(square(40000), cells=40).fraction()["valve", "T"] < 0.56


def test_every_sample_is_counted_once():
    counts = coverage(square()).occupied
    assert [n.sum() for n in counts.values()] == [4000, 4000, 4000]


def test_what_stood_still_covers_its_own_value_alone():
    u, y = np.column_stack([np.sin(np.arange(200)), np.full(200, 3.0)]), np.cos(np.arange(200))
    grid = coverage(Experiment(u, y, 1.0))
    assert not grid.extrapolates(u, y[:, None]).any()
    assert grid.extrapolates(u + [0, 0.1], y[:, None]).all()


def test_a_record_does_not_extrapolate_from_itself():
    record = square()
    assert not coverage(record, cells=30).extrapolates(record.u, record.y).any()


def test_points_between_its_samples_are_inside():
    other = square(seed=1)
    assert coverage(square()).extrapolates(other.u, other.y).mean() < 1e-3


@pytest.mark.parametrize(
    "u, y",
    [((0.5, 0.5), 2.5), ((0.5, 0.5), -1e9), ((1.3, 0.5), 1.8), ((0.0, 0.5), 1.95), ((0.5, 0.5), np.inf)],
    ids=["above", "far below", "input beyond", "inside every range, in no pair", "infinite"],
)
def test_a_point_the_record_never_was_near_is_told(u, y):
    assert coverage(square()).extrapolates(np.array(u), np.array([y])).tolist() == [y != np.inf]


def test_missing_outputs_are_left_out_of_account():
    assert coverage(square()).extrapolates(np.array([[0.5, 0.5], [2.0, 0.5]]), [[np.nan], [np.nan]]).tolist() == [0, 1]


def test_limits_of_the_operator_show_what_was_left_out():
    shares = [coverage(square(), u_min=0.0, u_max=high).fraction()["valve", "pump"] for high in (1.0, 2.0)]
    assert shares[0] == 1.0 and 0.25 <= shares[1] < 0.36


def test_a_wider_excursion_of_a_plant_is_told_and_a_repetition_is_not():
    plant = PHNeutralisation()
    u, again, wide = (random_steps(low, high, 1500, seed=s) for low, high, s in ((13, 16, 0), (13, 16, 1), (13, 17, 2)))
    runs = [Experiment.from_object(plant.experiment(signal, 15.0)) for signal in (u, again, wide)]
    shares = [coverage(runs[0]).extrapolates(run.u, run.y).mean() for run in runs]
    assert shares[0] == 0 and shares[1] < 0.01 and shares[2] > 0.1


def test_report_names_the_pairs():
    text = str(coverage(square()))
    assert "valve, pump  100 %" in text and "pump, T" in text


def test_plot_has_a_panel_for_each_pair_with_units():
    figure = coverage(square()).plot()
    labels = {ax.get_xlabel() for ax in figure.axes} | {ax.get_ylabel() for ax in figure.axes}
    plt.close(figure)
    assert {"valve [%]", "pump [L/min]", "T [K]"} <= labels


@pytest.mark.parametrize("options, reason", [({"cells": 1}, "cells"), ({"u_min": 2.0}, "min < max")])
def test_empty_grids_are_refused(options, reason):
    with pytest.raises(ValueError, match=reason):
        coverage(square(), **options)


def test_points_of_other_channels_are_refused():
    with pytest.raises(ValueError, match="valve"):
        coverage(square()).extrapolates(np.zeros((3, 1)), np.zeros((3, 1)))
