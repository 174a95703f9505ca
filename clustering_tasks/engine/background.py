"""What chance gives: how similar the unrelated items of a level are.

Most pairs of a level are of two stories. Their similarities crowd around one value, the mode, and
scatter below it as chance scatters them; above it the related pairs mix in. So the mode and the
scatter below it describe unrelated pairs, however many related ones there are. Both are the
encoder's, hardly the collection's: over 60 variants of three real collections the scatter is .066
to .10, while the standard deviation of all pairs is .09 to .27.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from clustering_tasks.arrays import F32
from clustering_tasks.engine.compile import kernel
from clustering_tasks.engine.products import dot
from clustering_tasks.engine.rows import Vectors, evenly_spaced

# Beyond chance in a level of any size: of the 5e11 pairs of a million items, ten thousand normally
# distributed ones reach it, one for a hundred items. From 5 to 6, mean B-cubed F1 over thinned
# collections changes by .003 (docs/ALGORITHMS.md).
DEVIATIONS = 5.5
# Nearer to unrelated than to identical: where few topics make up a level, their pairs widen the
# scatter, and 5.5 deviations would be beyond what items of one story have in common (a generated
# level with .10: recall .79 instead of .95).
_MOST = 0.45
# Related pairs draw the mean above the mode, by .1 to 1.4 deviations over 60 variants; a sample of
# unrelated ones alone has it on either side.
_ABOVE_MEAN = 0.25
# Of unrelated pairs on levels of many stories, once the mean is off: of k stories of one size it is
# -1 / (k - 1), so that few stories are less than 15.
_USUAL_MODE = -0.07
# Random directions have a mode near zero, whatever the number of dimensions.
_AWAY = 2
# Deviations within which chance would reach identity: in the middle of the gap between unrelated
# pairs (10 and more) and those of one story (2 to 6).
_NEAR_IDENTITY = 7.5
# The scatter may be as wide as only one sample in ten would hide: 2 times what five items show,
# 1.5 times what ten do, 1.04 times what 512 do.
_HIDDEN = 0.1
# 130,000 pairs: mode and scatter to .003; 20 ms.
_SAMPLE = 512


@dataclass(frozen=True)
class Background:
    """Similarity of unrelated pairs.

    Attributes:
        mode: their most frequent similarity.
        deviation: root mean square of the distances below it.
    """

    mode: float
    deviation: float

    def beyond(self, deviations: float) -> float:
        """Similarity that unrelated pairs do not reach, by so many deviations above the mode."""
        return self.mode + min(deviations * self.deviation, _MOST * (1 - self.mode))

    def on_this_level(self, similarity: float) -> float:
        """Say what a similarity on a level of many stories is here: as far from identity.

        Where few stories make up a level, the mean that is taken off is what these are about, and
        all similarities lie lower: the mode of unrelated pairs is -.1 to -.3. What is as far from
        it to identity as on a level of many stories counts as much; never more.
        """
        return min(similarity, 1 - (1 - similarity) * (1 - self.mode) / (1 - _USUAL_MODE))


def background(vectors: Vectors) -> Background | None:
    """Estimate the background from the pairs of up to 512 evenly spaced vectors.

    The mode is the middle of the shortest interval that holds half of the pairs (the shorth:
    Andrews et al. 1972).

    Args:
        vectors: (n, d) unit vectors.

    Returns:
        None where unrelated pairs are not most of them, and for fewer than three vectors. With one
        large story and others, the mode is above the mean. With one story alone, the mode is far
        from zero, and the scatter so wide that chance would nearly reach identity: in large stories
        of three collections it is .17 to .45 of the way there, among unrelated pairs .07 to .10,
        also with an encoder for which all texts are alike. Few items hardly show their scatter: it
        is taken as wide as they may hide.
    """
    count = len(vectors)
    if count < 3:
        return None
    sample = vectors[evenly_spaced(count, _SAMPLE)]
    similarity = np.empty(len(sample) * (len(sample) - 1) // 2, dtype=np.float32)
    pairs(sample, similarity)
    similarity.sort()
    half = len(similarity) // 2
    start = int(np.argmin(similarity[half:] - similarity[: len(similarity) - half]))
    mode = float(similarity[start : start + half + 1].mean(dtype=np.float64))
    below = mode - similarity[: np.searchsorted(similarity, mode)].astype(np.float64)
    deviation = float(np.sqrt(np.square(below).mean())) if len(below) else 0.0
    above_mean = mode > similarity.mean(dtype=np.float64) + _ABOVE_MEAN * deviation
    if above_mean or one_story(mode, deviation, _hidden(len(sample))):
        return None
    return Background(mode, deviation)


def one_story(mode: Any, deviation: Any, hidden: float = 1.0) -> Any:
    """Tell whether pairs are too alike, and differ too much, to be unrelated.

    Args:
        mode: of their similarities; a number or an array.
        deviation: of them, likewise.
        hidden: how many times as wide they may scatter.
    """
    return (mode > _AWAY * deviation) & (_NEAR_IDENTITY * hidden * deviation > 1 - mode)


def _hidden(items: int) -> float:
    """By how much the scatter among so many items may be wider than it looks."""
    # every step reaches this module; few take a level for one story
    from scipy.special import chdtri

    return float(np.sqrt((items - 1) / chdtri(items - 1, 1 - _HIDDEN)))


@kernel
def pairs(vectors: F32, similarity: F32) -> None:
    """Write the products of all pairs of vectors: (n (n - 1) / 2,)."""
    at = 0
    for i in range(len(vectors)):
        for j in range(i):
            similarity[at] = dot(vectors[i], vectors[j])
            at += 1
