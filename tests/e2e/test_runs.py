"""Runs of the real DAGs, started over REST: what comes out, and what readers see of it."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from clustering_tasks.settings.levels import LEVELS
from local.errors import LocalError
from stage4.job_ids import job_id
from tests.e2e.clearing import clear
from tests.e2e.conftest import Airflow
from tests.e2e.readers import published, served

pytestmark = pytest.mark.airflow

STEPS = [
    *("check_stage3", "snapshot", "plan", "merge", "tag", "trend", "identify", "label", "map"),
    *("load_postgres", "publish"),
]


def number_of_items(folder: Path, level: str) -> int:
    return len(json.loads((folder / f"{level}_metadata.json").read_text())["metadata_store"])


def states(airflow: Airflow, run: dict[str, Any]) -> dict[str, str]:
    """The state of each task that is not mapped."""
    return {
        task_id: instance["state"]
        for (task_id, index), instance in airflow.task_instances(run).items()
        if index == -1
    }


@pytest.fixture(scope="module")
def run(airflow: Airflow) -> dict[str, Any]:
    """A run of the events in several parts, published."""
    conf = {"hdbscan": {"min_cluster_size": 3}, "parts.min_rows": 20}
    run = airflow.run_dag("cluster_events", conf)
    assert run["state"] == "success", airflow.explain(run)
    return run


def test_every_item_arrives_in_the_database_and_the_jsonl(
    airflow: Airflow, run: dict[str, Any], sample: Path
) -> None:
    items = number_of_items(sample, "events")
    seen = published(airflow, "events")
    assert seen.job_id == job_id("cluster_events", run["dag_run_id"]) == seen.pointer["job_id"]
    assert seen.counts["read"] == items == sum(seen.statuses.values())
    assert {status: seen.counts[status] for status in seen.statuses} == seen.statuses
    assert len(seen.clusters) == seen.counts["clusters"] > 1
    assert sum(seen.clusters.values()) == seen.counts["clustered"]
    assert {each["cluster_id"]: each["cluster_size"] for each in seen.own} == seen.clusters
    assert seen.dated == seen.own


def test_each_task_succeeds_at_once(airflow: Airflow, run: dict[str, Any]) -> None:
    instances = airflow.task_instances(run)
    assert {task_id for task_id, _ in instances} == {
        *STEPS,
        "cluster",
        "notify_stage5",
        "write_back",
        "all_parts",
    }
    assert instances.pop(("write_back", -1))["state"] == "skipped"  # of Stage 3's folder
    assert {instance["state"] for instance in instances.values()} == {"success"}
    assert all(
        instance["try_number"] == 1
        for (task_id, _), instance in instances.items()
        if task_id != "all_parts"  # never tried: it does nothing
    )


def test_parts_show_their_names_and_pools(airflow: Airflow, run: dict[str, Any]) -> None:
    parts = {
        index: instance
        for (task_id, index), instance in airflow.task_instances(run).items()
        if task_id == "cluster"
    }
    planned = airflow.xcom(run, "plan")
    assert len(parts) == len(planned) > 1
    for part in planned:
        assert parts[part["part"]]["rendered_map_index"] == part["name"]
        assert parts[part["part"]]["pool"] == "stage4_cluster"
    assert airflow.xcom(run, "plan", "result")["metrics"]


@pytest.fixture
def no_slots(airflow: Airflow) -> Iterator[None]:
    """No part starts until the test ends."""
    pool = airflow.client.get("/pools/stage4_cluster").raise_for_status().json()
    change = {"update_mask": "slots"}
    body = {key: pool[key] for key in ("description", "include_deferred")} | {
        "pool": pool["name"],
    }
    url = "/pools/stage4_cluster"
    airflow.client.patch(url, params=change, json=body | {"slots": 0}).raise_for_status()
    yield
    slots = body | {"slots": pool["slots"]}
    airflow.client.patch(url, params=change, json=slots).raise_for_status()


@pytest.mark.usefixtures("no_slots")
def test_parts_bear_their_names_before_they_start(airflow: Airflow) -> None:
    run = airflow.api.trigger("cluster_events", {"parts.min_rows": 20})
    try:
        deadline = time.monotonic() + 120
        parts: list[dict[str, Any]] = []
        while len(parts) < 2 and time.monotonic() < deadline:
            time.sleep(1)
            instances = airflow.task_instances(run).items()
            parts = [one for (task, at), one in sorted(instances) if task == "cluster" and at >= 0]
        names = [part["name"] for part in airflow.xcom(run, "plan")]
        assert len(names) > 1
        assert [part["rendered_map_index"] for part in parts] == names
        assert {part["start_date"] for part in parts} == {None}
    finally:
        airflow.api.fail_run("cluster_events", run["dag_run_id"])


def test_xcom_carries_references_and_metrics_only(airflow: Airflow, run: dict[str, Any]) -> None:
    for task_id in STEPS:
        assert len(json.dumps(airflow.xcom(run, task_id))) < 5000


def test_the_publication_is_an_asset_event(airflow: Airflow, run: dict[str, Any]) -> None:
    found = airflow.api.get("/assets/events", source_run_id=run["dag_run_id"])["asset_events"]
    assert [(event["uri"], event["source_task_id"]) for event in found] == [
        ("x-stage4://events", "publish")
    ]
    seen = published(airflow, "events")
    assert found[0]["extra"] == {"job_id": seen.job_id, "counts": seen.counts}


def test_stage5_is_told(airflow: Airflow, run: dict[str, Any]) -> None:
    seen = published(airflow, "events")
    told = [event for event in airflow.stage5.received if event["job_id"] == seen.job_id]
    assert len(told) == 1
    assert told[0]["event_type"] == "clustering.job.completed"
    assert told[0]["embedding_type"] == "event"
    assert told[0]["clusters_created"] == len(seen.clusters)
    assert told[0]["output_files"] == [seen.pointer["clusters_jsonl"], seen.pointer["dated_jsonl"]]


def test_the_rest_api_serves_what_was_published(airflow: Airflow, run: dict[str, Any]) -> None:
    seen = published(airflow, "events")
    api = f"{airflow.base_url}/stage4/api/v1"
    found = dict[str, int]()
    parameters: dict[str, Any] = {"level": "events", "limit": 9}
    while "cursor" not in parameters or parameters["cursor"]:
        page = airflow.client.get(f"{api}/clusters", params=parameters).raise_for_status().json()
        found |= {cluster["cluster_id"]: cluster["size"] for cluster in page["clusters"]}
        parameters["cursor"] = page["next_cursor"]
    assert found == seen.clusters

    job = airflow.client.get(f"{api}/jobs/{seen.job_id}").raise_for_status().json()
    assert (job["state"], job["percent"]) == ("completed", 100)
    assert job["items_done"] == job["items_total"] == seen.counts["read"]
    states = {task["task_id"]: task["states"] for task in job["tasks"]}
    assert states["cluster"] == {"success": len(airflow.xcom(run, "plan"))}

    health = airflow.client.get(f"{api}/health").json()
    assert health["status"] == "healthy"
    assert [pool["name"] for pool in airflow.client.get(f"{api}/resources").json()["pools"]]


def test_the_rest_api_is_closed_to_strangers(airflow: Airflow) -> None:
    api = f"{airflow.base_url}/stage4/api/v1"
    with httpx.Client(trust_env=False) as stranger:
        for path in ("clusters?level=events", "health", "openapi.json", "docs", ""):
            assert stranger.get(f"{api}/{path}").status_code == httpx.codes.UNAUTHORIZED
    assert airflow.api.get("/plugins/importErrors")["import_errors"] == []
    (plugin,) = [
        each for each in airflow.api.get("/plugins")["plugins"] if each["name"] == "stage4"
    ]
    assert "/stage4/api/v1" in [app["url_prefix"] for app in plugin["fastapi_apps"]]


def test_a_cleared_run_is_served_again_from_what_is_there(
    airflow: Airflow, run: dict[str, Any]
) -> None:
    before = published(airflow, "events")
    again = clear(airflow, run, "snapshot")
    assert again["state"] == "success", airflow.explain(again)
    assert airflow.xcom(run, "merge")["reused"]
    assert published(airflow, "events") == before


def test_a_run_that_fails_its_gate_is_kept_and_not_published(
    airflow: Airflow, run: dict[str, Any]
) -> None:
    before = published(airflow, "events")
    conf = {"publish": {"min_clusters": 100_000, "min_coverage": 1.0}}
    refused = airflow.run_dag("cluster_events", conf)
    assert refused["state"] == "failed"
    instances = airflow.task_instances(refused)
    assert instances["load_postgres", -1]["state"] == "success"
    assert (instances["publish", -1]["state"], instances["publish", -1]["try_number"]) == (
        "failed",
        1,
    )
    assert instances["notify_stage5", -1]["state"] == "upstream_failed"
    log = airflow.log_tail(instances["publish", -1])
    assert "min_clusters" in log
    assert "min_coverage" in log
    assert published(airflow, "events") == before


def test_clearing_an_old_run_does_not_move_readers_back(
    airflow: Airflow, run: dict[str, Any]
) -> None:
    newer = airflow.run_dag("cluster_events", {"hdbscan.min_cluster_size": 4})
    assert newer["state"] == "success", airflow.explain(newer)
    before = published(airflow, "events")
    told = len(airflow.stage5.received)
    again = clear(airflow, run, "publish")
    assert again["state"] == "success"
    assert states(airflow, again)["publish"] == "skipped"
    assert states(airflow, again)["notify_stage5"] == "skipped"
    assert published(airflow, "events") == before
    assert before.job_id == job_id("cluster_events", newer["dag_run_id"])
    assert len(airflow.stage5.received) == told


def test_all_levels_side_by_side_with_their_own_settings(airflow: Airflow, sample: Path) -> None:
    conf = {"common": {"hdbscan.min_samples": 2}, "events": {"hdbscan": {"min_cluster_size": 4}}}
    run = airflow.run_dag("cluster_all", conf)
    assert run["state"] == "success", airflow.explain(run)
    for level in LEVELS:
        run_id = f"{run['dag_run_id']}__{level}"
        seen = published(airflow, level)
        assert seen.job_id == job_id(f"cluster_{level}", run_id)
        assert seen.counts["read"] == number_of_items(sample, level)
        triggered = {"dag_id": f"cluster_{level}", "dag_run_id": run_id}
        settings = airflow.xcom(triggered, "check_stage3")["settings"]
        assert settings["hdbscan"]["min_samples"] == 2
        assert settings["hdbscan"]["min_cluster_size"] == (4 if level == "events" else 5)


def test_one_failing_level_does_not_stop_the_others(airflow: Airflow) -> None:
    run = airflow.run_dag("cluster_all", {"storylines": {"publish": {"min_items": 1_000_000}}})
    assert run["state"] == "failed"
    assert states(airflow, run) == {
        "check_settings": "success",
        "cluster_documents": "success",
        "cluster_events": "success",
        "cluster_entities": "success",
        "cluster_storylines": "failed",
    }


def test_wrong_settings_of_one_level_start_none(airflow: Airflow) -> None:
    for wrong in ({"typo": 1}, {"scope": "all"}):
        with pytest.raises(LocalError, match=f"answered 400.*{next(iter(wrong))}"):
            airflow.run_dag("cluster_all", {"events": wrong})
    ends = {"agglomerative": {"clusters": 3, "cut_similarity": 0.5}}  # each is right, both are not
    run = airflow.run_dag("cluster_all", {"events": ends})
    instances = airflow.task_instances(run)
    assert run["state"] == "failed"
    assert instances["check_settings", -1]["try_number"] == 1
    log = airflow.log_tail(instances["check_settings", -1])
    assert "cut_similarity" in log
    for level in LEVELS:
        assert instances[f"cluster_{level}", -1]["state"] == "upstream_failed"
        assert airflow.api.run(f"cluster_{level}", f"{run['dag_run_id']}__{level}") is None


def test_before_the_first_publication_there_is_nothing_to_see(airflow: Airflow) -> None:
    """`served` itself can say no; the tests above would not notice if it could not."""
    assert served(airflow, "no such level") is None
