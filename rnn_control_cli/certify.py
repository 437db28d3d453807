"""rnn-control certify: what is proved of a model file."""

import json
from typing import Any

import click

from .output import Rows, replacing, show
from .types import INPUT_FILE, Interval, Known, OutputFile, as_json, example, nearest

EPILOG = example(
    "rnn-control certify model.safetensors",
    "rnn-control certify model.safetensors --rigorous --out certificate.json",
)


def methods():
    from rnn_control.conditions import METHODS

    return ["best", *METHODS]


@click.command(epilog=EPILOG)
@click.argument("model", type=INPUT_FILE)
@click.option("--property", "property_", type=click.Choice(["delta_iss", "iss"]), default="delta_iss")
@click.option("--method", type=Known("method", methods), default="best", help="published, weighted ...; best: all.")
@click.option("--rigorous", is_flag=True, help="Prove it in exact arithmetic, for the weights as stored.")
@click.option("--box", type=Interval(), multiple=True, help="Input box to certify; default: the model's.")
@click.option("--out", type=OutputFile(".json"), help="Certificate file to write.")
@as_json
def certify(model, property_, method, rigorous, box, out, as_json):
    """Check the stability of MODEL: rate, gains in physical units, time to forget, domain.

    Exit code 1: not certified; nothing is written then.
    """
    from rnn_control import IdentifiedModel
    from rnn_control import certify as check_stability

    identified = IdentifiedModel.load(model)
    certificate = check_stability(identified, property_, method, input_box(identified, box), rigorous=rigorous)
    text = certificate.to_json()
    if out and certificate.holds:
        with replacing(out) as [partial]:
            partial.write_text(text, encoding="utf-8")
    show(json.loads(text), [Rows(f"Certificate of a {certificate.kind} model", (), certificate.rows())], as_json)
    return 0 if certificate.holds else 1


def input_box(model, given) -> Any:
    """(nu, 2): the model's box, sides replaced by --box; None if there is none."""
    sides = list(zip(model.scaler.u_min.tolist(), model.scaler.u_max.tolist(), strict=True))
    for name, (low, high) in given:
        if name not in model.u_names:
            raise click.UsageError(f'the model has no input "{name}"; {nearest(name, model.u_names)}')
        i = model.u_names.index(name)
        sides[i] = (sides[i][0] if low is None else low, sides[i][1] if high is None else high)
        if sides[i][0] >= sides[i][1]:
            raise click.UsageError(f'--box of "{name}" is {sides[i][0]:g} .. {sides[i][1]:g}; low must be below high')
    return sides if given else None
