"""B-cubed precision, recall and F1 (Bagga and Baldwin 1998), noise scored as singletons."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy import sparse


def b_cubed(gold: Sequence[str], found: Sequence[str | None]) -> tuple[float, float, float]:
    """Compare a clustering with gold clusters.

    Args:
        gold: (n) cluster of each item.
        found: (n) cluster of each item, None for noise.

    Returns:
        F1, precision, recall.
    """
    alone = (cluster if cluster is not None else f"\0{n}" for n, cluster in enumerate(found))
    rows, columns = _codes(list(gold)), _codes(list(alone))
    together = sparse.csr_array((np.ones(len(rows)), (rows, columns))).tocsr()
    together.sum_duplicates()
    pairs = together.tocoo()
    squares = np.square(pairs.data)
    precision = float((squares / np.bincount(columns)[pairs.col]).sum() / len(rows))
    recall = float((squares / np.bincount(rows)[pairs.row]).sum() / len(rows))
    return 2 * precision * recall / (precision + recall), precision, recall


def _codes(names: list[str]) -> npt.NDArray[np.int64]:
    return np.unique(names, return_inverse=True)[1]
