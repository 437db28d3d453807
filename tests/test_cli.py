"""The command line does what it says, in text and in JSON, and loads nothing heavy to say it."""

import json
import runpy
import subprocess
import sys
from pathlib import Path

import casadi as ca
import numpy as np
import pytest
from click.shell_completion import ShellComplete
from zoo import identified, quick_gru

from mpc import Record
from plants import PLANTS
from rnn_control import GRU, IdentifiedModel, Scaler
from rnn_control_cli.main import COMMANDS, group, main

ROOT = Path(__file__).parents[1]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A small certified model and a record of it, in the working folder."""
    model = identified(quick_gru(2, 1, 4, seed=3))
    model.save(tmp_path / "model")
    u = model.scaler.u_out(np.repeat(np.random.default_rng(0).uniform(-1, 1, (30, 2)), 6, axis=0))
    table = np.column_stack([2.0 * np.arange(180), u, model.simulate(u)])
    header = "t [s],valve 0 [L/min],valve 1 [L/min],T0 [K]"
    np.savetxt(tmp_path / "record.csv", table, delimiter=",", header=header, comments="")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def command(capsys):
    """Runs a command line: (exit code, what it says on stdout)."""

    def call(line: str, *more: str):
        with pytest.raises(SystemExit) as end:
            main([*line.split(), *more])
        return end.value.code, capsys.readouterr().out

    return call


def parsed(result):
    return result[0], json.loads(result[1])


def test_fit_writes_a_certified_model(folder, command):
    line = "fit record.csv --outputs T0 --time t --size 3 --epochs 5 --polish 25 --washout 10 --price --out m"
    code, found = parsed(command(line, "--json", "--inputs", "valve 0,valve 1"))
    model = IdentifiedModel.load("m.safetensors")
    assert code == 0 and found["certificate"]["holds"] and found["fit"]["T0"] > 50
    assert found["linear"]["fit"]["T0"] > 50
    assert (model.y_units, model.dt, found["model"]) == (("K",), 2.0, "m.safetensors")
    assert list(found["price"]) == ["T0"] and abs(found["price"]["T0"]) < 100


def test_a_network_certified_by_construction_has_no_twin_to_be_priced_against(folder, command):
    line = "fit record.csv --outputs T0 --time t --model ren --size 2 --epochs 2 --polish 20 --price"
    code, said = command(line, "--inputs", "valve 0,valve 1")
    assert code == 0 and "a ren has no twin without" in said


def test_fit_that_finds_no_certificate_is_an_honest_negative(folder, command):
    line = "fit record.csv --outputs T0 --time t --model esn --size 3 --margin 0.9 --epochs 0 --polish 0 --json"
    code, found = parsed(command(line, "--inputs", "valve 0,valve 1"))
    assert code == 1 and found["model"] is None and found["reason"]


def test_certificate_is_written_and_checked_again(folder, command):
    code, found = parsed(command("certify model.safetensors --rigorous --out c.json --json"))
    assert (code, found["proof"]) == (0, "exact arithmetic")
    code, found = parsed(command("check model.safetensors c.json --json"))
    assert (code, found["verdict"]) == (0, "PROVED") and "gains" in found["reason"]


def test_refusals_have_exit_code_one_and_write_no_certificate(folder, command):
    identified(GRU(2, 1, 4, seed=1)).save("other")
    code, _ = command("certify model.safetensors --out c.json")
    assert code == 0 and command("check other.safetensors c.json")[0] == 1
    model = IdentifiedModel.load("model.safetensors")
    model.model.Ur.data.mul_(100)
    model.save("wild")
    code, found = parsed(command("certify wild.safetensors --out w.json --json"))
    assert (
        code == 1 and not found["holds"] and found["gain"] == [["Infinity", "Infinity"]] and not Path("w.json").exists()
    )


def test_certificate_of_another_box(folder, command):
    _, found = parsed(command("certify model.safetensors --json", "--box", "valve 1=:1e3"))
    assert found["input_box"][1][1] == 1e3


def test_simulation_is_scored_and_written(folder, command):
    code, found = parsed(command("simulate model.safetensors record.csv --out run.csv --json"))
    table = np.genfromtxt("run.csv", delimiter=",", skip_header=1)
    assert code == 0 and found["fit"]["T0"] > 99.9 and np.allclose(table[:, 4], table[:, 5])


def test_loop_with_the_model_as_its_own_plant(folder, command):
    model = IdentifiedModel.load("model.safetensors")
    code, found = parsed(command(f"mpc model.safetensors --reference T0=20:{model.scaler.y_mean[0]} --steps 40 --json"))
    record = Record.load("closed_loop.npz")
    assert code == 0 and found["failed_steps"] == 0 and Path("closed_loop.png").stat().st_size > 1e4
    assert abs(record.y_true[-1, 0] - model.scaler.y_mean[0]) < 0.05 * model.scaler.y_std[0]
    assert abs(np.diff(record.y_true[:10, 0])).max() < 1e-6 * model.scaler.y_std[0]


def test_loop_with_a_plant_of_the_library(folder, command):
    plant = PLANTS["ph_neutralisation"]()
    names = dict(u_names=plant.u_names, y_names=plant.y_names, u_units=plant.u_units, y_units=plant.y_units)
    low, high = plant.u_region_min, plant.u_region_max
    cell, scaler = quick_gru(1, 1, 4), Scaler((low + high) / 2, (high - low) / 2, [7], [1])
    IdentifiedModel(cell, scaler, plant.sampling_time, **names).save("ph")
    line = f"mpc ph.safetensors --plant ph_neutralisation --bound {plant.y_names[0]}=2:12 --steps 3 --out loop"
    assert command(line)[0] in (0, 1) and len(Record.load("loop.npz")) == 3


@pytest.mark.parametrize("target, suffix", [("casadi", ".casadi"), ("onnx", ".onnx"), ("c", ".c"), ("matlab", ".m")])
def test_export_writes_the_file_beside_the_model(folder, command, target, suffix):
    code, found = parsed(command(f"export model.safetensors --to {target} --json"))
    assert code == 0 and found["files"][0] == f"model{suffix}" and all(Path(f).exists() for f in found["files"])


def test_casadi_file_is_the_model(folder, command):
    command("export model.safetensors --to casadi --out step")
    system, step = IdentifiedModel.load("model.safetensors").to_casadi(), ca.Function.load("step.casadi")
    x, u = np.full(4, 0.1), system.u_max
    for a, b in zip(step(x, u), (system.f(x, u), system.g(x)), strict=True):
        assert (a.full() == b.full()).all()


def test_record_of_a_plant_is_ready_to_be_fitted(folder, command):
    code, found = parsed(command("plants four_tanks --record tanks.csv --samples 30 --json"))
    table = np.genfromtxt("tanks.csv", delimiter=",", names=True)
    assert code == 0 and found["inputs"] and len(table) == 30 and len(table.dtype) == 7


def test_plants_are_listed_and_shown(command):
    code, found = parsed(command("plants --json"))
    assert code == 0 and [p["plant"] for p in found["plants"]] == list(PLANTS)
    assert "van_de_vusse" in command("plants")[1] and "degC" in command("plants van_de_vusse")[1]


def test_reports_of_a_model_and_of_a_loop(folder, command):
    command("mpc model.safetensors --steps 2")
    assert command("report closed_loop.npz --out loop.html")[0] == 0
    code, found = parsed(command("report model.safetensors --data record.csv --json"))
    page = Path(found["report"]).read_text()
    assert code == 0 and "99 % forgotten after" in page and "Control-readiness" in page and page.count("<figure>") == 6
    assert "last offset" in Path("loop.html").read_text()


def test_doctor_finds_what_is_needed(command):
    code, found = parsed(command("doctor --json"))
    assert code == 0 and found["missing"] == [] and found["solvers"]["ipopt"] and found["packages"]["torch"]


@pytest.mark.parametrize("name", [c.name for c in COMMANDS])
def test_every_command_has_an_example_and_speaks_json(name, command):
    code, text = command(f"{name} --help")
    assert code == 0 and f"  rnn-control {name}" in text and "--json" in text


@pytest.mark.parametrize("line", ["--help", "fit --help", "mpc --help"])
def test_help_loads_nothing_heavy(line):
    code = f"""
import sys
from rnn_control_cli.main import main
try:
    main({line.split()})
except SystemExit:
    sys.exit(len({{"torch", "casadi", "numpy", "matplotlib", "rich"}} & set(sys.modules)))
"""
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True).returncode == 0


COMPLETIONS = [
    ([], "si", ["simulate"]),
    (["export"], "--t", ["--to"]),
    (["mpc", "m", "--plant"], "van", ["van_de_vusse"]),
]


@pytest.mark.parametrize("words, start, ends", COMPLETIONS, ids=["command", "option", "plant"])
def test_tab_completes(words, start, ends):
    found = ShellComplete(group, {}, "rnn-control", "_RNN_CONTROL_COMPLETE").get_completions(words, start)
    assert [item.value for item in found] == ends


@pytest.mark.parametrize(
    "shell, word", [("bash", "complete -o"), ("zsh", "#compdef rnn-control"), ("fish", "function")]
)
def test_shells_are_told_how_to_complete(shell, word, monkeypatch, command):
    monkeypatch.setenv("_RNN_CONTROL_COMPLETE", f"{shell}_source")
    code, script = command("")
    assert code == 0 and word in script and "rnn-control" in script


def test_line_is_completed_as_a_shell_asks(monkeypatch, command):
    for key, value in dict(_RNN_CONTROL_COMPLETE="bash_complete", COMP_WORDS="rnn-control ex", COMP_CWORD="1").items():
        monkeypatch.setenv(key, value)
    assert command("") == (0, "plain,export\n")


PIPED = {
    "fit record.csv --outputs T0 --time t --size 3 --epochs 2 --polish 9 --inputs,valve 0,valve 1": "trained in",
    "mpc model.safetensors --steps 2": "steps solved",
}


@pytest.mark.parametrize("line", PIPED)
def test_pipe_gets_the_answer_and_nothing_else(line, folder, capfd, monkeypatch):
    monkeypatch.setattr(sys.modules["rnn_control.fit"], "is_few", lambda *_: False)  # so short a search is in vain
    words, *columns = line.split(",", 1)
    with pytest.raises(SystemExit) as end:
        main([*words.split(), *columns])
    text, error = capfd.readouterr()
    assert end.value.code == 0 and error == "" and "\x1b" not in text and PIPED[line] in text


def test_module_is_the_command(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["rnn_control", "--version"])
    with pytest.raises(SystemExit) as end:
        runpy.run_module("rnn_control", run_name="__main__")
    assert end.value.code == 0 and capsys.readouterr().out.startswith("rnn-control, version")
