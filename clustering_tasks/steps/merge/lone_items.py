"""Clusters of a single item: several vectors of one item are no cluster.

The chunks of a document are alike, and may be like nothing else. A record names each member once,
and one member is no cluster for Stage 5.
"""

import numpy as np

from clustering_tasks.arrays import I32, I64, Mask
from clustering_tasks.steps.merge.assignments import NOISE
from clustering_tasks.steps.merge.corrections import Corrected
from clustering_tasks.workspace.artefacts import Result
from clustering_tasks.workspace.columns import read_columns

SMALLEST = 2  # items of a core


def without_lone_items(found: Corrected, snapshot: Result) -> Corrected:
    """Make noise of the clusters whose core is of one item.

    Args:
        found: a clustering of the snapshot's n rows, numbered without gaps.
        snapshot: of the run.
    """
    if not snapshot.metrics["further_vectors"]:
        return found
    stay = items_of_clusters(found.core, item_of_row(snapshot)) >= SMALLEST
    number = np.where(stay, np.cumsum(stay) - 1, NOISE).astype(np.int32)
    labels, core = (_renumbered(each, number) for each in (found.labels, found.core))
    placed = found.placed | (found.labels >= 0) & (labels < 0)
    return Corrected(labels, core, placed, found.metrics)


def item_of_row(snapshot: Result) -> I32:
    """Number the items of a snapshot: (n,), the same for all vectors of one item."""
    sources = read_columns(snapshot.path("items"), ["source_id"])["source_id"]
    return np.asarray(sources.dictionary_encode().indices, dtype=np.int32)


def items_of_clusters(core: I32, item: I32) -> I64:
    """Count the items of each cluster's core, however many vectors they have.

    Args:
        core: (n,) cluster of each row, negative for none.
        item: (n,) of each row.
    """
    inside = core >= 0
    # a million rows: 0.06 s, by `np.unique` 0.8 s
    pairs = np.sort(core[inside].astype(np.int64) << 32 | item[inside])
    distinct = pairs[np.diff(pairs, prepend=-1) != 0]
    return np.bincount(distinct >> 32, minlength=int(core.max(initial=-1)) + 1)


def _renumbered(labels: I32, number: I32) -> I32:
    inside: Mask = labels >= 0
    return np.where(inside, np.append(number, NOISE)[labels], labels).astype(np.int32)
