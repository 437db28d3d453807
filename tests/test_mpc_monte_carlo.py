"""Monte-Carlo runs: the same seeds give the same numbers, in one process or several, and violations are counted."""

import joblib
import numpy as np
import pytest
from test_mpc_closed_loop import Probe, two_tanks

from mpc import PI, Loop, SystemProcess, monte_carlo, run


def drawn(seed):
    """A loop whose plant, noise and disturbance come from the seed."""
    rng = np.random.default_rng(seed)
    plant, s = two_tanks(k1=rng.uniform(0.9, 1.1)), two_tanks()
    pi = PI(s, [Loop("h1", "q1", 1.0, 50.0)], {"y": {"h1": (None, 1.0)}, "du": {"q1": 0.5}})
    sent = {"d_q1": [(50.0, rng.normal(0, 0.1))]}
    return run(SystemProcess(plant, noise_std=0.02), pi, None, 1.2, 20, disturbances=sent, seed=seed, progress=False)


def error(record):
    return sum(record.ise().values())


@pytest.mark.parametrize("jobs", [1, 2])
def test_runs_repeat_by_their_seed(jobs):
    with joblib.parallel_config(backend="threading"):  # processes would take seconds to start
        found = monte_carlo(drawn, 4, cost=error, first_seed=7, jobs=jobs)
    assert found.cost == pytest.approx([error(drawn(seed)) for seed in range(7, 11)])
    assert found.percentiles((0, 100)) == {0: found.cost.min(), 100: found.cost.max()}


def test_what_is_out_of_bounds_is_counted():
    def loop(seed):
        s = two_tanks()
        probe = Probe(s)
        probe.bounds = probe.bounds._replace(
            u_max=np.array([2.5, 9.0]), du_max=np.array([0.5, 9.0]), y_max=np.array([1.2, 9])
        )
        return run(SystemProcess(s), probe, None, 1.0, 3, progress=False)

    found, record = monte_carlo(loop, 2, cost=error), loop(0)
    assert found.input_violations.tolist() == [1, 1] and found.rate_violations.tolist() == [2, 2]
    assert found.output_excess[:, 0] == pytest.approx(record.y_true[:, 0].max() - 1.2)
    assert found.output_violations[0, 0] == (record.y_true[:, 0] > 1.2).sum() > 0
    assert "2 runs, 6 steps" in found.table()
