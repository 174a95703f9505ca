"""Keywords by class-based TF-IDF: what a cluster says more often than the level does."""

import re
from collections.abc import Iterable, Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from clustering_tasks.labelling.stop_words import STOP_WORDS

# A word of letters, also with an apostrophe or hyphen inside; or an acronym with digits (G7, A320).
# One letter is no word.
_WORD = re.compile(r"\b(?:[^\W\d_]{2,}(?:['\u2019-][^\W\d_]+)*|[^\W\d_]+\d+)\b")
# "stari dvor" says more than "dvor" alone, which is in the same texts and so weighs as much
_PAIR_GAIN = 1.2
_CHUNK = 1 << 18  # terms that are Python's strings at a time
_TEXT = pa.large_string()


class Keywords:
    """Weights of the terms of each cluster (Grootendorst 2022, class-based TF-IDF).

    A million items have ten million terms, most of them once. They are numbers here, and text in
    Arrow's memory only.
    """

    def __init__(self, clusters: Iterable[Sequence[str | None]]) -> None:
        """Count terms of one and two words.

        Args:
            clusters: the texts of each cluster's members.
        """
        chunks, words = _terms(clusters)
        encoded = pa.chunked_array(chunks, _TEXT).dictionary_encode()
        # all chunks share a dictionary
        self._terms = encoded.chunk(0).dictionary if len(encoded) else pa.array([], _TEXT)
        codes = [chunk.indices.to_numpy() for chunk in encoded.chunks]
        cluster, self._codes, counts = _count(codes, words)
        self._bounds = np.searchsorted(cluster, np.arange(len(words) + 1))
        self._pair = np.asarray(pc.match_substring(self._terms, " "), dtype=bool)
        total = np.bincount(self._codes, counts, minlength=len(self._terms))
        rarity = np.log1p(words.sum() / max(len(words), 1) / total)
        rarity[self._pair] *= _PAIR_GAIN
        self._weights = (counts / words[cluster] * rarity[self._codes]).astype(np.float32)

    def top(self, cluster: int, count: int) -> list[str]:
        """Return a cluster's heaviest terms; no word that a longer term kept says already."""
        codes, weights = self._row(cluster)
        looked_at = 8 * count
        while True:
            heavy = _heaviest(weights, looked_at)
            kept = _apart(self._text(codes[heavy]), weights[heavy], count)
            if len(kept) == count or looked_at >= len(weights):
                return kept
            looked_at *= 8

    def weights_of(self, cluster: int) -> dict[str, float]:
        """Return the weight of each single word of a cluster."""
        codes, weights = self._row(cluster)
        single = ~self._pair[codes]
        return dict(zip(self._text(codes[single]), weights[single].tolist(), strict=True))

    def _row(self, cluster: int) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]:
        here = slice(*self._bounds[cluster : cluster + 2])
        return self._codes[here], self._weights[here]

    def _text(self, codes: npt.NDArray[np.int32]) -> list[str]:
        found: list[str] = self._terms.take(pa.array(codes)).to_numpy(zero_copy_only=False).tolist()
        return found


def _terms(
    clusters: Iterable[Sequence[str | None]],
) -> tuple[list[pa.Array], npt.NDArray[np.int64]]:
    """Return the terms of all clusters, in chunks of whole clusters, and each cluster's number."""
    chunks, numbers, pending = [], [], list[str]()
    for texts in clusters:
        before = len(pending)
        for text in filter(None, texts):
            words = [word for word in _WORD.findall(text.lower()) if word not in STOP_WORDS]
            pending += words
            pending += map(" ".join, pairwise(words))  # no pair spans two texts
        numbers.append(len(pending) - before)
        if len(pending) >= _CHUNK:
            chunks.append(pa.array(pending, _TEXT))
            pending = []
    return [*chunks, pa.array(pending, _TEXT)], np.array(numbers, dtype=np.int64)


def _count(
    chunks: Iterable[npt.NDArray[np.int32]], numbers: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32], npt.NDArray[np.int64]]:
    """Return, sorted by cluster and term: cluster, term and how often the one says the other."""
    cluster_of = np.repeat(np.arange(len(numbers)), numbers)
    found, start = [np.unique(np.empty(0, dtype=np.int64), return_counts=True)], 0
    for terms in chunks:
        pairs = cluster_of[start : start + len(terms)] << 32 | terms
        found.append(np.unique(pairs, return_counts=True))
        start += len(terms)
    pairs = np.concatenate([pairs for pairs, _ in found])
    counts = np.concatenate([counts for _, counts in found])
    return (pairs >> 32).astype(np.int32), pairs.astype(np.int32), counts


def _heaviest(weights: npt.NDArray[np.float32], count: int) -> npt.NDArray[np.bool_]:
    """Choose `count` of the weights, the largest, and all that equal the least of them."""
    if count >= len(weights):
        return np.ones(len(weights), dtype=bool)
    return np.asarray(weights >= np.partition(weights, -count)[-count])


def _apart(terms: list[str], weights: npt.NDArray[np.float32], count: int) -> list[str]:
    """Return up to `count` terms, heaviest first, that share no word with a heavier one."""
    kept: list[str] = []
    said: set[str] = set()
    for _, term in sorted(zip((-weights).tolist(), terms, strict=True)):
        words = set(term.split())
        if not words & said:
            kept.append(term)
            said |= words
        if len(kept) == count:
            break
    return kept
