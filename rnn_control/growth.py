"""Parts of long records that grow: a deep search finds its way on few samples, and its last digits on all of them."""

from collections.abc import Iterator

from .literal import Batch

FIRST, FACTOR = 4096, 4
"""Samples of the smallest part, and how many times as large the next one is."""


def parts(data: Batch) -> Iterator[Batch]:
    """The beginnings of all records, 4096 samples together, then four times as many, up to half of all there are."""
    samples, size = sum(map(len, data.u)), FIRST
    while 2 * size <= samples:
        ends = [-(-size * len(u) // samples) for u in data.u]
        yield Batch(*([a[:end] for a, end in zip(part, ends, strict=True)] for part in data))
        size *= FACTOR
