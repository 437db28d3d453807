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
@reading
@click.option("--washout", type=click.IntRange(min=0), default=50, help="Samples that give the initial state.")
@click.option("--out", type=OutputFile(".html"), default="report.html", help="Page to write.")
@as_json
def report(result, data, washout, out, as_json, **how):
    """Write RESULT, a .safetensors model or an .npz record, as a page that needs nothing else to be read."""
    if result.suffix not in (".safetensors", ".npz"):
        raise click.UsageError(f'"{result}" is neither a model (.safetensors) nor a record of a closed loop (.npz)')
    if result.suffix == ".npz" and data:
        raise click.UsageError("--data belongs to a model; a record of a closed loop holds its own")
    page = of_record(result) if result.suffix == ".npz" else of_model(result, data, washout, how)
    page.save(out)
    show({"report": out}, [Rows("", (), [("written", str(out))])], as_json)
    return 0


def of_model(path: Path, data: Path | None, washout: int, how):
    """Certificate, and the free run on a record."""
    from rnn_control import IdentifiedModel, Report, certify

    model = IdentifiedModel.load(path)
    certificate = certify(model)
    page = Report(f"Model {path.stem}")
    page.key_numbers([("cell", model.model.kind), ("states", model.model.nx), ("sampling time", model.dt, "s")])
    if data:
        record = read_for_model(data, model, how)
        score = model.score(record, washout)
        page.heading(f"Free run on {data.name}")
        page.table(
            ["output", "FIT [%]", "RMSE", "unit"],
            list(zip(score.y_names, score.fit, score.rmse, score.y_units, strict=True)),
        )
        page.figure(model.plot(record, washout), "Grey: samples that give the initial state").figure(
            record.plot(), "Record"
        )
    page.heading("Certificate").table(["", "proved" if certificate.holds else "found"], certificate.rows())
    return page


def of_record(path: Path):
    """The metrics and the figure of a closed loop."""
    from mpc import Record
    from rnn_control import Report

    record = Record.load(path)
    m = record.metrics()
    page = Report(f"Closed loop {path.stem}")
    page.key_numbers(
        [
            ("steps", len(record)),
            ("steps not ok", m["failed_steps"]),
            ("step median", 1e3 * m["solve_time_median"], "ms"),
        ]
    )
    last = {n: offsets[-1] if offsets else None for n, offsets in m["offset"].items()}
    rows = [
        (n, u, m["ise"][n], last[n], m["output_violations"][n])
        for n, u in zip(record.y_names, record.y_units, strict=True)
    ]
    page.table(["output", "unit", "ISE [unit^2 s]", "last offset", "samples out of bounds"], rows)
    return page.figure(record.plot(), "References dashed, bounds dotted")
