"""Stage 3's metadata files, streamed: a million items are a gigabyte of JSON (IN-7).

A file is read twice. The first time all of it is checked, and of an item only its id and its place
in the file are kept; the second time the items are read in the order of their ids. So the memory
needed does not depend on how much Stage 3 says of an item.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from clustering_tasks.arrays import I64
from clustering_tasks.errors import BadInputError
from clustering_tasks.settings.levels import Level
from clustering_tasks.stage3.examples import examples, quoted
from clustering_tasks.stage3.formats import MOST_BYTES, other_format
from clustering_tasks.stage3.ids import LONGEST_VECTOR_ID, as_id, id_problem
from clustering_tasks.stage3.items import Entry
from clustering_tasks.stage3.json_stream import (
    OUTERMOST,
    Batch,
    Document,
    parse,
    read_members,
)

_AGAIN = "Let Stage 3 write the pair again"
_NO_DOCUMENT = (None, "")
_TEXT = pa.large_string()  # ids may be more than 2 GB


@dataclass(frozen=True)
class Metadata:
    """What is kept of a metadata file; each object's names are unique and in the file's order.

    Attributes:
        path: the file.
        vector_ids: (n,) text, the names in `metadata_store`.
        bounds: (n, 2) where in the file each name begins and its entry ends.
        id_map: names (text) and values (int64).
        reverse_id_map: names and values (text; null for what is none).
    """

    path: Path
    vector_ids: pa.Array
    bounds: I64
    id_map: tuple[pa.Array, pa.Array]
    reverse_id_map: tuple[pa.Array, pa.Array]


def refuse_other_formats(path: Path) -> None:
    """Check that the file may be JSON at all.

    Raises:
        BadInputError: for an empty file, and for one of another kind, which is named; a pickle is
            never loaded, because that would run its code.
    """
    with path.open("rb") as file:
        start = file.read(MOST_BYTES)
    if not start:
        raise BadInputError(f"{path.name} is empty: let Stage 3 write it again")
    if other := other_format(start):
        raise BadInputError(
            f"{path.name} is {other}. Let Stage 3 write JSON in UTF-8 with metadata_store, id_map "
            f"and reverse_id_map"
        )


def read_metadata(path: Path, level: Level) -> Metadata:
    """Read a metadata file and check each of its entries.

    Raises:
        BadInputError: naming the file and the item: for a file that is no JSON or lacks one of the
            three objects, for a name that is twice there, for an entry of the wrong form.
    """
    names: dict[str, list[pa.Array]] = {section: [] for section in _VALUES}
    values: dict[str, list[Any]] = {section: [] for section in _VALUES}
    with path.open("rb") as file:
        document = Document(file, path.name, _is_ours(level))
        for batch in document.batches():
            if batch.section in _VALUES:
                values[batch.section].append(_VALUES[batch.section](path, batch, level))
                names[batch.section].append(_texts(batch.members))
    for section, found in names.items():
        if not found:
            _refuse_missing(path, section, document.frame)
    unique = {section: _unique(path, section, found) for section, found in names.items()}
    return Metadata(
        path=path,
        vector_ids=unique["metadata_store"],
        bounds=np.concatenate([np.empty((0, 2), np.int64), *values["metadata_store"]]),
        id_map=(unique["id_map"], _joined(values["id_map"], pa.int64())),
        reverse_id_map=(unique["reverse_id_map"], _joined(values["reverse_id_map"], _TEXT)),
    )


def read_entries(metadata: Metadata, order: I64, size: int) -> Iterator[dict[str, Entry]]:
    """Yield up to `size` vector ids at a time with their entries, in an order of one's own.

    Args:
        metadata: of the file, which must not have changed since.
        order: (n,) rows of `metadata.vector_ids`.
        size: how many at a time.
    """
    with metadata.path.open("rb") as file:
        for start in range(0, len(order), size):
            yield read_members(file, metadata.bounds[order[start : start + size]])


def positions(metadata: Metadata, ids: I64, index: str) -> I64:
    """Find each vector's position in the index, through the two id maps.

    Args:
        metadata: of the file.
        ids: (n,) the index's own ids, by position.
        index: the index's name, for messages.

    Returns:
        (n,) int64, the position in the index of each of `metadata.vector_ids`.

    Raises:
        BadInputError: for ids that are missing, unknown, twice there, or on which the maps disagree
            (IN-5): with counts and examples, so that no item ever gets another item's metadata.
    """
    path, (names, values) = metadata.path, metadata.id_map
    _refuse_repeated(values, f"{path.name}, id_map gives one id to several items")
    _compare(path, "metadata_store", metadata.vector_ids, "id_map", names)
    _check_reverse(metadata)
    of_index = pa.array(ids)
    _refuse_repeated(of_index, f"{index} has ids twice")
    _compare(path, "id_map (values)", values, index, of_index)
    position = pc.index_in(values.take(pc.index_in(metadata.vector_ids, names)), of_index)
    return np.asarray(position, dtype=np.int64)


def _check_reverse(metadata: Metadata) -> None:
    path, (names, ids), (numbers, items) = metadata.path, metadata.id_map, metadata.reverse_id_map
    ids_as_text = ids.cast(_TEXT)
    named = items.take(pc.index_in(ids_as_text, numbers))
    wrong = names.filter(pc.fill_null(pc.not_equal(named, names), fill_value=True)).to_pylist()
    unknown = sorted(numbers.filter(pc.invert(pc.is_in(numbers, ids_as_text))).to_pylist())
    if wrong or unknown:
        raise BadInputError(
            f"{path.name}: id_map and reverse_id_map disagree about {examples(wrong or unknown)}; "
            f"id_map has {len(names)} items, reverse_id_map {len(numbers)}. {_AGAIN}"
        )


def _compare(path: Path, one: str, ones: pa.Array, other: str, others: pa.Array) -> None:
    problems = []
    if missing := _only_in(ones, others):
        problems.append(f"in {one} but not in {other}: {examples(missing)}")
    if unknown := _only_in(others, ones):
        problems.append(f"in {other} but not in {one}: {examples(unknown)}")
    if problems:
        raise BadInputError(
            f"{path.name}: {'; '.join(problems)}. {one} and {other} must name the same items. "
            f"{_AGAIN}"
        )


def _only_in(ones: pa.Array, others: pa.Array) -> list[Any]:
    return sorted(ones.filter(pc.invert(pc.is_in(ones, others))).to_pylist())


def _unique(path: Path, section: str, found: list[pa.Array]) -> pa.Array:
    names = _joined(found, _TEXT)
    if repeated := _repeated(names):
        raise BadInputError(f"{path.name}, {section} has {quoted(repeated[0])} twice. {_AGAIN}")
    return names


def _refuse_repeated(values: pa.Array, message: str) -> None:
    if repeated := _repeated(values):
        raise BadInputError(f"{message}: {examples(repeated)}. {_AGAIN}")


def _repeated(values: pa.Array) -> list[Any]:
    if pc.count_distinct(values).as_py() == len(values):
        return []
    return [value for value, count in Counter(values.to_pylist()).items() if count > 1]


def _joined(arrays: Iterable[pa.Array], kind: pa.DataType) -> pa.Array:
    return pa.chunked_array(list(arrays), kind).combine_chunks()


def _texts(values: Collection[object]) -> pa.Array:
    texts = [value if isinstance(value, str) else None for value in values]
    try:
        return pa.array(texts, _TEXT)
    except UnicodeEncodeError:  # half a surrogate pair: no id, and found to be none below
        return pa.array([text and text.encode(errors="replace").decode() for text in texts], _TEXT)


def _is_ours(level: Level) -> Callable[[str, str], bool]:
    """Return whether a section and a member's name are of the contract, hence no secret's."""

    def is_ours(section: str, name: str) -> bool:
        if section == OUTERMOST:
            return name in _VALUES
        if section == "reverse_id_map":
            return name.isdecimal()
        return section in _VALUES and name.startswith(level.vector_prefix)

    return is_ours


def _integers(path: Path, batch: Batch, _level: Level) -> pa.Array:
    values = batch.members.values()
    if not set(map(type, values)) <= {int}:
        name, value = next((n, v) for n, v in batch.members.items() if type(v) is not int)
        raise BadInputError(
            f"{path.name}, id_map, item {quoted(name)}: {quoted(value)} is no integer. {_AGAIN}"
        )
    try:
        return pa.array(list(values), pa.int64())
    except (OverflowError, pa.ArrowInvalid):
        raise BadInputError(f"{path.name}, id_map has a number beyond 64 bits. {_AGAIN}") from None


def _bounds(path: Path, batch: Batch, level: Level) -> I64:
    for vector_id, entry in batch.members.items():
        if problem := _problem(vector_id, entry, level):
            raise BadInputError(
                f"{path.name}, metadata_store, item {quoted(vector_id)}: {problem}. {_AGAIN}"
            )
    return batch.bounds


_VALUES: dict[str, Callable[[Path, Batch, Level], Any]] = {
    "metadata_store": _bounds,
    "id_map": _integers,
    "reverse_id_map": lambda _path, batch, _level: _texts(batch.members.values()),
}


def _refuse_missing(path: Path, section: str, frame: bytes) -> None:
    """Tell an object without members, right for an empty level, from one that is not there."""
    document = parse(frame)
    members = document if isinstance(document, dict) else {}
    if not isinstance(members.get(section), dict):
        found = "is no object" if section in members else "is missing"
        raise BadInputError(
            f"{path.name}: {section} {found}; the file must have the objects metadata_store, "
            f"id_map and reverse_id_map. {_AGAIN}"
        )


def _problem(vector_id: str, entry: object, level: Level) -> str | None:
    if not vector_id.startswith(level.vector_prefix):
        return f"a vector id of level {level.name} starts with {level.vector_prefix!r}"
    if problem := id_problem(vector_id, LONGEST_VECTOR_ID):
        return f"the vector id {problem}"
    if not isinstance(entry, dict):
        return "the entry is no object"
    if problem := _id_problem(entry.get("source_id")):
        return f"the key source_id {problem}"
    if not isinstance(metadata := entry.get("metadata"), dict):
        return "the key metadata is missing or no object"
    kind = entry.get("embedding_type", level.cluster_type)
    if kind not in (level.cluster_type, level.name):
        return f"embedding_type is {quoted(kind)}, expected {level.cluster_type!r}"
    if level.name == "documents" or (document := metadata.get("document_id")) in _NO_DOCUMENT:
        return None
    problem = _id_problem(document.strip() if isinstance(document, str) else document)
    return f"its document_id {problem}" if problem else None


def _id_problem(value: object) -> str | None:
    """Say why a value is no id; None where it is one. Whole numbers are."""
    if value is None or value == "":
        return "is missing or no text"
    text = as_id(value)
    return "is missing or no text, nor a whole number" if text is None else id_problem(text)
