"""What the benchmarks of speed share: the command line, invented problems, and times of rivals that take turns."""

import argparse
import json
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

from rnn_control import MODELS, kernel
from rnn_control.kernel import Batch

torch.set_num_threads(1)
kernel.THREADS_PAY = 10**12  # one thread, for everybody


def arguments(doc: str, quick: str) -> argparse.Namespace:
    """--quick, --json PATH, and `rounds`: how often the rivals take turns."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help=quick)
    parser.add_argument("--json", type=Path, help="write the rows here")
    args = parser.parse_args()
    args.rounds = 3 if args.quick else 9
    return args


def write(path: Path | None, rows: list[dict]) -> None:
    if path:
        path.write_text(json.dumps(rows, indent=1))


def problem(kind, size, samples, records):
    """A cell of two inputs and two outputs, its explicit parameters, states at rest, and records of noise."""
    rng, shape = np.random.default_rng(0), (samples, 2)
    model = MODELS[kind](2, 2, size)
    data = Batch(
        [rng.uniform(-1, 1, shape) for _ in range(records)],
        [rng.normal(size=shape) for _ in range(records)],
        [np.ones(shape)] * records,
    )
    return model, model.theta(), np.zeros((records, model.nx)), data


def medians(steps: Sequence[Callable], rounds: int) -> list[float]:
    """Milliseconds of each step, all in turn: medians over the rounds."""
    times = [[milliseconds(step) for step in steps] for _ in range(rounds)]
    return [statistics.median(side) for side in zip(*times, strict=True)]


def milliseconds(step, budget=0.05):
    """Mean CPU time of a block of calls that lasts about `budget` s."""
    start = time.process_time()
    step()
    calls = max(1, int(budget / max(time.process_time() - start, 1e-6)))
    start = time.process_time()
    for _ in range(calls):
        step()
    return 1e3 * (time.process_time() - start) / calls
