"""Neighbours that an earlier try of the task has found, and a search in blocks that are kept."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import structlog

from clustering_tasks.arrays import I64
from clustering_tasks.engine.neighbours import BATCH_ROWS, Cells, Neighbours
from clustering_tasks.engine.threads import thread_count
from clustering_tasks.settings.deployment import deployment
from clustering_tasks.workspace.checkpoints import Checkpoint, Rows

# Each block reads the vectors of all rows again: below, the reading would be the work.
_FEWEST_ROWS = 512
# Of one thread and 768 dimensions, for the first block alone; the others go by the one before.
_SECONDS_PER_PAIR = 4.4e-9
# Rows lie in large cells more often than cells are large.
_LARGER_CELLS = 1.8

log = structlog.get_logger()


@dataclass(frozen=True)
class KeptRows:
    """What a part's search has found so far.

    Attributes:
        checkpoint: of the task; None: nothing is kept.
        nodes: (m,) int64 that earlier tries have searched, ascending.
        found: their neighbours; the ids are nodes.
        searches: the ways in which they were found.
        blocks: in which they were kept.
    """

    checkpoint: Checkpoint | None
    nodes: I64
    found: Neighbours
    searches: tuple[str, ...] = ()
    blocks: int = 0

    @property
    def k(self) -> int:
        """Neighbours of a node."""
        return int(self.found.ids.shape[1])

    def missing(self, nodes: I64) -> I64:
        """Leave out of some nodes, (m,), those that are found already."""
        return nodes[~np.isin(nodes, self.nodes, assume_unique=True)]

    def add(self, nodes: I64, found: Neighbours, search: str) -> None:
        """Keep the neighbours of some nodes, (m,), which were found in some way."""
        if self.checkpoint is None:
            return
        ways = np.full(len(nodes), search, dtype="U8")
        self.checkpoint.add(
            {"nodes": nodes, "ids": found.ids, "distances": found.distances, "searches": ways}
        )

    def completed(self, nodes: I64, missing: I64, found: Neighbours) -> Neighbours:
        """Put what was missing of some nodes beside what is found already.

        Args:
            nodes: (m,) ascending.
            missing: those of them that were searched now.
            found: their neighbours.
        """
        if len(missing) == len(nodes):
            return found
        shape = len(nodes), self.k
        both = Neighbours(np.empty(shape, np.int32), np.empty(shape, np.float32))
        former = np.isin(nodes, missing, assume_unique=True, invert=True)
        places = np.searchsorted(self.nodes, nodes[former])
        both.ids[former] = self.found.ids[places]
        both.distances[former] = self.found.distances[places]
        both.ids[~former], both.distances[~former] = found.ids, found.distances
        return both


def read_kept(checkpoint: Checkpoint | None, own: I64, nodes: int, k: int) -> KeptRows:
    """Read what earlier tries have kept.

    Args:
        checkpoint: of the task; None: nothing is kept.
        own: (m,) nodes that are to be searched, ascending.
        nodes: of the level.
        k: neighbours of a node.
    """
    read = () if checkpoint is None else checkpoint.read()
    blocks = [rows for rows in read if _fits(rows, own, nodes, k)]
    if not blocks:
        return KeptRows(checkpoint, np.empty(0, np.int64), no_neighbours(k))
    all_rows = {name: np.concatenate([rows[name] for rows in blocks]) for name in blocks[0]}
    # two tries at once may have found the same: it is the same
    found, first = np.unique(all_rows["nodes"], return_index=True)
    log.info(
        "the search goes on from a checkpoint",
        blocks=len(blocks),
        nodes=len(found),
        left=len(own) - len(found),
    )
    return KeptRows(
        checkpoint,
        found,
        Neighbours(all_rows["ids"][first], all_rows["distances"][first]),
        tuple(dict.fromkeys(all_rows["searches"].tolist())),
        len(blocks),
    )


def no_neighbours(k: int) -> Neighbours:
    """Return the neighbours of no rows."""
    return Neighbours(np.empty((0, k), np.int32), np.empty((0, k), np.float32))


def joined(found: list[Neighbours], k: int) -> Neighbours:
    """Return the neighbours of some rows after the other."""
    found = [no_neighbours(k), *found]
    return Neighbours(
        np.concatenate([f.ids for f in found]), np.concatenate([f.distances for f in found])
    )


def search_blocks(
    rows: I64, cells: Cells, dimension: int, search: Callable[[I64], Neighbours]
) -> Iterator[tuple[I64, Neighbours]]:
    """Search some rows in blocks that each take `STAGE4_CHECKPOINT_SECONDS`, without it in one.

    Args:
        rows: (m,) to be searched.
        cells: in which they are.
        dimension: of the vectors.
        search: finds the neighbours of rows.

    Yields:
        rows of a block, and their neighbours.
    """
    seconds = deployment().checkpoint_seconds
    most = deployment().batch_rows or BATCH_ROWS
    size = _first_size(len(rows), cells, dimension, seconds) if seconds else len(rows)
    while len(rows):
        # no small one at the end
        some = rows if len(rows) < 1.5 * size else rows[:size]
        began = time.monotonic()
        yield some, search(some)
        took = max(time.monotonic() - began, 1e-3)
        size = int(np.clip(len(some) * seconds / took, _FEWEST_ROWS, most))
        rows = rows[len(some) :]


def _first_size(rows: int, cells: Cells, dimension: int, seconds: float) -> int:
    """Guess how many rows are searched in a quarter of the time; all, if all take half of it.

    The guess may be of a faster machine; the block after it is measured.
    """
    compared = float(cells.bounds[-1])
    if cells.probes is not None:
        compared *= min(_LARGER_CELLS * cells.probes.shape[1] / (len(cells.bounds) - 1), 1)
    row = compared * _SECONDS_PER_PAIR * dimension / 768 / thread_count()
    if rows * row <= seconds / 2:
        return rows
    return int(np.clip(seconds / 4 / row, _FEWEST_ROWS, BATCH_ROWS))


def _fits(rows: Rows, own: I64, nodes: int, k: int) -> bool:
    """Tell whether a block's arrays are what this search would have kept."""

    def is_of(name: str, kind: npt.DTypeLike, *shape: int) -> bool:
        return name in rows and rows[name].dtype == kind and rows[name].shape == shape

    count = len(rows.get("nodes", ()))
    fits = (
        is_of("nodes", np.int64, count)
        and is_of("ids", np.int32, count, k)
        and is_of("distances", np.float32, count, k)
        and is_of("searches", "U8", count)
        and bool(np.isin(rows["nodes"], own).all())
        and bool(((rows["ids"] >= -1) & (rows["ids"] < nodes)).all())
    )
    if not fits:
        log.warning("a block of the checkpoint holds something else: it is searched again")
    return fits
