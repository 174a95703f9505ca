"""What readers see of a level: the database's views, the pointer's file and the JSONL."""

import json
from collections import Counter
from dataclasses import dataclass
from typing import Any

import psycopg

from tests.contract import check_record
from tests.e2e.conftest import Airflow


@dataclass(frozen=True)
class Served:
    """A level as readers see it; compare two to see whether anything has changed for them.

    Attributes:
        job_id: the published run in the database.
        counts: of that run, by name.
        clusters: cluster id to size, from the database.
        statuses: how many members have which status, in the database.
        pointer: published.json.
        dated: lines of the JSONL with the name of the day, parsed.
        own: the same of the run's own JSONL.
    """

    job_id: str
    counts: dict[str, int]
    clusters: dict[str, int]
    statuses: dict[str, int]
    pointer: dict[str, Any]
    dated: list[dict[str, Any]]
    own: list[dict[str, Any]]


COUNTS = ("read", "clustered", "noise", "filtered", "unassigned", "clusters")


def served(airflow: Airflow, level: str) -> Served | None:
    """Read a level's published run everywhere; None before the first publication."""
    pointer_file = airflow.workspace / level / "published.json"
    with psycopg.connect(airflow.database_url) as connection:
        run = connection.execute(
            f"SELECT job_id, {', '.join(COUNTS)} FROM stage4.current_runs WHERE level = %s",  # noqa: S608
            [level],
        ).fetchone()
        if run is None:
            assert not pointer_file.exists()
            return None
        clusters = connection.execute(
            "SELECT cluster_id, size FROM stage4.current_clusters WHERE level = %s", [level]
        ).fetchall()
        members = connection.execute(
            "SELECT status FROM stage4.current_members WHERE level = %s", [level]
        ).fetchall()
    pointer = json.loads(pointer_file.read_text())
    return Served(
        job_id=run[0],
        counts=dict(zip(COUNTS, run[1:], strict=True)),
        clusters=dict(clusters),
        statuses=dict(Counter(status for (status,) in members)),
        pointer=pointer,
        dated=lines(pointer["dated_jsonl"]),
        own=lines(pointer["clusters_jsonl"]),
    )


def published(airflow: Airflow, level: str) -> Served:
    """Read a level that has been published."""
    found = served(airflow, level)
    assert found is not None, f"nothing of {level} is published"
    return found


def lines(uri: str) -> list[dict[str, Any]]:
    with open(uri.removeprefix("file://"), encoding="utf-8") as file:  # noqa: PTH123
        found = [json.loads(line) for line in file]
    for record in found:
        check_record(record)
    return found
