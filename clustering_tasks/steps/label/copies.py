"""Near-duplicates within a cluster: which member stands for each, and what is said only once.

An agency's text that twenty outlets reprint is one text. It counts once where a cluster is named
and shown; sizes, dates, tags and centroids are those of all members.
"""

import re
from collections.abc import Callable, Collection, Iterable, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from clustering_tasks.arrays import I32, I64, Mask
from clustering_tasks.stage3.text import matching
from clustering_tasks.steps.label.members import Columns

ITEMS, ASSIGNED = ("source_id", "start_time"), ("near_duplicate", "probability")
_UNDATED = np.iinfo(np.int64).max
_WORD = re.compile(r"\w+")
_NO_WORDS = {code: " " for code in range(128) if not _WORD.match(chr(code))}  # of ASCII
_WITH_SENTENCE = ("events", "entities")


def near_duplicates_of(columns: Mapping[str, pa.Array], labels: I32) -> pa.Array:
    """Return of each item the member of its cluster that it is a near-duplicate of.

    Of the near-duplicates in a cluster the one with the earliest date stands for the others; of
    equally early ones, and where none is dated, the one with the lowest source id. Of an item of
    several vectors the surest counts, and all get what is said of it.

    Args:
        columns: (n,) those of `ITEMS` and `ASSIGNED`.
        labels: (n,) the cluster of each, negative for none.

    Returns:
        (n,) source ids; null of what stands for itself, and of what is in no cluster.
    """
    ids, group = columns["source_id"], columns["near_duplicate"].to_numpy()
    rows = _candidates(ids, labels, group)
    if not len(rows):
        return pa.nulls(len(ids), pa.string())
    item = pc.rank(ids.take(rows), tiebreaker="dense").to_numpy().astype(np.int64)
    start = columns["start_time"].take(rows).cast(pa.int64()).fill_null(_UNDATED).to_numpy()
    surest = -columns["probability"].take(rows).to_numpy().astype(np.float64)
    cluster, group = labels[rows], group[rows]

    order = np.lexsort((surest, item, cluster))  # stable: of equally sure ones the first
    new = _begins(cluster[order], item[order])
    item_of = np.empty(len(rows), dtype=np.int64)
    item_of[order] = np.cumsum(new) - 1
    standing = order[new]  # one row of each item in each cluster, in the order of `item_of`

    by = np.lexsort((item[standing], start[standing], group[standing], cluster[standing]))
    first = _begins(cluster[standing[by]], group[standing[by]])
    original = np.empty(len(standing), dtype=np.int64)
    original[by] = standing[by[first]][np.cumsum(first) - 1]

    found = original[item_of]
    copies = found != standing[item_of]
    taken = np.full(len(ids), -1, dtype=np.int64)
    taken[rows[copies]] = rows[found[copies]]
    return ids.take(pa.array(taken, mask=taken < 0))


def _candidates(ids: pa.Array, labels: I32, group: I32) -> I64:
    """Return the rows in clusters that may be, or have, copies: all rows of their items."""
    rows = np.flatnonzero(labels >= 0)
    order = rows[np.lexsort((group[rows], labels[rows]))]
    new = np.append(_begins(labels[order], group[order]), True)
    several = order[~(new[:-1] & new[1:])]
    items = pc.is_in(ids, ids.take(pa.array(np.sort(several)))).to_numpy(zero_copy_only=False)
    return np.flatnonzero(items & (labels >= 0)) if len(several) else several


def _begins(*keys: I32 | I64) -> Mask:
    """Tell where one of some sorted keys differs from the one before."""
    new = np.ones(len(keys[0]), dtype=bool)
    new[1:] = np.any([key[1:] != key[:-1] for key in keys], axis=0)
    return new


def without_copies(
    labels: I32, copies: pa.ChunkedArray, ids: pa.ChunkedArray, texts: pa.ChunkedArray
) -> I32:
    """Return the clusters of the items, -1 for near-duplicates with the text of their original.

    Vectors alone do not tell: under some encoders all texts of a story are near-duplicates.

    Args:
        labels: (n,) the cluster of each, negative for none.
        copies: (n,) from `near_duplicates_of`.
        ids: (n,) source ids.
        texts: (n,) of the items.
    """
    rows = np.flatnonzero(copies.is_valid())
    of = pc.index_in(copies.take(pa.array(rows)), value_set=ids.combine_chunks()).to_numpy()
    written = _numbered(texts, np.union1d(rows, of))
    once = labels.copy()
    once[rows[(written[rows] == written[of]) & (written[rows] >= 0)]] = -1
    return once


def _numbered(texts: pa.ChunkedArray, rows: I64) -> I64:
    """Number the texts of some rows, equal ones alike: (n,), -1 for none and for other rows.

    A long text that has many copies is taken once: once for each, it may be more than an array of
    Arrow holds.
    """
    encoded = texts.take(pa.array(rows)).dictionary_encode()
    chunks = encoded.chunks if isinstance(encoded, pa.ChunkedArray) else [encoded]
    numbers = np.full(len(texts), -1, dtype=np.int64)
    found = [chunk.indices.fill_null(-1).to_numpy() for chunk in chunks]  # of one dictionary
    numbers[rows] = np.concatenate([np.empty(0, dtype=np.int64), *found])
    return numbers


def different(members: Columns, rows: I64, level: str, most: int) -> I64:
    """Return the first rows that say something of their own, in the order of `rows`.

    Args:
        members: of a cluster.
        rows: of them, those wanted most first.
        level: whose items they are; of events and mentions the sentence is what they say.
        most: rows at the most.
    """
    return in_order(rows, apart(members, rows, level, most))


def in_order(rows: I64, some: Collection[int]) -> I64:
    """Return some of the rows, in their order."""
    wanted = set(some)
    return np.array([row for row in rows.tolist() if row in wanted], dtype=np.int64)


def apart(members: Columns, rows: I64, level: str, most: int) -> list[int]:
    """Choose rows that say something of their own, no text twice; arguments as of `different`.

    Near-duplicates with a text of their own are taken where there is nothing else.

    Returns:
        rows, those chosen first first: with a lower `most`, it is a beginning of this. A member
        without a text says nothing that another one could repeat.
    """
    copied = members["near_duplicate_of"].tolist()
    said_by = _sayings(members, level)
    found, said, seen = list[int](), set[str](), set[str]()
    for row in _copies_last(rows.tolist(), copied):
        text = said_by(row)
        if text in said or (not text and copied[row] is not None):
            continue
        if text:
            said.add(text)  # as it is written: most that comes twice does
            words = _compared(text)
            if words in seen:
                continue
            seen.add(words)
        found.append(row)
        if len(found) == most:
            break
    return found


def _copies_last(rows: list[int], copied: list[str | None]) -> list[int]:
    own = [row for row in rows if copied[row] is None]
    return own if len(own) == len(rows) else own + [r for r in rows if copied[r] is not None]


def _compared(text: str) -> str:
    """Return the words of a text without case, width and signs."""
    if text.isascii():
        return " ".join(text.lower().translate(_NO_WORDS).split()) or text
    return " ".join(_WORD.findall(matching(text))) or text


def texts_of(members: Columns, rows: I64, level: str) -> list[str | None]:
    """Return what members say: an event's or a mention's sentence, else their title."""
    return list(map(_sayings(members, level), rows.tolist()))


def once_each(members: Columns) -> list[str | None]:
    """Return the titles of members, the same one of near-duplicates once."""
    both: Iterable[tuple[int, str | None]] = zip(
        members["near_duplicate"].tolist(), members["title"].tolist(), strict=True
    )
    return [title for _, title in dict.fromkeys(both)]


def _sayings(members: Columns, level: str) -> Callable[[int], str | None]:
    """Return what tells of a row what its member says."""
    titles: list[str | None] = members["title"].tolist()
    if level not in _WITH_SENTENCE:
        return titles.__getitem__
    sentences: list[str | None] = members["sentence"].tolist()
    return lambda row: sentences[row] or titles[row]
