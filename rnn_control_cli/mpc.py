"""rnn-control mpc: a model in a predictive controller, in closed loop with a plant."""

import click

from .output import Rows, replacing, show
from .types import INPUT_FILE, SEED, Interval, Known, OutputFile, Schedule, as_json, example, nearest, plant_names

EPILOG = example(
    "rnn-control mpc model.safetensors --plant van_de_vusse --reference C_B=0.9,1800:1.0 --reference T=134",
    "rnn-control mpc model.safetensors --reference T=1800:136 --bound T=:140 --steps 240",
)
ITSELF = "model"


@click.command(epilog=EPILOG)
@click.argument("model", type=INPUT_FILE)
@click.option(
    "--plant", default=ITSELF, type=Known("plant", lambda: [ITSELF, *plant_names()]),
    help="What is controlled: a plant of the library, or the model itself (default).",
)  # fmt: skip
@click.option("--reference", type=Schedule(), multiple=True, help="Set-points of an output; default: where it starts.")
@click.option("--disturbance", type=Schedule(), multiple=True, help="A disturbance of the plant over time.")
@click.option("--bound", type=Interval(), multiple=True, help="Bounds of an output (soft) or an input.")
@click.option("--move", type=Schedule(), multiple=True, help="Largest change of an input in a step: NAME=VALUE.")
@click.option("--horizon", type=click.IntRange(min=1), default=20, help="Steps that the controller looks ahead.")
@click.option("--steps", type=click.IntRange(min=1), default=120, help="Steps of the closed loop.")
@click.option("--preview", is_flag=True, help="The controller sees set-points ahead of time.")
@click.option("--seed", type=SEED, default=0, help="Of the sensors' noise.")
@click.option("--out", type=OutputFile(".npz"), default="closed_loop.npz", help="Record; the figure lies beside, .png.")
@as_json
def mpc(model, plant, reference, disturbance, bound, move, horizon, steps, preview, seed, out, as_json):
    """Control a plant with MODEL: offset-free nonlinear MPC, record and figure in physical units.

    Exit code 1: the loop ended early, or some step needed the controller's fallback.
    """
    from mpc import NMPC, OffsetFreeObserver, SystemProcess, run
    from plants import PLANTS
    from rnn_control import IdentifiedModel
    from rnn_control.interop import rest

    system = IdentifiedModel.load(model).to_casadi()
    if plant == ITSELF:
        process = SystemProcess(system, x0=rest(system, (system.u_min + system.u_max) / 2))
    else:
        process = PLANTS[plant]().process(system.dt, seed=seed)
    once(reference=reference, disturbance=disturbance, bound=bound, move=move)
    bounds = controller_bounds(system, process, bound, move)
    controller = NMPC(system, horizon, bounds=bounds)
    start = dict(zip(process.y_names, process.output().tolist(), strict=True))
    reference = {**{n: [(0.0, v)] for n, v in start.items()}, **from_start(reference, start)}
    record = run(
        process, controller, OffsetFreeObserver(system), reference, steps,
        disturbances=dict(disturbance), preview=preview, seed=seed, progress=not as_json,
    )  # fmt: skip
    figure = out.with_suffix(".png")
    with replacing(out, figure) as [record_file, figure_file]:
        record.save(record_file)
        record.plot().savefig(figure_file, dpi=150)
    m = record.metrics()
    rows = [
        (n, u, m["ise"][n], m["offset"][n][-1] if m["offset"][n] else "", m["output_violations"][n])
        for n, u in zip(record.y_names, record.y_units, strict=True)
    ]
    steps_ok = f"{len(record) - m['failed_steps']} of {steps}"
    more = [("steps solved", steps_ok), ("step time", f"median {1e3 * m['solve_time_median']:.1f} ms")]
    more += [("stopped early", record.stopped)] if record.stopped else []
    header = ("output", "unit", "ISE [unit^2 s]", "last offset", "out of bounds")
    files = [("record", str(out)), ("figure", str(figure))]
    show({**m, "steps": len(record), "stopped": record.stopped, "record": out, "figure": figure},
         [Rows("Closed loop", header, rows), Rows("", (), [*more, *files])], as_json)  # fmt: skip
    return 0 if record.ok.all() and not record.stopped else 1


def once(**options):
    """Refuses an option that is given twice for one channel: the first would be lost."""
    for option, pairs in options.items():
        names = [name for name, _ in pairs]
        for name in sorted({name for name in names if names.count(name) > 1}):
            raise click.UsageError(f'--{option} of "{name}" is given {names.count(name)} times; put it into one')


def controller_bounds(system, process, bound, move):
    """Bounds by channel; inputs rest within the model's box and the plant's limits."""
    import numpy as np

    for what in ("u_names", "y_names"):
        ours, theirs = getattr(system, what), getattr(process, what)
        if tuple(ours) != tuple(theirs):
            kind = {"u_names": "inputs", "y_names": "outputs"}[what]
            raise click.UsageError(f"the model has the {kind} {', '.join(ours)}, the plant {', '.join(theirs)}")
    lows, highs = np.maximum(system.u_min, process.u_min), np.minimum(system.u_max, process.u_max)
    box = dict(zip(system.u_names, zip(lows, highs, strict=True), strict=True))
    bounds = {"u": box, "y": {}, "du": {name: pairs[0][1] for name, pairs in move}}
    names = [*system.u_names, *system.y_names]
    for name, (low, high) in bound:
        if name not in names:
            raise click.UsageError(f'--bound names "{name}"; {nearest(name, names)}')
        group = "u" if name in system.u_names else "y"
        widest = bounds[group].get(name, (None, None))
        bounds[group][name] = tuple(a if a is not None else b for a, b in zip((low, high), widest, strict=True))
    return bounds


def from_start(reference, start):
    """Schedules by output, each from 0 s on: before its first time an output rests where it starts."""
    return {n: pairs if pairs[0][0] <= 0 or n not in start else [(0.0, start[n]), *pairs] for n, pairs in reference}
