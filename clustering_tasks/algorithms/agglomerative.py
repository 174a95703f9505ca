"""Linkage on smoothed vectors, cut where the silhouette is highest, or where the caller says.

An item that resembles no other beyond chance stands alone. It is left out before smoothing, which
would move it towards the least unlike. Two items that resemble each other less than the level's
stories do inside stand alone, too; that is known only afterwards.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from clustering_tasks.algorithms.hdbscan import beyond_window
from clustering_tasks.algorithms.interface import Block, FlatClustering, graph_clustering
from clustering_tasks.algorithms.method import Method
from clustering_tasks.arrays import F32, F64, I32, I64
from clustering_tasks.engine.agreement import agrees, cuts_about
from clustering_tasks.engine.background import DEVIATIONS, Background, background
from clustering_tasks.engine.bridging import bridged
from clustering_tasks.engine.common_part import LARGE_SHARE
from clustering_tasks.engine.complete_linkage import complete_linkage
from clustering_tasks.engine.decay import TIMELESS
from clustering_tasks.engine.linkage import Linkage, average_linkage
from clustering_tasks.engine.neighbours import exact_distances
from clustering_tasks.engine.one_story import join_parts
from clustering_tasks.engine.silhouette_cut import LEAST, Cut, choose_cut, ward_cuts
from clustering_tasks.engine.smoothing import THRESHOLD, smooth
from clustering_tasks.engine.spanning_tree import spanning_tree
from clustering_tasks.engine.trimming import (
    least_similarity_of_pairs,
    trim_small,
    without_pairs_below,
)
from clustering_tasks.engine.ward_linkage import ward_linkage
from clustering_tasks.settings.run import RunSettings
from clustering_tasks.settings.types import given_or

# Mean similarity of a small cluster's member to the others, on a level of many stories.
_TRIM = 0.33
_Scalar = TypeVar("_Scalar", bound=np.generic)

# Ward's tree and its cuts take .5 s for 10,000 nodes and 4 s for 50,000 on two cores.
_BOTH = 25_000


@dataclass(frozen=True)
class _Hierarchy:
    linkage: str
    tree: Linkage
    cut: Cut


def agglomerative(block: Block, settings: RunSettings, _method: Method) -> FlatClustering:
    """Leave out what stands alone, grow the tree, choose the cut, and trim small clusters."""
    chance = background(block.vectors) if _deviations(settings) else None
    floor = chance.beyond(_deviations(settings)) if chance else None
    trim = _trim_below(settings, chance)
    kept = _accompanied(block, floor)
    left_out = len(block.weight) - len(kept)
    if not left_out:
        return _clustered(block, settings, floor, trim, left_out)
    found = _clustered(block.part(kept), settings, floor, trim, left_out)
    return _spread(found, kept, len(block.weight))


def _deviations(settings: RunSettings) -> float:
    """How far beyond chance an item has to resemble another; 0: every item takes part."""
    default = 0.0 if _is_end_given(settings) else DEVIATIONS
    return given_or(settings.agglomerative.lone_deviations, default)


def _is_end_given(settings: RunSettings) -> bool:
    own = settings.agglomerative
    return own.clusters is not None or own.least_similarity is not None


def _accompanied(block: Block, floor: float | None) -> I64:
    """Nodes with an edge of at least this similarity, or several items: (m,), ascending."""
    if floor is None:
        return np.arange(len(block.weight))
    nearest = block.similarity.max(axis=1, initial=-np.inf)
    return np.flatnonzero((nearest >= floor) | (block.weight > 1))


def _spread(found: FlatClustering, rows: I64, nodes: int) -> FlatClustering:
    """Number the nodes as before some were left out; those are noise."""

    def whole(values: NDArray[_Scalar], missing: float) -> NDArray[_Scalar]:
        result = np.full(nodes, missing, dtype=values.dtype)
        result[rows] = values
        return result

    tree = dict(found.tree)
    tree["nodes"] = rows[tree["nodes"]].astype(np.int32)
    return replace(
        found,
        labels=whole(found.labels, -1),
        probabilities=whole(found.probabilities, 0),
        outlier_scores=whole(found.outlier_scores, np.nan),
        tree=tree,
    )


def _clustered(
    block: Block, settings: RunSettings, floor: float | None, trim: float, left_out: int
) -> FlatClustering:
    """Cluster what does not stand alone; `left_out` nodes, below `floor`, do."""
    smoothed = smooth(np.asarray(block.vectors), block.ids, block.distances, block.weight)
    grown = _hierarchy(smoothed, block, settings)
    tree, cut = grown.tree, grown.cut
    labels, pair_floor = cut.labels, None
    if _may_join(settings, floor) and _is_timeless(block, settings):
        # most pairs are of one story; which of them time keeps apart, the vectors do not tell
        large = LARGE_SHARE * (len(labels) + left_out)
        labels = join_parts(labels, block.vectors, large)
    joined = _groups(cut.labels) - _groups(labels)
    largest = settings.agglomerative.trim_size
    labels = trim_small(labels, block.vectors, block.weight, largest, trim)
    if _deviations(settings):
        pair_floor = least_similarity_of_pairs(labels, block.vectors, block.weight, left_out)
    if pair_floor is not None:
        labels = without_pairs_below(labels, block.vectors, block.weight, pair_floor)
    return graph_clustering(
        block,
        labels,
        np.square(np.maximum(block.similarity - np.float32(THRESHOLD), 0)),
        {"nodes": np.stack([tree.first, tree.second]), "similarity": tree.similarity},
        {
            "linkage": grown.linkage,
            "cut_similarity": cut.similarity,
            "cut_silhouette": cut.silhouette,
            "joined": joined,
            "pair_similarity": pair_floor,
            "lone_similarity": floor,
            "lone": left_out,
        },
    )


def _trim_below(settings: RunSettings, chance: Background | None) -> float:
    default = chance.on_this_level(_TRIM) if chance else _TRIM
    return given_or(settings.agglomerative.trim_similarity, default)


def _may_join(settings: RunSettings, floor: float | None) -> bool:
    """Whether nobody has said where the tree ends, and chance is not known on this level."""
    return bool(_deviations(settings)) and floor is None and not _is_end_given(settings)


def _is_timeless(block: Block, settings: RunSettings) -> bool:
    return block.decay is TIMELESS and settings.temporal.window_days is None


def _groups(labels: I32) -> int:
    return int(labels.max(initial=-1)) + 1


def _hierarchy(smoothed: F32, block: Block, settings: RunSettings) -> _Hierarchy:
    """Grow what the caller asks for; `auto` is average linkage's or, where both agree, Ward's."""
    own = settings.agglomerative
    if own.linkage != "auto":
        return _one(own.linkage, smoothed, block, settings)
    average = _one("average", smoothed, block, settings)
    if average.cut.silhouette is None or len(block.weight) > _BOTH:  # or the cut was given
        return average
    ward = _ward_about(average.cut, smoothed, block)
    return ward if agrees(ward.cut, average.cut, block.weight) else average


def _one(linkage: str, smoothed: F32, block: Block, settings: RunSettings) -> _Hierarchy:
    tree = _GROWN[linkage](smoothed, block, settings)
    cuts = ward_cuts(tree) if linkage == "ward" else None
    return _Hierarchy(linkage, tree, _cut(tree, smoothed, block, settings, cuts))


def _ward_about(cut: Cut, smoothed: F32, block: Block) -> _Hierarchy:
    tree = ward_linkage(smoothed, block.ids, block.weight, -np.inf, block.decay)
    cuts = cuts_about(tree, len(block.weight), _groups(cut.labels))
    return _Hierarchy(
        "ward", tree, choose_cut(tree, smoothed, block.ids, block.weight, cuts, block.decay)
    )


def _least(settings: RunSettings) -> float:
    """Return the similarity of the last merge that a cut may need."""
    own = settings.agglomerative
    if own.clusters is not None:
        return -np.inf
    return LEAST if own.least_similarity is None else min(LEAST, own.least_similarity)


def _average(smoothed: F32, block: Block, settings: RunSettings) -> Linkage:
    linkage = average_linkage(smoothed, block.ids, block.weight, _least(settings), block.decay)
    return _enough(linkage, smoothed, block, settings, average_linkage)


def _ward(smoothed: F32, block: Block, settings: RunSettings) -> Linkage:
    threshold = settings.agglomerative.least_similarity
    least = -np.inf if threshold is None else threshold
    linkage = ward_linkage(smoothed, block.ids, block.weight, least, block.decay)
    return _enough(linkage, smoothed, block, settings, ward_linkage)


def _enough(
    linkage: Linkage,
    smoothed: F32,
    block: Block,
    settings: RunSettings,
    grow: Callable[..., Linkage],
) -> Linkage:
    """Go on beyond the graph where it has more components than the caller wants clusters."""
    clusters = settings.agglomerative.clusters
    if clusters is None or len(block.weight) - len(linkage.first) <= clusters:
        return linkage
    return bridged(linkage, smoothed, block.weight, grow)


def _complete(smoothed: F32, block: Block, settings: RunSettings) -> Linkage:
    """Compare all pairs of what hangs together; two nodes beyond the window never meet."""
    own = settings.agglomerative
    least = _least(settings) if own.least_similarity is None else own.least_similarity
    distances = _distances(smoothed, block)
    return complete_linkage(
        smoothed,
        block.ids,
        (1 - np.square(distances) / 2).astype(np.float32),
        least,
        own.max_component,
        block.span,
        settings.temporal.window_days,
    )


def _single(smoothed: F32, block: Block, settings: RunSettings) -> Linkage:
    """Take the edges of the spanning tree by their length; none leads beyond the window."""
    nothing = np.zeros(len(smoothed), dtype=np.float32)
    edges = spanning_tree(smoothed, block.ids, _distances(smoothed, block), nothing)
    near = ~beyond_window(block, edges, settings.temporal.window_days)
    similarity = (1 - np.square(edges.distance) / 2).astype(np.float32)
    return Linkage(edges.first[near], edges.second[near], similarity[near])


_GROWN: dict[str, Callable[[F32, Block, RunSettings], Linkage]] = {
    "average": _average,
    "complete": _complete,
    "single": _single,
    "ward": _ward,
}


def _distances(smoothed: F32, block: Block) -> F32:
    """Distances of the smoothed vectors along the edges: (n, k)."""
    distances = np.full(block.ids.shape, np.inf, dtype=np.float32)
    exact_distances(smoothed, smoothed, np.flatnonzero(block.ids >= 0), 0, block.ids, distances)
    return distances


def _cut(
    linkage: Linkage,
    smoothed: F32,
    block: Block,
    settings: RunSettings,
    cuts: F64 | None,
) -> Cut:
    own, nodes = settings.agglomerative, len(block.weight)
    if own.clusters is not None:
        done = min(max(nodes - own.clusters, 0), len(linkage.first))
        merges = Linkage(linkage.first[:done], linkage.second[:done], linkage.similarity[:done])
        return Cut(merges.cut(nodes, -np.inf), float(merges.similarity.min(initial=1)), None)
    if own.least_similarity is not None:
        labels = linkage.cut(nodes, own.least_similarity)
        return Cut(labels, own.least_similarity, None)
    return choose_cut(linkage, smoothed, block.ids, block.weight, cuts, block.decay)
