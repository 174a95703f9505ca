"""A second hierarchy's say: where two of them see the same clusters, whose borders are better.

Average linkage finds how many clusters there are; Ward's tends to more where they are large. Where
both find about as many, they differ in what lies between clusters, and there Ward's, which weighs
a merge by the items that it moves, is right more often: on 134 variants of the real collections it
gains .02 of B-cubed F1 on storylines and .005 on documents, and where it sees more clusters than
`MORE` allows it would lose .06 (docs/ALGORITHMS.md).
"""

import numpy as np

from clustering_tasks.arrays import F64, I32
from clustering_tasks.engine.linkage import Linkage
from clustering_tasks.engine.silhouette_cut import Cut

FEWER, MORE = 0.5, 1.15
WORSE = 0.01  # of the silhouette: as much as it differs between cuts that score alike
_CUTS = 20
_MORE_GROUPS = 1.1  # clusters of one included


def cuts_about(tree: Linkage, nodes: int, groups: int) -> F64:
    """Where to cut a tree so that about as many groups are left as another cut has.

    Args:
        tree: of `nodes` nodes.
        nodes: their number.
        groups: of the other cut, those of one node included.

    Returns:
        up to 20 similarities, highest first, in equal proportions of the number of groups.
    """
    most, fewest = min(groups * _MORE_GROUPS, nodes), max(groups * FEWER, 1)
    counts = np.unique(np.round(np.geomspace(most, fewest, _CUTS)).astype(np.int64))
    merges = (nodes - counts[::-1]).clip(0, len(tree.similarity))
    done = np.unique(merges[merges > 0])
    # Half-way to the next merge, the last one to twice its distance: where a part of the items is
    # cut there, too, it merges a little later.
    ends = np.append(tree.similarity, 2 * tree.similarity[-1:] - 1).astype(np.float64)
    cuts: F64 = (ends[done - 1] + ends[done]) / 2
    return cuts


def agrees(other: Cut, cut: Cut, weights: I32) -> bool:
    """Tell whether another hierarchy's cut sees the same clusters, and as well.

    Args:
        other: the cut that could take the place of `cut`.
        cut: the first.
        weights: (n,) items per node.
    """
    if cut.silhouette is None or other.silhouette is None:
        return False
    as_many = _clusters(other, weights) <= MORE * _clusters(cut, weights)
    return as_many and other.silhouette >= cut.silhouette - WORSE


def _clusters(cut: Cut, weights: I32) -> int:
    return int((np.bincount(cut.labels, weights) >= 2).sum())
