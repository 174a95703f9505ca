"""Functions that break a good Stage 3 folder, each in its own way."""

import pickle  # noqa: TID251  (what is refused must be written first)
import shutil
from collections.abc import Callable
from typing import Any

import faiss
import numpy as np

from clustering_tasks.arrays import F32
from tests.stage3_folder import Stage3Folder, faiss_index

Break = Callable[[Stage3Folder], object]
LEVEL = "events"
FIRST, SECOND = "event_emb_doc_0000_event_0", "event_emb_doc_0000_event_1"


def vectors_of(folder: Stage3Folder) -> F32:
    index = faiss.read_index(str(folder.index(LEVEL)))
    vectors: F32 = index.reconstruct_n(0, index.ntotal)
    return vectors


def with_vectors(change: Callable[[F32], F32 | None]) -> Break:
    """Write the index again with vectors that were changed in place, or with those returned."""

    def apply(folder: Stage3Folder) -> None:
        vectors = vectors_of(folder)
        changed = change(vectors)
        index, _ = faiss_index(vectors if changed is None else changed)
        faiss.write_index(index, str(folder.index(LEVEL)))

    return apply


def times(number: float, row: slice | int = slice(None)) -> Break:
    """Multiply all vectors, or one."""

    def change(vectors: F32) -> None:
        vectors[row] *= np.float32(number)

    return with_vectors(change)


def value(row: int, number: float) -> Break:
    """Set all components of one vector."""

    def change(vectors: F32) -> None:
        vectors[row] = number

    return with_vectors(change)


def cut(file: str, length: int) -> Break:
    """Keep the first bytes of a file; a negative length counts from its end."""

    def apply(folder: Stage3Folder) -> None:
        path = folder.path / file
        path.write_bytes(path.read_bytes()[:length])

    return apply


def content(file: str, new: bytes) -> Break:
    return lambda folder: (folder.path / file).write_bytes(new)


def remove(*files: str) -> Break:
    def apply(folder: Stage3Folder) -> None:
        for file in files:
            (folder.path / file).unlink()

    return apply


def json_of(change: Callable[[dict[str, Any]], object]) -> Break:
    """Change the metadata in place."""

    def apply(folder: Stage3Folder) -> None:
        metadata = folder.read_metadata(LEVEL)
        change(metadata)
        folder.write_metadata(LEVEL, metadata)

    return apply


def text_of(old: str, new: str) -> Break:
    """Change the metadata's text, which can say what no Python dictionary holds."""

    def apply(folder: Stage3Folder) -> None:
        text = folder.metadata(LEVEL).read_text()
        assert old in text
        folder.metadata(LEVEL).write_text(text.replace(old, new, 1))

    return apply


def another_index(description: str) -> Break:
    def apply(folder: Stage3Folder) -> None:
        vectors = vectors_of(folder)
        index = faiss.index_factory(vectors.shape[1], description)
        index.train(vectors)
        index.add(vectors)
        faiss.write_index(index, str(folder.index(LEVEL)))

    return apply


def ids_twice(folder: Stage3Folder) -> None:
    vectors = vectors_of(folder)
    index = faiss.IndexIDMap(faiss.IndexFlatIP(vectors.shape[1]))
    index.add_with_ids(vectors, np.minimum(np.arange(len(vectors)), 3))
    faiss.write_index(index, str(folder.index(LEVEL)))


def pickled(name: str) -> Break:
    def apply(folder: Stage3Folder) -> None:
        metadata = folder.read_metadata(LEVEL)
        folder.metadata(LEVEL).unlink()
        (folder.path / name).write_bytes(pickle.dumps(metadata))

    return apply


def other_levels_file(suffix: str) -> Break:
    return lambda folder: shutil.copy(
        folder.path / f"documents{suffix}", folder.path / f"events{suffix}"
    )


def other_levels_pair(folder: Stage3Folder) -> None:
    for suffix in (".index", "_metadata.json"):
        other_levels_file(suffix)(folder)


def folder_is_a_file(folder: Stage3Folder) -> None:
    shutil.rmtree(folder.path)
    folder.path.write_text("")


def entry(change: Callable[[dict[str, Any]], object]) -> Break:
    return json_of(lambda metadata: change(metadata["metadata_store"][FIRST]))


def rename(metadata: dict[str, Any], old: str, new: str) -> None:
    """Give an item another vector id, everywhere."""
    metadata["metadata_store"][new] = metadata["metadata_store"].pop(old)
    metadata["id_map"][new] = number = metadata["id_map"].pop(old)
    metadata["reverse_id_map"][str(number)] = new


def swap(metadata: dict[str, Any]) -> None:
    """Exchange two items in one of the two maps."""
    reverse = metadata["reverse_id_map"]
    reverse["0"], reverse["1"] = reverse["1"], reverse["0"]


def gap(metadata: dict[str, Any]) -> None:
    """Number the items 0, 1, 2, ..., 13, 15."""
    name = metadata["reverse_id_map"].pop("14")
    metadata["id_map"][name] = 15
    metadata["reverse_id_map"]["15"] = name


def forget(*maps: str) -> Callable[[dict[str, Any]], None]:
    """Remove the first item from some of the maps."""

    def apply(metadata: dict[str, Any]) -> None:
        for name in maps:
            del metadata[name]["0" if name == "reverse_id_map" else FIRST]

    return apply


def nested(levels: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(levels):
        value = [value]
    return value
