"""What a cut takes apart although it is one story.

The silhouette compares clusters, so that one alone has none: it prefers any two halves of a story
to the whole. Whether two groups are of one story, the pairs across tell. Those of two stories are
unrelated: they scatter narrowly, as chance scatters them. Those of two parts of one story differ as
much as its items do.
"""

from dataclasses import dataclass

import numpy as np

from clustering_tasks.arrays import F32, F64, I32, I64
from clustering_tasks.engine.background import one_story
from clustering_tasks.engine.compile import kernel
from clustering_tasks.engine.products import dot
from clustering_tasks.engine.rows import Vectors, evenly_spaced

# 130,000 pairs; a group without a node among these stays as it is.
_SAMPLE = 512


@dataclass
class _Across:
    """Pairs across groups: their number, their similarities' sums and sums of squares, (g, g)."""

    sizes: F64
    sums: F64
    squares: F64

    def most_alike(self, least_size: float) -> tuple[int, int] | None:
        """Of the pairs of groups that are one story and large enough, the most similar."""
        pairs = np.outer(self.sizes, self.sizes)
        with np.errstate(divide="ignore", invalid="ignore"):
            mean = self.sums / pairs
            variance = (self.squares - pairs * np.square(mean)) / (pairs - 1)
        one = one_story(mean, np.sqrt(np.maximum(variance, 0))) & (pairs > 1)
        one &= self.sizes[:, None] + self.sizes > least_size
        np.fill_diagonal(one, val=False)
        if not one.any():
            return None
        at = int(np.argmax(np.where(one, mean, -np.inf)))
        return at // len(mean), at % len(mean)

    def join(self, group: int, other: int) -> None:
        """Let one group take up another, which has no pairs any more."""
        for matrix in (self.sums, self.squares):
            matrix[group] += matrix[other]
            matrix[:, group] += matrix[:, other]
            matrix[other] = matrix[:, other] = 0
        self.sizes[group] += self.sizes[other]
        self.sizes[other] = 0


def join_parts(labels: I32, vectors: Vectors, least_size: float) -> I32:
    """Join the groups of a cut that are parts of one large story.

    The most similar two are joined first, as long as the pairs across have the two signs of one
    story (`engine.background`): they are far from zero, and scatter so widely that chance would
    nearly reach identity. Of 600 pairs of small stories of three collections .3 to 3 % have them,
    of the halves of one story 70 to 90 % (of series of events, as wikinews has them, 37 %); two
    items have a single pair, and no scatter.

    Args:
        labels: (n,) from 0.
        vectors: (n, d) unit vectors, not smoothed.
        least_size: nodes of which there are more in two groups that are joined.

    Returns:
        (n,) int32 from 0, in the order of the lowest node of each.
    """
    rows = evenly_spaced(len(labels), _SAMPLE)
    groups, of_row = np.unique(labels[rows], return_inverse=True)
    across = _across(vectors[rows], of_row.astype(np.int32), len(groups))
    into = np.arange(int(labels.max(initial=-1)) + 1)
    least_size *= len(rows) / max(len(labels), 1)
    while (found := across.most_alike(least_size)) is not None:
        group, other = sorted(found)
        across.join(group, other)
        into[into == groups[other]] = groups[group]
    return _numbered(into[labels])


def _across(vectors: F32, labels: I32, groups: int) -> _Across:
    sums, squares = np.zeros((2, groups, groups))
    add_pairs_across(vectors, labels, sums, squares)
    return _Across(np.bincount(labels, minlength=groups).astype(np.float64), sums, squares)


def _numbered(labels: I64) -> I32:
    """Number groups from 0 in the order of their lowest nodes."""
    first, of_node = np.unique(labels, return_index=True, return_inverse=True)[1:]
    number = np.empty(len(first), dtype=np.int32)
    number[np.argsort(first)] = np.arange(len(first))
    return number[of_node]


@kernel
def add_pairs_across(vectors: F32, labels: I32, sums: F64, squares: F64) -> None:
    """Add up similarities of pairs of two groups, and their squares: (g, g), symmetric."""
    for i in range(len(vectors)):
        for j in range(i):
            one, other = labels[i], labels[j]
            if one != other:
                similarity = np.float64(dot(vectors[i], vectors[j]))
                for a, b in ((one, other), (other, one)):
                    sums[a, b] += similarity
                    squares[a, b] += similarity * similarity
