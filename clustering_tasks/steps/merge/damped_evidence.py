"""The least similarity of an edge where evidence does not count as much as it was set for."""

from dataclasses import replace

import numpy as np
import structlog

from clustering_tasks.algorithms.method import Method
from clustering_tasks.engine.edge_threshold import choose_threshold
from clustering_tasks.evidence import with_evidence
from clustering_tasks.evidence.check import CheckedEvidence
from clustering_tasks.graph.neighbour_graph import Graph
from clustering_tasks.graph.nodes import Nodes
from clustering_tasks.settings.run import RunSettings
from clustering_tasks.workspace.artefacts import Result
from clustering_tasks.workspace.vector_files import FileRows, open_vectors

log = structlog.get_logger()

# What the levels' own thresholds were set with.
_PIECES = ("mentions", "stories")


def adapt(
    method: Method,
    settings: RunSettings,
    known: CheckedEvidence | None,
    plan: Result,
    nodes: Nodes,
    graph: Graph,
) -> Method:
    """Raise the level's own least similarity of an edge as far as its evidence is damped.

    Mentions and stories keep unlike items apart. Without them that is left to the threshold: it
    moves towards the one that the graph suggests, and never down, because nothing new links items.
    A threshold that the caller has set stays.

    Args:
        method: of the run.
        settings: of the run.
        known: the evidence, checked.
        plan: of the run.
        nodes: of the level.
        graph: of the level.
    """
    own, group = method.edge_similarity, settings.label_propagation
    factor = _least_factor(known)
    if known is None or factor is None or not len(graph.ids):
        return method
    if method.algorithm != "label_propagation" or own is None or group.edge_similarity is not None:
        return method
    ids, distances = with_evidence(graph.ids, graph.distances, known.facts, known.weights)
    similarity = np.where(ids >= 0, 1 - np.square(distances) / 2, -np.inf).astype(np.float32)
    with open_vectors(plan.path("features")) as features:
        vectors = FileRows(features, 0, len(ids))
        chosen, _ = choose_threshold(vectors, ids, similarity, nodes.weight, group.neighbours)
    least = own + (1 - factor) * max(chosen - own, 0.0)
    log.warning("evidence is damped", edge_similarity=least, usual=own)
    return replace(method, edge_similarity=least)


def _least_factor(known: CheckedEvidence | None) -> float | None:
    """Factor of the piece that is damped most, None where none is."""
    findings = [known.findings[name] for name in _PIECES if name in known.findings] if known else []
    damped = [each.factor for each in findings if each.state in ("damped", "off")]
    return min(damped, default=None)
