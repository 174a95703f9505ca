"""Stage 3's metadata files, streamed: a million items are a gigabyte of JSON (IN-7)."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ijson
import numpy as np
import numpy.typing as npt

from clustering_tasks.errors import BadInputError
from clustering_tasks.levels import Level
from clustering_tasks.stage3.examples import examples

_AGAIN = "Let Stage 3 write the pair again"
_PICKLE_PROTO = b"\x80"  # the first byte of every pickle since protocol 2


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


def entries(path: Path, level: Level) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each vector id with its entry of `metadata_store`, in the file's order.

    Raises:
        BadInputError: naming the file and the item, for an entry of the wrong form.
    """
    for vector_id, entry in _pairs(path, "metadata_store"):
        if problem := _problem(vector_id, entry, level):
            raise BadInputError(
                f"{path.name}, metadata_store, item {vector_id!r}: {problem}. {_AGAIN}"
            )
        yield vector_id, entry


def positions(
    path: Path, vector_ids: list[str], ids: npt.NDArray[np.int64], index: str
) -> npt.NDArray[np.int64]:
    """Find each vector's position in the index, through the two id maps.

    Args:
        path: the metadata file.
        vector_ids: the items of `metadata_store`.
        ids: (n,) the index's own ids, by position.
        index: the index's name, for messages.

    Returns:
        (n,) int64, the position in the index of each of `vector_ids`.

    Raises:
        BadInputError: for ids that are missing, unknown, twice there, or on which the maps disagree
            (IN-5): with counts and examples, so that no item ever gets another item's metadata.
    """
    id_map = _id_map(path)
    _compare(path, "metadata_store", vector_ids, "id_map", id_map)
    _check_reverse(path, id_map)
    position_of = {int(faiss_id): position for position, faiss_id in enumerate(ids)}
    if len(position_of) != len(ids):
        repeated = [faiss_id for faiss_id, count in Counter(ids.tolist()).items() if count > 1]
        raise BadInputError(f"{index} has ids twice: {examples(repeated)}. {_AGAIN}")
    _compare(path, "id_map (values)", id_map.values(), index, position_of)
    return np.array([position_of[id_map[v]] for v in vector_ids], dtype=np.int64)


def _id_map(path: Path) -> dict[str, int]:
    id_map: dict[str, int] = {}
    for vector_id, faiss_id in _pairs(path, "id_map"):
        if isinstance(faiss_id, bool) or not isinstance(faiss_id, int):
            raise BadInputError(
                f"{path.name}, id_map, item {vector_id!r}: {faiss_id!r} is no integer. {_AGAIN}"
            )
        id_map[vector_id] = faiss_id
    if len(set(id_map.values())) != len(id_map):
        repeated = [value for value, count in Counter(id_map.values()).items() if count > 1]
        raise BadInputError(
            f"{path.name}, id_map gives one id to several items: {examples(repeated)}. {_AGAIN}"
        )
    return id_map


def _check_reverse(path: Path, id_map: dict[str, int]) -> None:
    reverse = dict(_pairs(path, "reverse_id_map"))
    wrong = [v for v, faiss_id in id_map.items() if reverse.get(str(faiss_id)) != v]
    unknown = sorted(reverse.keys() - {str(faiss_id) for faiss_id in id_map.values()})
    if wrong or unknown:
        raise BadInputError(
            f"{path.name}: id_map and reverse_id_map disagree about {examples(wrong or unknown)}; "
            f"id_map has {len(id_map)} items, reverse_id_map {len(reverse)}. {_AGAIN}"
        )


def _compare(path: Path, one: str, ones: Any, other: str, others: Any) -> None:
    left, right = set(ones), set(others)
    problems = []
    if missing := sorted(left - right):
        problems.append(f"in {one} but not in {other}: {examples(missing)}")
    if unknown := sorted(right - left):
        problems.append(f"in {other} but not in {one}: {examples(unknown)}")
    if problems:
        raise BadInputError(
            f"{path.name}: {'; '.join(problems)}. {one} and {other} must name the same items. "
            f"{_AGAIN}"
        )


def _pairs(path: Path, section: str) -> Iterator[tuple[str, Any]]:
    """Yield the pairs of one top-level object, refusing keys that come twice."""
    seen: set[str] = set()
    try:
        with path.open("rb") as file:
            for name, value in ijson.kvitems(file, section, use_float=True):
                if name in seen:
                    raise BadInputError(f"{path.name}, {section} has {name!r} twice. {_AGAIN}")
                seen.add(name)
                yield name, value
        if not seen:
            _refuse_missing(path, section)
    except ijson.JSONError as error:
        raise BadInputError(
            f"{path.name} is not valid JSON ({_one_line(error)}): it may be truncated. "
            f"Let Stage 3 write it again"
        ) from None


def _one_line(error: ijson.JSONError) -> str:
    """Return what the parser says, with the place that it quotes; bytes where that is no UTF-8."""
    text = error.args[0] if error.args else error
    text = text.decode(errors="replace") if isinstance(text, bytes) else str(text)
    return " ".join(text.split())


def _refuse_missing(path: Path, section: str) -> None:
    """Tell an object without pairs, right for an empty level, from one that is not there."""
    with path.open("rb") as file:
        event = next((e for prefix, e, _ in ijson.parse(file) if prefix == section), None)
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
