"""Many runs, one JSON line each, written as they end: a benchmark that was killed goes on where it stopped."""

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from joblib import Parallel, delayed
from tqdm import tqdm

Task = dict[str, Any]
Row = dict[str, Any]


def run_all(work: Callable[[Task], Row], tasks: Sequence[Task], path: Path, jobs: int = 1) -> list[Row]:
    """The row {**task, **work(task)} of every task, in the order of the tasks; those that `path` holds are not redone.

    A task is plain data, its settings included: with other settings it is another task. Only this process writes.
    """
    done = {key(row["task"]): row for row in stored(path)}
    left = [task for task in tasks if key(task) not in done]
    path.parent.mkdir(parents=True, exist_ok=True)
    outcomes: Any = Parallel(n_jobs=jobs, return_as="generator_unordered")(delayed(_run)(work, t) for t in left)
    for row in tqdm(outcomes, total=len(left), disable=None):
        append(path, row)
        done[key(row["task"])] = row
    return [{**task, **done[key(task)]["result"]} for task in tasks]


def key(task: Task) -> str:
    return json.dumps(task, sort_keys=True)


def stored(path: Path) -> list[Row]:
    """The rows of the file; one that a kill tore is left out."""
    rows = []
    for line in path.read_text().splitlines() if path.exists() else []:
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return rows


def append(path: Path, row: Row) -> None:
    """One line in one write, on the disk when this returns. It begins a new line: the last one may be torn."""
    line = ("\n" + json.dumps(row) + "\n").encode()
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        os.write(file, line)
        os.fsync(file)
    finally:
        os.close(file)


def _run(work, task):
    return {"task": task, "result": work(task)}
