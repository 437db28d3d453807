"""Restarts: the best by validation, whatever happens to some of the seeds, on one machine or on a cluster."""

import os
import signal
import time
from dataclasses import replace

import dask
import joblib
import numpy as np
import pytest
from distributed import Client, LocalCluster
from test_fit import QUICK, record
from zoo import cascade, recycling

from rnn_control import GRU, NNARX, CertificateError, Contracting, fit, restarts
from rnn_control.models import build
from rnn_control.restarts import error_of, fit_best, redrawn, reseeded
from rnn_control.screening import Screening

QUICKER = dict(QUICK, certificate=None)
OPTIONS = dict(QUICKER, jobs=1)


@pytest.fixture(scope="module")
def data():
    return record(200, 0), record(120, 1)


def test_best_is_first_by_validation_error_and_what_one_fit_gives(data):
    found = fit_best(GRU(1, 1, 2), *data, seeds=[3, 0], **OPTIONS)
    assert sorted(found.seeds) == [0, 3] and found.errors == tuple(sorted(found.errors))
    alone = fit(GRU(1, 1, 2, seed=found.seeds[0]), *data, seed=found.seeds[0], **QUICKER)
    assert error_of(found.best) == error_of(alone) == found.errors[0]


def test_a_construction_is_drawn_again_with_its_rate(data):
    model, options = Contracting(GRU(1, 1, 2), rate=0.9), OPTIONS | dict(certificate="delta_iss")
    found = fit_best(model, *data, seeds=[3, 0], **options)
    assert sorted(found.seeds) == [0, 3] and all(r.certificate.rate <= 0.9 for r in found)
    assert not redrawn(model, 0).inner.Ur.equal(redrawn(model, 3).inner.Ur)
    with pytest.raises(ValueError, match="leave the screening out"):
        fit_best(model, *data, seeds=[3, 0], screening=Screening(device="cpu"), **options)


@pytest.mark.parametrize("make", [cascade, recycling])
def test_every_cell_of_a_composition_gets_its_own_seed(make):
    spec = reseeded(make(1, 1, 2).spec(), 7)
    weights = [
        np.concatenate([v.detach().ravel() for v in build(s).parameters()]) for s in (spec, spec, make(1, 1, 2).spec())
    ]
    assert np.array_equal(*weights[:2]) and not np.array_equal(*weights[1:])
    assert "'seed': 7" in str(spec) and "'seed': 1007" in str(spec)


def failing(bad):
    def one(model, *args, seed, **options):
        if seed in bad:
            raise bad[seed]
        return fit(model, *args, seed=seed, **options)

    return one


def test_seed_without_certificate_is_reported(data, monkeypatch):
    monkeypatch.setattr(restarts, "fit", failing({1: CertificateError("no room")}))
    found = fit_best(GRU(1, 1, 2), *data, seeds=range(3), **OPTIONS)
    assert sorted(found.seeds) == [0, 2] and found.failures == {1: "no room"} and "no room" in found._repr_html_()
    with pytest.raises(CertificateError, match="no room"):
        fit_best(GRU(1, 1, 2), *data, seeds=[1], **OPTIONS)


def test_interrupt_keeps_the_seeds_that_are_done(data, monkeypatch):
    monkeypatch.setattr(restarts, "fit", failing({2: KeyboardInterrupt()}))
    found = fit_best(GRU(1, 1, 2), *data, seeds=range(4), **OPTIONS)
    assert found.interrupted and sorted(found.seeds) == [0, 1]


def test_interrupt_of_one_fit_ends_the_series_and_keeps_its_best(data, monkeypatch):
    monkeypatch.setattr(restarts, "fit", lambda *a, **k: replace(fit(*a, **k), interrupted=k["seed"] == 1))
    found = fit_best(GRU(1, 1, 2), *data, seeds=range(4), **OPTIONS)
    assert found.interrupted and sorted(found.seeds) == [0, 1]


def test_mistakes_are_named(data):
    with pytest.raises(ValueError, match="each of them once"):
        fit_best(GRU(1, 1, 2), *data, seeds=[1, 1], **OPTIONS)
    with pytest.raises(ValueError, match="nu = 2"):
        fit_best(NNARX(2, 1, 2), *data, seeds=[1], **OPTIONS)


def test_processes_give_what_one_process_gives(data):
    one, two = (fit_best(GRU(1, 1, 2), *data, seeds=range(2), **QUICKER, jobs=jobs) for jobs in (1, 2))
    assert one.seeds == two.seeds and one.errors == two.errors


def test_cluster_loses_nothing_when_a_worker_is_killed(data, tmp_path):
    local = dict(n_workers=2, threads_per_worker=1, dashboard_address=None, local_directory=str(tmp_path))
    # forked workers need not import everything once more
    with dask.config.set({"distributed.worker.multiprocessing-method": "fork"}), LocalCluster(**local) as cluster:
        with Client(cluster) as client, joblib.parallel_config(backend="dask"):
            (_, victim), (survivor, _) = client.run(os.getpid).items()
            killing = client.submit(lambda: time.sleep(0.5) or os.kill(victim, signal.SIGKILL), workers=[survivor])
            found = fit_best(GRU(1, 1, 2), *data, seeds=range(6), **QUICKER)
            assert killing.done() and victim not in client.run(os.getpid).values()
    assert sorted(found.seeds) == list(range(6))
