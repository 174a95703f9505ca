"""Labels of a level's clusters, no two alike."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from clustering_tasks.stage3.text import matching
from clustering_tasks.stage3.words import pieces_of
from clustering_tasks.steps.label.clauses import LONGEST
from clustering_tasks.steps.label.members import Columns
from clustering_tasks.steps.label.naming import days_of
from clustering_tasks.steps.label.verbs import holds

_ROOM = 8  # characters for a number in brackets


@dataclass
class FreeLabels:
    """Which labels clusters may still have.

    Attributes:
        owners: of a label, as labels are compared, the id of the cluster that has it.
    """

    owners: dict[str, str] = field(default_factory=dict)

    @classmethod
    def without(cls, reserved: Iterable[Mapping[str, str]]) -> "FreeLabels":
        """Begin with labels that are given already.

        Args:
            reserved: labels by the id of the cluster that has them; of equal ones the first counts.
        """
        labels = cls()
        for each in reserved:
            for name, label in each.items():
                labels.owners.setdefault(_compared(label), name)
        return labels

    def best(
        self, cluster_id: str, ranked: list[str], tellers: Sequence[str], members: Columns
    ) -> str:
        """Return the first label that no other cluster has, else the first with a word beside it.

        Args:
            cluster_id: of the cluster.
            ranked: what it may be called, the best first; at least one.
            tellers: what may stand behind it in brackets.
            members: its items.
        """
        for label in ranked:
            if self.is_free(cluster_id, label):
                return label
        first = ranked[0]
        for teller in (*tellers, *days_of(members)):
            label = f"{first} ({teller})"
            if (
                not holds(first, teller)
                and len(label) <= LONGEST
                and self.is_free(cluster_id, label)
            ):
                return label
        number = 2
        while not self.is_free(cluster_id, f"{first[: LONGEST - _ROOM]} ({number})"):
            number += 1
        return f"{first[: LONGEST - _ROOM]} ({number})"

    def take(self, cluster_id: str, label: str) -> None:
        """Enter the label that a cluster got."""
        self.owners.setdefault(_compared(label), cluster_id)

    def is_free(self, cluster_id: str, label: str) -> bool:
        """Whether no other cluster has a label."""
        return self.owners.get(_compared(label), cluster_id) == cluster_id


@lru_cache(16)  # of a cluster: asked for, and taken
def _compared(label: str) -> str:
    return " ".join(sorted(pieces_of(matching(label)))) or label
