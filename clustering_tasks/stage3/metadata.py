"""Stage 3's metadata files, streamed: a million items are a gigabyte of JSON (IN-7).

A file is read twice. The first time all of it is checked, and of an item only its id and its place
in the file are kept; the second time the items are read in the order of their ids. So the memory
needed does not depend on how much Stage 3 says of an item.
"""

import io
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ijson
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from clustering_tasks.arrays import I64
from clustering_tasks.errors import BadInputError
from clustering_tasks.settings.levels import Level
from clustering_tasks.stage3.examples import examples
from clustering_tasks.stage3.items import Entry
from clustering_tasks.stage3.json_stream import Batch, Document, read_members

_AGAIN = "Let Stage 3 write the pair again"
_PICKLE_PROTO = b"\x80"  # the first byte of every pickle since protocol 2
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
        BadInputError: for a pickle (never loaded: that would run its code) or an empty file.
    """
    with path.open("rb") as file:
        start = file.read(1)
    if start == _PICKLE_PROTO:
        raise BadInputError(
            f"{path.name} is a pickle, which is refused because loading one runs its code. "
            f"Let Stage 3 write JSON with metadata_store, id_map and reverse_id_map"
        )
    if not start:
        raise BadInputError(f"{path.name} is empty: let Stage 3 write it again")


def read_metadata(path: Path, level: Level) -> Metadata:
    """Read a metadata file and check each of its entries.

    Raises:
        BadInputError: naming the file and the item: for a file that is no JSON or lacks one of the
            three objects, for a name that is twice there, for an entry of the wrong form.
    """
    names: dict[str, list[pa.Array]] = {section: [] for section in _VALUES}
    values: dict[str, list[Any]] = {section: [] for section in _VALUES}
    with path.open("rb") as file:
        document = Document(file, path.name)
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
        raise BadInputError(f"{path.name}, {section} has {repeated[0]!r} twice. {_AGAIN}")
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
    if set(map(type, values)) <= {str}:
        return pa.array(list(values), _TEXT)
    return pa.array([value if isinstance(value, str) else None for value in values], _TEXT)


def _integers(path: Path, batch: Batch, _level: Level) -> pa.Array:
    values = batch.members.values()
    if not set(map(type, values)) <= {int}:
        name, value = next((n, v) for n, v in batch.members.items() if type(v) is not int)
        raise BadInputError(
            f"{path.name}, id_map, item {name!r}: {value!r} is no integer. {_AGAIN}"
        )
    return pa.array(list(values), pa.int64())


def _bounds(path: Path, batch: Batch, level: Level) -> I64:
    for vector_id, entry in batch.members.items():
        if problem := _problem(vector_id, entry, level):
            raise BadInputError(
                f"{path.name}, metadata_store, item {vector_id!r}: {problem}. {_AGAIN}"
            )
    return batch.bounds


_VALUES: dict[str, Callable[[Path, Batch, Level], Any]] = {
    "metadata_store": _bounds,
    "id_map": _integers,
    "reverse_id_map": lambda _path, batch, _level: _texts(batch.members.values()),
}


def _refuse_missing(path: Path, section: str, frame: bytes) -> None:
    """Tell an object without members, right for an empty level, from one that is not there."""
    events = ijson.parse(io.BytesIO(frame))
    event = next((event for prefix, event, _ in events if prefix == section), None)
    if event != "start_map":
        found = "is missing" if event is None else f"is no object but starts with {event}"
        raise BadInputError(
            f"{path.name}: {section} {found}; the file must have the objects metadata_store, "
            f"id_map and reverse_id_map. {_AGAIN}"
        )


def _problem(vector_id: str, entry: object, level: Level) -> str | None:
    if not vector_id.startswith(level.vector_prefix):
        return f"a vector id of level {level.name} starts with {level.vector_prefix!r}"
    if "\0" in vector_id:
        return "a vector id holds no NUL character"
    if not isinstance(entry, dict):
        return "the entry is no object"
    if not isinstance(entry.get("source_id"), str) or not entry["source_id"]:
        return "the key source_id is missing or no text"
    if "\0" in entry["source_id"]:
        return "a source id holds no NUL character"
    if not isinstance(entry.get("metadata"), dict):
        return "the key metadata is missing or no object"
    kind = entry.get("embedding_type", level.cluster_type)
    if kind not in (level.cluster_type, level.name):
        return f"embedding_type is {kind!r}, expected {level.cluster_type!r}"
    return None
