"""The README's lines, typed as they stand."""

import re
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest

from plants import PLANTS, random_steps
from rnn_control_cli.main import main

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


@pytest.fixture
def reactor_csv(tmp_path, monkeypatch):
    plant = PLANTS["van_de_vusse"]()
    u = random_steps(plant.u_region_min, plant.u_region_max, 400, hold=(10, 30), seed=3)
    run = plant.experiment(u, 30.0)
    table = np.column_stack([run.u, run.y])
    np.savetxt(
        tmp_path / "reactor.csv", table, delimiter=",", header="F [1/h],Q [kJ/h],C_B [mol/L],T [degC]", comments=""
    )
    monkeypatch.chdir(tmp_path)


def test_the_fifteen_lines_of_the_readme_regulate_a_reactor_from_a_csv(reactor_csv, capsys):
    [code] = re.findall(r"```python\n(.*?)```", README, re.S)
    names = {}
    exec(compile(code, "README.md", "exec"), names)
    plt.close("all")
    assert names["loop"].ok.all() and names["result"].certificate.holds and Path("closed_loop.png").exists()


def test_lines_of_the_shell_identify_certify_and_control(reactor_csv, capsys):
    """As they stand, but for a moment."""
    shorter = {"fit": ["--epochs", "2", "--polish", "30"], "mpc": ["--steps", "2"]}
    lines = re.findall(r"^    .venv/bin/rnn-control (.*)$", README, re.M)
    for line in lines:
        with pytest.raises(SystemExit) as end:
            main([*line.split(), *shorter.get(line.split()[0], [])])
        assert end.value.code == 0
    assert len(lines) == 3 and Path("closed_loop.png").exists()
