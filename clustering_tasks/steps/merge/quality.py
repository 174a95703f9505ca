"""Quality without gold, of every run (MQ-1): what `merge` puts into its metrics.

docs/METRICS.md says what each number means and when it is null.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import structlog

from clustering_tasks.arrays import F32, F64, I32
from clustering_tasks.engine.centroids import ClusterSums
from clustering_tasks.engine.density_validity import relative_validity
from clustering_tasks.engine.modularity import modularity
from clustering_tasks.engine.quality import (
    Estimate,
    centroid_similarity,
    fit,
    mean_spread,
    separation,
    silhouette,
)
from clustering_tasks.evidence.check import CheckedEvidence
from clustering_tasks.graph.neighbour_graph import Graph
from clustering_tasks.graph.nodes import Nodes
from clustering_tasks.workspace.artefacts import Metric
from clustering_tasks.workspace.vector_files import VectorFile

log = structlog.get_logger()


@dataclass(frozen=True)
class Measured:
    """What one pass over the items' own vectors tells.

    Attributes:
        similarity: (n,) cosine of each row to its cluster's centroid, NaN without one.
        metrics: by the report's names.
    """

    similarity: F32
    metrics: dict[str, Metric]


def measure_vectors(
    vectors: VectorFile, labels: I32, sums: ClusterSums, effort: float = 1
) -> Measured:
    """Measure the clusters on the items' vectors, as Stage 3 gave them.

    Args:
        vectors: of the snapshot, n rows.
        labels: (n,) clusters from 0, negative for none.
        sums: of the clusters.
        effort: share of the usual number of pairs that samples of a large level compare.
    """
    started = time.perf_counter()
    fitted = fit(vectors.blocks(), labels, sums, effort)
    index, inter = separation(mean_spread(fitted, labels, sums), sums, effort)
    measured = Measured(
        similarity=centroid_similarity(fitted, labels, sums),
        metrics={
            **_estimate("silhouette", silhouette(fitted, labels, sums)),
            **_estimate("davies_bouldin", index),
            **_estimate("inter_cluster_similarity", inter),
            "intra_cluster_similarity": _mean(sums.intra_similarity, sums.sizes),
        },
    )
    log.info("quality measured", seconds=round(time.perf_counter() - started, 3))
    return measured


def measure_graph(
    nodes: Nodes,
    graph: Graph,
    labels: I32,
    found: I32,
    tree: Mapping[str, npt.NDArray[np.generic]],
) -> dict[str, Metric]:
    """Measure the clusters on the neighbour graph and on the tree that HDBSCAN grew.

    Args:
        nodes: of the level.
        graph: its neighbour graph.
        labels: (n,) clusters of the rows.
        found: (m,) clusters of the nodes as the algorithm left them, before anything was joined or
            assigned: those are the ones that its tree is about.
        tree: of all blocks.
    """
    validity = None
    if "reachability" in tree:
        first, second = np.asarray(tree["nodes"], dtype=np.int32)
        reachability = np.asarray(tree["reachability"], dtype=np.float32)
        validity = relative_validity(first, second, reachability, found, nodes.weight)
    return {
        "modularity": modularity(graph.ids, graph.distances, labels[nodes.row]),
        "density_validity": validity,
    }


def measure_membership(
    nodes: Nodes, found: I32, probabilities: F32, stability: F64
) -> dict[str, Metric]:
    """Sum up how firmly items belong to their clusters, and how firmly clusters hold together.

    Args:
        nodes: of the level.
        found: (m,) clusters of the nodes as the algorithm left them, negative for none.
        probabilities: (m,) of membership.
        stability: (c,) of those clusters, NaN where it was not measured.
    """
    clustered = found >= 0
    weight = nodes.weight[clustered]
    return {
        "mean_probability": _mean(probabilities[clustered].astype(np.float64), weight),
        "stability": _mean(stability, np.bincount(found[clustered], weight)),
    }


def measure_evidence(known: CheckedEvidence) -> dict[str, Metric]:
    """Name what the check of evidence found: `evidence.<piece>.<metric>`."""
    return {
        f"evidence.{piece}.{name}": value
        for piece, finding in known.findings.items()
        for name, value in finding.record().items()
    }


def _estimate(name: str, estimate: Estimate | None) -> dict[str, Metric]:
    return {
        name: estimate.value if estimate else None,
        f"{name}_error": estimate.error if estimate else None,
    }


def _mean(values: F64, weights: npt.NDArray[np.integer]) -> float | None:
    """Weighted mean of what is known, None where nothing is."""
    known = np.isfinite(values)
    return float(np.average(values[known], weights=weights[known])) if known.any() else None
