"""What an algorithm takes beside the neighbour graph: memory, and an idea of the time."""

from clustering_tasks.engine.cells import cell_count, probe_count
from clustering_tasks.engine.neighbours import BATCH_ROWS, CHUNK_ROWS, TILE_COLUMNS, TILE_ROWS
from clustering_tasks.engine.threads import thread_count
from clustering_tasks.settings.run import NeighbourSettings, RunSettings

_PROGRAM_BYTES = 400_000_000  # a step's libraries, measured: 0.35 GB

# Copies of the features that an algorithm holds: the smoothed ones, and their sums or the features
# that they are made from. The others read them where they need them.
_COPIES = {"agglomerative": 2, "kmeans": 2}
# Seconds for a million nodes, one thread each: 40,000 nodes of 768 dimensions, scaled. The two
# cores they were measured on do 10^8 products of two vectors a second.
_SECONDS = {
    "agglomerative": 110,
    "hdbscan": 10,
    "kmeans": 20,
    "label_propagation": 170,
    "two_stage": 30,
}
# Complete linkage looks at each pair some times.
_SECONDS_PER_PAIR = 7e-8
# Products of rows and centroids: three starts of up to 25 rounds, or what mini-batches see.
_ROUNDS, _ROWS_PER_CENTROID = 75, 256
_ESTIMATE_SECONDS = 10


def held_bytes(algorithm: str, settings: RunSettings, nodes: int, dimension: int) -> int:
    """Forecast what an algorithm holds of a block.

    Args:
        algorithm: its name.
        settings: of the run.
        nodes: different vectors of the block.
        dimension: of the vectors.
    """
    held = _COPIES.get(algorithm, 0) * nodes * dimension * 4
    if _compares_all(algorithm, settings):
        held += min(nodes, settings.agglomerative.max_component) ** 2 * 4
    return held


def seconds(
    algorithm: str, settings: RunSettings, nodes: int, dimension: int, product_seconds: float
) -> float:
    """Forecast how long an algorithm takes on a block, the search not counted.

    Args:
        algorithm: its name.
        settings: of the run.
        nodes: different vectors of the block.
        dimension: of the vectors.
        product_seconds: time of one product of two vectors on all cores.
    """
    total = _SECONDS[algorithm] * nodes / 1e6 * dimension / 768
    if _compares_all(algorithm, settings):
        total += min(nodes, settings.agglomerative.max_component) ** 2 * _SECONDS_PER_PAIR
    if algorithm == "kmeans":
        own = settings.kmeans
        k = own.k or nodes // 50
        rows = _ROUNDS * nodes if nodes <= own.mini_batch_above else _ROWS_PER_CENTROID * k
        total += (rows + nodes) * k * product_seconds
        total += _ESTIMATE_SECONDS * min(nodes / 4096, 1) ** 2 if own.k is None else 0
    return total


def _compares_all(algorithm: str, settings: RunSettings) -> bool:
    return algorithm == "agglomerative" and settings.agglomerative.linkage == "complete"


def most_memory(nodes: int, largest: int, dimension: int, k: int, held: int) -> int:
    """Forecast the memory of the task that takes most, in bytes.

    Args:
        nodes: of the level.
        largest: nodes of its largest block.
        dimension: of the vectors.
        k: neighbours of a node.
        held: what the algorithm makes of that block, in bytes.
    """
    graph = nodes * k * 8
    queries = min(nodes, BATCH_ROWS + 2 * CHUNK_ROWS) * dimension * 4
    products = min(largest, TILE_ROWS) * min(largest, TILE_COLUMNS) * 4 * thread_count()
    # `merge` holds the graph twice while evidence changes it
    return _PROGRAM_BYTES + max(queries + products, graph * 4 + held)


def compared_with(n: int, settings: NeighbourSettings) -> float:
    """Forecast how many rows a row of a block of n is compared with."""
    if n <= settings.exact_rows:
        return n
    cells = cell_count(n)
    # rows lie in large cells more often than cells are large: 1.8 times, measured
    return cells + 1.8 * n * min(probe_count(n, settings.probes) / cells, 1)
