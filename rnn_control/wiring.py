"""Which signal feeds which block: names checked, and turned into rows of what each block writes."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple


class Wire(NamedTuple):
    """Rows start .. stop of what `source` writes (a block, or "" for the inputs); `gain`: row of its first gain."""

    source: str
    start: int
    stop: int
    gain: int | None


class Wiring(NamedTuple):
    """Wires into each block and to the outputs, and the number of gains: one for each signal that is recycled."""

    into: dict[str, list[Wire]]
    out: list[Wire]
    gains: int


def wiring(
    inputs: Sequence[str],
    reads: Mapping[str, Sequence[str]],
    writes: Mapping[str, Sequence[str]],
    outputs: Sequence[str],
) -> Wiring:
    """Wires for the names that blocks, in the order of the flow, read and write. ValueError where they do not fit."""
    sources = {"": inputs, **writes}
    places = {name: (source, row) for source, names in sources.items() for row, name in enumerate(names)}
    if len(places) < sum(map(len, sources.values())):
        names = [name for group in sources.values() for name in group]
        raise ValueError(f"signals {sorted({n for n in names if names.count(n) > 1})} are written more than once")
    for reader, names in {**{f'block "{k}"': v for k, v in reads.items()}, "the network's output": outputs}.items():
        unknown = [name for name in names if name not in places]
        if unknown:
            raise ValueError(f"{reader} reads {unknown}, which nothing writes; there are {', '.join(places)}")
        if len({*names}) < len(names):
            raise ValueError(f"{reader} reads a signal twice: {', '.join(names)}")
    for block in writes:
        if not block or "." in block:
            raise ValueError(f'a block is called "{block}"; names of blocks are not empty and have no dot')
    idle = {*inputs} - {name for names in reads.values() for name in names}
    if idle:
        raise ValueError(f"no block reads the inputs {sorted(idle)}; leave them out")
    if {*inputs} & {*outputs}:
        raise ValueError(f"outputs {[*outputs]} contain an input; an output is written by a block")
    return _wired(places, reads, outputs)


def _wired(places, reads, outputs) -> Wiring:
    order, into, gains = {block: i for i, block in enumerate(reads)}, {}, 0
    for block, names in reads.items():
        into[block] = []
        for name in names:
            source, _ = places[name]
            is_recycled = source != "" and order[source] >= order[block]
            _extend(into[block], places[name], gains if is_recycled else None)
            gains += is_recycled
    out: list[Wire] = []
    for name in outputs:
        _extend(out, places[name], None)
    return Wiring(into, out, gains)


def _extend(wires: list[Wire], place: tuple[str, int], gain: int | None) -> None:
    """One more row: added to the last wire if it continues it."""
    (source, row), last = place, wires[-1] if wires else Wire("", 0, -1, None)
    if (source, row, gain is None) == (last.source, last.stop, last.gain is None):
        wires[-1] = last._replace(stop=row + 1)
    else:
        wires.append(Wire(source, row, row + 1, gain))
