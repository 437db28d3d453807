"""What a plant refuses, and how it says that its equations have run out of their range."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
from plant_runs import excite

from plants import OperatingPoint, Plant, Signal


def test_unknown_disturbance_is_refused_with_the_nearest_name(plant):
    name = plant.disturbance_names[0]
    with pytest.raises(ValueError, match=name):
        plant.process(plant.sampling_time).apply(plant.nominal.u, **{name + "x": 1.0})


def test_input_beyond_the_actuators_is_refused(plant):
    with pytest.raises(ValueError, match="actuator limits"):
        plant.process(plant.sampling_time).apply(plant.u_max * 1.1 + 1.0)


def test_nan_input_is_refused(plant):
    with pytest.raises(ValueError, match="finite"):
        plant.process(plant.sampling_time).apply(np.full(plant.nu, np.nan))


def test_input_record_of_wrong_width_is_refused(plant):
    with pytest.raises(ValueError, match=r"must be \(T,"):
        plant.experiment(np.zeros((5, plant.nu + 1)), plant.sampling_time)


def test_disturbance_record_of_wrong_length_is_refused(plant):
    with pytest.raises(ValueError, match="one a sample"):
        wrong = {plant.disturbance_names[0]: np.ones(4)}
        plant.experiment(excite(plant, 5), plant.sampling_time, disturbances=wrong)


def test_no_input_record_at_all_is_refused(plant):
    with pytest.raises(ValueError, match="no input record"):
        plant.experiment([], plant.sampling_time)


@pytest.mark.parametrize("dt", [0.0, -1.0, np.nan, np.inf])
def test_impossible_sampling_time_is_refused(plant, dt):
    with pytest.raises(ValueError, match="dt ="):
        plant.discretise(dt)


@pytest.mark.parametrize("substep", [0.0, -1.0, np.nan, np.inf])
def test_impossible_substep_is_refused(plant, substep):
    with pytest.raises(ValueError, match="substep ="):
        plant.discretise(plant.sampling_time, substep=substep)


def test_physically_impossible_initial_state_is_refused(plant):
    with pytest.raises(ValueError, match="physically impossible"):
        plant.process(plant.sampling_time, x0=np.full(plant.nx, -300.0))


@dataclass(frozen=True)
class Toy(Plant):
    """x' = u + x^2: with u < 0 it drains below zero, with x > 0 it escapes in finite time."""

    name: ClassVar = "toy"
    substep: ClassVar = 1.0
    states: ClassVar = (Signal("level", "m", low=0.0),)
    inputs: ClassVar = (Signal("flow", "m/s", low=-1.0, high=1.0),)
    outputs: ClassVar = (Signal("level", "m"),)
    disturbances: ClassVar = ()
    operating_points: ClassVar = {"empty": OperatingPoint((0.0,), (0.0,), (0.0,), {}, "none")}

    def ode(self, x, u, d):
        return u + x**2

    def output(self, x):
        return x


def test_state_that_becomes_impossible_is_named():
    with pytest.raises(RuntimeError, match="level = -0.0996"):
        Toy().process(0.1, x0=[0.0]).apply([-1.0])


def test_integrator_failure_is_reported_with_its_place():
    with pytest.raises(RuntimeError, match="integrator failed: toy from t = 0 s"):
        Toy().process(10.0, x0=[1.0]).apply([0.0])


def test_absence_of_an_equilibrium_is_an_error():
    with pytest.raises(ValueError, match="no equilibrium of toy"):
        Toy().equilibrium([1.0])
