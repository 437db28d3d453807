"""Controllers that the tests of solvers share."""

import numpy as np
from zoo import identified

import mpc.compiled
from mpc import NMPC
from mpc.scales import find_scales


def learned(factory, seed=3, size=4):
    return identified(factory(2, 2, size, seed=seed)).to_casadi()


def tight(system, **options):
    """A controller whose rates, box and soft output bounds all matter."""
    half, s = (system.u_max - system.u_min) / 2, find_scales(system)
    bounds = {
        "du": 0.6 * half,
        "y": np.column_stack([s.y_mid - 0.2 * s.y_range, s.y_mid + 0.15 * s.y_range]),
    }
    return NMPC(system, 8, bounds=bounds, y_range=s.y_range, **options)


def no_compiler(monkeypatch):
    monkeypatch.setattr(mpc.compiled, "find_compiler", lambda: None)
