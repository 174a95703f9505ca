"""What others find on the same vectors, by settings that are in use."""

from collections.abc import Iterator
from importlib.util import find_spec

import hdbscan
import numpy as np
import numpy.typing as npt
from scipy.cluster.hierarchy import fcluster, linkage

from clustering_tasks.arrays import F32, F64
from tests.benchmarks.leiden import SETTINGS, communities, neighbour_graph

Found = list[str | None]

CUTS = (0.3, 0.4, 0.5, 0.55, 0.6, 0.7)
# EVoC's answers differ by up to .5 of F1 from seed to seed on small collections.
EVOC_SEEDS = range(5)


def answers(vectors: F32) -> Iterator[tuple[str, list[Found]]]:
    """Cluster vectors by each peer's setting.

    Args:
        vectors: (n, d) unit vectors.

    Yields:
        the setting's name, and its answers: one, or one for every seed.
    """
    exact = vectors.astype(np.float64)
    cosine = np.clip(1 - exact @ exact.T, 0, 2)
    np.fill_diagonal(cosine, 0)
    euclidean = np.sqrt(2 * cosine)
    yield "hdbscan (5, 3)", [_hdbscan(euclidean, 5, 3, "eom")]
    yield "hdbscan leaf (2, 1)", [_hdbscan(euclidean, 2, 1, "leaf")]
    tree = linkage(cosine[np.triu_indices(len(cosine), 1)], "average")
    for cut in CUTS:
        yield f"average linkage {cut:g}", [_named(fcluster(tree, cut, "distance"))]
    graph = neighbour_graph(vectors)
    for setting in SETTINGS:
        yield setting.name, [_named(communities(graph, setting))]
    if find_spec("evoc"):
        yield "EVoC", [_evoc(vectors, seed) for seed in EVOC_SEEDS]


def _hdbscan(distances: F64, size: int, samples: int, method: str) -> Found:
    """The package with a matrix of distances: the same tree as with vectors, many times faster."""
    model = hdbscan.HDBSCAN(
        min_cluster_size=size,
        min_samples=samples,
        cluster_selection_method=method,
        metric="precomputed",
    )
    return _named(model.fit(distances).labels_)


def _evoc(vectors: F32, seed: int) -> Found:
    from evoc import EVoC

    return _named(EVoC(random_state=seed).fit_predict(vectors))


def _named(labels: npt.NDArray[np.integer]) -> Found:
    return [str(label) if label >= 0 else None for label in labels.tolist()]
