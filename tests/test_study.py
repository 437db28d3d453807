"""The study and the comparison of networks: they go on after a kill, hold every combination, and say what is true."""

import importlib
import sys
from itertools import product
from pathlib import Path
from types import SimpleNamespace

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
physics, resumable, study, page = map(
    importlib.import_module, ("physics_network", "resumable", "study", "study_page")
)  # the scripts stand in no package
TASK = dict(record="ph", family="gru", certificate="delta_iss", seed=0, samples=60, epochs=1, polish=3, data="none")


def refuse(task):
    raise AssertionError(f"{task} was done already")


def test_a_study_goes_on_after_a_kill_that_tore_a_line(tmp_path):
    path, tasks = tmp_path / "runs.jsonl", [dict(n=n) for n in range(4)]
    resumable.run_all(lambda task: dict(square=task["n"] ** 2), tasks[:3], path)
    path.write_text(path.read_text()[:-5])  # the last line lost its end
    resumable.run_all(lambda task: dict(square=task["n"] ** 2), tasks[2:], path)
    assert [row["square"] for row in resumable.run_all(refuse, tasks, path)] == [0, 1, 4, 9]


def test_a_model_is_trained_kept_and_controls_its_plant(tmp_path):
    task = TASK | dict(out=str(tmp_path))
    (row,) = resumable.run_all(study.train, [task], tmp_path / "runs.jsonl")
    assert row["holds"] and 0 < row["rate"] < 1 and row["parameters"] == 151
    closed = study.control(task | dict(steps=8))
    assert closed["error"] > 0 and closed["not_ok"] == 0


def rows_of(fits):
    """Two seeds of every combination of the study, all FIT 90 but those given by (record, family, certificate)."""
    args = SimpleNamespace(quick=True, data="none", out="none", records=["ph", "separator"], seeds=2)
    found = dict(seconds=1.0, holds=True, rate=0.9, parameters=1)
    tasks = study.trainings(args)
    return [t | found | dict(fit=fits.get((t["record"], t["family"], t["certificate"]), 90.0)) for t in tasks]


def test_table_holds_every_combination_and_loops_follow_it():
    rows = rows_of({})
    expected = [*product(study.SIZES["ph"].keys() - {"ren"}, study.CERTIFICATES), ("ren", "delta_iss")]
    own = {(page.NAMES[f], page.PROPERTIES[c]) for f, c in expected}
    assert {tuple(line[:3]) for line in page.table(rows, [])} == {
        (t, *o) for t in list(page.TITLES.values())[:2] for o in own
    }
    args = SimpleNamespace(quick=True, records=["ph", "separator"])
    assert len(study.loops(rows, args)) == 2 * (len(own) + 1)


def test_sentences_name_those_who_lose():
    first, second = page.sentences(rows_of({("ph", "lstm", "delta_iss"): 60.0, ("ph", "esn", None): 99.0}), [])
    assert "without certificate ESN is the best (99.0 %)" in first and "LSTM 30.0" in first and "ESN 9.0" in first
    assert "No family loses" in second


def test_model_without_a_number_is_named_and_leaves_no_number(tmp_path):
    rows = rows_of({("ph", "nnarx", "iss"): None})
    assert "Not every seed gave a proved model: NNARX ISS." in page.sentences(rows, [])[0]
    html = page.write_page(rows, [], tmp_path / "study.html").read_text()
    assert html.count("<tr>") == 2 * (16 + 1) and "NNARX" in html


@pytest.mark.parametrize(
    "at_third, claim", [(80.0, "needs at most a third"), (70.0, "does not get by"), (None, "does not reach")]
)
def test_verdict_on_the_network_follows_from_its_numbers(at_third, claim):
    fits = {0.1: 20.0, 0.3: at_third or 50.0, 1.0: 90.0 if at_third else 70.0}
    rows = [
        dict(model=m, share=s, certificate=None, seed=0, inside=f if m != physics.BLACK_BOX else 79.0, outside=1.0)
        for m in physics.MODELS for s, f in fits.items()
    ]  # fmt: skip
    text, needed = physics.verdict(rows)
    assert claim in text and (needed is None) == (at_third is None)
