"""Runs of the plants of the zoo: integrators that are built once, inputs of the region of good behaviour."""

from functools import lru_cache

import numpy as np


@lru_cache
def simulator(plant, dt):
    return plant.simulator(dt)


@lru_cache
def discretised(plant, dt):
    return plant.discretise(dt)


def simulated(plant, x, u, dt):
    d = plant.disturbance_vector()
    return np.array(simulator(plant, dt)(x0=x, p=np.concatenate([u, d]))["xf"]).ravel()


def excite(plant, samples, seed=0):
    random = np.random.default_rng(seed)
    return random.uniform(plant.u_region_min, plant.u_region_max, (samples, plant.nu))
