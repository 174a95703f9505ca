"""Parts for a GPU: a block is searched by one task, which builds one index of it."""

import math
from collections.abc import Iterable, Iterator
from itertools import groupby

from clustering_tasks.graph.parts import Unit
from clustering_tasks.settings.run import PartsSettings


def whole_blocks(units: Iterable[Unit], settings: PartsSettings) -> Iterator[list[Unit]]:
    """Put the units of each block into one part; small blocks share one.

    Every task builds its own index, so a block cut into parts would be copied to the card by each.
    Yields at least one part, and at most `max_count`.

    Args:
        units: of the level, block by block.
        settings: the size of a part.
    """
    blocks = [list(block) for _, block in groupby(units, key=lambda unit: unit.block)]
    min_rows = max(settings.min_rows, math.ceil(sum(map(_rows, blocks)) / settings.max_count))
    part: list[Unit] = []
    for block in blocks:
        if part and _rows(part) >= min_rows:
            yield part
            part = []
        part += block
    yield part


def _rows(units: Iterable[Unit]) -> int:
    return sum(unit.stop - unit.start for unit in units)
