"""Numbers as C text."""

import numpy as np

PER_LINE = 5
# Stands for infinity.
FREE = 1e300


def numbers(values: np.ndarray) -> str:
    """{...}, exact; NaN is NAN, and infinity a number too large to matter."""
    words = ["NAN" if v != v else repr(v) for v in np.clip(np.asarray(values, float), -FREE, FREE).tolist()]
    lines = [", ".join(words[i : i + PER_LINE]) for i in range(0, len(words), PER_LINE)]
    return f"{{{', '.join(lines) if len(lines) < 2 else (',' + chr(10) + '  ').join(lines)}}}"


class Tables:
    """Arrays of constants in C, each once."""

    def __init__(self):
        self._names: dict[tuple[str, str, str], str] = {}

    def name(self, kind: str, shape: str, values: str) -> str:
        """Of the array `static const kind NAME[]shape = values`."""
        return self._names.setdefault((kind, shape, values), f"table{len(self._names)}")

    def lines(self) -> list[str]:
        return [f"static const {k} {name}[]{shape} = {values};" for (k, shape, values), name in self._names.items()]
