"""rnn-control report: one HTML page of a model file or of a closed-loop record."""

from pathlib import Path

import click

from .output import Rows, show
from .records import read_for_model, reading
from .types import INPUT_FILE, OutputFile, as_json, example

EPILOG = example(
    "rnn-control report model.safetensors --data reactor.csv --out report.html",
    "rnn-control report closed_loop.npz",
)


@click.command(epilog=EPILOG)
@click.argument("result", type=INPUT_FILE)
@click.option("--data", type=INPUT_FILE, help="A record to run the model on.")
@click.option("--free", type=INPUT_FILE, help="The twin without certificate: the page says what the certificate costs.")
@reading
@click.option("--washout", type=click.IntRange(min=0), default=50, help="Samples that give the initial state.")
@click.option("--out", type=OutputFile(".html"), default="report.html", help="Page to write.")
@as_json
def report(result, data, free, washout, out, as_json, **how):
    """Write RESULT, a .safetensors model or an .npz record, as a page that needs nothing else to be read."""
    if result.suffix not in (".safetensors", ".npz"):
        raise click.UsageError(f'"{result}" is neither a model (.safetensors) nor a record of a closed loop (.npz)')
    if result.suffix == ".npz" and (data or free):
        raise click.UsageError("--data and --free belong to a model; a record of a closed loop holds its own")
    if free and not data:
        raise click.UsageError("--free needs --data: both models run on that record")
    page = of_record(result) if result.suffix == ".npz" else of_model(result, data, free, washout, how)
    page.save(out)
    show({"report": out}, [Rows("", (), [("written", str(out))])], as_json)
    return 0


def of_model(path: Path, data: Path | None, free: Path | None, washout: int, how):
    """The page of an identification, judged on a record; without one, the certificate alone."""
    from rnn_control import IdentifiedModel, Report, certify
    from rnn_control.identification_report import model_page

    model = IdentifiedModel.load(path)
    if data:
        record, twin = read_for_model(data, model, how), IdentifiedModel.load(free) if free else None
        return model_page(model, {data.name: record}, None, washout, f"Model {path.stem}", twin)
    certificate = certify(model)
    page = Report(f"Model {path.stem}")
    page.key_numbers([("cell", model.model.kind), ("states", model.model.nx), ("sampling time", model.dt, "s")])
    return page.heading("Certificate").table(["", "proved" if certificate.holds else "found"], certificate.rows())


def of_record(path: Path):
    """The page of a closed loop."""
    from mpc import Record, closed_loop_report
    from rnn_control import Report

    return closed_loop_report(Record.load(path), Report(f"Closed loop {path.stem}"))
