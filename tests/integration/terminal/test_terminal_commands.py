"""What each command asks, prints and ends with."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from pydantic import BaseModel, ConfigDict, create_model

from stage4.api.models import (
    clusters,
    corrections,
    events,
    installation,
    items,
    jobs,
    metrics,
    runs,
    stage3_events,
)
from tests.integration.terminal import recorded
from tests.integration.terminal.conftest import Command, Script
from tests.integration.terminal.recorded import CLUSTER_ID, JOB_ID

REPO = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("model", "answer"),
    [
        (installation.Health, recorded.HEALTH),
        (jobs.JobDetails, recorded.RUNNING),
        (jobs.Submitted, recorded.SUBMITTED),
        (jobs.JobDetails, recorded.FAILED),
        (jobs.Job, recorded.LISTED),
        (runs.RunSummary, recorded.RUN),
        (runs.Run, recorded.FULL_RUN),
        (clusters.Cluster, recorded.CLUSTER),
        (clusters.ClusterHit, recorded.FOUND),
        (items.Member, recorded.member(1)),
        (metrics.Metrics, recorded.METRICS),
        (metrics.Alert, recorded.ALERT),
        (installation.Resources, recorded.RESOURCES),
        (items.Deletion, recorded.DELETION),
        (corrections.Correction, recorded.CORRECTION),
        (corrections.CorrectionAnswer, recorded.CORRECTED),
        (events.OutgoingEvent, recorded.EVENT),
        (events.ReceiverQueues, recorded.RECEIVERS),
        (events.ReceiverQueue, recorded.RECEIVER),
        (stage3_events.IncomingEvent, recorded.INCOMING_PAGE["events"][0]),
        (stage3_events.IncomingEventPage, recorded.INCOMING_PAGE),
    ],
)
def test_the_recorded_answers_are_those_of_the_api(model: type[BaseModel], answer: Any) -> None:
    strict = create_model("Strict", __base__=model, __config__=None)
    strict.model_config = ConfigDict(extra="forbid")
    strict.model_rebuild(force=True)
    aliases = set(model.model_computed_fields)  # they are written, not read
    strict.model_validate({name: answer[name] for name in answer if name not in aliases})
    assert set(answer) == set(model.model_fields) | aliases


def started_with(script: Script) -> Any:
    """The body by which the last job was submitted."""
    return [asked.body for asked in script.asked if asked.path.endswith("/batch")][-1]


def test_health_shows_every_dependency(script: Script, terminal: Command) -> None:
    script.stage4("GET health", recorded.HEALTH)
    shown = terminal("health")
    assert shown.code == 0
    assert "degraded" in shown.out
    assert all(name in shown.out for name in ("postgres", "redis", "stage3", "workspace"))
    assert "no answer in 2 s" in shown.out
    assert terminal("health", "--json").json == recorded.HEALTH


def test_health_shows_a_cause_whole(script: Script, terminal: Command) -> None:
    dependencies = recorded.HEALTH["dependencies"]
    told = {"status": "down", "detail": recorded.CAUSE, "seconds": None}
    script.stage4("GET health", recorded.HEALTH | {"dependencies": dependencies | {"redis": told}})
    assert recorded.CAUSE in terminal("health").out


def test_health_that_is_down_is_shown_and_fails(script: Script, terminal: Command) -> None:
    script.stage4("GET health", (503, recorded.HEALTH | {"status": "down"}))
    shown = terminal("health", "--json")
    assert (shown.code, shown.json["status"]) == (69, "down")


def test_submit_starts_a_run_with_settings_of_the_right_type(
    script: Script, terminal: Command
) -> None:
    script.stage4("POST batch", recorded.SUBMITTED)
    chosen = ("hdbscan.min_samples=4", "filter.domains=health, legal", "temporal.window_days=null")
    shown = terminal(
        "submit", "event", *(part for each in chosen for part in ("--set", each)), "--json"
    )
    assert shown.code == 0
    conf = {
        "hdbscan.min_samples": 4,
        "filter.domains": ["health_medical", "legal_judicial"],
        "temporal.window_days": None,
    }
    assert started_with(script) == {"level": "events", "settings": conf}
    assert shown.json == recorded.SUBMITTED | {"idle_settings": shown.json["idle_settings"]}
    plain = terminal("submit", "events", "--key", "order-4711")
    assert started_with(script)["idempotency_key"] == "order-4711"
    assert JOB_ID in plain.out


def test_settings_without_effect_are_named_at_once_and_by_status(
    script: Script, terminal: Command
) -> None:
    script.stage4("POST batch", recorded.SUBMITTED)
    shown = terminal("submit", "events", "--set", "hdbscan.min_cluster_size=4")
    reason = (
        "acts only where the algorithm is hdbscan; here the algorithm is label_propagation "
        "(auto takes it)"
    )
    line = f"hdbscan.min_cluster_size=4 has no effect: it {reason}"
    assert line in shown.out.splitlines()
    idle = {"setting": "hdbscan.min_cluster_size", "value": 4, "reason": reason}
    as_json = terminal("submit", "events", "--set", "hdbscan.min_cluster_size=4", "--json").json
    assert as_json["idle_settings"] == [{"level": "events"} | idle]
    script.stage4(f"GET jobs/{JOB_ID}", recorded.RUNNING | {"idle_settings": [idle]})
    script.stage4("GET runs", {"runs": [], "next_cursor": None})
    assert line in terminal("status", JOB_ID).out.splitlines()


def test_submit_tells_what_stands_before_the_job(script: Script, terminal: Command) -> None:
    script.stage4("POST batch", recorded.SUBMITTED)
    shown = terminal("submit", "events").out
    assert "about 240 s" in shown
    assert "submitted before" not in shown
    script.stage4("POST batch", recorded.SUBMITTED | {"created": False, "expected_seconds": None})
    again = terminal("submit", "events").out
    assert "submitted before" in again
    assert "about" not in again


def test_submit_says_that_a_paused_dag_waits(script: Script, terminal: Command) -> None:
    script.stage4("POST batch", recorded.SUBMITTED | {"paused": True})
    assert "paused" in terminal("submit", "events").out


@pytest.mark.parametrize(
    ("arguments", "body"),
    [
        (("pause",), {"action": "pause"}),
        (("pause", "--now"), {"action": "pause", "now": True}),
        (("resume",), {"action": "resume"}),
        (("retry",), {"action": "retry"}),
        (("retry", "--from", ""), {"action": "retry", "from": ""}),  # of a variable without a value
    ],
)
def test_acts_on_a_job(
    script: Script, terminal: Command, arguments: tuple[str, ...], body: dict[str, Any]
) -> None:
    script.stage4(f"PATCH jobs/{JOB_ID}", recorded.RUNNING | {"state": "paused"})
    shown = terminal(*arguments, JOB_ID, "--json")
    assert (shown.code, shown.json["state"]) == (0, "paused")
    assert script.asked[-1].body == body
    assert "paused" in terminal(*arguments, JOB_ID).out


def test_cancel_ends_a_job(script: Script, terminal: Command) -> None:
    canceled = recorded.job("canceled", 40.0, cluster={"failed": 1})
    script.stage4(f"DELETE jobs/{JOB_ID}", canceled)
    assert terminal("cancel", JOB_ID, "--json").json == canceled
    script.stage4(f"GET jobs/{JOB_ID}", recorded.RUNNING, canceled)
    script.stage4("GET runs", {"runs": [], "next_cursor": None})
    watched = terminal("status", "--watch", JOB_ID)
    assert watched.code == 1
    assert "was canceled" in watched.err


def test_retry_waits_for_the_end(script: Script, terminal: Command) -> None:
    script.stage4(f"PATCH jobs/{JOB_ID}", recorded.RUNNING)
    script.stage4(f"GET jobs/{JOB_ID}", recorded.RUNNING, recorded.COMPLETED)
    script.stage4("GET runs", {"runs": [], "next_cursor": None})
    shown = terminal("retry", JOB_ID, "--wait", "--json")
    assert (shown.code, shown.json["state"]) == (0, "completed")


def test_an_act_that_the_state_does_not_allow_is_refused_in_its_words(
    script: Script, terminal: Command
) -> None:
    words = f"Job {JOB_ID} is completed: retry takes a job that is failed."
    script.stage4(f"PATCH jobs/{JOB_ID}", (409, recorded.problem(409, words)))
    shown = terminal("retry", JOB_ID)
    assert (shown.code, shown.out) == (64, "")
    assert words in shown.err


def test_submit_all_takes_settings_for_all_and_for_one(script: Script, terminal: Command) -> None:
    script.stage4("POST batch", recorded.SUBMITTED)
    shown = terminal(
        *("submit", "all", "--set", "label.keywords=5", "--set", "events.label.keywords=7")
    )
    assert shown.code == 0
    assert started_with(script)["settings"] == {
        "common": {"label.keywords": 5},
        "events": {"label.keywords": 7},
    }


def test_wrong_settings_start_nothing_and_are_all_named(script: Script, terminal: Command) -> None:
    wrong = ("hdbscan.min_sample=4", "label.keywords=99", "algorithm=best", "scope")
    shown = terminal("submit", "events", *(part for each in wrong for part in ("--set", each)))
    assert shown.code == 64
    assert "did you mean" in shown.err
    assert "hdbscan.min_samples" in shown.err
    assert "label.keywords: Input should be less than or equal to 50 (got '99')" in shown.err
    assert "two_stage" in shown.err
    assert "scope: --set takes name=value" in shown.err
    assert not script.asked


def test_what_only_the_server_can_refuse_is_said_in_its_words(
    script: Script, terminal: Command
) -> None:
    detail = "The job is refused; `errors` names everything that is wrong."
    errors = [{"where": "body.settings", "message": "input.table='x' is none that is listed"}]
    script.stage4("POST batch", (422, recorded.problem(422, detail) | {"errors": errors}))
    shown = terminal("submit", "events", "--json")
    assert (shown.code, shown.out) == (64, "")
    assert errors[0]["message"] in shown.err


@pytest.mark.parametrize("as_json", [False, True])
def test_wait_follows_a_job_to_its_end(script: Script, terminal: Command, as_json: bool) -> None:
    script.stage4("POST batch", recorded.SUBMITTED)
    started = terminal("submit", "events", "--json").json["job_id"]
    path = f"GET jobs/{started}"
    done = recorded.COMPLETED | {"job_id": started}
    script.stage4(path, recorded.RUNNING, recorded.RUNNING, (503, recorded.problem(503, "")), done)
    script.stage4("GET runs", {"runs": [recorded.RUN | {"job_id": started}], "next_cursor": None})
    script.stage4("GET runs/events/17", recorded.FULL_RUN)
    shown = terminal("submit", "events", "--wait", *(["--json"] if as_json else []))
    assert shown.code == 0
    if as_json:
        assert shown.json["state"] == "completed"
        assert shown.json["run"]["clusters"] == 758
        assert shown.json["run"]["quality"] == {"silhouette": 0.42}
        assert shown.err == ""
    else:
        assert shown.err.count("cluster 1/3") == 1
        assert "758" in shown.out
        assert "incremental" in shown.out


def test_a_job_that_fails_fails_the_command(script: Script, terminal: Command) -> None:
    script.stage4(f"GET jobs/{JOB_ID}", recorded.RUNNING, recorded.FAILED)
    script.stage4("GET runs", {"runs": [], "next_cursor": None})
    tasks = f"dags/cluster_events/dagRuns/{quote(recorded.RUN_ID, safe='')}/taskInstances"
    script.airflow(f"GET {tasks}", recorded.FAILED_TASKS)
    script.airflow(f"GET {tasks}/cluster/logs/3", (403, {"detail": "Forbidden"}))
    script.airflow(f"GET {tasks}/merge/logs/1", recorded.LOG)
    shown = terminal("status", JOB_ID, "--watch", "--json")
    assert shown.code == 1
    assert shown.json["errors"] == [
        {"task_id": "cluster", "map_index": 2, "message": None},
        {"task_id": "merge", "map_index": -1, "message": "merge of events: part 1 is gone"},
    ]
    assert (shown.json["state"], shown.json["run"]) == ("failed", None)
    assert "has failed in merge" in shown.err
    assert recorded.RUN_ID in shown.err
    # to look at it is no failure
    looked = terminal("status", JOB_ID)
    assert looked.code == 0
    assert "cluster (part 2): its log cannot be read" in looked.out
    assert "merge: merge of events: part 1 is gone" in looked.out


def test_status_shows_tasks_and_what_was_loaded(script: Script, terminal: Command) -> None:
    script.stage4(f"GET jobs/{JOB_ID}", recorded.RUNNING)
    script.stage4("GET runs", {"runs": [recorded.RUN], "next_cursor": None})
    script.stage4("GET runs/events/17", recorded.FULL_RUN)
    shown = terminal("status", JOB_ID)
    assert shown.code == 0
    for text in ("running", "50 %", "1,684 of 5,053", "1 of 3", "1 success, 2 running", "0.42"):
        assert text in shown.out
    assert "incremental (asked for: auto; continues run cluster_events.1)" in shown.out
    assert "7 continued, 3 born, 2 grew " in shown.out


def test_status_names_what_waits(script: Script, terminal: Command) -> None:
    waiting = recorded.job(cluster={"success": 1, "none": 2}, merge={"none": 1})
    script.stage4(f"GET jobs/{JOB_ID}", waiting)
    script.stage4("GET runs", {"runs": [], "next_cursor": None})
    shown = terminal("status", JOB_ID).out
    assert "1 success, 2 waits" in shown
    assert ["merge", "waits"] in [line.split() for line in shown.splitlines()]
    assert "none" not in shown


@pytest.mark.parametrize(("percent", "shown"), [(None, "-"), (99.9, "99 %"), (56.2, "56 %")])
def test_status_shows_what_was_really_done(
    script: Script, terminal: Command, percent: float | None, shown: str
) -> None:
    script.stage4(f"GET jobs/{JOB_ID}", recorded.job("canceled", percent))
    script.stage4("GET runs", {"runs": [], "next_cursor": None})
    lines = terminal("status", JOB_ID).out.splitlines()
    assert ["done", *shown.split()] in [line.split() for line in lines]


def test_list_goes_on_page_by_page(script: Script, terminal: Command) -> None:
    first = {"jobs": [recorded.LISTED] * 200, "next_cursor": "abc"}
    second = {"jobs": [recorded.LISTED] * 200, "next_cursor": "def"}
    script.stage4("GET jobs", first, second)
    shown = terminal("list", "--limit", "250", "--level", "event", "--state", "failed", "--json")
    assert len(shown.json["jobs"]) == 250
    asked = [each.query for each in script.asked if each.path.endswith("/jobs")]
    common = {"level": "events", "state": "failed"}
    assert asked == [
        {"limit": "200"} | common,
        {"limit": "50", "cursor": "abc"} | common,
    ]
    script.stage4("GET jobs", {"jobs": [recorded.LISTED], "next_cursor": None})
    assert JOB_ID in terminal("list").out
    script.stage4("GET jobs", {"jobs": [], "next_cursor": None})
    assert terminal("list").out == "no jobs\n"


def test_show_reads_the_members_of_the_same_run(script: Script, terminal: Command) -> None:
    script.stage4(f"GET clusters/{CLUSTER_ID}", recorded.CLUSTER)
    page = {"members": [recorded.member(1), recorded.member(2)], "next_cursor": None}
    script.stage4(f"GET clusters/{CLUSTER_ID}/members", page)
    shown = terminal("show", CLUSTER_ID, "--members")
    assert shown.code == 0
    for text in ("Leaders meet in Hiroshima", "summit, leaders", "doc_002_event_0", "0.87", "llm"):
        assert text in shown.out
    assert script.asked[-1].query == {"limit": "50", "load_id": "17"}
    assert "members" not in terminal("show", CLUSTER_ID, "--json").json
    assert len(terminal("show", CLUSTER_ID, "--members", "--json").json["members"]) == 2


@pytest.mark.parametrize(
    ("change", "trend"),
    [
        ({}, "growing: 4 a day, 1.25 before"),
        ({"trend": "fading", "rate": 0.0}, "fading: 0 a day, 1.25 before"),
        ({"end_time": "2025-12-11T00:00:00Z"} | recorded.ENDED, "ended, last item 2025-12-11"),
        (recorded.ENDED, "ended, last item 2025-12-10"),
        (recorded.ENDED | {"start_time": None}, "ended"),
        (recorded.ENDED | {"end_time": "9999-01-01T00:00:00Z"}, "ended"),  # an item's time span
    ],
)
def test_a_trend_is_told_in_words(
    script: Script, terminal: Command, change: Any, trend: str
) -> None:
    script.stage4(f"GET clusters/{CLUSTER_ID}", recorded.CLUSTER | change)
    lines = terminal("show", CLUSTER_ID).out.splitlines()
    assert ["trend", *trend.split()] in [line.split() for line in lines]


def test_members_are_shown_with_their_titles(script: Script, terminal: Command) -> None:
    texts: list[Any] = [
        {"event_description": " ", "trigger": "met"},
        {"event_description": "Leaders meet in Hiroshima", "trigger": "met"},
        {"event_type": 5},
    ]
    rows = [recorded.member(n) | {"metadata": text} for n, text in enumerate(texts)]
    rows[2]["near_duplicate_of"] = rows[0]["source_id"]
    script.stage4(f"GET clusters/{CLUSTER_ID}", recorded.CLUSTER | {"label": "a label"})
    script.stage4(f"GET clusters/{CLUSTER_ID}/members", {"members": rows, "next_cursor": None})
    shown = terminal("show", CLUSTER_ID, "--members").out.splitlines()
    [head] = [line for line in shown if line.startswith("member")]
    columns = ["member", "title", "document", "probability", "similarity", "near-duplicate", "of"]
    assert head.split() == columns
    lines = [line.split("  ") for line in shown[shown.index(head) :] if line.startswith("doc_")]
    parts = [[part.strip() for part in line if part.strip()] for line in lines]
    assert [line[1] for line in parts] == ["met", "Leaders meet in Hiroshima", "-"]
    assert [line[-1] for line in parts] == ["-", "-", rows[0]["source_id"]]


def test_a_long_value_does_not_widen_a_piped_table(script: Script, terminal: Command) -> None:
    long = "x" * 5000
    wide = recorded.CLUSTER | {"label": long, "keywords": [long], "representatives": [
        {"id": "doc_001_event_0", "title": long, "similarity": 0.95}
    ]}  # fmt: skip
    script.stage4(f"GET clusters/{CLUSTER_ID}", wide)
    lines = terminal("show", CLUSTER_ID).out.splitlines()
    assert max(map(len, lines)) < 250
    assert any(line.rstrip().endswith("…") for line in lines)
    assert terminal("show", CLUSTER_ID, "--json").json["label"] == long


def test_show_takes_a_load_and_understands_the_former_name_of_the_option(
    script: Script, terminal: Command
) -> None:
    script.stage4(f"GET clusters/{CLUSTER_ID}", recorded.CLUSTER)
    for options in (["--load", "17"], ["--run", "17"], ["--load", "17", "--run", "17"]):
        shown = terminal("show", CLUSTER_ID, *options)
        assert shown.code == 0
        assert "load id" in shown.out
        assert script.asked[-1].query == {"load_id": "17"}
    refused = terminal("show", CLUSTER_ID, "--load", "17", "--run", "18")
    assert refused.code == 64
    assert "--run is the former name of --load" in refused.err
    assert "--run" not in terminal("show", "--help").out


OLD, LEFT = "event_000000000001", "event_000000000002"


def test_show_follows_a_former_id(script: Script, terminal: Command) -> None:
    moved = recorded.problem(308, f"Cluster {OLD} went into {CLUSTER_ID}.")
    script.stage4(f"GET clusters/{OLD}", (308, moved))
    script.stage4(f"GET clusters/{CLUSTER_ID}", recorded.CLUSTER)
    page = {"members": [recorded.member(1)], "next_cursor": None}
    script.stage4(f"GET clusters/{CLUSTER_ID}/members", page)
    script.location = f"{CLUSTER_ID}?centroid=false"
    shown = terminal("show", OLD, "--members")
    assert (shown.code, shown.err) == (0, f"{OLD} went into {CLUSTER_ID}:\n")
    assert "doc_001_event_0" in shown.out
    assert terminal("show", OLD, "--json").json["cluster_id"] == CLUSTER_ID
    script.location = "https://elsewhere/airflow"
    assert terminal("show", OLD).code == 66


def test_show_names_the_parts_of_a_split_id(script: Script, terminal: Command) -> None:
    choice = {"cluster_id": LEFT, "state": "active", "label": "one half", "size": 3}
    script.stage4(f"GET clusters/{OLD}", (300, recorded.IDENTITY | {"choices": [choice]}))
    shown = terminal("show", OLD, "--members")
    assert shown.code == 0
    assert f"{OLD} was split" in shown.out
    assert "one half" in shown.out
    assert terminal("show", OLD, "--json").json["choices"] == [choice]


def test_show_takes_a_moment(script: Script, terminal: Command) -> None:
    script.stage4(f"GET clusters/{CLUSTER_ID}", recorded.CLUSTER)
    at = "2026-03-01T12:00:00Z"
    assert terminal("show", CLUSTER_ID, "--published-at", at).code == 0
    assert script.asked[-1].query == {"published_at": at}


def test_the_history_of_an_id(script: Script, terminal: Command) -> None:
    script.stage4(f"GET clusters/{OLD}/lineage", recorded.LINEAGE)
    shown = terminal("history", OLD, "--limit", "9")
    assert shown.code == 0
    for text in ("merged", CLUSTER_ID, "absorbed (withdrawn)", f"{CLUSTER_ID} 4 (50% of it)"):
        assert text in shown.out
    assert script.asked[-1].query == {"limit": "9"}
    assert terminal("history", OLD, "--json").json == recorded.LINEAGE


def test_search_asks_every_level_and_skips_those_without_a_run(
    script: Script, terminal: Command
) -> None:
    nothing = (404, recorded.problem(404, "No run of documents is published yet."))
    answer = {
        "level": "events",
        "load_id": 17,
        "run_id": 17,
        "ordered_by": "rank",
        "clusters": [recorded.FOUND],
    }
    denied = (403, recorded.problem(403, "You may not read the DAG."))
    script.stage4("POST clusters/search", nothing, answer, denied, answer)
    shown = terminal("search", 'summit "prime minister"', "--limit", "3")
    assert shown.code == 0
    assert shown.out.count(CLUSTER_ID) == 2
    bodies = [asked.body for asked in script.asked if asked.path.endswith("search")]
    assert [body["level"] for body in bodies] == ["documents", "events", "entities", "storylines"]
    assert bodies[0] | {"level": ""} == {
        "level": "",
        "text": 'summit "prime minister"',
        "limit": 3,
    }


def test_a_level_that_was_asked_for_must_be_there(script: Script, terminal: Command) -> None:
    said = "No run of documents is published yet: run the DAG `cluster_documents`."
    script.stage4("POST clusters/search", (404, recorded.problem(404, said)))
    shown = terminal("search", "summit", "--level", "documents")
    assert (shown.code, shown.out) == (66, "")
    assert said in shown.err
    assert terminal("search", "summit").code == 66


def test_metrics_show_now_and_before_and_the_alerts(script: Script, terminal: Command) -> None:
    script.stage4("GET metrics/events", recorded.METRICS)
    script.stage4("GET alerts", {"alerts": [recorded.ALERT], "next_cursor": None})
    shown = terminal("metrics", "events", "--name", "coverage", "--name", "quality.silhouette")
    assert shown.code == 0
    lines = {line.split()[0]: line.split() for line in shown.out.splitlines() if line.strip()}
    assert lines["coverage"][1:] == ["0.754", "0.754", "0.7", "0.8", "▁█▅"]
    assert lines["quality.silhouette"][1:5] == ["0.42", "0.41", "0.4", "0.42"]
    assert "critical: events: items read" in shown.out
    assert "Compare with" in shown.out
    asked = {each.path.rpartition("/")[2]: each.query for each in script.asked}
    assert asked["events"] == {"names": "coverage,quality.silhouette", "limit": "30"}
    assert asked["alerts"]["current"] == "true"
    core = terminal("metrics", "events")
    assert "tags.per_item" in core.out
    assert "tags.conflicts" in core.out
    assert "errors.total" in core.out
    assert "errors.conflicts" not in core.out, "a conflict is no error"
    assert terminal("metrics", "events", "--json").json["alerts"] == [recorded.ALERT]


def test_resources_show_what_is_left(script: Script, terminal: Command) -> None:
    script.stage4("GET resources", recorded.RESOURCES)
    shown = terminal("resources")
    for text in ("3.0 GiB of 8.0 GiB", "NVIDIA H200", "6.0 GiB of 140.0 GiB", "stage4_cluster"):
        assert text in shown.out
    assert terminal("resources", "--json").json == recorded.RESOURCES


def test_a_document_is_deleted_by_its_id_whatever_it_is_made_of(
    script: Script, terminal: Command
) -> None:
    script.stage4("DELETE documents/doc%2F7%20%3Fx", (202, recorded.DELETION))
    shown = terminal("delete-document", "doc/7 ?x", "--yes")
    assert shown.code == 0
    assert "requested" in shown.out
    assert "18" in shown.out
    assert terminal("delete-document", "doc/7 ?x", "--yes", "--json").json == recorded.DELETION


def test_a_deletion_of_what_nothing_is_known_of_says_so(script: Script, terminal: Command) -> None:
    unknown = recorded.DELETION | {"counts": {}, "known": False}
    script.stage4("DELETE documents/doc_typo", (202, unknown))
    shown = terminal("delete-document", "doc_typo", "--yes")
    assert shown.code == 0
    assert "Nothing is known of such a document yet: no run has an item of it." in shown.out
    assert "The deletion stands" in shown.out
    assert "items" not in shown.out


def test_nothing_is_deleted_unasked(script: Script, terminal: Command) -> None:
    refused = terminal("delete-document", "doc_7")  # its standard input is no terminal
    assert refused.code == 64
    assert "--yes" in refused.err
    assert script.asked == []


OTHER_ID = "event_00112233aabb"


@pytest.mark.parametrize(
    ("command", "asked"),
    [
        (
            ("together", CLUSTER_ID, OTHER_ID, "doc_001_event_0"),
            {"kind": "together", "clusters": [CLUSTER_ID, OTHER_ID], "items": ["doc_001_event_0"]},
        ),
        (
            ("apart", "doc_001_event_0", "--from", CLUSTER_ID),
            {"kind": "apart", "items": ["doc_001_event_0"], "cluster_id": CLUSTER_ID},
        ),
        (
            ("apart", "a1", "--other", "b1", "--other", "c1", "--level", "event"),
            {"kind": "apart", "items": ["a1"], "others": ["b1", "c1"]},
        ),
        (
            ("rename", CLUSTER_ID, "--label", "The vote", "--reason", "as readers call it"),
            {
                "kind": "rename",
                "cluster_id": CLUSTER_ID,
                "label": "The vote",
                "reason": "as readers call it",
            },
        ),
        (("hide", CLUSTER_ID), {"kind": "hide", "cluster_id": CLUSTER_ID}),
    ],
)
def test_a_correction_is_sent_as_it_is_named(
    script: Script, terminal: Command, command: tuple[str, ...], asked: dict[str, Any]
) -> None:
    script.stage4("POST corrections", (201, recorded.CORRECTED))
    shown = terminal("correct", *command)
    assert shown.code == 0, shown.err
    assert script.asked[-1].body == {"level": "events", "reason": ""} | asked
    assert "17" in shown.out
    assert "another summit" in shown.out
    assert "The runs that start from now on apply it." in shown.out


@pytest.mark.parametrize(
    "command",
    [
        ("forget", CLUSTER_ID),
        ("together", "a1", "b1"),
        ("apart", CLUSTER_ID, "--from", OTHER_ID),
        ("rename", "doc_001_event_0", "--label", "x"),
        ("pin", CLUSTER_ID, OTHER_ID),
        ("together", CLUSTER_ID, "entity_00112233aabb"),
    ],
)
def test_what_is_no_correction_is_not_sent(
    script: Script, terminal: Command, command: tuple[str, ...]
) -> None:
    assert terminal("correct", *command).code == 64
    assert script.asked == []


def test_what_holds_already_is_answered_as_nothing_to_do(script: Script, terminal: Command) -> None:
    script.stage4("POST corrections", (200, recorded.CORRECTED | {"changed": False}))
    again = terminal("correct", "pin", CLUSTER_ID)
    assert again.code == 0
    assert "It holds already: nothing is to be done." in again.out
    assert "apply it" not in again.out


def test_a_contradiction_is_shown_in_the_servers_words(script: Script, terminal: Command) -> None:
    words = "It contradicts correction 17 (together, by ulla on 2026-03-01)"
    script.stage4("POST corrections", (409, {"detail": words, "against": [17]}))
    refused = terminal("correct", "hide", CLUSTER_ID)
    assert refused.code == 64
    assert words in refused.err
    assert "stage4 undo 17" in refused.err


def test_corrections_are_listed_and_undone(script: Script, terminal: Command) -> None:
    page = {"corrections": [recorded.CORRECTION], "next_cursor": None}
    script.stage4("GET corrections", page)
    shown = terminal("corrections", "--level", "event", "--cluster", CLUSTER_ID)
    assert shown.code == 0
    line = " ".join(shown.out.split())
    assert "apart event_emb_doc_001_event_0 (Ministers meet) from event_emb_doc_002" in line
    gone = recorded.CORRECTED | {"state": "undone", "undone_by": "vera"}
    script.stage4("DELETE corrections/17", gone)
    undone = terminal("undo", "17")
    assert undone.code == 0
    assert "vera" in undone.out
    assert "already" not in undone.out
    script.stage4("DELETE corrections/17", gone | {"changed": False})
    assert "It is undone already: nothing is to be done." in terminal("undo", "17").out
    assert terminal("undo", "0").code == 64


def test_events_are_listed_counted_and_sent_again(script: Script, terminal: Command) -> None:
    script.stage4("GET events", {"events": [recorded.EVENT], "next_cursor": None})
    shown = terminal("events", "list", "--level", "event", "--state", "given_up", "--json")
    assert shown.code == 0
    assert json.loads(shown.out)["events"] == [recorded.EVENT]
    assert "hook" in terminal("events", "list").out
    script.stage4("GET events/receivers", recorded.RECEIVERS)
    assert "12" in terminal("events", "receivers").out
    script.stage4("GET events/receivers", {"receivers": [], "configured": ["hook"]})
    assert "has taken its events" in terminal("events", "receivers").out
    script.stage4("GET events/receivers", {"receivers": [], "configured": []})
    assert "STAGE4_EVENT_RECEIVERS" in terminal("events", "receivers").out
    script.stage4("GET events/stage3", recorded.INCOMING_PAGE)
    lines = terminal("events", "from-stage3", "--waiting").out.splitlines()
    assert script.asked[-1].query["waits"] == "true"
    assert "cluster_events.stage3__1" in lines[-3]
    assert "no run yet" in lines[-2]
    assert lines[-1] == "entities: 80 of 100 embeddings wait (STAGE4_MIN_EMBEDDINGS)"
    soon = recorded.INCOMING_PAGE["waiting"][0] | {"min_embeddings": 1}
    script.stage4("GET events/stage3", recorded.INCOMING_PAGE | {"waiting": [soon]})
    assert "wait for the next look of receive_events" in terminal("events", "from-stage3").out
    script.stage4("POST events/resend", {"deliveries": 2})
    sent = terminal("events", "resend", "--receiver", "hook")
    assert (sent.code, sent.out.split()[0]) == (0, "2")
    assert script.asked[-1].body == {"receiver": "hook"}
    event = recorded.EVENT["event_id"]
    assert terminal("events", "resend", event, event).out.split()[0] == "4"
    assert script.asked[-1].body == {"event_id": event}


def test_a_correction_is_listed_by_the_clusters_that_were_named_and_whole(
    script: Script, terminal: Command
) -> None:
    reason = "the same summit " * 20
    made = recorded.CORRECTION | {
        "kind": "together",
        "items": [f"event_emb_{n}" for n in range(10)],
        "others": [],
        "clusters": [CLUSTER_ID, OTHER_ID],
        "names": {CLUSTER_ID: "A summit"},
        "reason": reason,
    }
    script.stage4("GET corrections", {"corrections": [made], "next_cursor": None})
    shown = terminal("corrections").out
    assert f"together {CLUSTER_ID} (A summit), {OTHER_ID}" in shown
    assert reason.strip() in shown
    assert "event_emb_" not in shown


def test_show_says_what_a_person_decided(script: Script, terminal: Command) -> None:
    kinds = [("rename", "The vote"), ("hide", None)]
    marks = [
        {"correction_id": n, "kind": kind, "label": label} for n, (kind, label) in enumerate(kinds)
    ]
    script.stage4(f"GET clusters/{CLUSTER_ID}", recorded.CLUSTER | {"marks": marks})
    shown = terminal("show", CLUSTER_ID).out
    assert "renamed to The vote, from the next run on (correction 0)" in shown
    assert "hidden: lists and searches omit it (correction 1)" in shown


@pytest.mark.parametrize("name", ["", "..", "a\nb"])
def test_what_is_no_documents_id_is_not_sent(script: Script, terminal: Command, name: str) -> None:
    assert terminal("delete-document", name, "--yes").code == 64
    assert script.asked == []


def test_hostile_titles_neither_colour_nor_move(script: Script, terminal: Command) -> None:
    label = "[red]x[/red] \x1b[2J\u202egnp.exe\r\nsecond"
    script.stage4(f"GET clusters/{CLUSTER_ID}", recorded.CLUSTER | {"label": label})
    shown = terminal("show", CLUSTER_ID)
    assert "[red]x[/red]" in shown.out
    assert not {"\x1b", "\u202e", "\r"} & set(shown.out)
    assert terminal("show", CLUSTER_ID, "--json").json["label"] == label


def test_it_starts_without_airflow_the_engine_or_a_server() -> None:
    code = (
        "import sys; from stage4.cli.app import main\n"
        "main(['--help'])\n"
        "heavy = {'airflow', 'numpy', 'httpx', 'pydantic', 'sqlalchemy', 'psycopg'}\n"
        "sys.exit(str(heavy & sys.modules.keys() or ''))"
    )
    path = os.pathsep.join([str(REPO), str(REPO / "plugins")])
    done = subprocess.run(
        [sys.executable, "-P", "-c", code],
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "submit" in done.stdout
    assert done.stderr.strip() == ""


def test_the_module_is_the_program(script: Script, terminal: Command) -> None:
    script.stage4("GET health", recorded.HEALTH)
    done = subprocess.run(
        [sys.executable, "-P", "-m", "stage4.cli", "health", "--json"],
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(REPO), str(REPO / "plugins")])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == recorded.HEALTH
