"""rnn-control fit: a record to a model file."""

import json
from typing import Any

import click

from .output import Rows, replacing, score_dict, score_rows, show
from .records import read_record, reading
from .types import FOLDER, INPUT_FILE, SEED, Columns, Known, OutputFile, as_json, example, model_kinds

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
@click.option("--split", nargs=2, type=float, help="Shares to train on and to choose by (default: 0.85 for both).")
@click.option("--model", "kind", type=Known("model", model_kinds), default="gru", help="gru, lstm, esn, nnarx ...")
@click.option("--size", type=click.IntRange(min=1), help="Units of the model (default: its own).")
@click.option("--certificate", type=click.Choice(["delta_iss", "iss", "none"]), default="delta_iss")
@click.option("--margin", type=float, default=0.01, help="1 - rate that is aimed for.")
@click.option("--washout", type=click.IntRange(min=0), default=50, help="Samples that give the initial state.")
@click.option("--epochs", type=click.IntRange(min=0), default=150, help="Adam steps.")
@click.option("--polish", type=click.IntRange(min=0), default=1500, help="L-BFGS iterations.")
@click.option("--seed", type=SEED, default=0)
@click.option(
    "--price", is_flag=True, help="Train a twin without certificate too, and say what the proof costs in FIT."
)
@click.option("--out", type=OutputFile(".safetensors"), default="model.safetensors", help="Model file to write.")
@click.option("--report", type=OutputFile(".html"), help="Page to write: data, fit, residuals, certificate, readiness.")
@click.option("--log", type=FOLDER, help="Folder for curves of the training: tensorboard --logdir FOLDER.")
@as_json
def fit(data, inputs, outputs, input_units, output_units, split, price, out, report, as_json, **rest):
    """Identify a model from the CSV file DATA and write it to --out.

    The first part of the record trains and chooses, the last 15 % judges; with --split the second of three parts
    chooses. Exit code 1: no certified model.
    """
    how = {k: rest.pop(k) for k in ("dt", "time", "time_unit", "gaps", "sep")}
    record = read_record(data, inputs, outputs, how, u_units=input_units, y_units=output_units)
    from rnn_control import CertificateError, identification_report
    from rnn_control.price import price as compare

    train, *chooses, test = record.split(*split or (0.85,))
    valid = chooses[0] if chooses else None
    try:
        result = search(train, valid, **rest)
    except CertificateError as error:
        show({"model": None, "reason": str(error)}, [Rows(f"NOT certified: {error}", (), [])], as_json)
        return 1
    is_paid = result.certificate and not result.model.model.by_construction(rest["certificate"])
    twin = search(train, valid, **{**rest, "certificate": "none"}).model if price and is_paid else None
    washout = min(rest["washout"], min(len(u) for u in test.us) // 2)
    paid = compare(result.model, twin, test, washout) if twin else ()
    files = {"model": out} | ({"report": report} if report else {})
    with replacing(*files.values()) as [partial, *page]:
        result.model.save(partial)
        if page:
            identification_report(result, train, valid, test, page[0], rest["washout"], twin)
    score, proof = result.model.score(test, washout), result.certificate
    beside = {} if result.linear is None else {"linear": result.linear.score(test, washout)}
    summary = {
        "report": None, **files, "kind": rest["kind"], "states": result.model.model.nx, **score_dict(score),
        "seconds": result.seconds, "iterations": len(result.history["loss"]), "kept": result.best_iteration,
        "linear": score_dict(beside["linear"]) if beside else None,
        "interrupted": result.interrupted, "price": {p.output: p.points for p in paid} or None,
        "certificate": None if proof is None else json.loads(proof.to_json()),
    }  # fmt: skip
    told = [(f"price in FIT of {p.output}", str(p)) for p in paid]
    if price and proof and not is_paid:
        told = [("price in FIT", f"a {rest['kind']} has no twin without; compare another cell with --certificate none")]
    proved = [*proof.rows(), *told] if proof else []
    written = [*((name, str(path)) for name, path in files.items()), ("trained in", f"{result.seconds:.1f} s")]
    proved = Rows("Certificate" if proof else "", (), proved)
    show(summary, [score_rows(score, **beside), proved, Rows("", (), written)], as_json)
    return 0


def search(train, valid, kind, size, seed, certificate, log, **options) -> Any:
    """The FitResult of one training, which is shown on a terminal while it lasts."""
    from rnn_control import MODELS
    from rnn_control import fit as identify
    from rnn_control.tensorboard import TensorBoard

    from .live import live_view

    cell: Any = MODELS[kind]
    model = cell(train.nu, train.ny, seed=seed, **({} if size is None else {"size": size}))
    wanted = None if certificate == "none" else certificate
    with live_view(f"fit {kind}, " + ("free" if wanted is None else wanted)) as view:
        told = [*([view] if view else []), *([TensorBoard(log)] if log else [])]
        return identify(
            model, train, valid, certificate=wanted, seed=seed, progress=False,
            log=lambda step: [listener(step) for listener in told], **options,
        )  # fmt: skip
