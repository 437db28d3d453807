"""A search can be watched: every judged iterate is told, drawn on a terminal, and written for TensorBoard."""

import io
import math
import pickle
import re
import struct
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from tensorboardX.proto.event_pb2 import Event
from tensorboardX.record_writer import masked_crc32c
from zoo import identified, inputs, quick_gru

from rnn_control import Experiment, fit
from rnn_control.tensorboard import TensorBoard, crc32c, masked
from rnn_control.watch import Step
from rnn_control_cli.live import BLOCKS, curve, live_view, view

OPTIONS = dict(epochs=3, polish=6, washout=10)


@pytest.fixture(scope="module")
def record():
    model = identified(quick_gru(1, 1, 2, seed=1))
    u = model.scaler.u_out(inputs(np.random.default_rng(0), 120, 1))
    return Experiment(u, model.simulate(u), 1.0)


class Terminal(io.StringIO):
    def isatty(self):
        return True


def train(record, certificate="delta_iss", **options):
    return fit(quick_gru(1, 1, 2), record, certificate=certificate, **OPTIONS, **options)


@pytest.fixture(scope="module")
def told(record):
    steps = []
    return train(record, log=steps.append), steps


def test_every_iterate_is_told_as_history_keeps_it(told):
    result, steps = told
    rows = np.array([(s.loss, s.error, -s.margin) for s in steps])
    assert np.array_equal(rows, np.transpose([result.history[k] for k in ("loss", "valid", "residual")]))
    assert [s.iteration for s in steps] == list(range(len(steps))) and steps[-1].total >= len(steps)
    assert steps[-1].best == result.history["valid"][result.best_iteration]


def test_time_left_shrinks_to_nothing(told):
    left = [s.seconds_left for s in told[1]]
    assert left[0] > left[-1] >= 0 and Step(9, 10, 0, 0, 0, 0, 5.0).seconds_left == 0


def test_search_without_certificate_has_no_margin(record):
    steps = []
    train(record, certificate=None, log=steps.append)
    assert all(math.isnan(s.margin) for s in steps) and "margin" not in str(steps[-1])


def test_listener_may_end_the_search(record):
    def stop(step):
        if step.iteration == 2:
            raise KeyboardInterrupt

    result = train(record, log=stop)
    assert result.interrupted and len(result.history["loss"]) == 3


def test_line_on_a_terminal_has_loss_fit_and_margin(record, monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    train(record)
    shown = sys.stderr.getvalue()
    assert all(word in shown for word in ("loss ", "valid FIT ", "kept ", "margin +"))
    assert re.search(r" (\d+)/\1 \[", shown)  # the last line, whatever the search took


def events(folder: Path) -> list[Event]:
    """Every record of the file: length, its checksum, data, its checksum."""
    [path] = folder.glob("*tfevents*")
    data, found = path.read_bytes(), []
    while data:
        length, content = struct.unpack_from("<Q", data)[0], data[12:]
        assert data[8:12] == struct.pack("<I", masked_crc32c(data[:8]))
        assert content[length : length + 4] == struct.pack("<I", masked_crc32c(content[:length]))
        found.append(Event.FromString(content[:length]))
        data = content[length + 4 :]
    assert found[0].file_version == "brain.Event:2" and all(abs(e.wall_time - time.time()) < 60 for e in found)
    return found


def test_tensorboard_gets_every_value_and_each_search_a_run(record, told, tmp_path):
    board, (_, steps) = TensorBoard(tmp_path), told
    for _ in range(2):
        for step in steps:
            board(step)
    for run in ("1", "2"):
        found = [(e.step, v.tag, v.simple_value) for e in events(tmp_path / run) for v in e.summary.value]
        curves = {
            tag: {step: value for step, t, value in found if t == tag} for tag in dict.fromkeys(f[1] for f in found)
        }
        assert curves["loss"] == pytest.approx({s.iteration: s.loss for s in steps}, rel=1e-6)
        assert curves["FIT/valid"] == pytest.approx({s.iteration: s.fit for s in steps}, rel=1e-6)
        assert curves["margin"] == pytest.approx({s.iteration: s.margin for s in steps}, rel=1e-6)


def test_board_goes_to_another_process(tmp_path):
    board = pickle.loads(pickle.dumps(TensorBoard(tmp_path)))
    board(Step(0, 1, 1.0, 0.5, math.inf, math.nan, 0.1))
    assert [v.tag for e in events(tmp_path / "1") for v in e.summary.value] == ["loss", "FIT/valid"]


def test_checksum_is_that_of_the_standard():
    assert crc32c(b"123456789") == 0xE3069283 and masked(b"12") == struct.pack("<I", masked_crc32c(b"12"))


def test_long_search_keeps_its_numbers(tmp_path):
    board = TensorBoard(tmp_path)
    for k in (0, 127, 128, 70_000):
        board(Step(k, 10**6, 1.0, 0.5, 0.5, 0.1, 1.0))
    assert [e.step for e in events(tmp_path / "1")[1:]] == [0, 127, 128, 70_000]


def test_view_shows_the_four_numbers(told):
    console = Console(file=io.StringIO(), width=120)
    for steps in ([], told[1][:1], told[1]):
        console.print(view("fit gru", steps))
    shown = console.file.getvalue()
    last = told[1][-1]
    assert "preparing" in shown and f"{len(told[1])} of {last.total}" in shown and f"{last.loss:.3g}" in shown
    assert all(title in shown for title in ("loss", "validation FIT", "kept so far", "certificate margin"))


def test_view_is_for_terminals(monkeypatch):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    with live_view("fit") as listener:
        assert listener is None


def test_curve_rises_with_its_values():
    assert curve([-500.0, 0.0, 50.0, 100.0]) == BLOCKS[0] * 2 + BLOCKS[4] + BLOCKS[-1]
    assert len(curve(list(range(1000)))) == 60
