"""What people decided about clusters, in their records: names, pins, what is hidden, and links."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from upath import UPath

from clustering_tasks.arrays import I32
from clustering_tasks.contract.record import CorrectionMark
from clustering_tasks.corrections.contradictions import (
    Contradiction,
    about_clusters,
    links_of,
    stories,
)
from clustering_tasks.corrections.correction import LINKS, Correction
from clustering_tasks.corrections.rows import rows_of
from clustering_tasks.workspace.artefacts import Result

_COUNTS = ("applied", "waiting", "contradicting")


@dataclass
class Marks:
    """The corrections of a run, by the clusters that they are about.

    Attributes:
        of_id: those about a cluster, by its lasting id.
        of_number: those about items, by the number of the cluster that holds some.
        contradictions: of those about a cluster, which are not applied.
        found: ids of clusters that `of_id` knows and the run has.
    """

    of_id: dict[str, list[Correction]] = field(default_factory=dict)
    of_number: dict[int, list[Correction]] = field(default_factory=dict)
    contradictions: list[Contradiction] = field(default_factory=list)
    found: set[str] = field(default_factory=set)

    def names(self) -> dict[str, str]:
        """Return what people call clusters: of an id its label."""
        return {
            name: each.label
            for name, about in self.of_id.items()
            for each in about
            if each.label is not None
        }

    def on(self, label: str, cluster_id: str, number: int) -> tuple[str, list[CorrectionMark]]:
        """Return what a cluster is shown as, and the corrections about it and its items.

        Args:
            label: of the cluster.
            cluster_id: of the cluster.
            number: of the cluster in the run.
        """
        about = self.of_id.get(cluster_id, [])
        if about:
            self.found.add(cluster_id)
        for each in about:
            if each.label is not None:
                label = each.label
        every = sorted(
            (*about, *self.of_number.get(number, ())), key=lambda each: each.correction_id
        )
        return label, [{"correction_id": each.correction_id, "kind": each.kind} for each in every]

    def report(self, merge: Result) -> dict[str, Any]:
        """Count what was applied, what waits for its items or its cluster, and what contradicts.

        Args:
            merge: its metrics count those about items.
        """
        counts = {name: int(merge.metrics.get(f"corrections_{name}") or 0) for name in _COUNTS}
        named = merge.metrics.get("corrections_contradictions")
        applied = sum(len(each) for name, each in self.of_id.items() if name in self.found)
        counts["applied"] += applied
        counts["waiting"] += sum(map(len, self.of_id.values())) - applied
        counts["contradicting"] += len(self.contradictions)
        said = [*([str(named)] if named else []), *map(str, self.contradictions)]
        return {**counts, "contradictions": said}


def read_marks(corrections: Sequence[Correction], items: UPath, labels: I32) -> Marks:
    """Sort the corrections of a run by clusters.

    Args:
        corrections: frozen for the run.
        items: the snapshot's, n rows.
        labels: (n,) number of each row's cluster, negative for none.
    """
    refused = list(about_clusters(corrections))
    numbers = {each.correction_id for each in refused}
    of_id = defaultdict[str, list[Correction]](list)
    for each in corrections:
        if each.cluster_id is not None and each.correction_id not in numbers:
            of_id[each.cluster_id].append(each)
    return Marks(dict(of_id), _of_numbers(corrections, items, labels), refused)


def _of_numbers(
    corrections: Sequence[Correction], items: UPath, labels: I32
) -> dict[int, list[Correction]]:
    known = {each.correction_id: each for each in corrections if each.kind in LINKS}
    links = rows_of(items, links_of(corrections))
    numbers = {each.correction_id for each in stories(links).contradictions}
    found = defaultdict[int, list[Correction]](list)
    for link in links:
        if link.correction_id in numbers:
            continue
        rows = [row for row in (*link.items, *link.others) if isinstance(row, int)]
        for number in sorted({int(labels[row]) for row in rows if labels[row] >= 0}):
            found[number].append(known[link.correction_id])
    return dict(found)
