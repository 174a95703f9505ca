"""Candidates from FAISS indexes on GPUs.

An index only proposes rows; their distances and order are computed as for any search, by
differences, so that the graph is the CPU's but for rows that float16 or an inverted file missed.
Every card has a copy of the index and takes batches of queries from one queue. Whatever FAISS
allocates stands inside `_within_memory`; what was found before memory ran out is kept.
"""

import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, TypeVar

import numpy as np
import structlog

from clustering_tasks.arrays import F32, I32, I64, Mask
from clustering_tasks.engine.cells import cell_count, sample_step
from clustering_tasks.engine.neighbours import SPARE
from clustering_tasks.engine.rows import Vectors
from clustering_tasks.workspace.gpu_cards import has_driver

log = structlog.get_logger()

_Result = TypeVar("_Result")

# A flat index compares everything; above, an inverted file compares with a hundredth.
_FLAT_ROWS = 1_000_000
_ROWS = 65_536
_LEAST_BATCH = 1024
_MEBIBYTE = 1 << 20
# What CUDA, cuBLAS and FAISS's kernels take of a card: a bound, not measured, no GPU was at hand.
_CONTEXT_BYTES = 600 * _MEBIBYTE
# FAISS works in memory that it takes once: on large cards 1.5 GiB by itself, here at most that.
_MOST_WORK_BYTES = 1536 * _MEBIBYTE
_LEAST_WORK_BYTES = 256 * _MEBIBYTE


def why_no_gpu() -> str | None:
    """Say why FAISS can use no GPU here, None if it can; FAISS is imported only with a driver."""
    if not has_driver():
        return (
            "no driver for NVIDIA GPUs is loaded here: install it; a container gets it by the "
            "NVIDIA container toolkit and STAGE4_GPU=true"
        )
    import faiss

    if not hasattr(faiss, "StandardGpuResources"):
        return (
            "FAISS is the package for CPUs: use the image stage4-clustering:gpu (STAGE4_IMAGE), "
            "or requirements-gpu.txt in the environment of STAGE4_PYTHON"
        )
    if not gpu_count():
        return "FAISS finds no GPU: see nvidia-smi, and CUDA_VISIBLE_DEVICES"
    return None


def gpu_count() -> int:
    """Count the GPUs that CUDA shows to FAISS, in the order of nvidia-smi."""
    import faiss

    os.environ["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"  # CUDA reads it once, at its first call
    return int(faiss.get_num_gpus())


def work_bytes(available: int, rows: int, dimension: int, float16: bool) -> int:
    """Bytes that are left for searching when a card holds the index; 0: it does not fit.

    Args:
        available: bytes of the card that this process may take.
        rows: of the index.
        dimension: of the vectors.
        float16: whether the index keeps half precision.
    """
    kept = rows * dimension * (2 if float16 else 4)
    added = min(rows, _ROWS) * dimension * (6 if float16 else 4)
    # with each chunk that is added the index is copied to a larger place
    left = available - _CONTEXT_BYTES - 2 * kept - added
    return min(left, _MOST_WORK_BYTES) if left >= _LEAST_WORK_BYTES else 0


def batch_rows(work: int, dimension: int, k: int) -> int:
    """Queries of one call: they and their results take half of the memory for searching."""
    row = 8 * dimension + 24 * (k + SPARE + 1)
    return min(max(work // 2 // row, _LEAST_BATCH), _ROWS)


@dataclass
class Replica:
    """A copy of the index on one card.

    Attributes:
        device: CUDA's number of the card.
        index: of all vectors.
        batch: queries of one call; halved when memory runs out.
    """

    device: int
    index: Any
    batch: int = _ROWS


def build_replicas(
    vectors: Vectors, probes: int, float16: bool, work: Mapping[int, int]
) -> list[Replica]:
    """Build an index of all vectors on each card, a chunk of rows at a time.

    Args:
        vectors: (n, d) unit vectors.
        probes: lists of an inverted file that are searched.
        float16: whether they are kept in half precision.
        work: by CUDA's number of a card, bytes for searching.

    Raises:
        MemoryError: no card can hold them.
    """
    empty = _trained(vectors, probes, float16, work)
    replicas, errors = [], []
    for device, size in work.items():
        try:
            replicas.append(Replica(device, _on_card(empty, device, size, float16)))
        except MemoryError as error:
            errors.append(f"GPU {device}: {error}")
    for start in range(0, len(vectors), _ROWS):
        chunk = vectors[start : start + _ROWS]
        replicas = [r for r in replicas if _added(r, chunk, errors)]
        if not replicas:
            raise MemoryError("; ".join(errors))
    if errors:
        log.warning("GPU out of memory, it is not used", errors=errors)
    return replicas


def _trained(vectors: Vectors, probes: int, float16: bool, work: Mapping[int, int]) -> Any:
    """Make an empty index on the CPU; an inverted file's lists are trained once, on some card."""
    import faiss

    n, dimension = len(vectors), vectors[:1].shape[1]
    flat: Any = faiss.IndexFlatIP(dimension)
    if n <= _FLAT_ROWS:
        return flat
    index = faiss.IndexIVFFlat(flat, dimension, cell_count(n), faiss.METRIC_INNER_PRODUCT)
    index.nprobe = probes
    sample = vectors[np.arange(0, n, sample_step(n))]
    device, size = next(iter(work.items()))
    on_card = _on_card(index, device, size, float16)
    _within_memory(lambda: on_card.train(sample))
    return _within_memory(lambda: faiss.index_gpu_to_cpu(on_card))


def _on_card(index: Any, device: int, work: int, float16: bool) -> Any:
    import faiss

    def clone() -> Any:
        resources = faiss.StandardGpuResources()
        resources.setTempMemory(work)
        options = faiss.GpuClonerOptions()
        options.useFloat16 = float16
        return faiss.index_cpu_to_gpu(resources, device, index, options)

    return _within_memory(clone)


def _added(replica: Replica, chunk: F32, errors: list[str]) -> bool:
    try:
        _within_memory(lambda: replica.index.add(chunk))
    except MemoryError as error:
        errors.append(f"GPU {replica.device}: {error}")
        replica.index = None  # its memory is free for the others on the card
        return False
    return True


@dataclass(frozen=True)
class Proposals:
    """What the indexes proposed for some rows.

    Attributes:
        rows: (m,) int64 the queries.
        ids: (m, k + SPARE) int32 rows, most similar first, -1 for none.
        done: (m,) whether a row was searched before memory ran out.
        errors: of the cards that gave up.
    """

    rows: I64
    ids: I32
    done: Mask
    errors: list[str] = field(default_factory=list)


def propose(
    replicas: list[Replica],
    vectors: Vectors,
    rows: I64,
    k: int,
    after_batch: Callable[[int], None] | None = None,
) -> Proposals:
    """Search some rows on all cards.

    A card whose memory does not suffice tries half the batch. Below 1,024 queries it gives up, and
    its rows are another card's; what no card could search is not `done`.

    Args:
        replicas: of the index of all vectors.
        vectors: (n, d).
        rows: (m,) the queries.
        k: neighbours that will be kept.
        after_batch: is called with the card's number after each batch, once at a time.
    """
    ids = np.full((len(rows), k + SPARE), -1, dtype=np.int32)
    found = Proposals(rows, ids, np.zeros(len(rows), dtype=bool))
    queue = _Queue(vectors, found, deque(_tiles(len(rows))), after_batch)
    with ThreadPoolExecutor(len(replicas)) as pool:
        list(pool.map(queue.work, replicas))
    return found


def _tiles(count: int) -> Iterator[tuple[int, int]]:
    for first in range(0, count, _ROWS):
        yield first, min(first + _ROWS, count)


class _Queue:
    """Queries that the cards take turns at: tiles of their numbers, from 0."""

    def __init__(
        self,
        vectors: Vectors,
        found: Proposals,
        tiles: deque[tuple[int, int]],
        after_batch: Callable[[int], None] | None,
    ) -> None:
        self._vectors = vectors
        self._found = found
        self._tiles = tiles
        self._after_batch = after_batch
        self._lock = Lock()  # of the file, which has one position, and of `after_batch`

    def work(self, replica: Replica) -> None:
        """Search tiles on one card until there are none, or its memory does not suffice."""
        while tile := self._next():
            start, stop = tile
            with self._lock:
                queries = self._vectors[self._found.rows[start:stop]]
            try:
                self._search(replica, queries, start)
            except MemoryError as error:
                log.warning("GPU out of memory, it gives up", device=replica.device)
                self._found.errors.append(f"GPU {replica.device}: {error}")
                self._tiles.append(tile)
                return

    def _next(self) -> tuple[int, int] | None:
        try:
            start, stop = self._tiles.popleft()
        except IndexError:
            return None
        # of a tile that another card gave up, what is left
        return start + int(self._found.done[start:stop].sum()), stop

    def _search(self, replica: Replica, queries: F32, start: int) -> None:
        found, first = self._found, 0
        while first < len(queries):
            batch = queries[first : first + replica.batch]
            try:
                ids = _search(replica.index, batch, found.ids.shape[1])
            except MemoryError:
                if len(batch) <= _LEAST_BATCH:
                    raise
                replica.batch = max(len(batch) // 2, _LEAST_BATCH)
                log.warning("GPU out of memory, the batch is halved", batch=replica.batch)
                continue
            own = slice(start + first, start + first + len(batch))
            found.ids[own] = without_self(ids, found.rows[own])
            found.done[own] = True
            first += len(batch)
            if self._after_batch is not None:
                with self._lock:
                    self._after_batch(replica.device)


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


def _within_memory(work: Callable[[], _Result]) -> _Result:
    """Call `work`; FAISS reports a GPU without memory as a plain RuntimeError."""
    try:
        return work()
    except RuntimeError as error:
        if "out of memory" in str(error).lower() or "cudaMalloc" in str(error):
            raise MemoryError(_shortened(str(error))) from error
        raise


def _shortened(message: str) -> str:
    """Leave the place in FAISS's source out: the failed allocation is after the last colon."""
    return message.strip().rpartition("Resources: ")[2]
