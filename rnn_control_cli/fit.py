"""rnn-control fit: a record to a model file."""

import json
from typing import Any

import click

from .output import Rows, score_dict, score_rows, show
from .records import read_record, reading
from .types import FOLDER, INPUT_FILE, Columns, Known, OutputFile, as_json, example, model_kinds

EPILOG = example(
    "rnn-control fit reactor.csv --inputs F,Q --outputs C_B,T --dt 30 --out model.safetensors --report fit.html",
    "rnn-control fit log.csv --inputs u --outputs y --time t --time-unit min --model lstm --size 12",
)


@click.command(epilog=EPILOG)
@click.argument("data", type=INPUT_FILE)
@click.option("--inputs", type=Columns(), required=True, help="Input columns, by header or name without unit.")
@click.option("--outputs", type=Columns(), required=True, help="Output columns.")
@click.option("--input-units", type=Columns(), help="Units, where the headers have none; one per input.")
@click.option("--output-units", type=Columns(), help="Units, one per output.")
@reading
@click.option("--split", nargs=2, type=float, default=(0.7, 0.15), help="Shares to train on and to choose by.")
@click.option("--model", "kind", type=Known("model", model_kinds), default="gru", help="gru, lstm, esn, nnarx ...")
@click.option("--size", type=click.IntRange(min=1), help="Units of the model (default: its own).")
@click.option("--certificate", type=click.Choice(["delta_iss", "iss", "none"]), default="delta_iss")
@click.option("--margin", type=float, default=0.01, help="1 - rate that is aimed for.")
@click.option("--washout", type=click.IntRange(min=0), default=50, help="Samples that give the initial state.")
@click.option("--epochs", type=click.IntRange(min=0), default=150, help="Adam steps.")
@click.option("--polish", type=click.IntRange(min=0), default=1500, help="L-BFGS iterations.")
@click.option("--seed", type=int, default=0)
@click.option("--out", type=OutputFile(".safetensors"), default="model.safetensors", help="Model file to write.")
@click.option("--report", type=OutputFile(".html"), help="Page to write: data, fit, residuals, certificate, readiness.")
@click.option("--log", type=FOLDER, help="Folder for curves of the training: tensorboard --logdir FOLDER.")
@as_json
def fit(
    data,
    inputs,
    outputs,
    input_units,
    output_units,
    split,
    kind,
    size,
    certificate,
    seed,
    out,
    report,
    log,
    as_json,
    **rest,
):
    """Identify a model from the CSV file DATA and write it to --out.

    The first part of the record trains, the second chooses, the third judges. Exit code 1: no certified model.
    """
    how = {k: rest.pop(k) for k in ("dt", "time", "time_unit", "gaps", "sep")}
    record = read_record(data, inputs, outputs, how, u_units=input_units, y_units=output_units)
    from rnn_control import MODELS, CertificateError, identification_report
    from rnn_control import fit as identify
    from rnn_control.tensorboard import TensorBoard

    from .live import live_view

    train, valid, test = record.split(*split)
    cell: Any = MODELS[kind]
    model = cell(train.nu, train.ny, seed=seed, **({} if size is None else {"size": size}))
    try:
        wanted = None if certificate == "none" else certificate
        with live_view(f"fit {kind}") as view:
            told = [*([view] if view else []), *([TensorBoard(log)] if log else [])]
            result = identify(
                model, train, valid, certificate=wanted, seed=seed, progress=False,
                log=lambda step: [listener(step) for listener in told], **rest,
            )  # fmt: skip
    except CertificateError as error:
        show({"model": None, "reason": str(error)}, [Rows(f"NOT certified: {error}", (), [])], as_json)
        return 1
    shortest = min(len(u) for u in test.us)
    score = result.model.score(test, min(rest["washout"], shortest // 2))
    path, proof = result.model.save(out), result.certificate
    page = identification_report(result, train, valid, test, report, rest["washout"]) if report else None
    summary = {
        "model": path, "kind": kind, "states": model.nx, **score_dict(score), "seconds": result.seconds,
        "iterations": len(result.history["loss"]), "kept": result.best_iteration, "interrupted": result.interrupted,
        "report": page,
        "certificate": None if proof is None else json.loads(proof.to_json()),
    }  # fmt: skip
    tables = [score_rows(score), *([Rows("Certificate", (), proof.rows())] if proof else [])]
    files = [("model", str(path)), *([("report", str(page))] if page else [])]
    show(summary, [*tables, Rows("", (), [*files, ("trained in", f"{result.seconds:.1f} s")])], as_json)
    return 0
