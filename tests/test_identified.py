"""Identified models: units at one boundary, and files that are whole, unchanged, or refused."""

import dataclasses
import json
import os

import numpy as np
import pytest
import safetensors.torch
import torch
from matplotlib import pyplot as plt
from numpy.testing import assert_allclose, assert_array_equal
from zoo import identified, inputs, quick_gru, randomised, two_rests

from rnn_control import ESN, GRU, Experiment, IdentifiedModel, Scaler
from rnn_control.initial import Visited
from rnn_control.model_file import SCHEMA, fingerprint, read_model, write_model
from rnn_control.simulate import simulate


@pytest.fixture
def model():
    return identified(quick_gru(2, 3, 5, seed=3))


@pytest.fixture
def record(model):
    u = model.scaler.u_out(inputs(np.random.default_rng(0), 200, 2))
    labels = {k: getattr(model, k) for k in ("u_names", "y_names", "u_units", "y_units")}
    return Experiment(u, model.simulate(u), model.dt, **labels)


def test_simulation_in_physical_units_equals_scaling_by_hand(model):
    s, u = model.scaler, model.scaler.u_out(inputs(np.random.default_rng(0), 30, 2))
    normalised = torch.from_numpy((u - s.u_mid) / s.u_half)
    _, y = simulate(model.model, model.model.theta(), torch.zeros(5, dtype=torch.float64), normalised)
    assert_allclose(model.simulate(u), s.y_mean + s.y_std * y.detach().numpy(), rtol=1e-12)


def test_record_of_the_model_itself_scores_full_marks(model, record):
    assert min(model.score(record).fit) > 99.99
    assert max(model.score(record, washout=0).rmse) < 1e-9


def test_of_several_rest_points_that_of_the_training_records_is_taken(tmp_path):
    """A window in which the outputs do not tell them apart, and a run without one; in CasADi and from a file, too."""
    labels = dict(u_names=("u",), y_names=("y",), u_units=("",), y_units=("",))
    model, mean = IdentifiedModel(two_rests(), Scaler.none(1, 1), 1.0, **labels), np.array([0.0, 0.9])
    home, lost = (dataclasses.replace(model, visited=Visited(sign * mean, 0.1)) for sign in (1, -1))
    u = np.repeat([0.0, 1.0], 60)[:, None]
    record = Experiment(u, lost.simulate(u, np.array([0.0, 0.95])), 1.0, **labels)
    for model in (home, IdentifiedModel.load(home.save(tmp_path / "model"))):
        assert model.score(record).rmse[0] < 1e-3 < 0.1 < lost.score(record).rmse[0]
        assert_allclose(model.simulate(u)[-1], record.y[-1], atol=1e-6)
        assert_array_equal(model.to_casadi().x0, home.x0)
        assert_array_equal(model.initial_state(u[:0], record.y[:0]), home.x0)


def test_runs_begin_in_the_box_that_certificates_are_for(model):
    outside = dataclasses.replace(model, visited=Visited(np.linspace(-2, 2, 5), 1.0))
    assert_array_equal(outside.x0, [-1, -1, 0, 1, 1])
    assert_array_equal(outside.to_casadi().x0, outside.x0)
    assert_array_equal(outside.states(np.zeros((3, 2)))[0][0], outside.x0)


IMPOSSIBLE = [[0.0] * 4, 1.0], [[0.0] * 5, 0.0], [[np.nan] * 5, 1.0], [[0.0] * 5], [1.0, 1.0], 3


@pytest.mark.parametrize("stored", IMPOSSIBLE, ids=str)
def test_an_impossible_begin_of_runs_in_a_file_is_refused(model, tmp_path, stored):
    path = dataclasses.replace(model, visited=Visited(np.zeros(5), 1.0)).save(tmp_path / "model")
    header, state = read_model(path)
    write_model(path, {**header, "visited": stored}, state)
    with pytest.raises(ValueError, match="where its runs begin"):
        IdentifiedModel.load(path)


def test_score_counts_only_samples_after_the_washout(model, record):
    y = record.y.copy()
    y[:50] += 0.1 * np.random.default_rng(0).normal(size=(50, 3))
    spoiled = Experiment(record.u, y, model.dt, record.u_names, record.y_names)
    assert model.score(spoiled, washout=50).n_samples == 150
    assert min(model.score(spoiled, washout=100).fit) > min(model.score(spoiled, washout=0).fit)


def test_warm_up_finds_the_present_state(model):
    rng = np.random.default_rng(1)
    x0, u = rng.uniform(-0.5, 0.5, 5), inputs(rng, 120, 2)
    x, _ = simulate(model.model, model.model.theta(), torch.from_numpy(x0), torch.from_numpy(u))
    physical = model.scaler.u_out(u)
    state = model.warm_up(physical, model.simulate(physical, x0))
    assert_allclose(state, x[-1].detach(), atol=1e-3)


def test_warm_up_continues_the_free_run(model, record):
    state = model.warm_up(record.u[:120], record.y[:120])
    assert_allclose(model.simulate(record.u[120:], state), record.y[120:], atol=1e-3 * model.scaler.y_std.max())


def test_initial_state_stays_in_the_certified_box(model, record):
    wild = record.y + 50 * model.scaler.y_std
    assert abs(model.initial_state(record.u[:40], wild[:40])).max() <= 1


def test_a_record_in_which_channels_stand_still_is_predicted_and_scored(model, record):
    """A step of one input, and an output that does not answer."""
    u = np.column_stack([record.u[:, 0], np.full(len(record.u), record.u[0, 1])])
    y = model.simulate(u)
    y[:, 2] = y[0, 2]
    labels = {k: getattr(model, k) for k in ("u_names", "y_names", "u_units", "y_units")}
    found = model.score(Experiment(u, y, model.dt, **labels))
    assert min(found.fit[:2]) > 99 and np.isnan(found.fit[2]) and "undefined" in str(found)


@pytest.mark.parametrize("change", [dict(u_names=("a", "b")), dict(y_names=("a", "b", "c")), dict(dt=1.0)], ids=str)
def test_record_of_other_channels_or_sampling_is_refused(model, record, change):
    labels = dict(dt=model.dt, u_names=model.u_names, y_names=model.y_names) | change
    with pytest.raises(ValueError, match="trained on|resample"):
        model.score(Experiment(record.u, record.y, **labels))


@pytest.mark.parametrize("label", ["u_units", "y_units"])
def test_record_in_other_units_is_refused_and_unknown_units_pass(model, record, label):
    units = tuple(f"unit {i}" for i in range(len(getattr(model, label))))
    labels = {k: getattr(model, k) for k in ("u_names", "y_names")} | {label: units}
    theirs = Experiment(record.u, record.y, model.dt, **labels)
    assert min(dataclasses.replace(model, **{label: ("",) * len(units)}).score(theirs).fit) > 99
    ours = dataclasses.replace(model, **{label: (*units[:-1], "furlong")})
    with pytest.raises(ValueError, match=f"is in {units[-1]}, the model was trained in furlong"):
        ours.score(theirs)


@pytest.mark.parametrize("residual", [None, np.array([0.1, 0.25, 1 / 3])], ids=["none", "known"])
def test_the_residual_of_the_outputs_is_kept_in_the_file(model, tmp_path, residual):
    loaded = IdentifiedModel.load(dataclasses.replace(model, residual=residual).save(tmp_path / "model"))
    assert_array_equal(loaded.residual, residual)


@pytest.mark.parametrize("u", [np.zeros((4, 3)), np.zeros(4), np.full((4, 2), np.nan), np.zeros((4, 2, 1))], ids=str)
def test_impossible_inputs_are_refused(model, u):
    with pytest.raises(ValueError, match="it must be|NaN or inf"):
        model.simulate(u)


def test_impossible_starts_and_windows_are_refused(model, record):
    with pytest.raises(ValueError, match="nx = 5"):
        model.simulate(record.u, np.zeros(4))
    with pytest.raises(ValueError, match="one window"):
        model.warm_up(record.u[:10], record.y[:9])
    with pytest.raises(ValueError, match="smaller washout"):
        model.score(record, washout=200)


def test_plot_names_channels_and_units(model, record):
    figure = model.plot(record)
    labels = [ax.get_ylabel() for ax in figure.axes] + [figure.axes[-1].get_xlabel()]
    plt.close(figure)
    assert labels == ["T0 [K]", "T1 [K]", "T2 [K]", "time [s]"]


@pytest.mark.parametrize("place", np.linspace(0, 0.999, 60).round(3))
def test_tampered_byte_is_noticed(model, tmp_path, place):
    path = model.save(tmp_path / "model")
    data = bytearray(path.read_bytes())
    data[int(place * len(data))] ^= 0x11
    path.write_bytes(data)
    with pytest.raises(ValueError, match="changed after|whole safetensors|no rnn_control model|has schema"):
        IdentifiedModel.load(path)


@pytest.mark.parametrize("share", [0, 0.01, 0.5, 0.99])
def test_truncated_file_is_refused(model, tmp_path, share):
    path = model.save(tmp_path / "model")
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(ValueError, match="not a whole safetensors file"):
        IdentifiedModel.load(path)


def test_file_of_a_newer_version_is_refused(tmp_path):
    text, state = json.dumps(dict(schema=SCHEMA + 1)), {"C": torch.zeros(1)}
    path = tmp_path / "new.safetensors"
    safetensors.torch.save_file(state, path, {"rnn_control": text, "sha256": fingerprint(text, state)})
    with pytest.raises(ValueError, match="upgrade rnn-control"):
        IdentifiedModel.load(path)


def test_foreign_file_is_refused(tmp_path):
    safetensors.torch.save_file({"C": torch.zeros(1)}, tmp_path / "foreign.safetensors")
    with pytest.raises(ValueError, match="written by something else"):
        IdentifiedModel.load(tmp_path / "foreign.safetensors")


def test_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="no model file .*absent"):
        IdentifiedModel.load(tmp_path / "absent.safetensors")


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_failing_save_keeps_the_old_file_and_leaves_nothing_else(model, tmp_path, monkeypatch, call):
    path = model.save(tmp_path / "model")
    before = path.read_bytes()

    def fail(*args):
        raise OSError("disk full")

    monkeypatch.setattr(os, call, fail)
    with pytest.raises(OSError, match="disk full"):
        identified(randomised(GRU(2, 3, 5), 9)).save(path)
    assert [p.name for p in tmp_path.iterdir()] == ["model.safetensors"] and path.read_bytes() == before


def test_fixed_reservoir_is_saved_not_redrawn(tmp_path):
    before = identified(randomised(ESN(1, 1, 5, seed=4), 7))
    after = IdentifiedModel.load(before.save(tmp_path / "esn"))
    assert torch.equal(after.model.Wx, before.model.Wx)


def test_saved_file_is_as_readable_as_any_other(model, tmp_path):
    (tmp_path / "plain").touch()
    assert model.save(tmp_path / "m").stat().st_mode == (tmp_path / "plain").stat().st_mode
