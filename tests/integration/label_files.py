"""Files of `label` in their contract's form, for the tests of what reads them."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson

from clustering_tasks.contract.columns import COLUMNS
from clustering_tasks.publication.report import Report, read_report
from clustering_tasks.settings.levels import LEVELS
from clustering_tasks.settings.run import run_settings

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
DIMENSION = 4


@dataclass(frozen=True)
class Label:
    """What `label` is to have found; `write` makes its result.

    Attributes:
        clusters: number of them, each of `size` members.
        mark: stands in every row, so that a reader can tell the runs apart.
        text: label and title of every row: hostile ones are put here.
    """

    folder: Path
    job_id: str = "cluster_events.manual__1"
    level: str = "events"
    as_of: datetime = NOON
    clusters: int = 3
    size: int = 4
    noise: int = 2
    filtered: int = 1
    unassigned: int = 0
    dimension: int = DIMENSION
    mark: str = "first"
    text: str = "Leaders meet in Hiroshima"
    publish: dict[str, Any] = field(default_factory=dict)

    def later(self, **changes: Any) -> "Label":
        """Another run, an hour later."""
        return replace(self, **self.next_run() | changes)

    def next_run(self) -> dict[str, Any]:
        """Job and moment of the next run."""
        number = int(self.job_id.rpartition("_")[2]) + 1
        return {
            "job_id": f"{self.job_id.rpartition('_')[0]}_{number}",
            "as_of": self.as_of + timedelta(hours=1),
        }

    def write(self) -> dict[str, Any]:
        """Write the files and return the result, as the task's XCom holds it."""
        folder = self.folder / self.job_id
        folder.mkdir(parents=True, exist_ok=True)
        files = {
            "clusters_csv": _write_csv(folder / "clusters.csv", "clusters", self.cluster_rows()),
            "members_csv": _write_csv(folder / "members.csv", "members", self.member_rows()),
            "report": _write_json(folder / "report.json", self.report()),
            "clusters_jsonl": str(folder / "clusters.jsonl"),
        }
        lines = (orjson.dumps(self._record(number)) + b"\n" for number in range(self.clusters))
        (folder / "clusters.jsonl").write_bytes(b"".join(lines))
        return {"step": "label", "uri": str(folder), "files": files, "seconds": 0.25}

    def cluster_rows(self) -> Iterator[dict[str, Any]]:
        for number in range(self.clusters):
            yield {
                "cluster_id": self._cluster_id(number),
                "cluster_type": LEVELS[self.level].cluster_type,
                "label": self.text,
                "size": self.size,
                "domain": "diplomatic_relations",
                "start_time": "2025-12-10T00:00:00Z",
                "intra_cluster_similarity": 0.87,
                "centroid": orjson.dumps([1.0] + [0.0] * (self.dimension - 1)),
                "keywords": orjson.dumps(["summit", self.text]),
                "representatives": orjson.dumps([]),
                "primary_entities": orjson.dumps(["G7"]),
                "document_ids": orjson.dumps(["doc_001"]),
                "tags": "[]",
                "record": orjson.dumps(self._record(number)),
            }

    def member_rows(self) -> Iterator[dict[str, Any]]:
        for number in range(self.clusters * self.size):
            cluster_id = self._cluster_id(number // self.size)
            yield self._member(number, "clustered", cluster_id=cluster_id, assignment="core")
        left = ["noise"] * self.noise + ["filtered"] * self.filtered
        left += ["unassigned"] * self.unassigned
        for number, status in enumerate(left, start=self.clusters * self.size):
            yield self._member(number, status)

    def report(self) -> dict[str, Any]:
        clustered = self.clusters * self.size
        read = clustered + self.noise + self.filtered + self.unassigned
        settings = run_settings(
            {"input.dimension": self.dimension, "publish": self.publish}
        ).model_dump(mode="json")
        return {
            "job_id": self.job_id,
            "level": self.level,
            "as_of": self.as_of.isoformat(),
            "algorithm": "hdbscan",
            "settings": settings,
            "counts": {
                "read": read,
                "clustered": clustered,
                "noise": self.noise,
                "filtered": self.filtered,
                "unassigned": self.unassigned,
                "clusters": self.clusters,
            },
            "coverage": clustered / (read - self.filtered) if read > self.filtered else None,
            "outlier_share": self.noise / read if read else None,
            "largest_cluster_share": self.size / clustered if clustered else None,
            "quality": {"silhouette": 0.2, "davies_bouldin": None},
            "sizes": {
                "mean": self.size,
                "max": self.size,
                "histogram": [{"from": 4, "to": 7, "clusters": 2, "items": 8}],
            },
            "input": {"undated": 3},
            "seconds": {"snapshot": 1.5},
        }

    def _cluster_id(self, number: int) -> str:
        return f"{LEVELS[self.level].cluster_type}_{number:012x}"

    def _member(self, number: int, status: str, **more: Any) -> dict[str, Any]:
        return {
            "vector_id": f"{LEVELS[self.level].vector_prefix}doc_{number:07}",
            "source_id": f"doc_{number:07}",
            "status": status,
            "probability": 0.5,
            "metadata": orjson.dumps({"mark": self.mark, "title": self.text}),
            "tags": "[]",
            **more,
        }

    def _record(self, number: int) -> dict[str, Any]:
        return {"cluster_id": self._cluster_id(number), "mark": self.mark}


def report_of(label: dict[str, Any]) -> Report:
    return read_report(label["files"]["report"])


def csv_line(values: Iterable[Any]) -> str:
    """One line: text always in quotes, None as nothing at all."""
    return ",".join("" if value is None else _quoted(value) for value in values) + "\n"


def _quoted(value: Any) -> str:
    text = value.decode() if isinstance(value, bytes) else str(value)
    return '"' + text.replace('"', '""') + '"'


def _write_csv(path: Path, parent: str, rows: Iterable[dict[str, Any]]) -> str:
    columns = COLUMNS[parent]
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write(csv_line(columns))
        file.writelines(csv_line(map(row.get, columns)) for row in rows)
    return str(path)


def _write_json(path: Path, value: Any) -> str:
    path.write_bytes(orjson.dumps(value))
    return str(path)
