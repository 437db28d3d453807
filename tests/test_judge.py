"""What judges the iterates of a search."""

import numpy as np
from zoo import identified, inputs, quick_gru

from rnn_control import GRU, Experiment, fit, fit_linear


def test_a_validation_record_with_a_still_output_judges_as_any_other():
    """Its error counts in deviations of the training; for the linear model, too."""
    rng, truth = np.random.default_rng(1), identified(quick_gru(1, 2, 3, seed=5))

    def one(samples, is_still):
        u = truth.scaler.u_out(inputs(rng, samples, 1))
        y = truth.simulate(u)
        y[:, 1] = y[:, 1].mean() if is_still else y[:, 1]
        return Experiment(u, y, 2.0)

    train, still, test = one(400, False), one(150, True), one(150, False)
    result = fit(GRU(1, 2, 3), train, still, certificate=None, epochs=20, polish=60, washout=10, progress=False)
    assert result.best_iteration > 0 and result.history["valid"][result.best_iteration] < 2
    assert min(result.model.score(test).fit) > 60
    assert min(fit_linear(train, still).score(test).fit) > min(fit_linear(train, order=1).score(test).fit)
