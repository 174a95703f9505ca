"""Labels that stay: a cluster keeps the label that its id had, as long as little of it changes.

A label is kept only if members of today give it: it is among what their cluster may be called, or
one of their texts has all of its words in this order; of a language model's label they have all
names and numbers. So it never outlives the items that it was taken from: a document that is deleted
takes its title along.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq
from upath import UPath

from clustering_tasks.identity.published import published_labels
from clustering_tasks.llm.labels import names_are_said
from clustering_tasks.stage3.text import matching
from clustering_tasks.steps.label.free_labels import FreeLabels
from clustering_tasks.steps.label.members import Columns
from clustering_tasks.steps.label.naming import Proposal, days_of
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
        pa.field("source", pa.string()),  # null in files of earlier versions: local
    ]
)
_AT_ONCE = 0.1  # change since the run before, from which on a cluster is called anew
_IN_ALL = 0.5  # a story that has grown by half in small steps may be about something else by now
_TOLD_APART = re.compile(r"(.*\S) \(([^()]+)\)")
_WORD = re.compile(r"\w+")  # the same before and after a tokeniser's marks are mended


Source = Literal["local", "llm"]


@dataclass(frozen=True)
class Label:
    """What a cluster is called.

    Attributes:
        text: one line.
        made: moment of the run that made it.
        name: of an entity that keeps an earlier name; None: its name is the one of today.
        source: what made it.
    """

    text: str
    made: datetime
    name: str | None = None
    source: Source = "local"


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

    def may_stay(self, identities: Iterable[Mapping[str, Any]]) -> dict[str, str]:
        """Return the labels, by id, of clusters that have changed little.

        Args:
            identities: of the run's clusters, rows of `IDS`.
        """
        return {
            each["cluster_id"]: self.before[each["cluster_id"]]["label"]
            for each in identities
            if self._changed_little(each)
        }

    def on(
        self,
        identity: Mapping[str, Any],
        best: str,
        proposal: Proposal,
        members: Columns,
        free: FreeLabels,
        source: Source = "local",
    ) -> Label:
        """Return the label of a cluster: the former one, if it may stay, else the best of today.

        Args:
            identity: of the cluster, a row of `IDS`.
            best: label of today.
            proposal: what it may be called.
            members: its items.
            free: labels that no other cluster has.
            source: of the label of today.
        """
        name = identity["cluster_id"]
        known = self.before.get(name)
        label, drift = Label(best, self.as_of, source=source), 0.0
        if known is not None and known["label"] == best:
            label = Label(best, known["labelled_at"], source=_source(known))
        elif known is not None and self._changed_little(identity):
            stays = _stays(known, proposal, members)
            if stays is not None and free.is_free(name, known["label"]):
                label, drift = stays, known["drift"] + identity["changed"]
        row = {"cluster_id": name, "label": label.text, "labelled_at": label.made, "drift": drift}
        self.rows.append(row | {"source": label.source})
        return label

    def _changed_little(self, identity: Mapping[str, Any]) -> bool:
        known, changed = self.before.get(identity["cluster_id"]), identity["changed"]
        if known is None or changed is None:
            return False
        return bool(changed < _AT_ONCE and known["drift"] + changed < _IN_ALL)

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


def _source(known: Mapping[str, Any]) -> Source:
    return "llm" if known.get("source") == "llm" else "local"


def _stays(known: Mapping[str, Any], proposal: Proposal, members: Columns) -> Label | None:
    """Return a former label if members of today give it."""
    text, made = known["label"], known["labelled_at"]
    if _source(known) == "llm":
        said = names_are_said(text, _texts(members, proposal))
        return Label(text, made, source="llm") if said else None
    stem = said_stem(text, proposal, members)
    return None if stem is None else Label(text, made, _canonical(stem, proposal))


def said_stem(label: str, proposal: Proposal, members: Columns) -> str | None:
    """Return a label without the word that tells it from others, None if no member gives it now.

    Args:
        label: of an earlier run.
        proposal: what the cluster may be called today.
        members: its items.
    """
    stems, told = [label], _TOLD_APART.fullmatch(label)
    if told and (told[2].isdecimal() or told[2] in (*proposal.tellers, *days_of(members))):
        stems.append(told[1])
    sought = [(stem, _words(stem)) for stem in stems]
    said = (
        stem
        for text in filter(None, _texts(members, proposal))
        for stem, words in sought
        if words and _in_order(words, _words(text))
    )
    return next((stem for stem in stems if stem in proposal.ranked), None) or next(said, None)


def _words(text: str) -> list[str]:
    return _WORD.findall(matching(text))


def _in_order(words: list[str], text: list[str]) -> bool:
    rest = iter(text)
    return all(word in rest for word in words)


def _canonical(stem: str, proposal: Proposal) -> str | None:
    """Return the name that an entity keeps with its label; None: it is the one of today."""
    if proposal.entity is None or stem in proposal.ranked:
        return None
    return None if stem == shorten(proposal.entity.name) else stem


def _texts(members: Columns, proposal: Proposal) -> Iterable[str | None]:
    """Return the texts of the members that labels may be taken from."""
    if proposal.entity is not None:
        return proposal.entity.alike
    return (text for name in ("title", "sentence") for text in members[name])
