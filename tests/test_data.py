"""Experiment: what it accepts, what it refuses and how it says so, and its readers."""

import dataclasses
import re
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.io

from rnn_control.data import Experiment
from rnn_control.scaler import Scaler

WAVE = np.sin(np.arange(60))


def waves(length: int = 60, nu: int = 1, ny: int = 1) -> Experiment:
    k = np.arange(length)[:, None]
    return Experiment(np.sin(k + np.arange(nu)), 5 + np.cos(k + np.arange(ny)), dt=2.0)


def write(tmp_path, text: str, **kind):
    path = tmp_path / "plant.csv"
    path.write_text(text, **({"encoding": "utf-8"} | kind))
    return path


def table(header: str = "t,Tc [K],T (degC)", n: int = 40, step: float = 6.0, sep: str = ",") -> str:
    rows = [sep.join(map(str, (i * step, i % 7 + 0.5, i % 5 + 0.25))) for i in range(n)]
    return "\n".join([header, *rows] if header else rows) + "\n"


def replaced(row: int, text: str, **options) -> str:
    lines = table(**options).splitlines()
    lines[row - 1] = text
    return "\n".join(lines)


def test_one_dimensional_arrays_are_one_channel():
    e = Experiment(WAVE, WAVE + 1, dt=0.5)
    assert (e.u.shape, e.y.shape, e.nu, e.ny, e.n_samples) == ((60, 1), (60, 1), 1, 1, 60)


def test_records_keep_their_own_length_and_time():
    e = Experiment([WAVE, WAVE[:20]], [WAVE, WAVE[:20]], dt=0.5)
    assert [len(r.u) for r in e] == [60, 20] and e.time(1)[-1] == 9.5


def test_single_record_access_to_many_records_is_refused():
    with pytest.raises(ValueError, match=r"2 records; use .us, or experiment\[i\].u"):
        _ = Experiment([WAVE, WAVE], [WAVE, WAVE], dt=1).u


def test_experiment_does_not_alias_its_arguments():
    u = WAVE.copy()
    e = Experiment(u, WAVE, dt=1)
    u[:] = 0
    assert np.ptp(e.u) > 1


def test_experiment_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        waves().dt = 1.0


HOLE = np.where(np.arange(60) == 7, np.nan, WAVE)
REFUSED = {
    "nan": (dict(y=HOLE, y_names="T"), 'record 0, channel "T", sample 7: nan'),
    "inf": (dict(u=np.where(WAVE > 0.99, np.inf, WAVE)), 'channel "u0", sample [0-9]+: inf'),
    "empty": (dict(u=np.zeros((0, 1))), "u is empty"),
    "constant input": (dict(u=np.ones(60), u_names="Tc"), 'u channel "Tc" is constant'),
    "constant output": (dict(y=np.ones(60)), 'y channel "y0" is constant'),
    "transposed": (dict(u=np.stack([WAVE, WAVE])), "looks transposed"),
    "three axes": (dict(u=np.zeros((3, 60, 1))), "several records are a list"),
    "lengths": (dict(u=WAVE[:50]), "u has 50 samples, y has 60"),
    "records": (dict(u=[WAVE, WAVE]), "u has 2 records, y has 1"),
    "channels": (
        dict(u=[WAVE, np.stack([WAVE, WAVE], 1)], y=[WAVE, WAVE]),
        "record 1: u has 2 channels, record 0 has 1",
    ),
    "text": (dict(u=["a"] * 60), "not numbers"),
    "dt": (dict(dt=0.0), "dt = 0.0; it is the sampling time"),
    "no dt": (dict(dt=None), "dt = None; it is the sampling time"),
    "names": (dict(u_names=["a", "b"]), "2 entries, 1 are needed"),
    "same name": (dict(u_names=["T"], y_names=["T"]), "more than once"),
    "gaps": (dict(gaps="fill"), '"error", "split" or "mask"'),
}


@pytest.mark.parametrize("case", REFUSED)
def test_bad_data_are_refused_with_their_place(case):
    changed, message = REFUSED[case]
    with pytest.raises(ValueError, match=message):
        Experiment(**{"u": WAVE, "y": WAVE, "dt": 1.0, **changed})


def test_split_gaps_are_records():
    e = Experiment(WAVE, np.where(np.arange(60) == 30, np.nan, WAVE), dt=1, gaps="split")
    assert e.names == ("record 0 [0:30]", "record 0 [31:60]")


def test_short_stretches_are_reported():
    with pytest.warns(UserWarning, match="7 samples left out.*sample 0 to sample 6"):
        e = Experiment(WAVE, HOLE, dt=1, gaps="split")
    assert e.n_samples == 52


def test_nothing_left_of_gaps_is_refused():
    holes = np.where(np.arange(60) % 60 > 0, np.nan, WAVE)
    with (
        pytest.warns(UserWarning, match="left out"),
        pytest.raises(ValueError, match="no stretch of 10 samples"),
    ):
        Experiment(WAVE, holes, dt=1, gaps="split")


def test_split_is_by_time_and_complete():
    e = waves(101)
    parts = e.split(0.7, 0.15)
    assert np.array_equal(np.concatenate([p.u for p in parts]), e.u)


def test_part_of_a_split_may_hold_an_input_still():
    u = np.where(np.arange(100) < 70, np.sin(np.arange(100)), 0.0)
    test = Experiment(u, np.cos(np.arange(100)), dt=1).split(0.7, 0.15)[2]
    assert np.ptp(test.u) == 0


@pytest.mark.parametrize("fractions", [(0.7, 0.3), (70, 15), (0.0, 0.5), (0.9, -0.1)])
def test_fractions_are_checked(fractions):
    with pytest.raises(ValueError, match="fractions must be > 0"):
        waves().split(*fractions)


def test_too_short_part_is_named():
    with pytest.raises(ValueError, match="its valid part would have 6, at least 10"):
        waves(60).split(0.7, 0.1)


def test_join_keeps_records_apart():
    e = Experiment.join(waves(60), waves(50))
    assert len(e) == 2 and e.names == ("record 0", "record 0 (2)")


def test_join_as_a_method_keeps_the_experiment_itself():
    assert [len(u) for u in waves(60).join(waves(50)).us] == [60, 50]


def test_join_of_different_sampling_times_is_refused():
    with pytest.raises(ValueError, match="dt of experiment 1 is 1.0, of experiment 0 2.0"):
        Experiment.join(waves(), Experiment(WAVE, WAVE, dt=1))


def test_split_records_takes_indices_and_names():
    e = Experiment.join(waves(60), waves(50), waves(40))
    assert [p.n_samples for p in e.split_records([2], ["record 0"], [1])] == [40, 60, 50]


def test_record_in_two_parts_is_refused():
    with pytest.raises(ValueError, match="used twice"):
        Experiment.join(waves(), waves()).split_records([0], [1], [0])


def test_fingerprint_is_of_the_contents():
    e = waves()
    same = Experiment(e.u, e.y, e.dt, names="other name")
    assert e.fingerprint() == same.fingerprint() != Experiment(e.u, e.y, 1.0).fingerprint()


def test_repr_shows_channels_with_range_and_unit():
    text = repr(Experiment(WAVE, WAVE * 100, 6, u_names="q", y_names="T", y_units="K"))
    assert "dt = 6 s" in text and re.search(r"y  T  -\S+ to \S+ K", text)


def test_plot_has_outputs_first_with_units():
    figure = Experiment(WAVE, WAVE, 1, u_names="q", y_names="T", y_units="K").plot()
    assert [ax.get_ylabel() for ax in figure.axes] == ["T [K]", "q"]


def test_csv_header_gives_names_and_units(tmp_path):
    e = Experiment.from_csv(write(tmp_path, table()), u=["Tc"], y=["T"], time="t")
    assert (e.u_names, e.u_units, e.y_names, e.y_units) == (("Tc",), ("K",), ("T",), ("degC",))


TEXTS = {
    "semicolon, decimal comma": table(sep=";").replace(",", ";").replace(".", ","),
    "tab": table().replace(",", "\t"),
    "spaces": re.sub(",", "  ", table()),
    "commented header": "# logger 7\n# " + table(),
    "comments": "# logger 7\n\n" + table().replace("\n6.0", "\n% stopped\n6.0"),
    "unit row": table("t,Tc,T").replace("T\n", "T\n[s],[K],[degC]\n", 1),
    "empty last column": table().replace("\n", ",\n"),
    "byte order mark": "\ufeff" + table(),
    "crlf": table().replace("\n", "\r\n"),
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_csv_dialects_read_the_same(tmp_path, text):
    e = Experiment.from_csv(write(tmp_path, text), u="Tc", y="T", time="t")
    reference = Experiment.from_csv(write(tmp_path, table()), u="Tc", y="T", time="t")
    assert e.fingerprint() == reference.fingerprint()


def test_csv_without_header_is_addressed_by_index(tmp_path):
    path = write(tmp_path, table("").replace(",", "\t") + "\n")
    e = Experiment.from_csv(path, u=[1], y=[2], time=0, time_unit="min")
    assert e.dt == 360.0 and e.u[0, 0] == 0.5


def test_csv_without_header_takes_given_names(tmp_path):
    path = write(tmp_path, table(""))
    e = Experiment.from_csv(path, u="q", y="T", time="t", columns=["t [h]", "q", "T [K]"])
    assert (e.dt, e.y_units) == (21600.0, ("K",))


def test_csv_of_excel_in_cp1252_keeps_the_degree_sign(tmp_path):
    path = write(tmp_path, table("t,q,T [\u00b0C]"), encoding="cp1252")
    assert Experiment.from_csv(path, u="q", y="T", dt=1).y_units == ("\u00b0C",)


@pytest.mark.parametrize("form", ["%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%SZ", "%d.%m.%Y %H:%M:%S"])
def test_csv_reads_dates(tmp_path, form):
    start = np.datetime64("2024-02-28T23:59:00")
    times = [(start + 30 * i).item().strftime(form) for i in range(40)]
    text = "date;q;T\n" + "".join(f"{t};{i % 7};{i % 5}\n" for i, t in enumerate(times))
    assert Experiment.from_csv(write(tmp_path, text), u="q", y="T", time="date").dt == 30.0


CSV_FAULTS = {
    "missing": (replaced(10, "48.0,,1"), 'plant.csv, channel "Tc", row 10 (sample 8): nan'),
    "text": (replaced(10, "48.0,Bad,1"), "column \"Tc\", row 10 (sample 8): 'Bad' is not a number"),
    "jump": (replaced(10, "51.0,1,1"), "row 10 (sample 8): time steps by 9 s, the sampling time"),
    "back": (replaced(10, "1.0,1,1"), "row 10 (sample 8): time goes back by 41 s; sort"),
    "duplicate": (replaced(10, "42.0,1,1"), "row 10 (sample 8): the same time as the row before"),
    "broken row": (replaced(10, "48.0,1,1,1"), "row 10 has 4 cells where the table has 3"),
    "unknown": (table("t,Tk,T"), 'no column "Tc"; nearest: '),
    "twice": (table("t,Tc [K],Tc [C]"), '"Tc" is the name of 2 columns'),
    "constant": (re.sub(r",\S+,", ",1,", table()), 'plant.csv: u channel "Tc" is constant'),
    "only header": ("t,Tc,T\n", "a header but no data rows"),
    "nothing": ("# comment\n", "holds no data rows"),
    "time unit": (table("t [weeks],Tc,T"), "'weeks' is no unit of time"),
}


@pytest.mark.parametrize("case", CSV_FAULTS)
def test_csv_faults_name_file_column_and_row(tmp_path, case):
    text, message = CSV_FAULTS[case]
    with pytest.raises(ValueError, match=re.escape(message)) as error:
        Experiment.from_csv(write(tmp_path, text), u="Tc", y="T", time="t")
    assert "plant.csv" in str(error.value)


def test_missing_sampling_time_names_the_way_out(tmp_path):
    with pytest.raises(ValueError, match='no sampling time; give dt= in s.*time="t"'):
        Experiment.from_csv(write(tmp_path, table()), u="Tc", y="T")


def test_missing_sampling_time_does_not_propose_a_temperature_as_time(tmp_path):
    with pytest.raises(ValueError, match="no sampling time") as error:
        Experiment.from_csv(write(tmp_path, "u,T\n1,20\n2,21\n1,23\n"), u="u", y="T")
    assert 'time="T"' not in str(error.value)


def test_column_in_both_roles_is_refused(tmp_path):
    with pytest.raises(ValueError, match='"T" is named both in u and in y'):
        Experiment.from_csv(write(tmp_path, table()), u=["Tc", "T"], y="T", dt=1)


def test_columns_that_are_not_used_may_be_dirty(tmp_path):
    path = write(tmp_path, replaced(10, "late,1,1"))
    assert Experiment.from_csv(path, u="Tc", y="T", dt=6).n_samples == 40


GAPS = {
    "missing value": replaced(22, "120.0,,1"),
    "time jumps": table(n=20) + "".join(f"{500 + 6 * i},{i % 7},{i}\n" for i in range(20)),
    "time starts again": table(n=20) + table("", n=20),
}


@pytest.mark.parametrize("text", GAPS.values(), ids=GAPS)
def test_csv_gaps_start_a_new_record(tmp_path, text):
    e = Experiment.from_csv(write(tmp_path, text), u="Tc", y="T", time="t", gaps="split")
    assert e.names in (
        ("plant [0:20]", "plant [20:40]"),
        ("plant [0:20]", "plant [21:40]"),
    )


def test_csv_text_cells_taken_as_gaps_are_reported(tmp_path):
    path = write(tmp_path, replaced(22, "120.0,Bad,1"))
    with pytest.warns(UserWarning, match=r"1 text cells taken as gaps, first 'Bad', row 22"):
        e = Experiment.from_csv(path, u="Tc", y="T", dt=6, gaps="split")
    assert e.n_samples == 39


def test_time_jitter_is_tolerated(tmp_path):
    e = Experiment.from_csv(write(tmp_path, replaced(10, "48.4,1,1")), u="Tc", y="T", time="t")
    assert e.dt == 6.0


def test_given_dt_must_agree_with_time(tmp_path):
    with pytest.raises(ValueError, match="steps by 6 s, the sampling time is 5 s"):
        Experiment.from_csv(write(tmp_path, table()), u="Tc", y="T", time="t", dt=5.0)


def test_dict_of_arrays_reads_as_a_frame():
    frame = {"t [min]": np.arange(40) / 10, "q": WAVE[:40], "T [K]": WAVE[:40]}
    e = Experiment.from_frame(frame, u="q", y="T", time="t")
    assert (e.dt, e.y_units) == (6.0, ("K",))


def test_data_frame_with_dates_in_its_index():
    pandas = pytest.importorskip("pandas")
    index = pandas.date_range("2024-01-01", periods=60, freq="30s", tz="UTC")
    frame = pandas.DataFrame({"q": WAVE, "T": WAVE}, index=index)
    assert Experiment.from_frame(frame, u="q", y="T", time="index").dt == 30.0


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


def test_scaler_maps_training_inputs_onto_the_unit_box():
    e = waves(nu=2, ny=3)
    u_n = Scaler.fit(e).u_in(e.u)
    assert np.allclose([u_n.min(0), u_n.max(0)], [[-1, -1], [1, 1]], atol=1e-12)


def test_scaler_standardises_outputs():
    e = waves(ny=2)
    y_n = Scaler.fit(e).y_in(e.y)
    assert np.allclose([y_n.mean(0), y_n.std(0)], [[0, 0], [1, 1]], atol=1e-12)


def test_scaler_survives_its_dict_and_inverts():
    e = waves()
    s = Scaler.from_dict(Scaler.fit(e, u_min=-2, u_max=3).to_dict())
    assert np.allclose(s.u_out(s.u_in(e.u)), e.u) and s.u_min == -2 and s.u_max == 3


def test_scaler_refuses_a_box_that_the_data_leave():
    with pytest.raises(ValueError, match='input "u0" runs from .* outside the box'):
        Scaler.fit(waves(), u_min=0.0, u_max=1.0)


def test_scaler_names_an_input_that_holds_still():
    u = np.where(np.arange(100) < 50, 1.0, np.sin(np.arange(100)))
    train = Experiment(u, np.cos(np.arange(100)), dt=1, u_names="q").split(0.4, 0.3)[0]
    with pytest.raises(ValueError, match='input "q" has the box .* of no width'):
        Scaler.fit(train)
