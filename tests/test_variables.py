"""Experiments from variables by name: .mat and .npz files, objects."""

from types import SimpleNamespace

import numpy as np
import pytest
import scipy.io

from rnn_control.data import Experiment

WAVE = np.sin(np.arange(60))


def test_mat_variables_by_name(tmp_path):
    scipy.io.savemat(tmp_path / "a.mat", {"u": WAVE, "y": np.stack([WAVE, WAVE], 1), "Ts": 4})
    e = Experiment.from_mat(tmp_path / "a.mat", "u", "y", dt="Ts", y_units=["V", "V"])
    assert (e.dt, e.y_names, e.names) == (4.0, ("y0", "y1"), ("a",))


def test_mat_cells_are_records(tmp_path):
    cells = np.empty((1, 2), dtype=object)
    cells[0, 0], cells[0, 1] = WAVE[:, None], WAVE[:30, None]
    scipy.io.savemat(tmp_path / "a.mat", {"u": cells, "y": cells})
    e = Experiment.from_mat(tmp_path / "a.mat", "u", "y", dt=1, u_names="q")
    assert [len(u) for u in e.us] == [60, 30]


def test_mat_struct_fields_and_transposed_arrays(tmp_path):
    scipy.io.savemat(tmp_path / "a.mat", {"d": {"u": np.stack([WAVE, -WAVE]), "y": WAVE}})
    e = Experiment.from_mat(tmp_path / "a.mat", "d.u", "d.y", dt=1, channels_first=True)
    assert (e.nu, e.ny) == (2, 1)


def test_mat_time_jump_splits(tmp_path):
    t = np.arange(60) + 100.0 * (np.arange(60) >= 30)
    scipy.io.savemat(tmp_path / "a.mat", {"u": WAVE, "y": WAVE, "t": t})
    e = Experiment.from_mat(tmp_path / "a.mat", "u", "y", time="t", gaps="split", y_names="z")
    assert e.names == ("a [0:30]", "a [30:60]")


def test_mat_unknown_variable_names_the_nearest(tmp_path):
    scipy.io.savemat(tmp_path / "a.mat", {"uEst": WAVE, "y": WAVE})
    with pytest.raises(ValueError, match='no variable "uest"; nearest: uEst'):
        Experiment.from_mat(tmp_path / "a.mat", "uest", "y", dt=1)


def test_mat_of_version_7_3_is_refused_with_the_way_out(tmp_path):
    # header of an HDF5 based file: 116 bytes of text, then version 0x0200, little endian
    head = b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM"
    (tmp_path / "a.mat").write_bytes(head + bytes(512))
    with pytest.raises(ValueError, match="save it in MATLAB with .*-v7"):
        Experiment.from_mat(tmp_path / "a.mat", "u", "y", dt=1)


def test_npz_arrays_by_name(tmp_path):
    np.savez(tmp_path / "a.npz", u=WAVE, y=WAVE, dt=0.5)
    assert Experiment.from_npz(tmp_path / "a.npz", "u", "y", dt="dt", y_names="z").dt == 0.5


def test_objects_with_u_and_y_are_records():
    one = SimpleNamespace(u=WAVE, y=WAVE, sampling_time=0.5, name="train")
    two = SimpleNamespace(u=WAVE[:30], y=WAVE[:30], sampling_time=0.5)
    e = Experiment.from_object([one, two])
    assert (e.dt, e.names) == (0.5, ("train", "record 1"))


def test_object_without_sampling_time_needs_dt():
    with pytest.raises(ValueError, match="no .sampling_time and no .dt; give dt="):
        Experiment.from_object(SimpleNamespace(u=WAVE, y=WAVE))
