"""A level's DAG as Airflow performs it: ids reach the database, and Stage 5 learns what changed."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import DAG

from clustering_tasks.settings.deployment import deployment
from local.stage5_receiver import Stage5Receiver
from tests.contract import checking_receiver
from tests.integration.conftest import Results
from tests.integration.synced_dags import run_here, synced
from tests.integration.test_identity_runs import MORNING, NOON, SETTINGS, write
from tests.stage3_folder import SMALL, Stage3Folder

REPO = Path(__file__).parents[2]


@pytest.fixture
def stage5(
    results: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Stage5Receiver]:
    """An installation in a folder, and the Stage 5 that it tells."""
    (tmp_path / "indices").mkdir()
    monkeypatch.setenv("STAGE4_WORKSPACE", str(tmp_path / "workspace"))
    monkeypatch.setenv("STAGE4_INDICES", str(tmp_path / "indices"))
    monkeypatch.setenv("PYTHONPATH", str(REPO))  # of the steps' processes
    with checking_receiver("a token") as receiver:
        for name, value in receiver.environment().items():
            monkeypatch.setenv(name, value)
        deployment.cache_clear()
        yield receiver
    deployment.cache_clear()


@pytest.fixture
def dag(airflow_metadata: None, stage5: Stage5Receiver) -> Iterator[DAG]:
    with synced(REPO / "dags") as bag:
        yield bag.dags["cluster_documents"]


def perform(dag: DAG, folder: Path, items: Any) -> dict[str, str]:
    write(Stage3Folder(folder / "indices"), "documents", items)
    run = run_here(dag, SMALL | SETTINGS)
    return {each.task_id: str(each.state) for each in run.get_task_instances()}


def test_two_days(results: Results, stage5: Stage5Receiver, dag: DAG, tmp_path: Path) -> None:
    for items in (MORNING, NOON):
        states = perform(dag, tmp_path, items)
        assert states.pop("write_back") == "skipped"  # of Stage 3's folder
        assert set(states.values()) == {"success"}
    first, second = stage5.received
    assert first["changes"] is None
    ids = second["changes"]["ids"]
    assert {word: count for word, count in ids.items() if count} == {"changed": 2, "born": 1}
    assert second["changes"]["rows"].endswith("/runs/documents/changes?base=1&other=2")
    rows = results.rows(
        "SELECT change, count(*) FROM stage4.lineage GROUP BY 1 ORDER BY 1", user=results.loader
    )
    assert dict(rows) == {"born": 3, "grew": 2}
