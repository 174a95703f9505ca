"""Labels by a language model, and the test that one must win against the local label."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from upath import UPath

from clustering_tasks.llm.answers import Asked, labels_of
from clustering_tasks.steps.label.lasting_labels import Source
from clustering_tasks.steps.label.proposals import Scores

_SHOWN = 100  # refusals in the report: of the largest clusters


@dataclass(frozen=True)
class Refusal:
    """A cluster whose label is not the model's.

    Attributes:
        cluster_id: of the cluster.
        reason: as the report counts it; `taken`: another cluster has the label.
        label: the model's, as `as_label` has cleaned it; None where the answer is not kept.
        score: its value as a query; None without a label.
        local_score: that of the best local label.
    """

    cluster_id: str
    reason: Literal["unreadable", "invented", "lost", "taken"]
    label: str | None = None
    score: float | None = None
    local_score: float | None = None


@dataclass
class LlmLabels:
    """What a language model calls clusters.

    Attributes:
        asked: how it was asked; None: it was not.
        answers: labels by the ids of clusters.
        used: how many of them are the label of their cluster.
        refusals: of clusters whose label they are not.
    """

    asked: Asked | None
    answers: Mapping[str, str]
    used: int = 0
    refusals: list[Refusal] = field(default_factory=list)

    def in_order(self, identities: Sequence[Mapping[str, Any]]) -> list[str | None] | None:
        """Return the answer about each cluster; None where there is none about any."""
        if not self.answers:
            return None
        return [self.answers.get(identity["cluster_id"]) for identity in identities]

    def before(self, cluster_id: str, ranked: Sequence[str], scores: Scores | None) -> list[str]:
        """Put the model's label before the local ones, if it wins.

        Args:
            cluster_id: of the cluster.
            ranked: local labels, the best first; at least one.
            scores: from `proposals.describe`.
        """
        answer = self.answers.get(cluster_id)
        if answer is None or scores is None or answer == ranked[0] or not scores.wins:
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

    def note(
        self, cluster_id: str, ranked: Sequence[str], source: Source, scores: Scores | None
    ) -> None:
        """Count what became of the model's label, and keep why it is not used.

        Args:
            cluster_id: of the cluster.
            ranked: local labels.
            source: of the label that the cluster got.
            scores: from `proposals.describe`.
        """
        answer = self.answers.get(cluster_id)
        if answer is not None and source == "llm":
            self.used += 1
        elif answer is not None and scores is not None and answer != ranked[0]:
            reason: Literal["lost", "taken"] = "taken" if scores.wins else "lost"
            self.refusals.append(Refusal(cluster_id, reason, answer, scores.llm, scores.local))
        elif self.asked is not None and cluster_id in self.asked.refused:
            unread = self.asked.refused[cluster_id] == "unreadable"
            self.refusals.append(Refusal(cluster_id, "unreadable" if unread else "invented"))

    def report(self) -> dict[str, Any] | None:
        """Count questions, answers and costs; None where no model was asked."""
        if self.asked is None:
            return None
        reasons = [each.reason for each in self.refusals]
        return {
            "model": self.asked.model,
            "asked": sum(self.asked.endings.values()),
            **{str(ending): count for ending, count in self.asked.endings.items()},
            **self.asked.spent.model_dump(),
            "used": self.used,
            "lost": reasons.count("lost"),
            "taken": reasons.count("taken"),
            "refusals": [asdict(each) for each in self.refusals[:_SHOWN]],
        }


def read_llm_labels(workspace: UPath, level: str, asked: Asked | None) -> LlmLabels:
    """Read the answers of a run."""
    return LlmLabels(asked, labels_of(workspace, level, asked))


def counted(report: Mapping[str, Any]) -> dict[str, Any]:
    """Return what of `LlmLabels.report` is a metric of the step."""
    return {name: value for name, value in report.items() if name != "refusals"}
