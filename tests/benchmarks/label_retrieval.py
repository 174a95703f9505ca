"""Label retrieval: does a label, as a BM25 query, find its cluster among the nearest ones?"""

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np

from clustering_tasks.arrays import F32, I32, I64, Mask
from clustering_tasks.stage3.words import pieces_of, words_of

NEAREST = 10
_K1, _B = 1.2, 0.75


class Bm25:
    """BM25 over the texts of a level (Robertson 1994, with rarity that is never negative)."""

    def __init__(self, texts: Sequence[str]) -> None:
        """Count the words of texts: (n,)."""
        self._said = [Counter(_tokens(text)) for text in texts]
        lengths = np.array([said.total() for said in self._said], dtype=float)
        self._norm = _K1 * (1 - _B + _B * lengths / max(lengths.mean(), 1e-9))
        df = Counter(word for said in self._said for word in said)
        n = len(texts)
        self._idf = {w: math.log(1 + (n - f + 0.5) / (f + 0.5)) for w, f in df.items()}

    def score(self, query: str, row: int) -> float:
        """Score a text, by its row, for a query."""
        said, norm = self._said[row], self._norm[row]
        found = sum(
            self._idf[w] * said[w] * (_K1 + 1) / (said[w] + norm)
            for w in set(_tokens(query))
            if w in said
        )
        return float(found)


def _tokens(text: str) -> list[str]:
    return words_of(text) or sorted(pieces_of(text))


def held_out(clusters: I32, fold: int, folds: int, smallest: int) -> Mask:
    """Choose every `folds`-th member of each cluster that has `smallest` or more: (n,) bool."""
    place = np.zeros(len(clusters), dtype=int)
    sizes = np.bincount(clusters[clusters >= 0])
    seen = Counter[int]()
    for row, cluster in enumerate(clusters.tolist()):
        place[row] = seen[cluster]
        seen[cluster] += 1
    large = (clusters >= 0) & (np.append(sizes, 0)[clusters] >= smallest)
    return np.asarray(large & (place % folds == fold))


def nearest(centroids: F32) -> I64:
    """Return the nearest clusters of each, at most `NEAREST`."""
    cosines = centroids @ centroids.T
    np.fill_diagonal(cosines, -2)
    order = np.argsort(-cosines, axis=1, kind="stable")
    return np.asarray(order[:, : min(NEAREST, len(centroids) - 1)])


def ranks_first(
    bm25: Bm25, query: str, cluster: int, rivals: Sequence[int], texts: Sequence[Sequence[int]]
) -> tuple[float, float]:
    """Whether a query ranks a cluster's texts first: by their mean, and by the best single one.

    Ties are lost by the mean, and shared by the best one.
    """
    scores = {c: [bm25.score(query, row) for row in texts[c]] for c in (cluster, *rivals)}
    mean = {c: float(np.mean(each)) for c, each in scores.items() if each}
    by_mean = float(all(mean[cluster] > mean[c] for c in rivals if c in mean))
    top = max(max(each) for each in scores.values() if each)
    if top <= 0:
        return by_mean, 0.0
    firsts = {c: sum(s == top for s in each) for c, each in scores.items()}
    return by_mean, firsts[cluster] / sum(firsts.values())
