"""The example in each --help runs as it stands, but on small files and for a moment."""

import re
import shlex
import shutil

import numpy as np
import pytest
from zoo import quick_gru

from mpc import NMPC, OffsetFreeObserver, SystemProcess, run
from plants import PLANTS, random_steps
from rnn_control import IdentifiedModel, Scaler, certify
from rnn_control_cli.main import COMMANDS, group, main

SHORTER = {"plants": ["--samples", "200"], "fit": ["--epochs", "2", "--polish", "30"], "mpc": ["--steps", "2"]}
FOUR = re.findall(r"^  (rnn-control .*)$", group.help or "", re.M)
LINES = [
    line for c in COMMANDS for line in re.findall(r"^  (rnn-control .*)$", c.epilog or "", re.M) if line not in FOUR
]


@pytest.fixture(scope="module")
def small_files(tmp_path_factory):
    """Every file that an example names."""
    folder, plant = tmp_path_factory.mktemp("examples"), PLANTS["van_de_vusse"]()
    low, high = plant.u_region_min, plant.u_region_max
    made = plant.experiment(random_steps(low, high, 300, hold=(10, 30), seed=1), 30.0, seed=1)
    table = np.column_stack([30 * np.arange(300), made.u, made.y])
    head = "t [s],F [1/h],Q [kJ/h],C_B [mol/L],T [degC]"
    for name in ("reactor.csv", "new_record.csv"):
        np.savetxt(folder / name, table, delimiter=",", header=head, comments="")
    np.savetxt(folder / "log.csv", table[:, [0, 1, 4]], delimiter=",", header="t,u,y", comments="")
    names = dict(u_names=plant.u_names, y_names=plant.y_names, u_units=plant.u_units, y_units=plant.y_units)
    scaler = Scaler((low + high) / 2, (high - low) / 2, made.y.mean(0), made.y.std(0))
    model = IdentifiedModel(quick_gru(2, 2, 4, seed=3), scaler, 30.0, **names)
    model.save(folder / "model.safetensors")
    (folder / "certificate.json").write_text(certify(model, rigorous=True).to_json())
    system = model.to_casadi()
    controller, observer = NMPC(system, 2), OffsetFreeObserver(system)
    run(SystemProcess(system), controller, observer, [0.9, 134.0], 2, progress=False).save(folder / "closed_loop.npz")
    return folder


def answer(line, capsys):
    """What a line says, shortened; its exit code must be 0."""
    program, name, *words = shlex.split(line.partition(" > ")[0])
    with pytest.raises(SystemExit) as end:
        main([name, *words, *SHORTER.get(name, [])])
    assert (program, end.value.code) == ("rnn-control", 0)
    return capsys.readouterr().out


@pytest.mark.parametrize("line", LINES)
def test_example_runs(line, small_files, tmp_path, monkeypatch, capsys):
    shutil.copytree(small_files, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    assert answer(line, capsys)
    for word in re.findall(r"--(?:out|record|report) (\S+)", line):
        assert (tmp_path / word).stat().st_size > 100


def test_four_commands_lead_from_nothing_to_a_closed_loop(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert "steps solved" in [answer(line, capsys) for line in FOUR][-1] and len(FOUR) == 4
    assert {path.suffix for path in tmp_path.iterdir()} == {".csv", ".safetensors", ".npz", ".png"}


@pytest.mark.parametrize("command", COMMANDS, ids=lambda c: c.name)
def test_every_command_has_an_example(command):
    assert f"rnn-control {command.name}" in command.epilog
