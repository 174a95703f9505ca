"""Types for items that have none: those of the same mention, or of the nearest items.

A type is a wall: items of two types never share a cluster, and those without one would be behind a
wall of their own, away from the other mentions of their entity.
"""

from collections.abc import Iterable, Iterator

import numpy as np
import pandas as pd

from clustering_tasks.arrays import I64
from clustering_tasks.engine.exact import cosines
from clustering_tasks.stage3.text import matching
from clustering_tasks.workspace.vector_files import VectorFile

# Compared are so many typed items, evenly spaced, with so many mentions: 2 s of one core at most.
_TYPED = 8192
_MENTIONS = 4096
_NEAREST = 5
_ROWS = 1024
_NONE = -1


def fill_missing_types(
    types: "pd.Series[str]", mentions: Iterable[str | None], vectors: VectorFile
) -> "pd.Series[str]":
    """Return types in which items without one have what most items of their mention have.

    Where no typed item has the mention, or its types draw, all items of the mention get the type of
    most of the five nearest typed items, if three or more agree; but not where most items have no
    type, because their neighbours have none either. The others stay without: a wrong type is no
    better than none.

    Args:
        types: (n,) of the items, null where there is none.
        mentions: (n,) what names them; without a mention an item stands for itself.
        vectors: (n, d) of the items.
    """
    codes, names = pd.factorize(types, sort=True)
    if not len(names) or (codes >= 0).all():
        return types
    texts = [matching(mention) if mention else None for mention in mentions]
    group = pd.factorize(np.array(texts, dtype=object))[0].astype(np.int64)
    alone = group < 0
    group[alone] = group.max(initial=-1) + 1 + np.arange(int(alone.sum()))
    of_group = _most_frequent(group, codes, len(names))
    if 2 * ((codes >= 0) | (of_group[group] >= 0)).sum() >= len(codes):
        _ask_neighbours(of_group, group, codes, vectors)
    filled = np.where(codes >= 0, codes, of_group[group])
    found = pd.Series(pd.Categorical.from_codes(filled, categories=names), index=types.index)
    return found.astype(types.dtype)


def _most_frequent(group: I64, codes: I64, kinds: int) -> I64:
    """Return of each group the code that most of its items have, -1 for none and for a draw."""
    typed = codes >= 0
    pairs, counts = np.unique(group[typed] * kinds + codes[typed], return_counts=True)
    of, code = np.divmod(pairs, kinds)
    most = np.zeros(int(group.max()) + 1, dtype=np.int64)
    np.maximum.at(most, of, counts)
    leading = counts == most[of]
    winners = np.bincount(of[leading], minlength=len(most))
    found = np.full(len(most), _NONE, dtype=np.int64)
    found[of[leading]] = code[leading]
    found[winners != 1] = _NONE
    return found


def _ask_neighbours(of_group: I64, group: I64, codes: I64, vectors: VectorFile) -> None:
    """Write the codes of groups without one, by the nearest typed items of each one's first."""
    untyped = np.flatnonzero((codes < 0) & (of_group[group] < 0))
    asking, first = np.unique(group[untyped], return_index=True)
    asking, first = asking[:_MENTIONS], untyped[first[:_MENTIONS]]
    typed = np.flatnonzero(codes >= 0)
    typed = typed[:: -(-len(typed) // _TYPED)]
    beside = vectors.take(typed)
    for start in range(0, len(first), _ROWS):
        similar = cosines(vectors.take(first[start : start + _ROWS]), beside)
        nearest = np.argsort(-similar, axis=1, kind="stable")[:, :_NEAREST]
        of_group[asking[start : start + _ROWS]] = list(_votes(codes[typed][nearest]))


def _votes(codes: I64) -> Iterator[int]:
    """Yield for each row the code that more than half of it has, -1 for none."""
    for row in codes:
        counts = np.bincount(row)
        yield int(counts.argmax()) if 2 * counts.max() > len(row) else _NONE
