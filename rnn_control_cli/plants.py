"""rnn-control plants: the processes of the library, and records of them."""

import click

from .output import Rows, replacing, show
from .types import SEED, Known, OutputFile, as_json, example, plant_names

EPILOG = example(
    "rnn-control plants",
    "rnn-control plants van_de_vusse --record reactor.csv --samples 3000",
)


@click.command(epilog=EPILOG)
@click.argument("name", type=Known("plant", plant_names), required=False)
@click.option("--record", type=OutputFile(".csv"), help="CSV to write: the plant excited by random steps, noise added.")
@click.option("--samples", type=click.IntRange(min=2), default=3000)
@click.option("--dt", type=float, help="Sampling time in s; default: the plant's own.")
@click.option("--seed", type=SEED, default=0)
@as_json
def plants(name, record, samples, dt, seed, as_json):
    """List the plants; show NAME in full; write a record of it to try the other commands on."""
    from plants import PLANTS
    from plants.__main__ import constants, signals, summary

    if record and not name:
        raise click.UsageError("--record needs the NAME of a plant")
    if not name:
        rows = [summary(plant()) for plant in PLANTS.values()]
        header = ("plant", "states", "inputs", "outputs", "disturbances", "dt [s]", "")
        show({"plants": [dict(zip(header[:-1], row, strict=False)) for row in rows]}, [Rows("", header, rows)], as_json)
        return 0
    plant = PLANTS[name]()
    facts = {
        "plant": name, "dt": plant.sampling_time, "inputs": plant.u_names, "outputs": plant.y_names,
        "disturbances": plant.disturbance_names, "u_min": plant.u_region_min, "u_max": plant.u_region_max,
        "constants": {c.name: c.value for c in plant.constants}, "record": record,
    }  # fmt: skip
    if record:
        write_record(plant, record, samples, plant.sampling_time if dt is None else dt, seed)
    if record or as_json:
        show(facts, [Rows("", (), [("written", f"{record}, {samples} samples")])], as_json)
    else:
        click.echo(f"{signals(plant)}\n\n{constants(plant)}")
    return 0


def write_record(plant, path, samples: int, dt: float, seed: int) -> None:
    """Time, inputs and noisy outputs; headers bear the units."""
    from plants import random_steps

    u = random_steps(plant.u_region_min, plant.u_region_max, samples, hold=(10, 50), seed=seed)
    run = plant.experiment(u, dt, seed=seed)
    names, units = (*run.u_names, *run.y_names), (*run.u_units, *run.y_units)
    lines = [",".join(["t [s]", *(f"{n} [{unit}]" for n, unit in zip(names, units, strict=True))])]
    for k, (u_k, y_k) in enumerate(zip(run.u, run.y, strict=True)):
        lines.append(",".join([f"{k * dt:.10g}", *(f"{float(v):.10g}" for v in (*u_k, *y_k))]))
    with replacing(path) as [partial]:
        partial.write_text("\n".join(lines) + "\n", encoding="utf-8")
