"""What items bear tags by: Stage 3's fields, and the phrases of the list in their texts.

A further source (key phrases, a model's answer) is a function here and a name in `SOURCES` of
`settings.tag_list`.
"""

from array import array
from collections.abc import Collection, Iterator
from dataclasses import dataclass

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from upath import UPath

from clustering_tasks.arrays import I64, Mask
from clustering_tasks.settings.groups.meaning import TagSettings
from clustering_tasks.settings.tag_list import SOURCES, read_listed
from clustering_tasks.stage3.fields import read_texts
from clustering_tasks.steps.tag.phrases import Phrases
from clustering_tasks.steps.tag.vocabulary import CATEGORY, DOMAIN, TAG, Names, Vocabulary
from clustering_tasks.workspace.columns import read_columns

# Of each field of the metadata the category of its values.
_FIELDS = {"categories": CATEGORY, "tags": TAG}
_BATCH = 8192  # items whose metadata are Python objects at a time


@dataclass(frozen=True)
class Pairs:
    """Items and tags, each pair once, row by row.

    Attributes:
        rows: (m,) of the items.
        tags: (m,) their numbers.
    """

    rows: I64
    tags: I64

    def __len__(self) -> int:
        return len(self.rows)

    def where(self, some: Mask) -> "Pairs":
        """Return some of the pairs, (m,)."""
        return Pairs(self.rows[some], self.tags[some])


@dataclass(frozen=True)
class Borne:
    """What items bear.

    Attributes:
        names: of the tags.
        stage3: by Stage 3's fields.
        text: by their texts, and by no field.
    """

    names: Names
    stage3: Pairs
    text: Pairs

    @property
    def every(self) -> Pairs:
        """The pairs of both."""
        rows = np.concatenate([self.stage3.rows, self.text.rows])
        tags = np.concatenate([self.stage3.tags, self.text.tags])
        return distinct(rows, tags, len(self.names.names))


def read_borne(items: UPath, settings: TagSettings) -> Borne:
    """Read what all items of a snapshot bear."""
    sources, listed = settings.sources or SOURCES, read_listed(settings.listed)
    vocabulary = Vocabulary(listed)
    rows, spellings = (
        np.concatenate(arrays)
        for arrays in zip(*_of_stage3(items, sources, vocabulary), strict=True)
    )
    names = vocabulary.names(spellings)
    count = len(names.names)
    stage3 = distinct(rows, names.of_spelling[spellings], count)
    if "text" not in sources or not listed:
        return Borne(names, stage3, Pairs(*np.empty((2, 0), np.int64)))
    rows, found = Phrases(listed).in_texts(read_columns(items, ["text"])["text"])
    text = distinct(rows, names.of_listed[found], count)
    return Borne(names, stage3, text.where(~among(text, stage3, count)))


def _of_stage3(
    items: UPath, sources: Collection[str], vocabulary: Vocabulary
) -> Iterator[tuple[I64, I64]]:
    """Yield rows and spellings, (m,) each, of one source after the other."""
    yield np.empty(0, np.int64), np.empty(0, np.int64)
    if "domains" in sources:
        yield _domains(read_columns(items, ["domain"])["domain"], vocabulary)
    if fields := {name: kind for name, kind in _FIELDS.items() if name in sources}:
        yield _of_fields(items, fields, vocabulary)


def _domains(column: pa.Array, vocabulary: Vocabulary) -> tuple[I64, I64]:
    encoded = column.dictionary_encode()
    numbers = [vocabulary.spelling(DOMAIN, each) for each in encoded.dictionary.to_pylist()]
    rows = np.flatnonzero(column.is_valid().to_numpy(zero_copy_only=False))
    return rows, np.array(numbers, np.int64)[encoded.indices.drop_null().to_numpy()]


def _of_fields(items: UPath, fields: dict[str, str], vocabulary: Vocabulary) -> tuple[I64, I64]:
    rows, spellings, start = array("q"), array("q"), 0
    with items.open("rb") as file:
        for batch in pq.ParquetFile(file).iter_batches(_BATCH, columns=["metadata"]):
            some = _with_a_field(batch.column(0), fields)
            for row, text in zip(some.tolist(), _texts(batch.column(0), some), strict=True):
                metadata = orjson.loads(text)
                for name, category in fields.items():
                    for value in read_texts(name, metadata.get(name))[0]:
                        rows.append(start + row)
                        spellings.append(vocabulary.spelling(category, value))
            start += len(batch)
    return np.frombuffer(rows, np.int64), np.frombuffer(spellings, np.int64)


def _with_a_field(metadata: pa.Array, fields: Collection[str]) -> I64:
    """Return the rows whose JSON has one of the names: most levels' have none of them."""
    data = metadata.buffers()[2]  # searched as a whole first, which takes a twentieth of the time
    whole = data.to_pybytes() if data else b""
    names = [name for name in (f'"{field}":' for field in fields) if name.encode() in whole]
    some = np.zeros(len(metadata), dtype=bool)
    for name in names:
        some |= pc.match_substring(metadata, name).to_numpy(zero_copy_only=False)
    return np.flatnonzero(some)


def _texts(column: pa.Array, rows: I64) -> list[str]:
    texts: list[str] = column.take(pa.array(rows)).to_pylist()
    return texts


def distinct(rows: I64, tags: I64, count: int) -> Pairs:
    """Sort pairs by row and tag, and keep each once.

    Args:
        rows: (m,) of the items.
        tags: (m,) numbers below `count`.
        count: number of tags.
    """
    keys = np.unique(rows * max(count, 1) + tags)
    return Pairs(*np.divmod(keys, max(count, 1)))


def among(pairs: Pairs, others: Pairs, count: int) -> Mask:
    """Tell which pairs are among others, (m,)."""
    mine, theirs = (each.rows * max(count, 1) + each.tags for each in (pairs, others))
    return np.isin(mine, theirs, kind="sort")
