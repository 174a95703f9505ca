"""Step `merge`: all parts' blocks of the neighbour graph become one clustering of the level.

The neighbour search is 95-99 % of the cost and independent row by row, so it is what is mapped; the
tree over a whole level takes seconds and grows here.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pandas as pd
import structlog

from clustering_tasks.artefacts import Attempt, Result, Run, artefact_key, find_artefact, perform
from clustering_tasks.cluster import part_key
from clustering_tasks.engine.centroids import Sums, centroid_similarity, cluster_sums
from clustering_tasks.engine.condensed_tree import Selection, condense, select
from clustering_tasks.engine.duplicates import near_duplicates
from clustering_tasks.engine.joining import mutual_best
from clustering_tasks.engine.quality import davies_bouldin, mean_spread, silhouette
from clustering_tasks.engine.spanning_tree import Edges, core_distances, spanning_tree
from clustering_tasks.errors import BadInputError
from clustering_tasks.nodes import Nodes, load_nodes
from clustering_tasks.settings import HdbscanSettings
from clustering_tasks.vectors import VectorFile, open_vectors

log = structlog.get_logger()

NOISE, UNASSIGNED = -1, -2


@dataclass
class Graph:
    """The neighbour graph of a level.

    Attributes:
        ids: (m, k) int32 nodes, nearest first, -1 for none.
        distances: (m, k) float32.
        complete: (m,) whether the node's part was there.
    """

    ids: npt.NDArray[np.int32]
    distances: npt.NDArray[np.float32]
    complete: npt.NDArray[np.bool_]


@dataclass
class Clustering:
    """A clustering of the nodes; what HDBSCAN says of them, beside it.

    Attributes:
        labels: (m,) int32 cluster, NOISE or UNASSIGNED.
        probabilities: (m,) float32.
        outlier_scores: (m,) float32.
        block: (c,) int32 the block of each cluster.
        edges: the spanning trees of all blocks, their nodes numbered as in the graph.
    """

    labels: npt.NDArray[np.int32]
    probabilities: npt.NDArray[np.float32]
    outlier_scores: npt.NDArray[np.float32]
    block: npt.NDArray[np.int32]
    edges: list[Edges]


def merge(run: Run) -> Result:
    """Cluster the level on the graph that the parts left.

    Raises:
        BadInputError: when a part is missing and `allow_partial` is not set.
    """
    snapshot, plan = run.result("snapshot"), run.result("plan")
    parts = _parts(run, plan)
    read = run.settings.model_dump(include={"algorithm", "scope", "hdbscan", "merge"})
    key = artefact_key("merge", [snapshot, plan, *parts.values()], read, sorted(parts))
    return perform(run, "merge", key, lambda attempt: _merge(run, snapshot, plan, parts, attempt))


def _parts(run: Run, plan: Result) -> dict[int, Result]:
    found = {
        part.part: result
        for part in plan.parts or []
        if (result := find_artefact(run, "cluster", part_key(run, plan, part.part))) is not None
    }
    missing = [f"{p.part} ({p.name})" for p in plan.parts or [] if p.part not in found]
    if missing and not run.settings.allow_partial:
        raise BadInputError(
            f"run {run.job_id} lacks the result of part {', '.join(missing)}: see why its "
            f"`cluster` task failed and clear it; finished parts are not computed again"
        )
    if missing:
        log.warning("parts missing, their items stay unassigned", parts=missing)
    return found


def _merge(
    run: Run, snapshot: Result, plan: Result, parts: dict[int, Result], attempt: Attempt
) -> None:
    nodes = load_nodes(plan.path("nodes"))
    graph = _read_graph(nodes, run.settings.neighbours.k, parts)
    with open_vectors(snapshot.path("vectors")) as vectors:
        clustering = cluster_graph(vectors, nodes, graph, run.settings.hdbscan)
        labels = clustering.labels[nodes.node_of_row]
        sums = cluster_sums(vectors.blocks(), labels, len(clustering.block), int(vectors.shape[1]))
        if run.settings.merge.join == "mutual_best" and run.level.blocked_by is None:
            group = mutual_best(sums, clustering.block, run.settings.merge.join_similarity)
            labels = np.where(labels >= 0, np.append(group, -1)[labels], labels).astype(np.int32)
            sums = sums.grouped(group)
        similarity = centroid_similarity(vectors.blocks(), labels, sums.centroids)
        spread = mean_spread(vectors.blocks(), labels, sums)
        attempt.metrics = {
            **_counts(labels, len(sums.sizes), len(parts)),
            "silhouette": silhouette(vectors.blocks(), labels, sums),
            "davies_bouldin": davies_bouldin(spread, sums),
            "intra_cluster_similarity": _weighted_mean(sums),
        }
    _write(attempt, nodes, graph, clustering, labels, similarity, sums)


def _read_graph(nodes: Nodes, k: int, parts: dict[int, Result]) -> Graph:
    m = len(nodes.row)
    graph = Graph(
        ids=np.full((m, k), -1, dtype=np.int32),
        distances=np.full((m, k), np.inf, dtype=np.float32),
        complete=np.zeros(m, dtype=bool),
    )
    for result in parts.values():
        with result.path("graph").open("rb") as file, np.load(file, allow_pickle=False) as part:
            offset = 0
            ids, distances = part["ids"], part["distances"]
            for start, stop in zip(part["start"], part["stop"], strict=True):
                rows = slice(offset, offset + stop - start)
                graph.ids[start:stop], graph.distances[start:stop] = ids[rows], distances[rows]
                graph.complete[start:stop] = True
                offset += stop - start
    return graph


def cluster_graph(
    vectors: VectorFile, nodes: Nodes, graph: Graph, settings: HdbscanSettings
) -> Clustering:
    """Run HDBSCAN on each block of the graph; a block with a missing part stays unassigned."""
    m = len(nodes.row)
    result = Clustering(
        labels=np.full(m, UNASSIGNED, dtype=np.int32),
        probabilities=np.zeros(m, dtype=np.float32),
        outlier_scores=np.full(m, np.nan, dtype=np.float32),
        block=np.empty(0, dtype=np.int32),
        edges=[],
    )
    bounds = nodes.block_bounds()
    for block, (first, last) in enumerate(pairwise(bounds)):
        rows = slice(int(first), int(last))
        if graph.complete[rows].all():
            edges, selection = _cluster_block(vectors, nodes, graph, rows, settings)
            _add(result, block, rows, edges, selection)
    return result


def _cluster_block(
    vectors: VectorFile, nodes: Nodes, graph: Graph, rows: slice, settings: HdbscanSettings
) -> tuple[Edges, Selection]:
    ids = graph.ids[rows]
    ids = np.where(ids >= 0, ids - np.int32(rows.start), np.int32(-1))
    weight, distances = nodes.weight[rows], graph.distances[rows]
    core = core_distances(ids, distances, weight, settings.min_samples)
    edges = spanning_tree(vectors.take(nodes.row[rows]), ids, distances, core)
    selection = select(
        condense(edges, weight, settings.min_cluster_size),
        settings.cluster_selection_method,
        settings.cluster_selection_epsilon,
        settings.allow_single_cluster,
    )
    return edges, selection


def _add(result: Clustering, block: int, rows: slice, edges: Edges, chosen: Selection) -> None:
    clusters = len(chosen.stabilities)
    shifted = chosen.labels + np.int32(len(result.block))
    result.labels[rows] = np.where(chosen.labels >= 0, shifted, NOISE)
    result.probabilities[rows] = chosen.probabilities
    result.outlier_scores[rows] = chosen.outlier_scores
    result.block = np.append(result.block, np.full(clusters, block, dtype=np.int32))
    first = np.int32(rows.start)
    result.edges.append(
        Edges(edges.first + first, edges.second + first, edges.reachability, edges.distance)
    )


def _counts(labels: npt.NDArray[np.int32], clusters: int, parts: int) -> dict[str, int]:
    counts = {
        "read": len(labels),
        "clustered": int((labels >= 0).sum()),
        "noise": int((labels == NOISE).sum()),
        "filtered": 0,
        "unassigned": int((labels == UNASSIGNED).sum()),
    }
    if counts["read"] != sum(counts.values()) - counts["read"]:
        raise AssertionError(f"items lost: {counts}")
    return {**counts, "clusters": clusters, "parts": parts}


def _weighted_mean(sums: Sums) -> float | None:
    """Mean over the clustered items of their cluster's mean pairwise cosine."""
    if not len(sums.sizes):
        return None
    return float(np.average(sums.intra_similarity, weights=sums.sizes))


def _write(
    attempt: Attempt,
    nodes: Nodes,
    graph: Graph,
    clustering: Clustering,
    labels: npt.NDArray[np.int32],
    similarity: npt.NDArray[np.float32],
    sums: Sums,
) -> None:
    status = np.select([labels >= 0, labels == NOISE], ["clustered", "noise"], "unassigned")
    clustered = pd.Series(labels >= 0)
    assignments = pd.DataFrame(
        {
            "cluster": pd.Series(labels, dtype="Int32").where(clustered),
            "status": pd.Series(status, dtype="str"),
            "assignment": pd.Series("core", index=clustered.index, dtype="str").where(clustered),
            "probability": pd.Series(clustering.probabilities[nodes.node_of_row]).where(
                labels != UNASSIGNED
            ),
            "similarity": similarity,
            "near_duplicate": near_duplicates(graph.ids, graph.distances)[nodes.node_of_row],
            "outlier_score": clustering.outlier_scores[nodes.node_of_row],
        }
    )
    with attempt.new_file("assignments", "assignments.parquet").open("wb") as file:
        assignments.to_parquet(file, index=False)
    with attempt.new_file("centroids", "centroids.npz").open("wb") as file:
        np.savez(
            file,
            allow_pickle=False,
            centroids=sums.centroids,
            sizes=sums.sizes,
            intra_similarity=sums.intra_similarity,
        )
    with attempt.new_file("tree", "tree.npz").open("wb") as file:
        trees = [np.stack([e.first, e.second]) for e in clustering.edges]
        np.savez(
            file,
            allow_pickle=False,
            nodes=np.concatenate([np.empty((2, 0), np.int32), *trees], axis=1),
            reachability=np.concatenate(
                [np.empty(0, np.float32), *(e.reachability for e in clustering.edges)]
            ),
            distance=np.concatenate(
                [np.empty(0, np.float32), *(e.distance for e in clustering.edges)]
            ),
        )
