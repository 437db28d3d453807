"""A running controller and its observer on disk: what a restart goes on from."""

from pathlib import Path
from typing import Any

import numpy as np

from .observers import Observer


def save_state(path: str | Path, controller: Any, observer: Observer | None) -> None:
    """Write what both remember, an .npz of arrays; the controller is an NMPC, or anything with state and restore.

    observer: None with a controller that works on the measurement itself, as PI does
    """
    parts = {"controller": controller.state(), "observer": {} if observer is None else observer.state()}
    np.savez(path, **{f"{part}.{name}": v for part, state in parts.items() for name, v in state.items()})


def restore_state(path: str | Path, controller: Any, observer: Observer | None) -> None:
    """Let both, built as the saved ones were, go on as those would have, bit by bit."""
    with np.load(path, allow_pickle=False) as file:
        state = {name: file[name] for name in file.files}
    owners = {"controller": controller} if observer is None else {"controller": controller, "observer": observer}
    for part, owner in owners.items():
        mine = {name.partition(".")[2]: v for name, v in state.items() if name.startswith(f"{part}.")}
        if not mine:
            raise ValueError(f"{path} holds no state of a {part}; it must come from save_state")
        owner.restore(mine)
