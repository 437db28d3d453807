"""The checker is one short file that a colleague can run without the package."""

import ast
import json
import shutil
import subprocess
import sys
from pathlib import Path

from checked import written

from rnn_control import GRU, check

SOURCE = Path(check.__file__)


def test_lone_copy_of_the_file_runs_without_the_package(pair, tmp_path):
    path, certificate = pair
    shutil.copy(SOURCE, tmp_path / "check.py")
    (tmp_path / "c.json").write_text(json.dumps(certificate))
    command = [sys.executable, "-W", "error", "check.py", str(path), "c.json"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "") and done.stdout.startswith("PROVED")


def test_module_runs_without_a_warning(tmp_path):
    path, certificate = written(GRU(1, 1, 2), tmp_path)
    (tmp_path / "c.json").write_text(json.dumps(certificate))
    command = [sys.executable, "-W", "error::RuntimeWarning", "-m", "rnn_control.check"]
    command += [str(path), str(tmp_path / "c.json")]
    done = subprocess.run(command, cwd=SOURCE.parents[1], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_checker_imports_nothing_but_python_and_numpy():
    nodes = list(ast.walk(ast.parse(SOURCE.read_text(encoding="utf-8"))))
    assert not any(node.level for node in nodes if isinstance(node, ast.ImportFrom))
    names = {name.name for node in nodes if isinstance(node, ast.Import) for name in node.names}
    names |= {str(node.module) for node in nodes if isinstance(node, ast.ImportFrom)}
    assert {name.partition(".")[0] for name in names} <= {*sys.stdlib_module_names, "numpy"}


def test_checker_is_short():
    assert len(SOURCE.read_text(encoding="utf-8").splitlines()) <= 555
