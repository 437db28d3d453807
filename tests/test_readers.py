"""Experiments from text files and data frames: dialects, names, units, time, and faults by row and column."""

import re

import numpy as np
import pytest

from rnn_control.data import Experiment

WAVE = np.sin(np.arange(60))


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
