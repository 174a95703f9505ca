"""How far its document tells what an item is about.

A storyline's vector takes up its document's. Where documents are about one story each, that tells
stories apart; where they are about several, it moves storylines of different stories towards each
other. The storylines show which: those of one document then resemble each other no more than
unrelated ones.
"""

from dataclasses import replace

import numpy as np

from clustering_tasks.arrays import F32, I32, I64
from clustering_tasks.engine.background import DEVIATIONS, background
from clustering_tasks.engine.rows import evenly_spaced
from clustering_tasks.evidence.stories import products
from clustering_tasks.graph.features import Features
from clustering_tasks.graph.nodes import Nodes

# The share is measured to .02.
_PAIRS = 512
_SAMPLE = 512
# Few pairs say little: so many that bear the context out are added.
_PRIOR = 20


def checked_context(features: Features, nodes: Nodes) -> Features:
    """Let the context count by the share of pairs of one document that resemble each other.

    Items without a second one in their document, such as documents themselves, leave it as it is.

    Args:
        features: of the nodes, with their context.
        nodes: of the level.
    """
    pairs = _of_one_document(features.documents.of_node)
    if not features.context_weight or not len(pairs):
        return features
    own = replace(features, context_weight=0.0)
    chance = background(own.take(nodes.sampled_rows(_SAMPLE)))
    if chance is None:
        return features
    related = _similarity(own, nodes.row[pairs]) >= chance.beyond(DEVIATIONS)
    share = (related.sum() + _PRIOR) / (len(pairs) + _PRIOR)
    return replace(features, context_weight=float(features.context_weight * share))


def _of_one_document(of_node: I32) -> I64:
    """Pairs of nodes of one document, at most so many: (p, 2)."""
    order = np.argsort(of_node, kind="stable")
    document = of_node[order]
    first = np.flatnonzero((document[1:] == document[:-1]) & (document[1:] >= 0))
    chosen = first[evenly_spaced(len(first), _PAIRS)]
    return np.stack([order[chosen], order[chosen + 1]], axis=1)


def _similarity(features: Features, rows: I64) -> F32:
    """Similarity of pairs of rows of the snapshot: (p, 2) to (p,)."""
    needed, at = np.unique(rows, return_inverse=True)
    one, other = at.reshape(rows.shape).astype(np.int32).T
    similarity = np.empty(len(rows), dtype=np.float32)
    products(
        features.take(needed), np.ascontiguousarray(one), np.ascontiguousarray(other), similarity
    )
    return similarity
