"""Searches as curves in TensorBoard: event files, written without TensorBoard and without a library of its own.

An event file is a sequence of TFRecords (length, its checksum, data, its checksum), each the protocol buffer of an
Event {1: wall time, 2: step, 3: file version, 5: summary {1: value {1: tag, 2: simple value}}}.

Reference: TensorFlow, tensorflow/core/util/event.proto and lib/io/record_writer.h; CRC-32C: RFC 3720, appendix B.4.
"""

import math
import struct
import time
from dataclasses import dataclass, field
from pathlib import Path

from .watch import Step

POLYNOMIAL = 0x82F63B78
"""Castagnoli's, bits reversed."""
MASK = 0xA282EAD8
"""Added to a checksum after its rotation: checksums of checksums are weak."""


@dataclass
class TensorBoard:
    """Writes every step of a search for `tensorboard --logdir FOLDER`: fit(..., log=TensorBoard("FOLDER")).

    Each search is a run of its own, FOLDER/1, FOLDER/2 and so on, whichever process it is in. Curves over the
    iterations: loss, validation FIT and that of the kept model in %, margin of the certificate.
    """

    folder: str | Path
    _file: Path | None = field(default=None, init=False, repr=False)

    def __call__(self, step: Step) -> None:
        if self._file is None or step.iteration == 0:
            self._file = new_run(Path(self.folder)) / f"events.out.tfevents.{time.time():.0f}.rnn_control"
            _append(self._file, _text(3, b"brain.Event:2"))
        values = {"loss": step.loss, "FIT/valid": step.fit, "FIT/kept": step.best_fit, "margin": step.margin}
        known = [
            _text(1, _text(1, tag.encode()) + b"\x15" + struct.pack("<f", value))
            for tag, value in values.items()
            if math.isfinite(value)
        ]
        _append(self._file, b"\x10" + _varint(step.iteration) + _text(5, b"".join(known)))


def new_run(folder: Path) -> Path:
    """The next free number, as a folder that no other process has."""
    folder.mkdir(parents=True, exist_ok=True)
    number = 1
    while True:
        try:
            (folder / str(number)).mkdir()
        except FileExistsError:
            number += 1
        else:
            return folder / str(number)


def _append(path: Path, event: bytes) -> None:
    """One record of an event, its wall time in front."""
    data = b"\x09" + struct.pack("<d", time.time()) + event
    length = struct.pack("<Q", len(data))
    with path.open("ab") as file:
        file.write(length + masked(length) + data + masked(data))


def _text(number: int, content: bytes) -> bytes:
    """A field that bears its length."""
    return bytes([number << 3 | 2]) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    """Seven bits a byte, the lowest first."""
    return bytes([value]) if value < 0x80 else bytes([value & 0x7F | 0x80]) + _varint(value >> 7)


def masked(data: bytes) -> bytes:
    crc = crc32c(data)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + MASK) & 0xFFFFFFFF)


def crc32c(data: bytes) -> int:
    """The checksum of Castagnoli, bit by bit."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (POLYNOMIAL if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF
