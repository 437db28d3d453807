"""Nothing of a plant becomes negative: by its equations, or with an error that names it."""

import numpy as np
import pytest

from plants import PLANTS

FLOORS = [(name, i) for name, plant in PLANTS.items() for i, state in enumerate(plant.states) if state.low == 0.0]
# what can run empty all the same, its outflow being set from without: (plant, level): input that does it, nominal else
EMPTIED = {
    ("ph_neutralisation", "h"): {"d": {"q1": 0.0}, "u": {"q3": 5.0}},
    ("reactors_separator", "H3"): {"u": {"F_f1": 0.0, "F_f2": 0.0, "F_R": 50.0}},
    ("reactors_separator_stewart", "H3"): {"u": {"F_f1": 1.0, "F_R": 75.0}},
}
KEPT = [(name, i) for name, i in FLOORS if (name, PLANTS[name].states[i].name) not in EMPTIED]


def possible(plant, random):
    """A state anywhere it can be, from nothing to twice the nominal one; fractions that leave room for a third."""
    x = random.uniform(0.0, 2.0, plant.nx) * np.array(plant.nominal.x)
    top = [s.high / 2 if s.unit == "1" else s.high for s in plant.states]
    return np.clip(x, [max(s.low, 0.1 * abs(v)) for s, v in zip(plant.states, plant.nominal.x, strict=True)], top)


@pytest.mark.parametrize("name, i", KEPT, ids=str)
def test_what_is_at_zero_does_not_fall(name, i):
    plant, random = PLANTS[name](), np.random.default_rng(i)
    ode, d = plant.ode_function(), plant.disturbance_vector()
    for _ in range(50):
        x = possible(plant, random)
        x[i] = 0.0
        assert float(ode(x, random.uniform(plant.u_min, plant.u_max), d)[i]) >= 0


@pytest.mark.parametrize("name, level", EMPTIED)
def test_running_empty_is_an_error_that_says_so(name, level):
    plant, given = PLANTS[name](), EMPTIED[name, level]
    u = dict(zip(plant.u_names, plant.nominal.u, strict=True)) | given["u"]
    process = plant.process(plant.sampling_time, noise=False)
    with pytest.raises(RuntimeError, match=f"{level} = -|integrator failed: {name}"):
        for _ in range(300):
            process.apply(list(u.values()), **given.get("d", {}))


@pytest.mark.parametrize("name", [name for name in PLANTS if name.startswith("reactors_separator")])
def test_fractions_that_leave_less_than_nothing_are_refused(name):
    plant = PLANTS[name]()
    x = np.array(plant.nominal.x)
    x[plant.x_names.index("x_A2")] = 1 - x[plant.x_names.index("x_B2")] + 1e-3
    with pytest.raises(ValueError, match="x_C2 = -0.001"):
        plant.process(plant.sampling_time, x0=x)
