"""How many clusters k-means should look for, without gold: on a sample, over a grid of counts."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from clustering_tasks.arrays import F32, I32
from clustering_tasks.engine.kmeans import gather, refine, seeds
from clustering_tasks.engine.nearest_centroids import nearest_centroids
from clustering_tasks.engine.shuffle import shuffled

_SAMPLE = 4096
_ROUNDS = 4
_STEP = 2**0.5
_BETWEEN = 6


@dataclass(frozen=True)
class Trial:
    """What k-means found with one count.

    Attributes:
        k: the count.
        inertia: items times cosine distance to their centroid, summed.
        silhouette: mean simplified silhouette (Hruschka 2004), 0 for clusters of one item.
    """

    k: int
    inertia: float
    silhouette: float


def estimate(vectors: F32, weights: I32, method: Literal["silhouette", "elbow"]) -> Trial:
    """Try counts from 1 to half the nodes, each 1.4 times the last, then some around the best.

    `silhouette` takes the highest; 1 where none is positive. `elbow` takes the knee of the inertia
    (Satopaa et al. 2011): where it has fallen farthest below the straight line from k = 1 to k = n,
    where it is 0.

    Args:
        vectors: (n, d) unit vectors; of more than 4,096 a random sample is tried.
        weights: (n,) items per node.
        method: see above.
    """
    sample = shuffled(vectors)[:_SAMPLE]
    rows, counts = gather(vectors, sample), weights[sample]
    most = max(len(rows) // 2, 1)
    start = rows[seeds(rows, counts, min(most, len(rows)))]
    tried: dict[int, Trial] = {}

    def best_of(ks: Iterable[int]) -> Trial:
        for k in ks:
            if k not in tried:
                tried[k] = _try(rows, counts, start[:k])
        return _best([tried[k] for k in sorted(tried)], method, len(rows))

    steps = int(np.log(most) / np.log(_STEP))
    grid = sorted({1, most, *(round(_STEP**step) for step in range(steps + 1))})
    at = grid.index(best_of(grid).k)
    below, above = grid[max(at - 1, 0)], grid[min(at + 1, len(grid) - 1)]
    return best_of(np.linspace(below, above, _BETWEEN + 2).astype(int).tolist())


def _try(rows: F32, weights: I32, start: F32) -> Trial:
    centroids = refine(rows, weights, start, _ROUNDS)
    nearest = nearest_centroids(rows, centroids)
    apart = np.maximum(1 - nearest.similarity.astype(np.float64), 0)
    own = nearest.ids[:, 0]
    alone = np.bincount(own, weights, minlength=len(start))[own] == 1
    widths = (apart[:, 1] - apart[:, 0]) / np.maximum(apart[:, 1], 1e-9)
    widths[alone] = 0
    silhouette = float(np.average(widths, weights=weights)) if len(start) > 1 else 0.0
    return Trial(len(start), float((apart[:, 0] * weights).sum()), silhouette)


def _best(trials: list[Trial], method: str, most: int) -> Trial:
    """Choose among trials in the order of their counts; of equals the fewest clusters."""
    if method == "silhouette":
        return max(trials, key=lambda trial: trial.silhouette)
    k = np.array([*(trial.k for trial in trials), most], dtype=float)
    inertia = np.array([*(trial.inertia for trial in trials), 0.0])
    fallen = 1 - inertia / max(inertia[0], 1e-12) - (k - 1) / max(most - 1, 1)
    return trials[min(int(np.argmax(fallen)), len(trials) - 1)]
