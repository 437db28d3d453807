"""Many starts as one batch: each is trained as if it were alone, and what is kept goes on in `fit`."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from test_fit import QUICK, record
from zoo import BY_CONSTRUCTION, DEVICES, ZOO, quick_gru, randomised

from rnn_control import GRU, CertificateError, Experiment, Scaler, certify, fit, screening
from rnn_control.literal import Batch, LiteralKernel
from rnn_control.models import build
from rnn_control.objective import Objective
from rnn_control.penalty import Penalty
from rnn_control.restarts import fit_best, reseeded
from rnn_control.screening import Screening
from rnn_control.simulate import simulate
from rnn_control.stack import SCALE, STATES, Stack
from rnn_control.starts import estimated

ALONE = Screening(keep=2, device="cpu", dtype=torch.float64, epochs=20, window=60)


def data_of(nu, ny, lengths=(5, 8, 8)):
    rng = np.random.default_rng(0)
    return Batch(*([rng.uniform(low, 1, (T, n)) for T in lengths] for low, n in ((-1, nu), (-1, ny), (0, ny))))


CASES = [(name, None if name in BY_CONSTRUCTION else method) for name in ZOO for method in ("published", "weighted")]


def stacked(name, method, device="cpu", dtype=torch.float64):
    """Three models that miss a condition, if there is one, and the stack of them."""
    models = [randomised(ZOO[name](2, 2, 3, seed=seed), seed, 0.6) for seed in range(3)]
    return models, Stack(models, method and Penalty(models[0], "delta_iss", method, 0.1), device, dtype)


def alone(model, data, method):
    """The objective that `fit` would minimise, by the literal loop."""
    kernel = LiteralKernel(model, tuple(k for k, p in model.theta().items() if p.requires_grad))
    return Objective(
        model, kernel, data, property=method and "delta_iss", method=method or "", margin=0.1,
        starts=estimated(data, model.nx),
    )  # fmt: skip


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name, method", dict.fromkeys(CASES))
def test_values_and_gradients_are_those_of_each_model_alone(name, method, device):
    (models, stack), data = stacked(name, method, device), data_of(2, 2)
    v = stack.start(len(data.u))
    v[STATES] = torch.from_numpy(np.random.default_rng(1).uniform(-0.5, 0.5, v[STATES].shape)).to(device)
    for rows in (None, [2, 0]):
        pick = None if rows is None else torch.tensor(rows, device=device)
        costs, slopes = stack.slopes(v, stack.windows(data), pick)
        for i, model in enumerate(models):
            objective = alone(model, data, method)
            start = np.concatenate([objective.start()[: -v[STATES][i].numel()], v[STATES][i].cpu().numpy().ravel()])
            cost, slope = objective(start, rows)
            found = torch.cat([slopes[k][i].flatten() for k in (*stack.names, SCALE, STATES)]).cpu()
            assert_allclose(costs[i].cpu(), cost, rtol=1e-10)
            assert_allclose(found, slope, rtol=1e-9, atol=1e-10 * abs(slope).max())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("name", ZOO)
def test_everything_is_on_the_device(name, dtype):
    """Here on one that has shapes only: it takes no number from anywhere else."""
    _, stack = stacked(name, None if name in BY_CONSTRUCTION else "weighted", "meta", dtype)
    data = stack.windows(data_of(2, 2))
    v = stack.start(3)
    costs, slopes = stack.slopes(v, data)
    errors = stack.errors(v, data, torch.ones(2, device="meta", dtype=dtype))
    assert {(a.device.type, a.dtype) for a in (costs, errors, *slopes.values())} == {("meta", dtype)}


@pytest.fixture(scope="module")
def train():
    return record(200, 0)


@pytest.fixture(scope="module")
def valid():
    return record(120, 1)


def drawn(seeds, make=quick_gru):
    return {seed: make(1, 1, 3, seed=seed) for seed in seeds}


def screened(starts, *records, screening=ALONE, **options):
    return screening(GRU(1, 1, 3), starts, *records, washout=10, progress=False, **options)


def parameters(model):
    return torch.cat([v.detach().flatten() for v in model.parameters()])


@pytest.mark.parametrize("certificate", ["delta_iss", None])
@pytest.mark.parametrize("device", DEVICES)
def test_a_start_does_not_know_of_the_others(train, valid, certificate, device):
    on_device = replace(ALONE, device=device)
    many = screened(drawn(range(6)), train, valid, screening=on_device, certificate=certificate)
    assert len(many.models) == 2 and sorted(many.errors) == list(range(6))
    for seed, model in many.models.items():
        one = screened(drawn([seed]), train, valid, screening=on_device, certificate=certificate)
        assert_allclose(one.errors[seed], many.errors[seed], rtol=1e-8)
        assert_allclose(parameters(one.models[seed]), parameters(model), rtol=1e-6, atol=1e-9)


def test_errors_are_those_of_free_runs_and_the_best_are_kept(train, valid):
    found = screened(drawn(range(5)), train, valid)
    assert [*found.models] == sorted(found.errors, key=found.errors.__getitem__)[:2]
    before = screened(drawn(range(5)), train, valid, screening=replace(ALONE, epochs=1, rate=1e-9))
    assert all(found.errors[seed] < before.errors[seed] for seed in found.errors)
    scaler = Scaler.fit(train)
    u, y = scaler.u_in(valid.us[0]), scaler.y_in(valid.ys[0])
    for seed, model in found.models.items():
        assert certify(model).holds
        with torch.no_grad():
            _, yhat = simulate(model, model.theta(), torch.zeros(model.nx, dtype=torch.float64), torch.from_numpy(u))
        error = np.sqrt(np.mean((y - yhat.numpy())[10:] ** 2)) / y[10:].std()
        assert_allclose(found.errors[seed], error, rtol=1e-9)


def test_records_of_unequal_lengths_and_missing_samples(train):
    y = train.ys[0].copy()
    y[70:75] = np.nan
    parts = Experiment([train.us[0], train.us[0][:50]], [y, y[:50]], train.dt, gaps="mask")
    found = screened(drawn(range(3)), parts)
    assert all(np.isfinite(error) for error in found.errors.values())


def test_a_start_that_is_lost_spoils_no_other(train, valid):
    lost = drawn(range(4))
    with torch.no_grad():
        lost[1].C.fill_(torch.nan)
        lost[1].Ur.fill_(torch.nan)
    found, expected = (screened(s, train, valid, certificate=None) for s in (lost, drawn([0, 2, 3])))
    assert found.errors[1] == np.inf and 1 not in found.models
    for seed in expected.models:
        assert_allclose(parameters(found.models[seed]), parameters(expected.models[seed]), rtol=1e-6, atol=1e-9)


def interrupting(monkeypatch, steps):
    """Ctrl-C at the gradient of that number."""
    slopes, calls = Stack.slopes, iter(range(steps))

    def until(*arguments):
        if next(calls, None) is None:
            raise KeyboardInterrupt
        return slopes(*arguments)

    monkeypatch.setattr(Stack, "slopes", until)


def test_interrupt_keeps_the_best_so_far(train, valid, monkeypatch):
    early = screened(drawn(range(3)), train, valid, screening=replace(ALONE, epochs=1, rate=1e-9))
    interrupting(monkeypatch, 11)
    found = screened(drawn(range(3)), train, valid)
    assert found.interrupted and all(found.errors[seed] < early.errors[seed] for seed in found.errors)


def test_screening_goes_on_in_fit(train, valid, monkeypatch):
    model, options = GRU(1, 1, 3), dict(QUICK, drift=None)
    kept = screened({seed: build(reseeded(model.spec(), seed)) for seed in range(5)}, train, valid)
    found = fit_best(model, train, valid, range(5), jobs=1, screening=ALONE, **options)
    assert found.screened == kept.errors and {*found.seeds} == {*kept.models} and not found.interrupted
    for seed, result in zip(found.seeds, found, strict=True):
        alone = fit(kept.models[seed], train, valid, seed=seed, **options)
        assert_array_equal(parameters(alone.model.model), parameters(result.model.model))
        assert result.certificate.holds
    interrupting(monkeypatch, 15)
    assert fit_best(model, train, valid, range(5), jobs=1, screening=ALONE, **options).interrupted


@pytest.mark.parametrize(
    "fields, message",
    [
        (dict(device="gpu"), "device is 'gpu'"),
        (dict(device="cuda:99"), "device is 'cuda:99'; choose"),
        (dict(dtype=torch.float16), "dtype is torch.float16"),
        (dict(keep=0), "keep is 0"),
        (dict(window=-1), "window is -1"),
    ],
)
def test_impossible_screenings_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        Screening(**dict(device="cpu") | fields)


def test_without_cuda_it_says_so(monkeypatch):
    """By a device that no machine has: the one that is chosen by default may be here."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match="torch finds no CUDA device here"):
        Screening(device="cuda:99")


def test_mistakes_are_told_before_the_screening(train, valid):
    with pytest.raises(TypeError, match="polsh"):
        fit_best(GRU(1, 1, 2), train, valid, screening=ALONE, polsh=3)
    with pytest.raises(ValueError, match="nu = 2"):
        fit_best(GRU(2, 1, 2), train, valid, screening=ALONE)
    with pytest.raises(ValueError, match="certificate is 'dissipative'"):
        fit_best(GRU(1, 1, 2), train, valid, screening=ALONE, certificate="dissipative")


def test_starts_that_no_shrinkage_certifies_are_left_out(train, valid, monkeypatch):
    """The others go on; without any there is an error."""
    begin = screening.begin

    def failing(bad):
        def one(model, *arguments):
            if model in bad:
                raise CertificateError("no room")
            begin(model, *arguments)

        return one

    starts = drawn(range(3))
    monkeypatch.setattr(screening, "begin", failing([starts[0]]))
    found = screened(starts, train, valid)
    assert found.errors[0] == np.inf and sorted(found.models) == [1, 2]
    monkeypatch.setattr(screening, "begin", failing([*starts.values()]))
    with pytest.raises(CertificateError, match="no start of the gru"):
        screened(starts, train, valid)
