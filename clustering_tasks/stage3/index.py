"""Stage 3's FAISS indices: flat ones, also wrapped in an IDMap (IN-1)."""

from dataclasses import dataclass
from pathlib import Path

import faiss
import numpy as np
import numpy.typing as npt

from clustering_tasks.errors import BadInputError


@dataclass(frozen=True)
class FlatIndex:
    """The vectors of an index and the integer ids under which FAISS knows them.

    Attributes:
        vectors: (n, d) float32, a view of the mapped file: read it in blocks.
        ids: (n,) int64.
    """

    vectors: npt.NDArray[np.float32]
    ids: npt.NDArray[np.int64]
    _owner: faiss.Index  # the view's memory


def open_index(path: Path, dimension: int) -> FlatIndex:
    """Map a FAISS index file into memory.

    Args:
        path: a local file.
        dimension: the d that it must have.

    Raises:
        BadInputError: when the file is unreadable or truncated, of another kind or dimension.
    """
    try:
        index = faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC)
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1]
        raise BadInputError(
            f"{path.name} is no readable FAISS index ({reason}): it may be truncated. "
            f"Let Stage 3 write it again"
        ) from None
    flat, ids = _unwrap(index, path.name)
    if flat.d != dimension:
        raise BadInputError(
            f"{path.name} holds vectors of dimension {flat.d}, input.dimension is {dimension}: "
            f"set input.dimension={flat.d} or let Stage 3 embed with the right model"
        )
    return FlatIndex(vectors=_view(flat), ids=ids, _owner=index)


def _unwrap(index: faiss.Index, name: str) -> tuple[faiss.IndexFlat, npt.NDArray[np.int64]]:
    index = faiss.downcast_index(index)
    ids = np.arange(index.ntotal, dtype=np.int64)
    if isinstance(index, faiss.IndexIDMap | faiss.IndexIDMap2):
        ids = faiss.vector_to_array(index.id_map)
        index = faiss.downcast_index(index.index)
    if not isinstance(index, faiss.IndexFlat):
        raise BadInputError(
            f"{name} is a {type(index).__name__}; only flat indices (IndexFlatIP, IndexFlatL2), "
            f"also within an IndexIDMap, hold the exact vectors. Let Stage 3 write a flat one"
        )
    if len(ids) != index.ntotal:
        raise BadInputError(
            f"{name} has {index.ntotal} vectors but {len(ids)} ids: let Stage 3 write it again"
        )
    return index, ids


def _view(flat: faiss.IndexFlat) -> npt.NDArray[np.float32]:
    if flat.ntotal == 0:
        return np.empty((0, flat.d), dtype=np.float32)
    values: npt.NDArray[np.float32] = faiss.rev_swig_ptr(flat.get_xb(), flat.ntotal * flat.d)
    return values.reshape(flat.ntotal, flat.d)
