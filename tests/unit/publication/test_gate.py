"""The quality gate, and the report that it reads."""

from pathlib import Path
from typing import Any

import orjson
import pytest

from clustering_tasks.errors import BadInputError
from clustering_tasks.publication.gate import MANY, MIN_COVERAGE, check_gate
from clustering_tasks.publication.report import Report, read_report
from clustering_tasks.settings.groups.publication import PublishSettings
from clustering_tasks.settings.levels import LEVELS
from clustering_tasks.settings.run import RunSettings

REPORT: dict[str, Any] = {
    "job_id": "cluster_events.manual__1",
    "level": "events",
    "as_of": "2026-03-01T12:00:00Z",
    "algorithm": "hdbscan",
    "settings": RunSettings().model_dump(mode="json"),
    "counts": {
        "read": 100,
        "clustered": 80,
        "noise": 10,
        "filtered": 10,
        "unassigned": 0,
        "clusters": 4,
    },
    "coverage": 80 / 90,
    "outlier_share": 0.1,
    "largest_cluster_share": 0.5,
    "quality": {"silhouette": None},
}
EMPTY = dict.fromkeys(REPORT["counts"], 0)


def report(**changes: Any) -> Report:
    return Report.model_validate(REPORT | changes)


def empty(**changes: Any) -> Report:
    shares = dict.fromkeys(("coverage", "outlier_share", "largest_cluster_share"))
    return report(counts=EMPTY | changes, **shares)


@pytest.mark.parametrize(
    "gate",
    [
        {},
        {"min_items": 100, "min_clusters": 4, "min_coverage": 80 / 90, "max_largest_share": 0.5},
    ],
)
def test_a_run_at_the_limits_passes(gate: dict[str, Any]) -> None:
    assert check_gate(report(), PublishSettings(**gate)) == []


@pytest.mark.parametrize(
    ("gate", "sentence"),
    [
        ({"min_items": 101}, "100 items were read, publish.min_items=101 are required"),
        ({"min_clusters": 5}, "4 clusters, publish.min_clusters=5 are required"),
        ({"min_coverage": 0.9}, "coverage is 0.8889, publish.min_coverage=0.9 is required"),
        (
            {"max_largest_share": 0.4},
            (
                "the largest cluster holds 0.5 of the clustered items, "
                "publish.max_largest_share=0.4 is allowed"
            ),
        ),
    ],
)
def test_each_condition_names_its_setting(gate: dict[str, Any], sentence: str) -> None:
    assert check_gate(report(), PublishSettings(**gate)) == [sentence]


def covering(level: str, items: int, coverage: float) -> Report:
    clustered = round(items * coverage)
    counts = REPORT["counts"] | {
        "read": items + 10,
        "clustered": clustered,
        "noise": items - clustered,
    }
    return report(level=level, counts=counts, coverage=clustered / items)


@pytest.mark.parametrize("level", LEVELS)
def test_a_level_of_which_most_is_noise_is_held_back(level: str) -> None:
    least = MIN_COVERAGE[level]
    assert check_gate(covering(level, 50_000, least), PublishSettings()) == []
    (failure,) = check_gate(covering(level, 50_000, least - 0.02), PublishSettings())
    assert f"publish.min_coverage={least:g} is required" in failure
    assert check_gate(covering(level, 50_000, 0.01), PublishSettings(min_coverage=0)) == []


def test_a_small_level_may_hold_lone_items_alone() -> None:
    assert check_gate(covering("events", MANY - 1, 0.01), PublishSettings()) == []
    assert check_gate(covering("events", MANY, 0.01), PublishSettings())
    assert check_gate(covering("events", MANY - 1, 0.01), PublishSettings(min_coverage=0.02))


def test_every_failing_condition_is_named_at_once() -> None:
    gate = PublishSettings(min_items=101, min_clusters=5, min_coverage=0.9, max_largest_share=0.4)
    assert len(check_gate(report(), gate)) == 4


@pytest.mark.parametrize(
    "nothing", [empty(), empty(read=5, noise=5)], ids=["no items", "all noise"]
)
def test_a_run_without_clusters_needs_allow_empty(nothing: Report) -> None:
    (failure,) = check_gate(nothing, PublishSettings())
    assert "publish.allow_empty" in failure
    assert check_gate(nothing, PublishSettings(allow_empty=True)) == []


def test_allow_empty_lifts_no_other_condition() -> None:
    gate = PublishSettings(allow_empty=True, min_items=1)
    assert check_gate(empty(), gate) == ["0 items were read, publish.min_items=1 are required"]


def test_a_report_keeps_what_it_does_not_know(tmp_path: Path) -> None:
    (tmp_path / "report.json").write_bytes(orjson.dumps(REPORT))
    found = read_report(str(tmp_path / "report.json"))
    assert found.model_dump()["quality"] == {"silhouette": None}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"counts": REPORT["counts"] | {"noise": 11}}, "read = 100, but"),
        ({"counts": REPORT["counts"] | {"noise": -1}}, "noise"),
        ({"as_of": "2026-03-01T12:00:00"}, "timezone"),
        ({"level": "event"}, "known are documents"),
        ({"job_id": "../../etc/passwd"}, "job_id"),
        ({"job_id": "a/b"}, "job_id"),
        ({"job_id": ".."}, "job_id"),
        ({"job_id": "a\nb"}, "job_id"),
        ({"job_id": ""}, "job_id"),
        ({"coverage": "high"}, "coverage"),
    ],
)
def test_a_report_that_breaks_its_contract_is_refused(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    path = tmp_path / "report.json"
    path.write_bytes(orjson.dumps(REPORT | change))
    with pytest.raises(BadInputError, match=message) as failure:
        read_report(str(path))
    assert str(path) in str(failure.value)


def test_a_report_that_is_gone_or_no_json_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    with pytest.raises(BadInputError, match=r"report\.json is gone"):
        read_report(str(path))
    path.write_text('{"job_id": ')
    with pytest.raises(BadInputError, match=r"report\.json is no report"):
        read_report(str(path))
