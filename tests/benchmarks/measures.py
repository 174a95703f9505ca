"""Agreement of a clustering with gold clusters, by the measures that the field reports.

Noise counts as clusters of one item. What is undefined is NaN: pairs where there are none.
"""

from collections.abc import Callable, Sequence

import numpy as np
from scipy import sparse
from scipy.optimize import linear_sum_assignment
from sklearn.metrics import v_measure_score

from clustering_tasks.arrays import F64, I64
from tests.benchmarks.contingency import (
    Contingency,
    Labels,
    contingency,
    contingency_of_labels,
)

Triple = tuple[float, float, float]  # F1, precision, recall


def scores(gold: Sequence[str], found: Sequence[str | None]) -> dict[str, float]:
    """Score a clustering by every measure.

    Args:
        gold: (n) cluster of each item.
        found: (n) cluster of each item, None for noise.
    """
    table = contingency(gold, found)
    f1, precision, recall = b_cubed(table)
    muc_f1, ceaf_f1 = muc(table)[0], ceaf_e(table)[0]
    return {
        "f1": f1,
        "precision": precision,
        "recall": recall,
        "pairwise": pairwise(table)[0],
        "muc": muc_f1,
        "ceaf_e": ceaf_f1,
        "conll": (muc_f1 + f1 + ceaf_f1) / 3,
        "v_measure": v_measure(gold, found),
        "purity": purity(gold, found),
        "coverage": coverage(gold, found),
    }


def scores_of_labels(gold: Labels, found: Labels) -> dict[str, float]:
    """Score labels of any number of items by B-cubed and coverage.

    Args:
        gold: (n) cluster of each item, -1 for an item alone.
        found: (n) cluster of each item, -1 for noise; a cluster of one is as good as noise.
    """
    f1, precision, recall = b_cubed(contingency_of_labels(gold, found))
    at, sizes = np.unique(found, return_inverse=True, return_counts=True)[1:]
    found = np.where(sizes[at] > 1, found, -1)
    covered = _ratio(float(((gold >= 0) & (found >= 0)).sum()), float((gold >= 0).sum()))
    return {"f1": f1, "precision": precision, "recall": recall, "coverage": covered}


def b_cubed(table: Contingency) -> Triple:
    """B-cubed (Bagga and Baldwin 1998): averaged over items."""
    squares = np.square(table.common.astype(float))
    precision = (squares / table.found_sizes[table.found]).sum() / table.items
    recall = (squares / table.gold_sizes[table.gold]).sum() / table.items
    return _triple(precision, recall)


def pairwise(table: Contingency) -> Triple:
    """Pairs of items that share a cluster in both, among those that share one in either."""
    common = _pairs(table.common)
    return _triple(
        _ratio(common, _pairs(table.found_sizes)), _ratio(common, _pairs(table.gold_sizes))
    )


def muc(table: Contingency) -> Triple:
    """Links (Vilain et al. 1995): a cluster torn into p pieces keeps its size less p of them."""
    return _triple(_links(table.found, table.found_sizes), _links(table.gold, table.gold_sizes))


def _links(clusters: I64, sizes: I64) -> float:
    pieces = np.bincount(clusters, minlength=len(sizes))
    return _ratio(float((sizes - pieces).sum()), float((sizes - 1).sum()))


def ceaf_e(table: Contingency) -> Triple:
    """Best one-to-one matching of clusters (Luo 2005), twice the common items over both sizes."""
    together = table.gold_sizes[table.gold] + table.found_sizes[table.found]
    total = _best_matching(table.gold, table.found, 2 * table.common / together)
    return _triple(total / len(table.found_sizes), total / len(table.gold_sizes))


def _best_matching(rows: I64, columns: I64, values: F64) -> float:
    """Highest sum of values, one per row and column; clusters that share nothing are apart."""
    count = int(rows.max()) + 1
    shape = (count + int(columns.max()) + 1,) * 2
    graph = sparse.coo_array((np.ones(len(rows)), (rows, columns + count)), shape=shape)
    part = sparse.csgraph.connected_components(graph, directed=False)[1][rows]
    order = np.argsort(part, kind="stable")
    total = 0.0
    for one in np.split(order, np.flatnonzero(np.diff(part[order])) + 1):
        row = np.unique(rows[one], return_inverse=True)[1]
        column = np.unique(columns[one], return_inverse=True)[1]
        dense = np.zeros((row.max() + 1, column.max() + 1))
        dense[row, column] = values[one]
        total += dense[linear_sum_assignment(dense, maximize=True)].sum()
    return float(total)


def v_measure(gold: Sequence[str], found: Sequence[str | None]) -> float:
    """Harmonic mean of homogeneity and completeness (Rosenberg and Hirschberg 2007)."""
    alone = [cluster if cluster is not None else f"\0{n}" for n, cluster in enumerate(found)]
    return float(v_measure_score(list(gold), alone))


def purity(gold: Sequence[str], found: Sequence[str | None]) -> float:
    """Share of the clustered items that are of their cluster's largest gold cluster.

    Noise is left out: as clusters of one it would be pure.
    """
    kept = [n for n, cluster in enumerate(found) if cluster is not None]
    if not kept:
        return float("nan")
    table = contingency([gold[n] for n in kept], [found[n] for n in kept])
    largest = np.zeros(len(table.found_sizes), dtype=np.int64)
    np.maximum.at(largest, table.found, table.common)
    return float(largest.sum() / table.items)


def coverage(gold: Sequence[str], found: Sequence[str | None]) -> float:
    """Share of the items with a companion in gold that are in a cluster."""
    of, sizes = np.unique(list(gold), return_inverse=True, return_counts=True)[1:]
    accompanied = sizes[of] > 1
    clustered = np.array([cluster is not None for cluster in found], dtype=bool)
    return _ratio(float((accompanied & clustered).sum()), float(accompanied.sum()))


def _pairs(sizes: I64) -> float:
    return float((sizes * (sizes - 1) // 2).sum())


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else float("nan")


def _triple(precision: float, recall: float) -> Triple:
    whole = precision + recall
    f1 = 2 * precision * recall / whole if whole else 0.0
    return float(f1), float(precision), float(recall)


MEASURES: dict[str, Callable[[Contingency], Triple]] = {
    "b_cubed": b_cubed,
    "pairwise": pairwise,
    "muc": muc,
    "ceaf_e": ceaf_e,
}
