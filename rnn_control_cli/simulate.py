"""rnn-control simulate: the free run of a model beside what was measured."""

import csv

import click

from .output import Rows, replacing, score_dict, score_rows, show
from .records import read_for_model, reading
from .types import INPUT_FILE, OutputFile, as_json, example

EPILOG = example("rnn-control simulate model.safetensors new_record.csv --dt 30 --out simulated.csv")


@click.command(epilog=EPILOG)
@click.argument("model", type=INPUT_FILE)
@click.argument("data", type=INPUT_FILE)
@reading
@click.option("--washout", type=click.IntRange(min=0), default=50, help="Samples that give the initial state.")
@click.option("--out", type=OutputFile(".csv"), help="CSV to write: time, inputs, measured and simulated outputs.")
@as_json
def simulate(model, data, washout, out, as_json, **how):
    """Run MODEL over the inputs in DATA and compare with its outputs: FIT and RMSE per output.

    The initial state comes from the first --washout samples; after them the model sees inputs only.
    """
    from rnn_control import IdentifiedModel

    if out and out.exists() and out.samefile(data):
        raise click.UsageError(f'--out would overwrite the record "{data}"; name another file')
    identified = IdentifiedModel.load(model)
    record = read_for_model(data, identified, how)
    score, simulated = identified.score(record, washout), identified.predict(record, washout)
    if out:
        with replacing(out) as [partial], partial.open("w", newline="", encoding="utf-8") as file:
            write_csv(file, record, simulated)
    written = [Rows("", (), [("written", str(out))])] if out else []
    show({**score_dict(score), "samples": score.n_samples, "out": out}, [score_rows(score), *written], as_json)
    return 0


def write_csv(file, record, simulated) -> None:
    """One row an instant; columns "name [unit]", and "simulated name [unit]"."""
    writer = csv.writer(file)
    u, y = (
        [f"{n} [{unit}]" if unit else n for n, unit in zip(names, units, strict=True)]
        for names, units in ((record.u_names, record.u_units), (record.y_names, record.y_units))
    )
    writer.writerow(["record", "t [s]", *u, *y, *(f"simulated {name}" for name in y)])
    for i, y_hat in enumerate(simulated):
        rows = zip(record.time(i), record.us[i], record.ys[i], y_hat, strict=True)
        writer.writerows([record.names[i], *map(repr, map(float, (t, *a, *b, *c)))] for t, a, b, c in rows)
