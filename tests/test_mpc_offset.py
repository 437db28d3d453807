"""No offset, for every family of models and every disturbance model, under mismatch and constant disturbances."""

from functools import cache

import numpy as np
import pytest
import torch
from zoo import identified, quick_gru, tensors

from mpc import EKF, NMPC, DisturbanceObserver, OffsetFreeObserver, SystemProcess, run
from mpc.observers import rest_state
from rnn_control import ESN, LSTM, NNARX, LipschitzRNN

FAMILIES = {"GRU": quick_gru, "LSTM": LSTM, "ESN": ESN, "NNARX": NNARX, "Lipschitz RNN": LipschitzRNN}
OBSERVERS = {
    "output": lambda s, y, u: OffsetFreeObserver(s),
    "input": lambda s, y, u: EKF(s, 0.01 * y, 0.0, 0.01, input_disturbance_std=0.1 * u),
    "both": lambda s, y, u: DisturbanceObserver(
        s, 0.01 * y, {s.y_names[0]: 0.1 * y[0]}, 0.01, input_disturbance_std={s.u_names[1]: 0.1 * u[1]}
    ),
}


SEEDS = {"GRU": 1, "LSTM": 3, "Lipschitz RNN": 1}  # gains from both inputs to both outputs that can be told apart
STEPS = 120


@cache
def pair(name):
    """A model, a plant whose parameters differ by some percent, and a controller around the model."""
    model, plant = (FAMILIES[name](2, 2, 4, seed=SEEDS.get(name, 0)) for _ in range(2))
    rng = np.random.default_rng(0)
    with torch.no_grad():
        for mine, other in zip(tensors(model).values(), tensors(plant).values(), strict=True):
            other.copy_(mine * (1 + 0.03 * torch.from_numpy(rng.normal(size=mine.shape))))
    system = identified(model).to_casadi()
    return system, identified(plant).to_casadi(), NMPC(system, 8)


def held_and_disturbed(plant, size):
    """A process at rest, the input of its rest, a reference that it can hold, and constant disturbances."""
    low, width = plant.u_min, plant.u_max - plant.u_min
    start, goal = (low + share * width for share in (0.5, 0.42))
    reference = plant.g(rest_state(plant, np.zeros(2), goal)).full().ravel()
    process = SystemProcess(plant, x0=rest_state(plant, np.zeros(2), start))
    return (
        process,
        start,
        reference,
        {f"d_{plant.y_names[0]}": 0.03 * size[0], f"d_{plant.u_names[1]}": 0.04 * width[1]},
    )


@pytest.mark.parametrize("model", OBSERVERS)
@pytest.mark.parametrize("name", FAMILIES)
def test_no_offset_despite_mismatch_and_disturbances(name, model):
    system, plant, controller = pair(name)
    size = controller.scales.y_range
    process, start, reference, sent = held_and_disturbed(plant, size)
    observer = OBSERVERS[model](system, size, plant.u_max - plant.u_min)
    record = run(process, controller, observer, reference, STEPS, disturbances=sent, u0=start, progress=False)
    assert record.ok.all() and record.reachable[-1]
    assert np.abs(record.y_true[-1] - reference) / size == pytest.approx(0, abs=1e-4)
