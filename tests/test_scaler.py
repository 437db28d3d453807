"""Scaler: the one map between physical units and normalised signals."""

import numpy as np
import pytest

from rnn_control.data import Experiment
from rnn_control.scaler import Scaler

WAVE = np.sin(np.arange(60))


def waves(length: int = 60, nu: int = 1, ny: int = 1) -> Experiment:
    k = np.arange(length)[:, None]
    return Experiment(np.sin(k + np.arange(nu)), 5 + np.cos(k + np.arange(ny)), dt=2.0)


def test_scaler_maps_training_inputs_onto_the_unit_box():
    e = waves(nu=2, ny=3)
    u_n = Scaler.fit(e).u_in(e.u)
    assert np.allclose([u_n.min(0), u_n.max(0)], [[-1, -1], [1, 1]], atol=1e-12)


def test_scaler_standardises_outputs():
    e = waves(ny=2)
    y_n = Scaler.fit(e).y_in(e.y)
    assert np.allclose([y_n.mean(0), y_n.std(0)], [[0, 0], [1, 1]], atol=1e-12)


def test_scaler_survives_its_dict_and_inverts():
    e = waves()
    s = Scaler.from_dict(Scaler.fit(e, u_min=-2, u_max=3).to_dict())
    assert np.allclose(s.u_out(s.u_in(e.u)), e.u) and s.u_min == -2 and s.u_max == 3


def test_scaler_refuses_a_box_that_the_data_leave():
    with pytest.raises(ValueError, match='input "u0" runs from .* outside the box'):
        Scaler.fit(waves(), u_min=0.0, u_max=1.0)


def test_scaler_names_an_input_that_holds_still():
    u = np.where(np.arange(100) < 50, 1.0, np.sin(np.arange(100)))
    train = Experiment(u, np.cos(np.arange(100)), dt=1, u_names="q").split(0.4, 0.3)[0]
    with pytest.raises(ValueError, match=r'input "q" is constant \(1\) .* excites nothing; leave it out'):
        Scaler.fit(train)
    with pytest.raises(ValueError, match=r'input "q" has the box \[3, 2\] .* give u_min < u_max'):
        Scaler.fit(train, u_min=3, u_max=2)
    assert Scaler.fit(train, u_min=0, u_max=2).u_half == 1


def test_scaler_names_an_output_that_holds_still():
    train = Experiment(np.sin(np.arange(100)), np.full(100, 0.1), dt=1, y_names="T")
    with pytest.raises(ValueError, match=r'output "T" is constant \(0.1\) .* nothing to fit; leave it out'):
        Scaler.fit(train)
