"""rnn-control check: the independent checker, in a process of its own that loads neither torch nor this package."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import click

from .output import Rows, show
from .types import INPUT_FILE, as_json, example

EPILOG = example("rnn-control check model.safetensors certificate.json")


@click.command(epilog=EPILOG)
@click.argument("model", type=INPUT_FILE)
@click.argument("certificate", type=INPUT_FILE)
@as_json
def check(model, certificate, as_json):
    """Prove CERTIFICATE of MODEL again, in exact arithmetic, from the two files alone.

    Exit code 1: refused, or of a kind that is not proved here.
    """
    if not is_certificate(certificate):
        raise click.UsageError(f'"{certificate}" is not a certificate; rnn-control certify MODEL --out FILE writes one')
    package = importlib.util.find_spec("rnn_control")
    if package is None or package.origin is None:
        raise click.ClickException("the package rnn_control is not installed; rnn-control doctor says more")
    script = Path(package.origin).with_name("check.py")
    done = subprocess.run([sys.executable, script, model, certificate], capture_output=True, text=True)
    verdict, _, reason = (done.stdout or done.stderr).strip().partition(":")
    show({"verdict": verdict, "reason": reason.strip()}, [Rows("", (), [(verdict, reason.strip())])], as_json)
    return 0 if done.returncode == 0 else 1


def is_certificate(path: Path) -> bool:
    """Whether it is JSON with the two fields that say what is claimed of which weights."""
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:  # no text, or no JSON
        return False
    return isinstance(fields, dict) and {"property", "weights_sha256"} <= set(fields)
