"""Labels by a language model, and the test that one must win against the local label."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from upath import UPath

from clustering_tasks.llm.answers import Asked, labels_of
from clustering_tasks.steps.label.lasting_labels import Source


@dataclass
class LlmLabels:
    """What a language model calls clusters.

    Attributes:
        asked: how it was asked; None: it was not.
        answers: labels by the ids of clusters.
        used: how many of them are the label of their cluster.
        lost: how many find the cluster's members less well than the local label.
    """

    asked: Asked | None
    answers: Mapping[str, str]
    used: int = 0
    lost: int = 0

    def in_order(self, identities: Sequence[Mapping[str, Any]]) -> list[str | None] | None:
        """Return the answer about each cluster; None where there is none about any."""
        if not self.answers:
            return None
        return [self.answers.get(identity["cluster_id"]) for identity in identities]

    def before(self, cluster_id: str, ranked: Sequence[str], *, wins: bool) -> list[str]:
        """Put the model's label before the local ones, if it wins.

        Args:
            cluster_id: of the cluster.
            ranked: local labels, the best first; at least one.
            wins: against the best of them (`proposals.describe`).
        """
        answer = self.answers.get(cluster_id)
        if answer is None or answer == ranked[0]:
            return [*ranked]
        if not wins:
            self.lost += 1
            return [*ranked]
        return [answer, *ranked]

    def source(self, cluster_id: str, label: str, ranked: Sequence[str]) -> Source:
        """Say what made a label that was chosen among those that `before` returned.

        Args:
            cluster_id: of the cluster.
            label: chosen; a word may stand behind it in brackets.
            ranked: local labels.
        """
        answer = self.answers.get(cluster_id)
        if answer is None or answer == ranked[0]:
            return "local"
        return "llm" if label == answer or label.startswith(f"{answer} (") else "local"

    def report(self) -> dict[str, Any] | None:
        """Count questions, answers and costs; None where no model was asked."""
        if self.asked is None:
            return None
        return {
            "model": self.asked.model,
            "asked": sum(self.asked.endings.values()),
            **{str(ending): count for ending, count in self.asked.endings.items()},
            **self.asked.spent.model_dump(),
            "used": self.used,
            "lost": self.lost,
        }


def read_llm_labels(workspace: UPath, level: str, asked: Asked | None) -> LlmLabels:
    """Read the answers of a run."""
    return LlmLabels(asked, labels_of(workspace, level, asked))
