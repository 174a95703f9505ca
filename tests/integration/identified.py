"""Runs whose clusters have lasting ids, as the steps `identify` and `label` write them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson

from clustering_tasks.contract.columns import COLUMNS, file_of
from stage4.database.clusters_changed import Act
from stage4.database.load import load_run
from stage4.database.pointer import locked_pointer
from tests.integration.label_files import Label, csv_line, report_of

Json = dict[str, Any]


@dataclass(frozen=True)
class Identity:
    """What a run makes of an id.

    Attributes:
        change: its row of the lineage.
        state: its row of the identities.
        born: the run that gave it, as its number; None: this run.
        successors: ids.
        related: of the lineage.
    """

    change: str = "continued"
    state: str = "active"
    born: int | None = 1
    successors: tuple[str, ...] = ()
    related: tuple[Json, ...] = ()
    version: int = 1


BORN = Identity("born", born=None)


@dataclass(frozen=True)
class Identified(Label):
    """A run with these clusters of numbered items, by their ids; all other items are noise.

    Attributes:
        members: id to items.
        known: the run's identities; a cluster that is missing there was born in the first run.
        labels: where a cluster's label is another one than `label of <id>`.
        items: number of them.
    """

    job_id: str = "cluster_events.run__1"
    members: Mapping[str, set[int]] = field(default_factory=dict)
    known: Mapping[str, Identity] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    items: int = 40

    @property
    def number(self) -> int:
        return int(self.job_id.rpartition("_")[2])

    def then(self, members: Mapping[str, set[int]], **known: Identity) -> "Identified":
        """The next run, an hour later; ids of events as keywords."""
        before = {name: each for name, each in self._all().items() if name not in members}
        return replace(self, **self.next_run(), members=members, known={**before, **known})

    def write(self) -> Json:
        label = super().write()
        folder = self.folder / self.job_id
        for table, rows in (
            ("load_identities", self._identity_rows()),
            ("load_lineage", self._lineage_rows()),
        ):
            names = COLUMNS[table]
            lines = [csv_line(names), *(csv_line(map(row.get, names)) for row in rows)]
            path = folder / f"{file_of(table)}.csv"
            path.write_text("".join(lines), "utf-8", newline="")
            label["files"][file_of(table)] = str(path)
        return label

    def load(self) -> int:
        files = self.write()
        load_id: int = load_run(files["files"], report_of(files))["load_id"]
        return load_id

    def release(self, act: Act = "publish") -> int:
        """Load the run and move the pointer to it; returns its load_id."""
        load_id = self.load()
        show(self.level, load_id, act)
        return load_id

    def cluster_rows(self) -> Iterator[Json]:
        for name, items in self.members.items():
            yield {
                "cluster_id": name,
                "cluster_type": name.rpartition("_")[0],
                "label": self.labels.get(name, f"label of {name}"),
                "size": len(items),
                "centroid": "[1,0,0,0]",
                **dict.fromkeys(("keywords", "representatives", "primary_entities"), "[]"),
                "document_ids": orjson.dumps(sorted(map(document, items))),
                "record": "{}",
                "tags": "[]",
            }

    def member_rows(self) -> Iterator[Json]:
        of_item = {item: name for name, items in self.members.items() for item in items}
        for item in range(self.items):
            yield {
                "vector_id": f"{self.level}_emb_{item:05}",
                "source_id": f"{document(item)}_item_0",
                "document_id": document(item),
                "status": "clustered" if item in of_item else "noise",
                "cluster_id": of_item.get(item),
                "metadata": "{}",
                "tags": "[]",
            }

    def report(self) -> Json:
        clustered = sum(map(len, self.members.values()))
        counts = {"read": self.items, "clustered": clustered, "noise": self.items - clustered}
        counts |= {"filtered": 0, "unassigned": 0, "clusters": len(self.members)}
        return super().report() | {"counts": counts}

    def _all(self) -> dict[str, Identity]:
        return {**dict.fromkeys(self.members, Identity()), **self.known}

    def _identity_rows(self) -> Iterator[Json]:
        for name, each in self._all().items():
            born = self.number if each.born is None else each.born
            seen = self.number if name in self.members else self.number - 1
            yield {
                "cluster_id": name,
                "state": each.state,
                **dict(zip(("born_job", "born_at"), self._run(born), strict=True)),
                **dict(zip(("last_seen_job", "last_seen_at"), self._run(seen), strict=True)),
                "successors": orjson.dumps(each.successors),
                "version": each.version,
            }

    def _lineage_rows(self) -> Iterator[Json]:
        for name, each in self._all().items():
            yield {
                "cluster_id": name,
                "change": each.change,
                "size": len(self.members.get(name, ())),
                "related": orjson.dumps(each.related),
            }

    def _run(self, number: int) -> tuple[str, datetime]:
        return f"{self.job_id.rpartition('_')[0]}_{number}", self.moment(number)

    def moment(self, number: int) -> datetime:
        """`as_of` of a run by its number."""
        return self.as_of + (number - self.number) * (self.later().as_of - self.as_of)


def document(item: int) -> str:
    return f"doc_{item:03}"


def show(level: str, load_id: int, act: Act = "publish") -> int:
    """Move a level's pointer; returns the publication's number."""
    with locked_pointer(level) as pointer:
        return pointer.move(load_id, act)


def event(number: int) -> str:
    return f"event_{number:012x}"


def items(*ranges: tuple[int, int]) -> set[int]:
    return {item for first, last in ranges for item in range(first, last)}


# Went into MAIN, through another; was split; sleeps; is in both runs; was never published.
FIRST, SECOND, SPLIT, DORMANT, MAIN, NEVER = map(event, range(1, 7))
LEFT, RIGHT = event(7), event(8)


def three_runs(folder: Path) -> tuple[Identified, Identified, Identified]:
    """FIRST goes into SECOND, then that into MAIN, as SPLIT falls apart and DORMANT pauses."""
    one = Identified(
        folder,
        members={
            FIRST: items((0, 4)),
            SECOND: items((4, 8)),
            SPLIT: items((8, 16)),
            DORMANT: items((16, 20)),
            MAIN: items((20, 26)),
        },
    )
    share = {"cluster_id": SECOND, "shared": 4, "of_it": 0.5, "of_this": 1.0}
    two = one.then(
        {
            SECOND: items((0, 8)),
            SPLIT: items((8, 16)),
            DORMANT: items((16, 20)),
            MAIN: items((20, 26)),
        },
        **{FIRST: Identity("absorbed", "merged", successors=(SECOND,), related=(share,))},
    )
    three = two.then(
        {MAIN: items((0, 8), (20, 26)), LEFT: items((8, 11)), RIGHT: items((11, 16))},
        **{
            SECOND: Identity("absorbed", "merged", successors=(MAIN,)),
            SPLIT: Identity("split", "split", successors=(LEFT, RIGHT)),
            DORMANT: Identity("dormant", "dormant"),
            **dict.fromkeys((LEFT, RIGHT), BORN),
        },
    )
    return one, two, three
