"""Parts of long records that grow: a search finds its way on few samples, and its last digits on all of them."""

from collections.abc import Iterator, Sequence

FIRST, FACTOR = 4096, 4
"""Samples of the smallest part, and how many times as large the next one is."""


def beginnings(lengths: Sequence[int]) -> Iterator[list[int]]:
    """How much of each record: 4096 samples together, then four times as many, up to half of all there are."""
    samples, size = sum(lengths), FIRST
    while 2 * size <= samples:
        yield [-(-size * length // samples) for length in lengths]
        size *= FACTOR
