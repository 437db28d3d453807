"""Controllers with a record of their run, which the tests of the C code replay."""

import numpy as np
from zoo import identified

from mpc import NMPC, OffsetFreeObserver, SystemProcess, export_c, run
from mpc.scales import find_scales
from rnn_control import GRU

QUICK = ("-std=c99", "-O0", "-Werror")
SANITISE = ("-std=c99", "-O0", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")


class Blind(SystemProcess):
    """Misses a measurement every third sample, both every sixth, the first included."""

    def measure(self):
        y, self.count = super().measure().copy(), getattr(self, "count", -1) + 1
        y[[0, 1] if self.count % 6 == 0 else [1]] = np.nan if self.count % 3 == 0 else y[1]
        return y


def learned(factory=GRU, size=3):
    return identified(factory(2, 2, size, seed=3)).to_casadi()


def tight(system, **options):
    s = find_scales(system)
    half = s.u_half[: system.nu - len(options.get("measured", ()))]
    y = np.column_stack([s.y_mid - 0.2 * s.y_range, s.y_mid + 0.15 * s.y_range])
    return NMPC(system, 4, bounds={"du": 0.6 * half, "y": y}, **{"solver": "condensed alone", **options})


def recorded(controller, process=SystemProcess, level=0.3, steps=16, observe=OffsetFreeObserver, **options):
    """A record of references within a level of the range, changed every eighth step, under a disturbance."""
    system, s, rng = controller.system, controller.scales, np.random.default_rng(1)
    r = s.y_mid + s.y_range * np.repeat(rng.uniform(-level, level, (steps // 8, 2)), 8, 0)
    plant, push = process(system, noise_std=0.01 * s.y_range), {"d_T0": [(10 * system.dt, 0.1 * s.y_range[0])]}
    observer = observe(system)
    return observer, run(plant, controller, observer, r, steps, disturbances=push, progress=False, **options)


def replayed(folder, controller, observer, record, flags=QUICK, **options):
    found = export_c(folder, controller, observer, record, **options).test(flags=flags)
    assert found.agrees, found
    return found


def under_weather(observe, preview=0, process=SystemProcess, **options):
    """Controller, observer, record and the input held before, of a model whose second input is measured."""
    system = identified(GRU(2, 2, 3, seed=5)).to_casadi()
    names, (low, high) = system.u_names[1:], (system.u_min, system.u_max)
    s = find_scales(system)
    c = NMPC(system, 5, bounds={"du": 0.6 * s.u_half[:1]}, measured=names, measured_preview=preview,
             **{"solver": "condensed alone", **options})  # fmt: skip
    rng, u0 = np.random.default_rng(2), low[:1] + 0.6 * (high - low)[:1]
    r = s.y_mid + s.y_range * np.repeat(rng.uniform(-0.3, 0.3, (3, 2)), 8, 0)
    sent = {names[0]: [(8 * k * system.dt, level) for k, level in enumerate(rng.uniform(low[1], high[1], 3))]}
    plant, observer = process(system, noise_std=0.01 * s.y_range, measured=names), observe(system)
    given = dict(u0=u0, preview=preview > 0)
    record = run(plant, c, observer, r, 24, disturbances=sent, measured=names, progress=False, **given)
    return c, observer, record, given
