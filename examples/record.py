"""Identify and certify a model from a record of your own, or from two public ones, with the published scores beside.

    python examples/record.py plant.csv --u Tc q --y Ca T --dt 6          your CSV; columns by name, dt in s
    python examples/record.py --data FOLDER                               cascaded_tanks/ and daisy/ in FOLDER

The last 15 % of the record judge (public records: their own split). Each cell of `--models` is trained from `--seeds`
starts under a deltaISS certificate on four fifths of the rest; the error on the last fifth chooses among them, and the
choice is trained again on all of the rest.
"""

import argparse
from pathlib import Path

from rnn_control import MODELS, Experiment, fit

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("csv", nargs="?", type=Path, help="a record: CSV with a header")
parser.add_argument("--u", nargs="+", default=[], help="input columns")
parser.add_argument("--y", nargs="+", default=[], help="output columns")
parser.add_argument("--dt", type=float, help="sampling time in s (or --time)")
parser.add_argument("--time", help="column with the time")
parser.add_argument("--time-unit", help="its unit, if the header has none (default s)")
parser.add_argument("--gaps", default="error", choices=["error", "split"], help="split: a new record after each gap")
parser.add_argument("--data", type=Path, help="folder of the public records")
parser.add_argument("--models", nargs="+", default=["lstm", "gru", "ren"], choices=MODELS, help="cells to try")
parser.add_argument("--seeds", type=int, default=2, help="starts per cell (default 2)")
parser.add_argument("--certificate", default="delta_iss", choices=["delta_iss", "iss", "none"])
parser.add_argument("--out", type=Path, default=Path("out"), help="folder for model, figure and certificate")
args = parser.parse_args()


def cascaded_tanks():
    """1024 samples to identify, 1024 to judge, after the 50 that give the initial state."""
    path = args.data / "cascaded_tanks" / "dataBenchmark.csv"
    est, val = (
        Experiment.from_csv(path, u=f"u{part}", y=f"y{part}", dt=4.0, u_units=["V"], y_units=["V"])
        for part in ("Est", "Val")
    )
    test = Experiment(val.u, val.y, 4.0, est.u_names, est.y_names, est.u_units, est.y_units)
    published = {"RMSE [V]": {"LTI": 0.588, "RNN": 0.543, "LSTM": 0.490, "GRU": 0.396, "best black box": 0.306}}
    return "cascaded tanks", est, test, published


def daisy_cstr():
    """7500 samples of coolant flow, concentration and temperature; the last 30 % judge (Markovsky's split)."""
    columns = ["t [min]", "q [L/min]", "Ca [mol/L]", "T [K]"]
    path = args.data / "daisy" / "cstr.dat"
    record = Experiment.from_csv(path, u="q", y=["Ca", "T"], time="t", columns=columns)
    return "DaISy cstr", *record.split(0.7), {"FIT [%]": {"linear (PEM)": "83.7 on Ca, 91.8 on T"}}


def own_record():
    options = dict(dt=args.dt, time=args.time, time_unit=args.time_unit, gaps=args.gaps)
    try:
        record = Experiment.from_csv(args.csv, u=args.u, y=args.y, **options)
        return args.csv.stem, *record.split(0.85), {}
    except (ValueError, OSError) as error:
        parser.error(str(error))


def identify(name, record, test, published):
    train, valid = record.split(0.8)
    print(f"\n{name}: {train.n_samples} + {valid.n_samples} + {test.n_samples} samples, dt = {train.dt:g} s")
    wanted, tried = None if args.certificate == "none" else args.certificate, []
    for kind in args.models:
        for seed in range(args.seeds):
            model = MODELS[kind](train.nu, train.ny, seed=seed)
            result = fit(model, train, valid, certificate=wanted, seed=seed)
            tried.append((result.history["valid"][result.best_iteration], kind, seed))
            print(f"  {kind}, seed {seed}: validation FIT {100 * (1 - tried[-1][0]):.2f} %, {result.seconds:.0f} s")
    _, kind, seed = min(tried)
    best = fit(MODELS[kind](train.nu, train.ny, seed=seed), record, certificate=wanted, seed=seed)
    print(f"\nchosen: {kind}, seed {seed}, trained again on all; free run on the test part\n{best.model.score(test)}")
    for measure, scores in published.items():
        print(f"published, {measure}: " + ", ".join(f"{who} {value}" for who, value in scores.items()))
    stem = args.out / name.replace(" ", "_")
    path = best.model.save(stem)
    best.model.plot(test).savefig(stem.with_suffix(".png"), dpi=150)
    if best.certificate is not None:
        print(f"\n{best.certificate}")
        stem.with_suffix(".json").write_text(best.certificate.to_json())
    print(f"\nmodel {path}, figure {stem.with_suffix('.png')}")


if args.data is None and args.csv is None:
    parser.error("give a CSV with --u, --y and --dt, or --data FOLDER")
if args.csv is not None:
    identify(*own_record())
else:
    for read, file in ((cascaded_tanks, "cascaded_tanks/dataBenchmark.csv"), (daisy_cstr, "daisy/cstr.dat")):
        if (args.data / file).exists():
            identify(*read())
        else:
            print(f"{args.data / file} is not there; left out")
