"""Files that are whole or not there: written beside, synced, renamed."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole_file(path: str | Path) -> Iterator[Path]:
    """A path to write to; it becomes `path` when the block ends well, and nothing is left of it when it does not."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        partial = Path(file.name)
    try:
        yield partial
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        mask = os.umask(0)
        os.umask(mask)
        partial.chmod(0o666 & ~mask)  # temporary files are private, a saved one is as readable as any file
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def write_whole(path: str | Path, data: bytes) -> Path:
    """Write data to path, all of it or nothing."""
    with whole_file(path) as partial:
        partial.write_bytes(data)
    return Path(path)
