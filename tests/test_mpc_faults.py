import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_random_faults_break_no_bound_and_raise_nothing():
    script = [sys.executable, str(ROOT / "benchmarks" / "mpc_faults.py"), "--quick"]
    done = subprocess.run(
        script, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "steady-state target" in done.stdout or "shifted plan" in done.stdout
