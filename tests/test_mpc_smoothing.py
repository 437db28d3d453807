"""Windows of moving horizon estimation without bounds: Gauss-Newton's method finds the optimum that IPOPT does."""

import numpy as np
import pytest
from controllers import learned

from mpc import MHE, linear_system
from mpc.scales import find_scales
from mpc.smoothing import Seen
from plants import PLANTS

DEVIATIONS = {
    "outputs": (0.02, 0.0),
    "inputs": (0.0, 0.02),
}


def watching(system, outputs, inputs, **options):
    """An estimator with disturbances of a share of the ranges, and what it is told: (u, y) of a noisy run."""
    s, rng = find_scales(system), np.random.default_rng(1)
    noise = 0.01 * s.y_range
    disturbed = dict(input_disturbance_std=inputs * s.u_half) if inputs else {}
    mhe = MHE(system, noise, outputs * s.y_range, 0.005 * s.x_half, window=5, **disturbed, **options)
    x, told = np.array(system.x0), []
    for k in range(12):
        u = s.u_mid + s.u_half * rng.uniform(-0.3, 0.3, system.nu)
        y = system.g(x).full().ravel() + noise * rng.standard_normal(system.ny)
        y[k % system.ny] = np.nan if k % 4 == 3 else y[k % system.ny]
        told.append((u, y))
        x = system.f(x, u).full().ravel()
    mhe.reset(told[0][1], s.u_mid)
    return mhe, told


def optima(mhe, told):
    """Costs and last estimates of the windows of a run, (steps, 2) and (steps, 2, nz): Gauss-Newton's and IPOPT's."""
    costs, ends, u_prev = [], [], None
    for u, y in told:
        mhe.update(u_prev, y)
        values, V = np.linalg.eigh(mhe._behind.P)
        seen = Seen(mhe._behind.z, V * np.sqrt(np.maximum(values, 0)), mhe._us, mhe._ys)
        track, (z, cost) = mhe._problem._smoother.solve(seen), mhe._problem._bounded(seen)
        costs.append((track.cost, cost))
        ends.append((track.z[-1], z))
        u_prev = u
    return np.array(costs), np.array(ends)


def plant(name):
    found = PLANTS[name]()
    return found.discretise(found.sampling_time)


@pytest.mark.parametrize("kind", DEVIATIONS)
@pytest.mark.parametrize("name", ["van_de_vusse", "four_tanks", "exothermic_cstr", "ph_neutralisation"])
def test_windows_of_plants_have_the_cost_that_ipopt_finds(name, kind):
    mhe, told = watching(plant(name), *DEVIATIONS[kind])
    costs, _ = optima(mhe, told)
    assert costs[:, 0] == pytest.approx(costs[:, 1], rel=1e-6, abs=1e-6)


def test_windows_of_learned_models_have_the_cost_that_ipopt_finds(factory):
    mhe, told = watching(learned(factory), *DEVIATIONS["outputs"])
    costs, ends = optima(mhe, told)
    assert costs[:, 0] == pytest.approx(costs[:, 1], rel=1e-6, abs=1e-6)
    size = np.append(find_scales(mhe.system).x_half, find_scales(mhe.system).y_range)
    assert ends[:, 0] / size == pytest.approx(ends[:, 1] / size, abs=1e-4)


def test_ipopt_steps_in_where_a_bound_is_met_and_only_there():
    system = linear_system([[0.9]], [[0.1]], [[1.0]], 1.0)
    free, held = (MHE(system, 0.1, 0.0, 0.1, window=3, bounds={"x": {"x1": (None, b)}}) for b in (9.0, 0.2))
    asked = []
    for mhe in (free, held):
        ipopt, count = mhe._problem._bounded, []
        mhe._problem._bounded = lambda seen, ipopt=ipopt, count=count: count.append(1) or ipopt(seen)
        mhe.reset([0.0], [0.0])
        found = [mhe.update([0.0] if k else None, [y]).x[0] for k, y in enumerate([0.0, 0.1, 0.5, 0.6])]
        asked.append(len(count))
    assert asked[0] == 0 and asked[1] > 0 and found[-1] == pytest.approx(0.2, abs=1e-6)


def test_a_prior_so_wide_that_rounding_hides_the_noise_is_left_to_ipopt():
    A, C = np.array([[0.9, 0.3], [-0.2, 0.8]]), np.array([[1.0, 1.0], [1.0, 1.0 + 1e-9]])
    mhe = MHE(linear_system(A, np.eye(2), C, 1.0), 1e-6, 0.0, 0.1, window=3, x0_std=1e9)
    mhe.reset([0.0, 0.0], [0.0, 0.0])
    found = [mhe.update([0.1, 0.2] if k else None, [0.5, 0.5]).x for k in range(3)]
    assert np.isfinite(found).all()


@pytest.mark.parametrize("size", [1e200, np.inf, np.nan])
def test_a_state_that_ran_away_ends_in_an_estimate_and_no_warning(size):
    mhe = MHE(linear_system([[1.1]], [[0.1]], [[1.0]], 1.0), 0.1, 0.0, 0.1, window=3)
    mhe.reset([0.0], [0.0])
    mhe.update(None, [0.0])
    mhe._behind.z[:] = size
    assert np.isfinite(mhe.update([0.0], [0.1]).x).all()
