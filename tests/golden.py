"""Writes the model and certificate files of tests/data, once for every new kind: python tests/golden.py KIND

They are never written again: test_golden.py proves that what this version wrote loads for ever. Prints the numbers to
be typed in there.
"""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from zoo import ZOO, identified, inputs, randomised

from rnn_control import IdentifiedModel, certify
from rnn_control.contract import contract
from rnn_control.initial import Visited
from rnn_control.simulate import simulate

DATA = Path(__file__).with_name("data")
FOLDERS = (DATA, *(DATA / f"schema{k}" for k in (2, 3, 4, 5, 6)))
"""Of every schema of the files; the last is the present one."""


def outputs(model: IdentifiedModel) -> list[float]:
    """y at the last of 40 samples, without the compiled route."""
    x0, u = torch.zeros(model.model.nx, dtype=torch.float64), inputs(np.random.default_rng(0), 40, 2)
    _, y = simulate(model.model, model.model.theta(), x0, torch.from_numpy(u))
    return model.scaler.y_out(y.detach().numpy())[-1].tolist()


def write(kind: str):
    path = FOLDERS[-1] / f"{kind}.safetensors"
    if path.exists():
        sys.exit(f"{path} is there already, and stays as it is")
    cell = randomised(ZOO[kind](2, 2, 4), 1, 0.2)
    contract(cell, "delta_iss", "weighted", 0.02)
    visited = Visited(np.linspace(-0.1, 0.1, cell.nx), 0.2)
    model = replace(identified(cell), residual=np.array([0.1, 0.2]), visited=visited)
    model.save(path)
    path.with_suffix(".json").write_text(certify(model, method="weighted").to_json())
    print(f'    "{kind}": {outputs(model)},')


if __name__ == "__main__":
    for name in sys.argv[1:]:
        write(name)
