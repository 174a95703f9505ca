"""Runs for the tests of lasting ids: items by letters, clusters as words of them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa

from clustering_tasks.identity.matching import RULE, Rule
from clustering_tasks.identity.registry import Registry, nothing
from clustering_tasks.identity.succession import Found, Succession, succeed

FIRST_DAY = datetime(2026, 3, 1, tzinfo=UTC)


def run_of(
    day: int,
    clusters: Sequence[Iterable[str]],
    noise: Iterable[str] = "",
    filtered: Iterable[str] = "",
    alike: Sequence[Iterable[str]] = (),
) -> Found:
    """A run's clusters; the items of a word in `alike` are near-duplicates."""
    fates: dict[str, tuple[int | None, str]] = {
        item: (number, "clustered") for number, word in enumerate(clusters) for item in word
    }
    fates |= dict.fromkeys(noise, (None, "noise"))
    fates |= dict.fromkeys(filtered, (None, "filtered"))
    names = sorted(fates)
    group = {item: number for number, item in enumerate(names)}
    group |= {item: group[min(word)] for word in alike for item in word}
    return Found(
        level="events",
        cluster_type="event",
        job_id=f"day-{day}",
        as_of=FIRST_DAY + timedelta(days=day),
        base=None,
        items=pa.table(
            {
                "vector_id": pa.array(names, pa.string()),
                "document_id": pa.array([f"doc-{item}" for item in names], pa.string()),
            }
        ),
        assignments=pa.table(
            {
                "cluster": pa.array([fates[item][0] for item in names], pa.int32()),
                "status": pa.array([fates[item][1] for item in names], pa.string()),
                "near_duplicate": pa.array([group[item] for item in names], pa.int32()),
            }
        ),
        clusters=len(clusters),
    )


@dataclass
class Days:
    """Runs that are published one after the other."""

    look_back: int = 3
    rule: Rule = RULE
    registry: Registry = field(default_factory=lambda: nothing("none", FIRST_DAY))
    last: Succession | None = None
    day: int = 0

    def publish(
        self,
        *clusters: Iterable[str],
        noise: Iterable[str] = "",
        filtered: Iterable[str] = "",
        alike: Sequence[Iterable[str]] = (),
    ) -> list[str]:
        """Publish a run; return the ids of its clusters."""
        self.day += 1
        return self.take(run_of(self.day, clusters, noise, filtered, alike))

    def take(self, found: Found) -> list[str]:
        """Publish a run that is given; return the ids of its clusters."""
        self.last = succeed(self.registry, found, self.look_back, self.rule)
        self.registry = self.last.registry
        ids: list[str] = self.last.ids["cluster_id"].to_pylist()
        return ids

    def state(self, cluster_id: str) -> str:
        """The state of an id."""
        return str(self._row(cluster_id)["state"])

    def successors(self, cluster_id: str) -> list[str]:
        """The successors of an id."""
        return list(self._row(cluster_id)["successors"])

    def version(self, cluster_id: str) -> int:
        """The version of an id."""
        return int(self._row(cluster_id)["version"])

    def change(self, cluster_id: str) -> str | None:
        """What the last run changed, None for nothing."""
        assert self.last is not None
        rows = {row["cluster_id"]: row for row in self.last.lineage.to_pylist()}
        return rows[cluster_id]["change"] if cluster_id in rows else None

    def previous(self, cluster_id: str) -> list[str]:
        """The other ids that a cluster of the last run is made of."""
        assert self.last is not None
        rows = {row["cluster_id"]: row for row in self.last.ids.to_pylist()}
        return list(rows[cluster_id]["previous_ids"])

    def _row(self, cluster_id: str) -> dict[str, Any]:
        rows: dict[str, dict[str, Any]] = {
            row["cluster_id"]: row for row in self.registry.identities.to_pylist()
        }
        return rows[cluster_id]
