import struct
from pathlib import Path

import faiss
import numpy as np
import pytest

from clustering_tasks.arrays import F32
from clustering_tasks.errors import BadInputError
from clustering_tasks.stage3.index import open_index
from tests.stage3_folder import faiss_index, scattered

KINDS = ["flat_ip", "flat_l2", "idmap", "idmap2"]
VECTORS = scattered(10, dimension=8)


def write(folder: Path, kind: str, vectors: F32 = VECTORS) -> Path:
    path = folder / "events.index"
    faiss.write_index(faiss_index(vectors, kind)[0], str(path))
    return path


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("count", [0, 1, 10])
def test_a_flat_index_is_read_bit_by_bit(tmp_path: Path, kind: str, count: int) -> None:
    index = open_index(write(tmp_path, kind, VECTORS[:count]), 8)
    vectors = index.take(np.arange(count))
    np.testing.assert_array_equal(vectors, VECTORS[:count])
    assert vectors.shape == (count, 8)
    assert vectors.dtype == np.float32
    assert index.ids.tolist() == faiss_index(VECTORS[:count], kind)[1]


@pytest.mark.parametrize("positions", [[], [9], [3, 1, 2], [0, 1, 2, 7, 8, 4], [5, 5, 0, 5]])
def test_vectors_are_taken_in_any_order(tmp_path: Path, positions: list[int]) -> None:
    index = open_index(write(tmp_path, "idmap"), 8)
    taken = index.take(np.array(positions, dtype=np.int64))
    np.testing.assert_array_equal(taken, VECTORS[positions].reshape(-1, 8))


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_cut_off_anywhere_is_refused(tmp_path: Path, kind: str) -> None:
    path = write(tmp_path, kind)
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(BadInputError, match=r"events\.index is no readable FAISS index.*ends"):
            open_index(path, 8)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("more", [1, 32, 10_000])
def test_a_file_that_goes_on_behind_its_index_is_refused(
    tmp_path: Path, kind: str, more: int
) -> None:
    path = write(tmp_path, kind)
    size = path.stat().st_size
    with path.open("ab") as file:
        file.write(b"\0" * more)
    told = rf"events\.index is .* has {size + more} bytes, an index of this shape has {size}\b"
    with pytest.raises(BadInputError, match=told):
        open_index(path, 8)


@pytest.mark.parametrize("kind", KINDS)
def test_a_changed_byte_in_the_header_is_refused_or_harmless(tmp_path: Path, kind: str) -> None:
    path = write(tmp_path, kind)
    whole = path.read_bytes()
    for at in range(45 if kind.startswith("flat") else 82):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :])
        try:
            index = open_index(path, 8)
        except BadInputError:
            continue
        np.testing.assert_array_equal(index.take(np.arange(10)), VECTORS)


@pytest.mark.parametrize("vectors", [9, 11, 2**40, -1])
def test_a_header_that_promises_other_vectors_is_refused(tmp_path: Path, vectors: int) -> None:
    path = write(tmp_path, "flat_ip")
    content = bytearray(path.read_bytes())
    struct.pack_into("<q", content, 8, vectors)
    path.write_bytes(content)
    with pytest.raises(BadInputError, match=f"{vectors} vectors of dimension 8 cannot have 80"):
        open_index(path, 8)


def test_fewer_ids_than_vectors_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path, "idmap")
    content = path.read_bytes()[:-8]
    at = len(content) - 8 * 10  # nine ids are left, and before them their number
    path.write_bytes(content[:at] + struct.pack("<Q", 9) + content[at + 8 :])
    with pytest.raises(BadInputError, match=r"events\.index has 10 vectors but 9 ids"):
        open_index(path, 8)


def test_another_dimension_is_refused_with_both_ways_out(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match=r"dimension 8, .*768: set input\.dimension=8 or let"):
        open_index(write(tmp_path, "flat_ip"), 768)


@pytest.mark.parametrize(
    ("description", "name"),
    [
        ("IVF1,Flat", "IndexIVFFlat"),
        ("HNSW4", "IndexHNSWFlat"),
        ("SQ8", "IndexScalarQuantizer"),
        ("IDMap,HNSW4", "IndexHNSWFlat"),
        ("PCA4,Flat", "IndexPreTransform"),
    ],
)
def test_an_index_of_another_kind_is_refused_by_name(
    tmp_path: Path, description: str, name: str
) -> None:
    index = faiss.index_factory(8, description)
    vectors = scattered(40, dimension=8)
    index.train(vectors)
    if description.startswith("IDMap"):
        index.add_with_ids(vectors, np.arange(40))
    else:
        index.add(vectors)
    path = tmp_path / "events.index"
    faiss.write_index(index, str(path))
    with pytest.raises(BadInputError, match=rf"events\.index is of the kind {name}; only flat"):
        open_index(path, 8)


@pytest.mark.parametrize("content", [b"", b"{}", b"not an index\n", b"\0" * 100, b"\x80\x04"])
def test_a_file_of_something_else_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "events.index"
    path.write_bytes(content)
    with pytest.raises(BadInputError, match="no readable FAISS index"):
        open_index(path, 8)
