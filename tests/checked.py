"""Certified models on disk, and what the checker says of them."""

import json
from pathlib import Path
from typing import Any

from zoo import BY_CONSTRUCTION, ZOO, cascade_of_three, identified, randomised

from rnn_control import Model, certify, check
from rnn_control.contract import contract

FAMILIES: dict[str, Any] = {**ZOO, "three": cascade_of_three}
MARGIN = 0.02
"""By which the conditions of contracted models hold."""


def written(model: Model, directory: Path, **condition) -> tuple[Path, dict]:
    """(model file, certificate as read from JSON) of a model in invented units."""
    physical = identified(model)
    return physical.save(directory / "model"), json.loads(certify(physical, **condition).to_json())


def contracted(name: str, directory: Path) -> tuple[Path, dict]:
    """The same of a small model of this family, whose conditions hold."""
    model = randomised(FAMILIES[name](2, 2, 2), 1, 0.1)
    if name in BY_CONSTRUCTION:
        return written(model, directory, method="published")
    contract(model, "delta_iss", "weighted", MARGIN)
    return written(model, directory, method="weighted")


def verdict(path: Path, certificate: dict, capsys) -> tuple[int, str]:
    """Exit code and words of the checker."""
    file = path.with_name("certificate.json")
    file.write_text(json.dumps(certificate))
    return check.main([str(path), str(file)]), capsys.readouterr().out
