"""Alerts and the gate's drift, with a real PostgreSQL and a history of runs."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException
from structlog.testing import capture_logs

from clustering_tasks.publication.alerts import SECONDS, TIMED
from stage4.database import alerts
from stage4.database.load import load_run
from stage4.database.publish import publish_run
from stage4.tasks.level import load_postgres
from tests.integration.conftest import CONNECTION_VARIABLE, Results
from tests.integration.label_files import Label, report_of

pytestmark = pytest.mark.usefixtures("workspace")


def history(first: Label, count: int) -> Iterator[Label]:
    """Runs of a few more or fewer clusters, an hour apart."""
    label = first
    for number in range(count):
        label = label.later(clusters=20 + number % 3)
        yield label


def published(first: Label, count: int) -> Label:
    last = first
    for last in history(first, count):
        publish_run(load(last)[0])
    return last


def load(label: Label) -> tuple[dict[str, Any], dict[str, Any]]:
    files = label.write()
    return files, load_postgres(files)


def stored(results: Results) -> list[tuple[Any, ...]]:
    return results.rows(
        "SELECT job_id, name, severity, value, limit_value FROM stage4.alerts"
        " JOIN stage4.runs USING (load_id) ORDER BY alert_id",
        user=results.loader,
    )


def test_usual_runs_raise_nothing(results: Results, tmp_path: Path) -> None:
    last = published(Label(tmp_path), 8)
    _, loaded = load(last.later(clusters=23))
    assert loaded["alerts"] == []
    assert stored(results) == []


def test_an_unusual_run_is_said_stored_logged_and_published(
    results: Results, tmp_path: Path
) -> None:
    last = published(Label(tmp_path), 8)
    strange = last.later(clusters=3)
    with capture_logs() as logs:
        files, loaded = load(strange)
    found = {each["name"]: each for each in loaded["alerts"]}
    assert set(found) == {"drift.counts.read", "drift.counts.clusters", "drift.coverage"}
    # 20, 21, 22, 20, 21, 22, 20, 21 clusters: the median is 21, and the least that matters 30 %
    clusters = found["drift.counts.clusters"]
    assert (clusters["severity"], clusters["value"]) == ("critical", 3)
    assert clusters["limit_value"] == pytest.approx(21 - max(5 * 1.4826 * 1, 0.3 * 21))
    assert stored(results) == [
        (strange.job_id, each["name"], each["severity"], each["value"], each["limit_value"])
        for each in loaded["alerts"]
    ]
    told = [entry for entry in logs if entry["event"] == "alert"]
    assert [(entry["log_level"], entry["name"]) for entry in told] == [
        (each["severity"], each["name"]) for each in loaded["alerts"]
    ]
    assert publish_run(files)["published"]


def test_limits_need_no_history(results: Results, tmp_path: Path) -> None:
    label = Label(tmp_path, level="documents", job_id="cluster_documents.manual__1")
    files = label.write()
    report = report_of(files)
    worse = report.model_copy(update={"quality": {"silhouette": 0.1}})
    load_id = load_run(files["files"], worse)["load_id"]
    (alert,) = alerts.watch(load_id, worse) or []
    assert (alert["name"], alert["limit_value"]) == ("limit.quality.silhouette", 0.2)
    assert stored(results)[0][1] == "limit.quality.silhouette"
    alerts.watch(load_id, worse)  # again, and nothing is told twice
    assert len(stored(results)) == 1


def test_the_seconds_that_the_report_cannot_know_are_metrics(
    results: Results, tmp_path: Path
) -> None:
    _, loaded = load(Label(tmp_path))
    rows = results.rows(
        "SELECT name, value FROM stage4.metrics WHERE starts_with(name, 'seconds.')",
        user=results.loader,
    )
    assert dict(rows) == {
        "seconds.snapshot": 1.5,
        "seconds.label": 0.25,
        "seconds.load_postgres": loaded["seconds"],
    }


def test_only_earlier_published_runs_of_the_level_are_the_history(
    results: Results, tmp_path: Path
) -> None:
    last = published(Label(tmp_path), 6)
    entities = Label(tmp_path, level="entities", job_id="cluster_entities.manual__1")
    published(entities, 3)
    unpublished = last.later(clusters=20)
    load(unpublished)
    # of the seven runs that a history needs, six count
    assert load(unpublished.later(clusters=3))[1]["alerts"] == []
    publish_run(load(unpublished.later(clusters=21, job_id="cluster_events.manual__90"))[0])
    early = last.later(clusters=3, as_of=last.as_of, job_id="cluster_events.manual__91")
    assert load(early)[1]["alerts"] == []
    late = last.later(clusters=3, as_of=unpublished.later().later().as_of)
    assert load(late)[1]["alerts"]


def test_a_run_that_is_loaded_again_is_not_compared_with_itself(
    results: Results, tmp_path: Path
) -> None:
    last = published(Label(tmp_path), 7)
    strange = last.later(clusters=3)
    publish_run(load(strange)[0])
    before = stored(results)
    again = load(strange)[1]["alerts"]
    assert [each["name"] for each in again] == [name for _, name, *_ in before]


def test_more_runs_than_wanted_are_left_out(results: Results, tmp_path: Path) -> None:
    label = Label(tmp_path)
    label = published(label, 4)
    for _ in range(7):
        label = label.later(clusters=60)
        publish_run(load(label)[0])
    files = label.later(clusters=20).write()
    report = report_of(files)
    chosen = report.settings.alerts.model_copy(update={"history": 7})
    settings = report.settings.model_copy(update={"alerts": chosen})
    report = report.model_copy(update={"settings": settings})
    load_id = load_run(files["files"], report)["load_id"]
    found = alerts.watch(load_id, report) or []
    assert "the last 7 published runs is 60" in found[1]["message"]


def test_a_database_that_is_gone_fails_no_run(
    results: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = Label(tmp_path).write()
    load_id = load_run(files["files"], report_of(files))["load_id"]
    monkeypatch.setenv(CONNECTION_VARIABLE, "postgresql://nobody@127.0.0.1:1/nothing")
    with capture_logs() as logs:
        assert alerts.watch(load_id, report_of(files)) is None
    assert [entry["log_level"] for entry in logs] == ["error"]


def test_a_run_that_drifted_too_far_is_kept_but_not_published(
    results: Results, tmp_path: Path
) -> None:
    last = published(Label(tmp_path), 7)
    bad, _ = load(last.later(clusters=3, publish={"max_drift": 2}))
    with pytest.raises(
        AirflowFailException, match=r"kept, but not published: items read.*clusters"
    ):
        publish_run(bad)
    assert results.rows("SELECT job_id FROM stage4.current_runs") == [(last.job_id,)]
    assert {job for job, *_ in stored(results)} == {"cluster_events.manual__9"}
    good, _ = load(last.later(job_id="cluster_events.manual__92", publish={"max_drift": 2}))
    assert publish_run(good)["published"]


def test_a_run_that_lost_most_of_its_clusters_is_reported_and_held_back(
    results: Results, tmp_path: Path
) -> None:
    """The history is too short for `publish.max_drift`; 1,000 items are not."""
    last = Label(tmp_path, clusters=200, size=4, noise=200)
    publish_run(load(last)[0])
    for _ in range(2):
        last = last.later()
        publish_run(load(last)[0])
    torn = last.later(clusters=90, noise=640)
    files, loaded = load(torn)
    assert [(each["name"], each["severity"]) for each in loaded["alerts"]] == [
        ("drift.coverage", "critical")
    ]
    with pytest.raises(AirflowFailException, match=r"max_coverage_drop=0\.5 is allowed"):
        publish_run(files)
    assert results.rows("SELECT job_id FROM stage4.current_runs") == [(last.job_id,)]
    wanted = torn.later(publish={"max_coverage_drop": 1})
    assert publish_run(load(wanted)[0])["published"]


def test_a_run_of_noise_is_held_back_without_a_history(results: Results, tmp_path: Path) -> None:
    noise = Label(tmp_path, clusters=20, size=4, noise=1_000)
    with pytest.raises(AirflowFailException, match=r"publish\.min_coverage=0\.2 is required"):
        publish_run(load(noise)[0])
    assert publish_run(load(noise.later(publish={"min_coverage": 0}))[0])["published"]


def test_a_duration_is_compared_when_all_steps_have_one(results: Results, tmp_path: Path) -> None:
    label = Label(tmp_path)
    for number in range(8):
        label = label.later()
        files = label.write()
        report = report_of(files)
        load_id = load_run(files["files"], report)["load_id"]
        slow = 90.0 if number == 7 else 1.0
        found = alerts.watch(load_id, report, dict.fromkeys(TIMED, 1.0) | {"merge": slow})
        publish_run(files)
    assert [each["name"] for each in found or []] == [f"drift.{SECONDS}"]


def test_the_duration_of_a_run_is_from_its_start_to_its_load(
    results: Results, tmp_path: Path
) -> None:
    began = datetime.now(UTC) - timedelta(seconds=100)
    files = Label(tmp_path).write()
    loaded = load_postgres(files, dag_run=SimpleNamespace(start_date=began))
    with results.server.connect(results.database) as connection:
        query = "SELECT name, value FROM stage4.metrics WHERE starts_with(name, 'run.')"
        measured: dict[str, float] = dict(connection.execute(query).fetchall())
    assert loaded["load_id"]
    assert 100 <= measured["run.seconds"] < 160
    assert measured["run.items_per_second"] == pytest.approx(15 / measured["run.seconds"])
