"""Bad input and wrong settings through a real DAG run."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stage4.job_ids import job_id
from tests.e2e.conftest import Airflow
from tests.e2e.readers import Served, published

pytestmark = pytest.mark.airflow

# The smallest level, so that the run before the refused ones is short.
DAG_ID, LEVEL = "cluster_storylines", "storylines"


@pytest.fixture(scope="module")
def before(airflow: Airflow) -> Served:
    """What readers see before anything goes wrong."""
    run = airflow.run_dag(DAG_ID, {"hdbscan.min_cluster_size": 2})
    assert run["state"] == "success", airflow.explain(run)
    return published(airflow, LEVEL)


def truncate_index(folder: Path) -> None:
    index = folder / f"{LEVEL}.index"
    index.write_bytes(index.read_bytes()[:-1000])


def pickle_metadata(folder: Path) -> None:
    (folder / f"{LEVEL}_metadata.json").write_bytes(b"\x80\x04\x95\x00\x00\x00\x00.")


def forget_an_item(folder: Path) -> None:
    metadata = folder / f"{LEVEL}_metadata.json"
    text = metadata.read_text()
    metadata.write_text(text.replace("storyline_emb_", "storyline_emb_x", 1))


def remove_index(folder: Path) -> None:
    (folder / f"{LEVEL}.index").unlink()


@pytest.mark.parametrize(
    ("spoil", "task_id", "named"),
    [
        (truncate_index, "snapshot", f"{LEVEL}.index"),
        (pickle_metadata, "snapshot", f"{LEVEL}_metadata.json"),
        (forget_an_item, "snapshot", "storyline_emb_x"),
        (remove_index, "check_stage3", f"{LEVEL}.index"),
    ],
)
def test_bad_input_ends_the_run_at_its_first_try(
    airflow: Airflow,
    before: Served,
    sample: Path,
    tmp_path: Path,
    spoil: Callable[[Path], None],
    task_id: str,
    named: str,
) -> None:
    shutil.copytree(sample, tmp_path / "stage3")
    spoil(tmp_path / "stage3")
    with airflow.reading(tmp_path / "stage3"):
        run = airflow.run_dag(DAG_ID)
    assert_refused(airflow, run, task_id, named)
    assert published(airflow, LEVEL) == before


def test_wrong_settings_are_all_named_before_any_work(airflow: Airflow, before: Served) -> None:
    conf = {"merge": {"join": "mutual_best"}, "typo": 1, "map.cluster": 5}
    run = airflow.run_dag(DAG_ID, conf)
    assert_refused(airflow, run, "check_stage3", "map.cluster", "typo")
    assert published(airflow, LEVEL) == before


@pytest.mark.parametrize(
    ("dag", "conf", "named"),
    [
        (DAG_ID, {"hdbscan.min_cluster_size": 1}, "hdbscan.min_cluster_size"),
        (DAG_ID, {"hdbscan": {"min_cluster_size": 1}}, "min_cluster_size"),
        (DAG_ID, {"hdbscan": {"min_cluster_sise": 8}}, "min_cluster_sise"),
        (DAG_ID, {"neighbours": {"exact_rows": 10**30}}, "exact_rows"),
        ("cluster_all", {"events": {"hdbscan": {"min_cluster_size": 1}}}, "min_cluster_size"),
        ("cluster_all", {"common": {"typo": 10**30}}, "typo"),
        (DAG_ID, {"typo": 10**30}, "conf.typo"),
    ],
)
def test_a_wrong_value_is_refused_by_airflow_itself(
    airflow: Airflow, dag: str, conf: dict[str, Any], named: str
) -> None:
    body = {"logical_date": None, "conf": conf}
    answer = airflow.client.post(f"/dags/{dag}/dagRuns", json=body)
    assert answer.status_code == 400
    assert named in answer.json()["detail"]


def assert_refused(airflow: Airflow, run: dict[str, Any], task_id: str, *named: str) -> None:
    instances = airflow.task_instances(run)
    refused = instances[task_id, -1]
    log = airflow.log_tail(refused)
    assert run["state"] == "failed"
    assert (refused["state"], refused["try_number"]) == ("failed", 1), log
    assert instances["publish", -1]["state"] == "upstream_failed"
    api = f"{airflow.base_url}/stage4/api/v1/jobs"
    job = airflow.client.get(f"{api}/{job_id(run['dag_id'], run['dag_run_id'])}").json()
    assert job["error"].startswith(f"{task_id}: ")
    for name in named:
        assert name in log
        assert name in job["error"]
