"""The search over cells and sizes: the best by validation, and what a kill leaves is gone on with."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path

import optuna
import pytest
from sqlalchemy.exc import OperationalError
from test_fit import QUICK, record

from rnn_control import fit
from rnn_control import tune as module
from rnn_control.restarts import error_of
from rnn_control.tune import tune

OPTIONS = dict(QUICK, kinds=("gru", "ren"), sizes=(2, 2), certificate=None)


@pytest.fixture(scope="module")
def data():
    return record(200, 0), record(120, 1)


def test_best_row_is_the_result_and_a_second_call_goes_on(data, tmp_path):
    first = tune(*data, trials=3, storage=tmp_path / "a.db", **OPTIONS)
    assert error_of(first.best) == first.rows[0][1] == min(row[1] for row in first.rows)
    more = tune(*data, trials=4, storage=tmp_path / "a.db", **OPTIONS)
    assert len(more.rows) == 4 and set(first.rows) < set(more.rows)
    assert "validation" in str(more) and "gru" in more._repr_html_()


def test_other_records_and_unknown_kinds_are_refused(data, tmp_path):
    tune(*data, trials=1, storage=tmp_path / "a.db", **OPTIONS)
    with pytest.raises(ValueError, match="another train"):
        tune(record(200, 7), data[1], trials=1, storage=tmp_path / "a.db", **OPTIONS)
    with pytest.raises(ValueError, match="no models called"):
        tune(*data, kinds=("grue",))


def test_interrupt_ends_the_search_with_what_is_finished(data, monkeypatch):
    calls = iter([False, True, False])
    monkeypatch.setattr(module, "fit", lambda *a, **k: replace(fit(*a, **k), interrupted=next(calls)))
    found = tune(*data, trials=5, **OPTIONS)
    assert [row[-1] for row in found.rows] == ["complete", "fail"]


KILLED = """
from test_tune import OPTIONS, record, tune
tune(record(200, 0), record(120, 1), trials=1000, storage={path!r}, **OPTIONS)
"""


def finished(path):
    count = "select count(*) from trials where state not in ('RUNNING', 'WAITING')"
    with suppress(sqlite3.OperationalError), closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as file:
        return file.execute(count).fetchone()[0]
    return 0  # no file yet, or no tables in it


def test_killed_search_goes_on_with_what_was_finished(data, tmp_path):
    path, here = tmp_path / "a.db", Path(__file__).parent
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(here), str(here.parent)])}
    process = subprocess.Popen([sys.executable, "-c", KILLED.format(path=str(path))], env=environment)
    until = time.monotonic() + 120
    while finished(path) < 2 and time.monotonic() < until:
        time.sleep(0.3)
    process.send_signal(signal.SIGKILL)
    process.wait()
    kept = finished(path)
    found = tune(*data, trials=kept + 1, storage=path, **OPTIONS)
    assert kept >= 2 and sum(row[-1] != "running" for row in found.rows) == kept + 1


def test_a_file_that_another_process_is_just_making_is_waited_for(data, tmp_path, monkeypatch):
    taken = iter([True])

    class Storage(optuna.storages.RDBStorage):
        def __init__(self, url):
            if next(taken, False):
                raise OperationalError("create table", {}, Exception("table study_directions already exists"))
            super().__init__(url)

    monkeypatch.setattr(optuna.storages, "RDBStorage", Storage)
    assert len(tune(*data, trials=1, storage=tmp_path / "a.db", **OPTIONS).rows) == 1
