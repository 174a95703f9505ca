"""Candidates from a FAISS index, on a GPU where there is one.

The index only proposes rows; their distances and order are computed as for any search, by
differences, so that the graph is the CPU's but for rows that float16 or an inverted file missed.
The same code runs on a CPU index: that is what the tests use.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import structlog

from clustering_tasks.arrays import F32, I32, I64
from clustering_tasks.engine.cells import cell_count, sample_step
from clustering_tasks.engine.neighbours import SPARE
from clustering_tasks.engine.rows import Vectors

log = structlog.get_logger()

Device = Literal["cpu", "gpu"]

# A flat index compares everything; above, an inverted file compares with a hundredth.
_FLAT_ROWS = 1_000_000
_ROWS = 65_536
_LEAST_BATCH = 1024


@dataclass(frozen=True)
class Candidates:
    """What an index proposed.

    Attributes:
        ids: (m, k + SPARE) int32 rows, most similar first, -1 for none.
        batch: queries of one call, after it was halved for want of memory.
    """

    ids: I32
    batch: int


def has_gpu() -> bool:
    """Tell whether FAISS can use a GPU here; FAISS is imported only where a driver is loaded."""
    if not Path("/dev/nvidiactl").exists():
        return False
    import faiss

    return hasattr(faiss, "StandardGpuResources") and faiss.get_num_gpus() > 0


def make_index(vectors: Vectors, probes: int, float16: bool, device: Device) -> Any:
    """Build an index of all vectors, a chunk of rows at a time.

    Args:
        vectors: (n, d) unit vectors.
        probes: lists of an inverted file that are searched.
        float16: whether a GPU keeps them in half precision.
        device: where.

    Raises:
        MemoryError: when the GPU cannot hold them.
    """
    import faiss

    n, dimension = len(vectors), vectors[:1].shape[1]
    index: Any = faiss.IndexFlatIP(dimension)
    if n > _FLAT_ROWS:
        quantiser = index
        lists = cell_count(n)
        index = faiss.IndexIVFFlat(quantiser, dimension, lists, faiss.METRIC_INNER_PRODUCT)
        index.nprobe = probes
    if device == "gpu":
        options = faiss.GpuClonerOptions()
        options.useFloat16 = float16
        index = faiss.index_cpu_to_gpu(faiss.StandardGpuResources(), 0, index, options)
    return _within_memory(lambda: _fill(index, vectors))


def _fill(index: Any, vectors: Vectors) -> Any:
    n = len(vectors)
    if not index.is_trained:
        index.train(vectors[np.arange(0, n, sample_step(n))])
    for start in range(0, n, _ROWS):
        index.add(vectors[start : start + _ROWS])
    return index


def propose(index: Any, vectors: Vectors, rows: I64, k: int) -> Candidates:
    """Search some rows; half the batch when the memory does not suffice.

    Args:
        index: of all vectors, from `make_index`.
        vectors: (n, d).
        rows: (m,) the queries.
        k: neighbours that will be kept.

    Raises:
        MemoryError: when not even 1,024 queries fit.
    """
    batch = _ROWS
    ids = np.full((len(rows), k + SPARE), -1, dtype=np.int32)
    at = 0
    while at < len(rows):
        some = rows[at : at + batch]
        try:
            found = _search(index, vectors[some], k + SPARE)
        except MemoryError:
            if batch <= _LEAST_BATCH:
                raise
            batch //= 2
            log.warning("GPU out of memory, the batch is halved", batch=batch)
            continue
        ids[at : at + len(some)] = without_self(found, some)
        at += len(some)
    return Candidates(ids, batch)


def _search(index: Any, queries: F32, count: int) -> I64:
    # one more: the row itself is among its nearest
    return np.asarray(_within_memory(lambda: index.search(queries, count + 1)[1]))


def without_self(found: I64, rows: I64) -> I32:
    """Drop each query's own row, or its last candidate where a copy of it came before: (m, c - 1).

    Args:
        found: (m, c) rows, -1 for none.
        rows: (m,) the queries.
    """
    own = found == rows[:, None]
    own[~own.any(axis=1), -1] = True
    others: I32 = found[~own].reshape(len(found), -1).astype(np.int32)
    return others


def _within_memory(work: Callable[[], Any]) -> Any:
    """Call `work`; FAISS reports a GPU without memory as a plain RuntimeError."""
    try:
        return work()
    except RuntimeError as error:
        if "out of memory" in str(error).lower() or "cudaMalloc" in str(error):
            raise MemoryError(str(error)) from error
        raise
