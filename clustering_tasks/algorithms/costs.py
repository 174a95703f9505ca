"""Forecasts of what a run takes: memory, disk, and an idea of the time."""

from clustering_tasks.arrays import I64
from clustering_tasks.engine.candidates import ROOM, pair_seconds
from clustering_tasks.engine.cells import cell_count, probe_count
from clustering_tasks.engine.neighbours import BATCH_ROWS, CHUNK_ROWS, SPARE
from clustering_tasks.engine.threads import thread_count
from clustering_tasks.settings.algorithms import ALGORITHMS
from clustering_tasks.settings.groups.graph import NeighbourSettings
from clustering_tasks.settings.run import RunSettings

_PROGRAM_BYTES = 400_000_000  # a step's libraries, measured: 0.35 GB

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
    held = ALGORITHMS[algorithm].copies * nodes * dimension * 4
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
    total = ALGORITHMS[algorithm].seconds_per_million * nodes / 1e6 * dimension / 768
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


def most_memory(nodes: int, dimension: int, k: int, held: int) -> int:
    """Forecast the memory of the task that takes most, in bytes.

    Args:
        nodes: of the level.
        dimension: of the vectors.
        k: neighbours of a node.
        held: what the algorithm makes of that block, in bytes.
    """
    graph = nodes * k * 8
    queries = min(nodes, BATCH_ROWS)
    searching = queries * (dimension + (k + SPARE + ROOM) * 8)
    searching += 2 * min(nodes, CHUNK_ROWS) * dimension * 4
    measuring = queries * (dimension * 4 + (k + SPARE) * 16)
    # `merge` holds the graph twice while evidence changes it
    search = max(searching, measuring)
    return _PROGRAM_BYTES + max(search, graph * 4 + held)


def compared_with(n: int, settings: NeighbourSettings) -> float:
    """Forecast how many rows a row of a block of n is compared with."""
    if n <= settings.exact_rows:
        return n
    cells = cell_count(n)
    # rows lie in large cells more often than cells are large: 1.8 times, measured
    return cells + 1.8 * n * min(probe_count(n, settings.probes) / cells, 1)


def forecast_level(
    sizes: I64, dimension: int, settings: RunSettings, algorithm: str
) -> dict[str, int]:
    """Forecast a level's work: memory of the largest task and disk in bytes, the search in ms.

    Args:
        sizes: (b,) nodes of each block.
        dimension: of the vectors.
        settings: of the run.
        algorithm: its name.
    """
    n, k, largest = int(sizes.sum()), settings.neighbours.k, int(sizes.max(initial=0))
    held = held_bytes(algorithm, settings, largest, dimension)
    pairs = sum(size * compared_with(size, settings.neighbours) for size in sizes.tolist())
    return {
        "memory_bytes": most_memory(n, dimension, k, held),
        # vectors and their codes; the graph, and once more its checkpoint
        "disk_bytes": n * (k * 16 + dimension * 5 + 100),
        "search_milliseconds": int(pairs * pair_seconds(dimension) / thread_count() * 1e3),
    }
