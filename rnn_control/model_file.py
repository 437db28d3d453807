"""The model file: a .safetensors file whose header bears one JSON text and a hash of everything."""

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import safetensors.torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from .files import write_whole

SCHEMA = 6
SINCE = {"equations": 2, "residual": 3, "visited": 4}
"""The schema that brought a field; an older file reads as if it held None."""
REWRITTEN = {"lipschitz_rnn": 6}
"""The schema that wrote the equations of a kind differently; an older file reads as if it held none."""
FIELDS = {"schema", "spec", "scaler", "dt", "u_names", "y_names", "u_units", "y_units", "info", *SINCE}


def write_model(path: str | Path, header: dict[str, Any], state: dict[str, Tensor]) -> Path:
    """Write weights, and the header with its schema version, to one file; an interrupted write leaves the old one."""
    path = Path(path)
    path = path if path.suffix == ".safetensors" else path.with_name(path.name + ".safetensors")
    text = json.dumps({"schema": SCHEMA, **header}, sort_keys=True)
    state = {k: v.detach().contiguous() for k, v in state.items()}
    return write_whole(path, safetensors.torch.save(state, {"rnn_control": text, "sha256": fingerprint(text, state)}))


def read_model(path: str | Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Header and weights; nothing is executed. ValueError if the file is damaged, tampered with, foreign or newer."""
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"no model file {path}")
    try:
        with safe_open(str(path), "pt") as file:
            meta = file.metadata() or {}
            state = {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(f"{path} is not a whole safetensors file ({error}); save the model again") from error
    if "rnn_control" not in meta:
        raise ValueError(f"{path} holds tensors but no rnn_control model; it was written by something else")
    text = meta["rnn_control"]
    header = _parsed(text)
    # before the hash, which a newer version may compute from something else
    if isinstance(header.get("schema"), int) and header["schema"] > SCHEMA:
        raise ValueError(
            f"{path} has schema {header['schema']}, this version reads up to {SCHEMA}; upgrade rnn-control"
        )
    if meta.get("sha256") != fingerprint(text, state):
        raise ValueError(f"{path} was changed after it was saved (hash mismatch); do not use it")
    header |= {field: None for field, schema in SINCE.items() if header.get("schema", SCHEMA) < schema}
    if set(header) != FIELDS:
        raise ValueError(f"{path}: fields {sorted(set(header) ^ FIELDS)} of its header are missing or unknown")
    kinds = re.findall(r'"kind": "(\w+)"', json.dumps(header["spec"]))
    if any(header["schema"] < REWRITTEN.get(kind, 0) for kind in kinds):
        header["equations"] = None
        state = {k: v for k, v in state.items() if not k.startswith("explicit.")}
    return header, state


def _parsed(text: str) -> dict[str, Any]:
    """The header, empty if it is no JSON object: the hash then tells why."""
    try:
        header = json.loads(text)
    except ValueError:
        return {}
    return header if isinstance(header, dict) else {}


def fingerprint(text: str, state: dict[str, Tensor]) -> str:
    """sha256 over the header's text and every tensor's name, shape, type and bytes."""
    digest = hashlib.sha256(text.encode())
    for name in sorted(state):
        value = state[name]
        digest.update(f"{name}{tuple(value.shape)}{value.dtype}".encode() + value.numpy().tobytes())
    return digest.hexdigest()
