"""Labels that stay: a cluster keeps the label that its id had, as long as little of it changes.

A label is kept only if a member of today has it as its text. So it never outlives the items that it
was taken from: a document that is deleted takes its title along.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from upath import UPath

from clustering_tasks.contract.record import Record
from clustering_tasks.identity.published import published_labels
from clustering_tasks.steps.label.titles import shorten
from clustering_tasks.workspace.artefacts import Result, Run
from clustering_tasks.workspace.damage import refusing_damage

LABELS = pa.schema(
    [
        pa.field("cluster_id", pa.string(), nullable=False),
        pa.field("label", pa.string(), nullable=False),
        pa.field("labelled_at", pa.timestamp("us", tz="UTC"), nullable=False),
        # Sum of the changes of all runs since the label was the best one.
        pa.field("drift", pa.float64(), nullable=False),
    ]
)
_AT_ONCE = 0.1  # change since the run before, from which on a cluster is called anew
_IN_ALL = 0.5  # a story that has grown by half in small steps may be about something else by now


@dataclass
class LastingLabels:
    """The labels of the run that the ids go on from, and those of this run.

    Attributes:
        as_of: of this run.
        before: rows of `LABELS` by id.
        rows: of `LABELS`, of this run.
    """

    as_of: datetime
    before: dict[str, dict[str, Any]]
    rows: list[dict[str, Any]] = field(default_factory=list)

    def on(self, record: Record, changed: float | None, titles: Iterable[str | None]) -> Record:
        """Keep the former label of a record's cluster, if it may, and note when it was made.

        Args:
            record: of the cluster, with the best label of today.
            changed: share of the members that came or went since the run before.
            titles: of the members.
        """
        known = self.before.get(record["cluster_id"])
        label, made, drift = record["cluster_label"], self.as_of, 0.0
        if known is not None and known["label"] == label:
            made = known["labelled_at"]
        elif known is not None and changed is not None and changed < _AT_ONCE:
            text = next((t for t in titles if t and shorten(t) == known["label"]), None)
            if text is not None and known["drift"] + changed < _IN_ALL:
                label, made = known["label"], known["labelled_at"]
                drift = known["drift"] + changed
                if record["cluster_type"] == "entity":
                    record["canonical_entity"] = text
        record["cluster_label"], record["labelled_at"] = label, made
        self.rows.append(
            {
                "cluster_id": record["cluster_id"],
                "label": label,
                "labelled_at": made,
                "drift": drift,
            }
        )
        return record

    def write(self, path: UPath) -> None:
        """Write the labels of this run, for the next one."""
        with path.open("wb") as file:
            pq.write_table(pa.Table.from_pylist(self.rows, LABELS), file, compression="zstd")


@dataclass(frozen=True)
class FormerLabels:
    """The file of the labels of the run that the ids go on from.

    Attributes:
        content: of the file, Parquet of `LABELS`; None: there is none, and no label is kept.
        path: of the file, for messages.
    """

    content: bytes | None
    path: UPath | None = None

    @property
    def digest(self) -> str | None:
        """Of the content."""
        return None if self.content is None else hashlib.sha256(self.content).hexdigest()

    def read(self, as_of: datetime) -> LastingLabels:
        """Read them for a run of this moment.

        Raises:
            BadInputError: the file is damaged.
        """
        if self.content is None or self.path is None:
            return LastingLabels(as_of, {})
        with refusing_damage(self.path, "restore it, or remove it: all clusters are named anew"):
            rows = pq.read_table(pa.BufferReader(self.content), schema=LABELS).to_pylist()
        return LastingLabels(as_of, {row["cluster_id"]: row for row in rows})


def former_labels(run: Run, identify: Result) -> FormerLabels:
    """Find the labels that the run before has published.

    Args:
        run: this run.
        identify: its result.
    """
    base = identify.metrics.get("base")  # none in what a deletion made of an earlier version's run
    path = published_labels(run.workspace, run.level.name, str(base)) if base else None
    return FormerLabels(path.read_bytes() if path else None, path)
