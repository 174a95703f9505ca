"""Keywords by class-based TF-IDF: what a cluster says more often than the level does."""

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt
from scipy import sparse
from sklearn.feature_extraction.text import CountVectorizer

# A word of letters, also with an apostrophe or hyphen inside; or an acronym with digits (G7, A320).
# One letter is no word.
_WORD = r"(?u)\b(?:[^\W\d_]{2,}(?:['\u2019-][^\W\d_]+)*|[^\W\d_]+\d+)\b"


_PAIR_GAIN = 1.2

_split = CountVectorizer(
    token_pattern=_WORD, stop_words="english", ngram_range=(1, 2)
).build_analyzer()


class Keywords:
    """Weights of the terms of each cluster (Grootendorst 2022, class-based TF-IDF)."""

    def __init__(self, clusters: Iterable[Sequence[str | None]]) -> None:
        """Count terms of one and two words.

        Args:
            clusters: the texts of each cluster's members.
        """
        counter = CountVectorizer(analyzer=_terms, dtype=np.float32)
        try:
            counts = counter.fit_transform(clusters)
        except ValueError:  # no text has a word left: "empty vocabulary"
            self.terms, self.weights = np.empty(0, dtype=object), None
            return
        self.terms = counter.get_feature_names_out()
        # "stari dvor" says more than "dvor" alone, which is in the same texts and so weighs as much
        pairs = np.array([_PAIR_GAIN if " " in term else 1.0 for term in self.terms])
        self.weights = sparse.csr_matrix(_class_tf_idf(counts.tocsr()) @ sparse.diags(pairs))

    def top(self, cluster: int, count: int) -> list[str]:
        """Return a cluster's heaviest terms; no word that a longer term kept says already."""
        terms, weights = self._row(cluster)
        kept: list[str] = []
        for at in np.lexsort((terms, -weights)):
            words = set(terms[at].split())
            if not any(words & set(other.split()) for other in kept):
                kept.append(str(terms[at]))
            if len(kept) == count:
                break
        return kept

    def weights_of(self, cluster: int) -> dict[str, float]:
        """Return the weight of each term of a cluster."""
        return dict(zip(*self._row(cluster), strict=True))

    def _row(self, cluster: int) -> tuple[npt.NDArray[np.object_], npt.NDArray[np.float32]]:
        if self.weights is None:
            return np.empty(0, dtype=object), np.empty(0, dtype=np.float32)
        start, stop = self.weights.indptr[cluster : cluster + 2]
        columns = self.weights.indices[start:stop]
        return self.terms[columns], self.weights.data[start:stop]


def _terms(texts: Sequence[str | None]) -> list[str]:
    """Split a cluster's texts into terms; no term spans two texts."""
    return [term for text in texts if text for term in _split(text)]


def _class_tf_idf(counts: sparse.csr_matrix) -> sparse.csr_matrix:
    """Frequency in the cluster times log(1 + mean words per cluster / frequency in the level)."""
    total = np.asarray(counts.sum(axis=0)).ravel()
    words = np.asarray(counts.sum(axis=1)).ravel()
    rarity = np.log1p(words.mean() / total)
    weighted = counts.multiply(rarity).tocsr()
    per_cluster = np.divide(1, words, out=np.zeros_like(words), where=words > 0)
    return sparse.csr_matrix(sparse.diags(per_cluster) @ weighted)
