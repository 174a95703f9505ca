"""Filtered items never become nodes, keep a row of their own, and are counted (IN-10)."""

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from clustering_tasks.steps.plan.plan import plan
from clustering_tasks.steps.snapshot.snapshot import snapshot
from tests.conftest import CommandLine, Workbench
from tests.stage3_folder import Json, blobs, plain_metadata, scattered

SIZES = [12, 12, 12]
COUNT = sum(SIZES)


def write(workbench: Workbench, level: str = "events", **common: Any) -> list[str]:
    """Three clear groups, one for each of the domains health, legal and sports."""
    domains = [name for name in ("health", "legal", "sports") for _ in range(12)]
    metadata: list[Json] = [
        plain_metadata(level, n) | {"domain": domain} | common for n, domain in enumerate(domains)
    ]
    return workbench.stage3.write(level, blobs(SIZES, spread=0.02), metadata)


def statuses(done: dict[str, Any]) -> dict[str, str]:
    rows = pq.read_table(done["members_parquet"]).to_pylist()
    return {row["vector_id"]: row["status"] for row in rows}


def counted(done: dict[str, Any]) -> tuple[int, int, int, int]:
    kept = done["clustered"] + done["noise"] + done["unassigned"]
    assert done["read"] == kept + done["filtered"]
    return done["read"], done["clustered"], done["filtered"], done["clusters"]


@pytest.mark.parametrize("algorithm", ["hdbscan", "agglomerative", "label_propagation"])
def test_filtered_items_are_rows_without_a_cluster(workbench: Workbench, algorithm: str) -> None:
    names = write(workbench)
    done = workbench.perform(
        "events",
        algorithm=algorithm,
        filter={"domains": "legal,sports"},
        evidence={"story_similarity_floor": 0},  # one document tells of both
    )
    assert counted(done) == (COUNT, 24, 12, 2)
    left_out = [name for name, status in statuses(done).items() if status == "filtered"]
    assert left_out == sorted(names[:12])
    rows = pq.read_table(done["members_parquet"]).to_pylist()
    for row in (row for row in rows if row["status"] == "filtered"):
        assert row["metadata"]
        for name in ("cluster_id", "assignment", "probability", "similarity"):
            assert row[name] is None


def test_what_is_left_is_clustered_as_if_it_were_all(workbench: Workbench) -> None:
    write(workbench)
    some = workbench.perform("events", "some", filter={"domains": ["legal", "sports"]})
    every = workbench.perform("events", "every")
    lines = Path(every["clusters_jsonl"]).read_text().splitlines()
    ids = {line.split('"cluster_id":"')[1].split('"')[0] for line in lines}
    for line in Path(some["clusters_jsonl"]).read_text().splitlines():
        assert line.split('"cluster_id":"')[1].split('"')[0] in ids
    assert counted(some) == (COUNT, 24, 12, 2)


def test_identical_items_are_filtered_one_by_one(workbench: Workbench) -> None:
    vectors = scattered(1).repeat(10, axis=0)
    metadata: list[Json] = [
        plain_metadata("events", n) | {"event_type": "protest" if n < 4 else "strike"}
        for n in range(10)
    ]
    workbench.stage3.write("events", vectors, metadata)
    done = workbench.perform("events", filter={"event_types": "strike"})
    assert counted(done) == (10, 6, 4, 1)


def test_dates_and_documents_filter_too(workbench: Workbench) -> None:
    write(workbench, temporal_reference="2025-12-05T10:00:00Z")
    for number, (filters, kept) in enumerate(
        [
            ({"since": "2025-12-06"}, 0),
            ({"until": "2025-12-05"}, COUNT),
            ({"since": "2025-12-01", "until": "2025-12-05", "document_ids": "doc_0000"}, 5),
        ]
    ):
        done = workbench.perform("events", f"job-{number}", filter=filters)
        assert done["read"] - done["filtered"] == kept


@pytest.mark.parametrize("scope", ["level", "domain"])
def test_a_filter_that_leaves_nothing_is_like_an_empty_level(
    workbench: Workbench, scope: str
) -> None:
    write(workbench)
    settings: Json = {"scope": scope, "filter": {"event_types": "no such"}}
    done = workbench.perform("events", "job", **settings)
    assert counted(done) == (COUNT, 0, COUNT, 0)
    assert set(statuses(done).values()) == {"filtered"}
    assert not done["published"]
    assert "publish.allow_empty" in done["not_published_because"][0]
    again = workbench.perform("events", "again", **settings, publish={"allow_empty": True})
    assert again["published"]


def test_another_filter_is_another_plan_of_the_same_snapshot(workbench: Workbench) -> None:
    write(workbench)
    plans = []
    for job, domains in (("a", "legal"), ("b", "legal_judicial"), ("c", None)):
        run = workbench.start("events", job, filter={"domains": domains})
        assert snapshot(run).reused == (job != "a")
        plans.append(plan(run))
    assert [result.metrics["filtered"] for result in plans] == [24, 24, 0]
    assert plans[0].key == plans[1].key != plans[2].key


def test_the_command_line_filters_and_refuses(cli: CommandLine, workbench: Workbench) -> None:
    write(workbench)
    write(workbench, "documents")
    where = ("--indices", workbench.stage3.path, "--workspace", workbench.workspace)
    small = ("--set", "input.dimension=16", "--set", "algorithm=hdbscan")
    run = cli(
        *("run", "--level", "events", *where, *small, "--set", "filter.domains=health,sports")
    )
    assert run.code == 0
    assert counted(run.result) == (COUNT, 24, 12, 2)
    refused = cli(
        *("run", "--level", "documents", *where, *small, "--set", "filter.entity_types=PER")
    )
    assert refused.code == 64
    assert "filter.entity_types" in refused.error
