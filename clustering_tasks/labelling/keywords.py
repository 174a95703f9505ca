"""Keywords by class-based TF-IDF: what a cluster says more often than the level does."""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
from scipy import sparse
from sklearn.feature_extraction.text import CountVectorizer

# A word of letters, also with an apostrophe or hyphen inside; or an acronym with digits (G7, A320).
_WORD = r"(?u)\b(?:[^\W\d_]+(?:['\u2019-][^\W\d_]+)*|[^\W\d_]+\d+)\b"


class Keywords:
    """Weights of the terms of each cluster (Grootendorst 2022, class-based TF-IDF)."""

    def __init__(self, texts: Iterable[str]) -> None:
        """Count terms.

        Args:
            texts: one per cluster, its members' texts joined.
        """
        counter = CountVectorizer(
            token_pattern=_WORD, stop_words="english", ngram_range=(1, 2), dtype=np.float32
        )
        try:
            counts = counter.fit_transform(texts)
        except ValueError:  # no text has a word left: "empty vocabulary"
            self.terms, self.weights = np.empty(0, dtype=object), None
            return
        self.terms = counter.get_feature_names_out()
        self.weights = _class_tf_idf(counts.tocsr())

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


def _class_tf_idf(counts: sparse.csr_matrix) -> sparse.csr_matrix:
    """Frequency in the cluster times log(1 + mean words per cluster / frequency in the level)."""
    total = np.asarray(counts.sum(axis=0)).ravel()
    words = np.asarray(counts.sum(axis=1)).ravel()
    rarity = np.log1p(words.mean() / total)
    weighted = counts.multiply(rarity).tocsr()
    per_cluster = np.divide(1, words, out=np.zeros_like(words), where=words > 0)
    return sparse.csr_matrix(sparse.diags(per_cluster) @ weighted)
