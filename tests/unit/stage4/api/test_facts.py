"""Small computations of the API: a job's progress, ids and vectors."""

import math
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from clustering_tasks.contract.columns import MEMBERS, POINTS
from clustering_tasks.settings.levels import LEVELS
from clustering_tasks.steps.label.report import QUALITY
from stage4.api.job_progress import Instance, percent_of_job, progress_of, states_by_task
from stage4.api.models.clusters import ClusterSummary
from stage4.api.models.items import Member
from stage4.api.models.jobs import JobQuality
from stage4.api.models.map import MapClusters, MapMembers
from stage4.api.parameters import level_of, plural
from stage4.api.queries.clusters import SUMMARY, unit
from stage4.events.progress import percent


def test_answers_have_the_columns_that_are_read() -> None:
    assert set(SUMMARY) == set(ClusterSummary.model_fields)
    assert {*Member.model_fields, "cluster_id"} == set(MEMBERS)
    assert {*MapClusters.model_fields, *MapMembers.model_fields} - {
        "group",
        "label",
        "hidden",
    } <= set(POINTS)


def test_progress_is_the_mean_over_tasks() -> None:
    instances = [
        ("snapshot", "success"),
        ("cluster", "success"),
        ("cluster", "failed"),
        ("cluster", "running"),
        ("cluster", None),
        ("merge", None),
        ("label", "upstream_failed"),
    ]
    states = states_by_task(instances)
    assert states["cluster"] == {"success": 1, "failed": 1, "running": 1, "none": 1}
    assert percent(states) == 31.2  # (1 + 1/4 + 0 + 0) / 4, and what has failed is not done
    assert percent({}) == 0.0


def test_only_a_completed_job_is_at_100_percent() -> None:
    whole = {"snapshot": {"success": 1}, "write_back": {"skipped": 1}}
    assert percent_of_job(whole, "success") == percent_of_job({}, "success") == 100
    assert percent_of_job(whole, "running") == 99.9
    assert percent_of_job({}, "queued") == 0
    # a run that is ended has its waiting tasks marked as skipped
    assert percent_of_job(whole, "failed") == 50
    ended = {"snapshot": {"success": 1}, "cluster": {"success": 1, "failed": 1}}
    assert percent_of_job(ended | {"merge": {"upstream_failed": 1}}, "failed") == 50
    assert percent_of_job({}, "failed") is None


def test_tasks_come_in_the_order_of_the_run() -> None:
    mixed = ("merge", "other", "all_parts", "publish", "check_stage3", "cluster", "load_postgres")
    found = progress_of([Instance(name, -1, None) for name in mixed], {})["tasks"]
    assert [each.task_id for each in found] == [
        *("check_stage3", "cluster", "all_parts", "merge", "load_postgres", "publish", "other")
    ]


PLANNED = [{"part": 0, "items": 30}, {"part": 1, "items": 50}, {"part": 2, "items": 10}]
RETURNED = {"snapshot": {"metrics": {"items": 100}}, "plan": PLANNED}
ITEMS = ("items_total", "items_done")
PARTS = ("parts_total", "parts_done", "parts_failed")


def told(
    returned: dict[str, Any], *parts: str | None, plan: str | None = "success"
) -> dict[str, Any]:
    instances = [Instance("snapshot", -1, "success"), Instance("plan", -1, plan)]
    instances += [Instance("cluster", number, state) for number, state in enumerate(parts)]
    return progress_of(instances, returned)


def test_items_are_done_part_by_part_and_filtered_ones_with_the_plan() -> None:
    for states, done, parts in [
        ((None, None, None), 10, (3, 0, 0)),
        (("running", "success", "queued"), 60, (3, 1, 0)),
        (("success", "success", "failed"), 90, (3, 2, 1)),
        (("success", "success", "up_for_retry"), 90, (3, 2, 0)),
        (("success", "success", "success"), 100, (3, 3, 0)),
    ]:
        found = told(RETURNED, *states)
        assert [found[name] for name in ITEMS] == [100, done]
        assert tuple(found[name] for name in PARTS) == parts


def test_before_the_plan_nothing_is_done_and_parts_are_unknown() -> None:
    snapshot_only = {"snapshot": RETURNED["snapshot"]}
    for returned, plan in [(snapshot_only, "running"), (RETURNED, "running"), (RETURNED, None)]:
        found = told(returned, plan=plan)  # a plan's result that stands there is an earlier try's
        assert [found[name] for name in ITEMS] == [100, 0]
        assert [found[name] for name in PARTS] == [None] * 3


def test_what_nobody_recorded_is_null() -> None:
    old = {**RETURNED, "plan": [{"part": 0, "name": "sports"}, {"part": 1, "name": "news"}]}
    found = told(old, "success", "running")
    assert [found[name] for name in ITEMS] == [100, None]
    assert [found[name] for name in PARTS] == [2, 1, 0]
    assert told(old, "success", "success")["items_done"] == 100
    nothing = told({})
    assert [nothing[name] for name in (*ITEMS, *PARTS)] == [None] * 5
    assert told({"plan": PLANNED}, "success")["items_done"] is None


def test_levels_by_singular_and_by_id() -> None:
    for name, level in LEVELS.items():
        assert plural(level.cluster_type) == plural(name) == name
        assert level_of(f"{level.cluster_type}_7f3a9c2e41b0") == name
    assert plural("other") == "other"
    assert plural(None) is None


@example([5e-324, 5e-324])
@given(st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=20).filter(any))
def test_a_vector_is_brought_to_length_one(vector: list[float]) -> None:
    scaled = unit(vector)
    assert math.hypot(*scaled) == pytest.approx(1)
    largest = max(range(len(vector)), key=lambda place: abs(vector[place]))
    assert math.copysign(1, scaled[largest]) == math.copysign(1, vector[largest])


def test_clusters_outliers_and_quality_come_with_merge() -> None:
    merged = {"metrics": {"clusters": 7, "noise": 12, "silhouette": 0.4, "modularity": None}}
    done = [Instance("merge", -1, "success")]
    known = progress_of(done, {"merge": merged})
    assert (known["clusters"], known["outliers"]) == (7, 12)
    assert known["quality"] == {"silhouette": 0.4} | dict.fromkeys(
        name for name in JobQuality.model_fields if name != "silhouette"
    )
    unmerged: list[dict[str, Any]] = [{}, {"merge": None}, {"merge": {"metrics": {}}}]
    for returned in unmerged:
        unknown = progress_of(done, returned)
        assert (unknown["clusters"], unknown["outliers"]) == (None, None)
    assert progress_of(done, {})["quality"] is None
    again = progress_of([Instance("merge", -1, "running")], {"merge": merged})
    assert (again["clusters"], again["outliers"], again["quality"]) == (None, None, None)


def test_the_qualities_of_a_job_are_those_of_the_report() -> None:
    assert set(JobQuality.model_fields) <= set(QUALITY)
