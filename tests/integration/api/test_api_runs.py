"""`runs`, `statistics`, `metrics`, `alerts`: what the database holds besides clusters."""

from typing import Any

import pytest

from clustering_tasks.settings.levels import LEVELS
from tests.integration.api.conftest import Api, Corpus


def test_runs_are_listed_newest_first(viewer: Api, corpus: Corpus) -> None:
    pages = viewer.pages("runs", limit=2)
    runs = [run for page in pages for run in page["runs"]]
    assert [run["load_id"] for run in runs] == sorted(
        [corpus.earlier.load_id, *(run.load_id for run in corpus.runs.values())], reverse=True
    )
    states = {run["load_id"]: run["state"] for run in runs}
    assert states.pop(corpus.earlier.load_id) == "published"
    assert set(states.values()) == {"current"}
    for run in runs:
        assert run["read"] == sum(
            run[name] for name in ("clustered", "noise", "filtered", "unassigned")
        )


@pytest.mark.parametrize(
    ("parameters", "count"),
    [
        ({"level": "event"}, 2),
        ({"level": "documents"}, 1),
        ({"state": "published"}, 1),
        ({"state": "loaded"}, 0),
        ({"level": "events", "state": "current"}, 1),
    ],
)
def test_runs_by_level_and_state(viewer: Api, parameters: dict[str, str], count: int) -> None:
    assert len(viewer.get("runs", **parameters)["runs"]) == count


def test_a_run_with_its_report(viewer: Api, corpus: Corpus) -> None:
    earlier = viewer.get(f"runs/event/{corpus.earlier.load_id}")
    assert (earlier["state"], earlier["algorithm"]) == ("published", "hdbscan")
    assert earlier["report"]["settings"]["algorithm"] == "hdbscan"
    assert earlier["clusters"] == len(corpus.earlier.records)
    assert viewer.ask("GET", f"runs/documents/{corpus.earlier.load_id}").status_code == 404


def test_statistics_sum_the_current_runs_up(viewer: Api, corpus: Corpus) -> None:
    found = viewer.get("statistics")
    assert [each["level"] for each in found["levels"]] == [*LEVELS]
    assert {each["level"]: each["runs"] for each in found["levels"]} == {
        level: 2 if level == "events" else 1 for level in LEVELS
    }
    assert found["clusters"] == sum(len(run.records) for run in corpus.runs.values())
    assert found["items"] == sum(len(run.members) for run in corpus.runs.values())


def test_metrics_of_the_current_run_and_before(viewer: Api, corpus: Corpus) -> None:
    found = viewer.get("metrics/events")
    current = corpus.runs["events"]
    assert found["latest"]["load_id"] == current.load_id
    assert found["latest"]["values"]["counts.clusters"] == len(current.records)
    assert found["latest"]["values"]["chosen.cells"] is None
    assert [run["load_id"] for run in found["trend"]] == [corpus.earlier.load_id, current.load_id]
    assert found["trend"][-1] == found["latest"]


def test_metrics_by_name_and_number_of_runs(viewer: Api, corpus: Corpus) -> None:
    found = viewer.get("metrics/event", names="coverage,quality.silhouette", limit=1)
    assert set(found["latest"]["values"]) == {"coverage", "quality.silhouette"}
    assert [run["load_id"] for run in found["trend"]] == [corpus.runs["events"].load_id]
    assert viewer.get("metrics/events", names="no.such")["latest"]["values"] == {}


def raise_alert(corpus: Corpus, load_id: int, severity: str, name: str) -> None:
    with corpus.results.server.connect(corpus.results.database) as connection:
        connection.execute(
            "INSERT INTO stage4.alerts"
            " (load_id, level, name, severity, message, action, value, limit_value)"
            " VALUES (%s, 'events', %s, %s, 'too many outliers', 'look at them', 0.4, 0.3)",
            [load_id, name, severity],
        )


def test_alerts(viewer: Api, corpus: Corpus) -> None:
    raise_alert(corpus, corpus.earlier.load_id, "warning", "old")
    raise_alert(corpus, corpus.runs["events"].load_id, "critical", "new")
    alerts = [each for page in viewer.pages("alerts", limit=1) for each in page["alerts"]]
    assert [(each["name"], each["current"]) for each in alerts] == [("new", True), ("old", False)]
    assert alerts[0]["action"] == "look at them"

    def names(**parameters: Any) -> list[str]:
        return [each["name"] for each in viewer.get("alerts", **parameters)["alerts"]]

    assert names(current=True) == names(severity="critical") == ["new"]
    assert names(current=False) == names(severity="warning") == ["old"]
    assert names(level="documents") == []
    assert names(level="event") == ["new", "old"]


def test_resources(viewer: Api) -> None:
    found = viewer.get("resources")
    assert found["cpus"] > 0
    assert 0 < found["memory_available_bytes"] <= found["memory_total_bytes"]
    assert 0 < found["disk_free_bytes"] <= found["disk_total_bytes"]
