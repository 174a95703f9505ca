import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import structlog
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowTaskTimeout

from clustering_tasks.errors import BadInputError, ResourcesError, SettingsError, TransientError
from clustering_tasks.settings.deployment import deployment
from clustering_tasks.settings.run import RunSettings, run_settings
from stage4.tasks.errors import airflow_errors, keep_error
from stage4.tasks.level import check_settings, check_stage3
from tests.integration.conftest import Results
from tests.integration.http_server import serving


@dataclass
class DagRun:
    conf: dict[str, Any] | None = None
    run_id: str = "manual__1"


@dataclass
class Kept:
    """What a task pushes: key to value."""

    values: dict[str, Any] = field(default_factory=dict)

    def xcom_push(self, key: str, value: Any) -> None:
        self.values[key] = value


def checked(level: str, dag_run: DagRun) -> dict[str, Any]:
    """What `check_stage3` returns."""
    return check_stage3(level, dag_run, Kept())


@pytest.fixture
def indices(tmp_path: Path, results: Results, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Stage 3's folder, with a pair of files for events."""
    (tmp_path / "events.index").touch()
    (tmp_path / "events_metadata.json").touch()
    monkeypatch.setenv("STAGE4_INDICES", str(tmp_path))
    deployment.cache_clear()
    yield tmp_path
    deployment.cache_clear()


def test_a_run_without_conf_has_the_default_settings(indices: Path) -> None:
    assert checked("events", DagRun()) == {
        "settings": RunSettings().model_dump(mode="json"),
        "stage3_count": None,
        "corrections": None,
    }


def test_a_run_is_known_by_its_name_from_its_first_task_on(indices: Path, results: Results) -> None:
    """Whether events are sent or not: by it `housekeeping` asks Airflow if the job is over."""
    for _ in range(2):
        checked("events", DagRun(run_id="manual__2026-03-01T12:00:00+00:00"))
    rows = "SELECT level, run_id, state FROM stage4.event_jobs"
    assert results.rows(rows, user=results.loader) == [
        ("events", "manual__2026-03-01T12:00:00+00:00", None)
    ]
    assert results.rows("SELECT FROM stage4.outbox", user=results.loader) == []


@pytest.mark.parametrize(
    "conf", [{"hdbscan": {"min_cluster_size": 8}}, {"hdbscan.min_cluster_size": 8}]
)
def test_settings_come_nested_or_dotted(indices: Path, conf: dict[str, Any]) -> None:
    settings = checked("events", DagRun(conf))["settings"]
    assert run_settings(settings) == run_settings({"hdbscan.min_cluster_size": 8})


def test_every_wrong_setting_is_named_and_nothing_is_tried_again(indices: Path) -> None:
    conf = {"typo": 1, "hdbscan": {"min_cluster_size": 1}, "neighbours.k": "many"}
    with pytest.raises(AirflowFailException) as error:
        checked("events", DagRun(conf))
    for name in ("typo", "hdbscan.min_cluster_size", "neighbours.k"):
        assert name in str(error.value)


def test_a_run_asks_a_language_model_where_the_installation_has_one(
    indices: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert checked("events", DagRun())["settings"]["llm"]["labels"] is None
    monkeypatch.setenv("STAGE4_LLM_CONN_ID", "llm")
    deployment.cache_clear()
    assert checked("events", DagRun())["settings"]["llm"]["labels"] is True
    off = checked("events", DagRun({"llm.labels": False}))
    assert off["settings"]["llm"]["labels"] is False
    for name in ("llm.conn_id", "llm.model", "llm.url"):  # whoever starts a run chooses no server
        with pytest.raises(AirflowFailException, match=name):
            checked("events", DagRun({name: "stage5"}))


def test_what_the_level_cannot_use_is_refused_before_anything_is_copied(indices: Path) -> None:
    with pytest.raises(AirflowFailException, match=r"filter\.entity_types"):
        checked("events", DagRun({"filter": {"entity_types": ["PER"]}}))
    chosen = checked("events", DagRun({"filter.event_types": ["protest", "strike"]}))
    assert chosen["settings"]["filter"]["event_types"] == ["protest", "strike"]


def test_settings_without_effect_are_logged_and_kept_with_the_reason(indices: Path) -> None:
    kept = Kept()
    conf = {"hdbscan": {"min_cluster_size": 4}, "publish.min_clusters": 1}
    with structlog.testing.capture_logs() as logs:
        check_stage3("events", DagRun(conf), kept)
    reason = (
        "acts only where the algorithm is hdbscan; "
        "here the algorithm is label_propagation (auto takes it)"
    )
    assert [(entry["log_level"], entry["event"]) for entry in logs] == [
        ("warning", f"hdbscan.min_cluster_size=4 has no effect: it {reason}")
    ]
    idle = {"setting": "hdbscan.min_cluster_size", "value": 4, "reason": reason}
    assert kept.values == {"idle_settings": [idle]}


def promise(index: Path, items: int) -> None:
    """Write the head of a flat index."""
    index.write_bytes(b"IxFI" + struct.pack("<iqqq?i", 768, items, 1 << 20, 1 << 20, True, 0))


def test_a_level_larger_than_the_installation_takes_is_refused_before_any_work(
    indices: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    promise(indices / "events.index", 1000)
    monkeypatch.setenv("STAGE4_MAX_ITEMS", "999")
    deployment.cache_clear()
    with pytest.raises(AirflowFailException, match="events has 1,000 items, STAGE4_MAX_ITEMS"):
        checked("events", DagRun())
    monkeypatch.setenv("STAGE4_MAX_ITEMS", "1000")
    deployment.cache_clear()
    assert checked("events", DagRun())["stage3_count"] is None


@pytest.mark.parametrize(("items", "named"), [(100_000, "label_propagation"), (100_001, "none")])
def test_the_head_of_the_index_tells_what_auto_will_take(
    indices: Path, items: int, named: str
) -> None:
    (indices / "documents_metadata.json").touch()
    promise(indices / "documents.index", items)
    kept = Kept()
    check_stage3("documents", DagRun({"label_propagation.edge_similarity": 0.7}), kept)
    found = [each["setting"].partition(".")[0] for each in kept.values["idle_settings"]]
    assert (found or ["none"]) == [named]


def test_a_missing_pair_is_named_with_its_folder(indices: Path) -> None:
    with pytest.raises(AirflowFailException) as error:
        checked("entities", DagRun())
    assert f"{indices} has no entities.index and no entities_metadata.json" in str(error.value)


def test_a_missing_folder_is_named_with_the_ways_out(
    monkeypatch: pytest.MonkeyPatch, indices: Path
) -> None:
    monkeypatch.setenv("STAGE4_INDICES", str(indices / "none"))
    deployment.cache_clear()
    with pytest.raises(AirflowFailException, match=r"set STAGE4_INDICES to .*`make demo`") as error:
        checked("events", DagRun())
    assert f"Stage 3's folder {indices / 'none'} does not exist" in str(error.value)


def test_half_a_pair_is_not_enough(indices: Path) -> None:
    (indices / "events_metadata.json").unlink()
    with pytest.raises(AirflowFailException, match=r"has no events_metadata\.json"):
        checked("events", DagRun())


def test_stage3_counts_where_it_has_a_url(indices: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving() as stage3:
        monkeypatch.setenv("STAGE4_STAGE3_URL", stage3.url)
        deployment.cache_clear()
        known = [{"name": "events", "total_vectors": 7}]
        stage3.answers = {
            "/health": (200, {"status": "healthy"}),
            "/statistics": (200, {"backends": {"faiss": {"indices": known}}}),
        }
        assert checked("events", DagRun())["stage3_count"] == 7
        stage3.answers["/health"] = (503, {})
        with pytest.raises(AirflowException, match="503") as error:
            checked("events", DagRun())
    assert not isinstance(error.value, AirflowFailException)


def test_cluster_all_hands_each_level_its_conf() -> None:
    levels = check_settings(DagRun({"common": {"neighbours.k": 16}}))
    assert levels["documents"] == {"neighbours": {"k": 16}}


def test_cluster_all_refuses_what_a_level_would() -> None:
    with pytest.raises(AirflowFailException, match="typo"):
        check_settings(DagRun({"documents": {"typo": 1}}))


@pytest.mark.parametrize("kind", [SettingsError, BadInputError, ResourcesError])
def test_fatal_errors_are_not_tried_again(kind: type[Exception]) -> None:
    with pytest.raises(AirflowFailException, match="why"), airflow_errors():
        raise kind("why")


def test_a_transient_error_is_tried_again() -> None:
    with pytest.raises(AirflowException, match="why") as error, airflow_errors():
        raise TransientError("why")
    assert not isinstance(error.value, AirflowFailException)


@pytest.mark.parametrize(
    ("error", "kept"),
    [
        (AirflowFailException("snapshot: a\x1b[2J\u202eb"), "snapshot: ab"),
        (AirflowException("x" * 5000), "x" * 4095 + "…"),
        (KeyError("of a file of ours?"), "KeyError: the log of the task in Airflow has more"),
        (
            AirflowTaskTimeout("Timeout, PID: 7"),
            "it took longer than STAGE4_STEP_TIMEOUT_MINUTES allows",
        ),
    ],
)
def test_a_failed_task_keeps_its_error_for_those_who_ask(error: BaseException, kept: str) -> None:
    told = Kept()
    keep_error({"ti": told, "exception": error})
    assert told.values == {"error": kept}


def test_an_error_is_kept_by_the_tasks_own_process_alone() -> None:
    """The process that learns of a task's death has no way to keep anything for it."""
    told = Kept()
    keep_error({"ti": told})
    assert told.values == {}
