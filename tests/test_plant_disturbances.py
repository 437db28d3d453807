"""Every disturbance of every plant of the zoo acts, and acts alike when it is held and when it is recorded."""

import numpy as np
import pytest

from plants import PLANTS

DISTURBANCES = [(name, signal.name) for name, plant in PLANTS.items() for signal in plant.disturbances]


@pytest.fixture(params=DISTURBANCES, ids="-".join, scope="module")
def disturbance(request):
    """A plant, and one of its disturbances five per cent off."""
    plant = PLANTS[request.param[0]]()
    column = plant.disturbance_names.index(request.param[1])
    return plant, {request.param[1]: 0.95 * plant.disturbance_vector()[column]}


def test_every_disturbance_moves_an_output(disturbance):
    plant, d = disturbance
    process = plant.process(600.0, noise=False, d=d)
    before = process.output()
    process.apply(plant.nominal.u)
    assert np.any(np.abs(process.output() - before) > plant.y_noise)


def test_disturbance_held_is_the_disturbance_recorded(disturbance):
    plant, d = disturbance
    dt, u = plant.sampling_time, np.tile(plant.nominal.u, (2, 1))
    recorded = plant.experiment(u, dt, noise=False, disturbances={name: np.full(2, v) for name, v in d.items()})
    process = plant.process(dt, noise=False, d=d)
    process.apply(u[0])
    np.testing.assert_array_equal(process.output(), recorded.y[1])
