"""Each recipe of CONTRIBUTING.md, followed in a copy of the repository and used there."""

import csv
import json
import os
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from clustering_tasks.deleted_documents.tombstones import document_hash, key_check
from stage4.database.load import load_run
from stage4.database.publish import publish_run
from tests.conftest import Workbench
from tests.integration.conftest import CONNECTION_VARIABLE, Results
from tests.integration.label_files import Label, report_of
from tests.recipes import PAGE, Copy, edits, patched, titles
from tests.stage3_folder import DIMENSION, blobs

SECRET = "a secret of the tests"

GRAPH = """
import json
from airflow.dag_processing.dagbag import DagBag
bag = DagBag("dags")
dag = bag.dags["cluster_events"]
print(json.dumps({
    "errors": bag.import_errors,
    "page": dag.doc_md,
    "upstream": {task.task_id: sorted(task.upstream_task_ids) for task in dag.tasks},
    "operators": {task.task_id: task.operator_name for task in dag.tasks},
}))
"""
ASK = """
import json, sys
from airflow.api_fastapi.app import init_auth_manager
from airflow.utils.db import initdb
from tests.integration.api.conftest import bearer, serving
initdb()
init_auth_manager()
with serving() as client:
    answers = [client.get(sys.argv[1], headers=h) for h in ({}, bearer(None), bearer("viewer"))]
    described = client.get("openapi.json", headers=bearer("viewer")).json()["paths"]
print(json.dumps([[[a.status_code, a.json()] for a in answers], sorted(described)]))
"""
PERFORM = """
import json, sys
from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db
from airflow.models.dagbundle import DagBundleModel
from airflow.utils.db import initdb
from airflow.utils.session import create_session
initdb()
bag = DagBag("dags")
with create_session() as session:
    session.merge(DagBundleModel(name="tests"))
    session.flush()
    sync_bag_to_db(bag, "tests", None, session=session)
run = bag.dags["cluster_events"].test(run_conf=json.loads(sys.argv[1]))
tasks = sorted(run.get_task_instances(), key=lambda task: task.start_date)
print(json.dumps([[task.task_id, task.state] for task in tasks]))
"""


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    return Copy.make(tmp_path / "copy")


def graph(copy: Copy, tmp_path: Path, **own: str) -> Any:
    """What Airflow makes of the copy's DAG files."""
    found = copy.json(GRAPH, **{"AIRFLOW_HOME": str(tmp_path / "airflow")} | own)
    assert found["errors"] == {}
    return found


def test_the_copies_lists_hold_together(copy: Copy, tmp_path: Path) -> None:
    """All recipes, one after the other, are what the tests of the lists and pages ask for."""
    for title in titles():
        copy.follow(title)
    own = {"AIRFLOW_HOME": str(tmp_path / "airflow")}
    copy.python(*("-m", "pytest", "-q", "-n", "0", "tests/integration/test_steps.py"), **own)


def test_a_step_is_performed_and_redacted(copy: Copy, tmp_path: Path) -> None:
    copy.follow("Add a step")
    copy.sh("Add a step", tmp_path)
    workspace = tmp_path / "step" / "workspace"
    run = only(workspace / "documents" / "runs")
    before = sizes(run)
    assert before
    report = json.loads(Path(result(run, "label")["files"]["report"]).read_text())
    assert sum(size * clusters for size, clusters in before) == report["counts"]["clustered"]
    assert report["seconds"]["sizes"] > 0

    gone = member(run)
    delete(workspace, gone)
    where = ("--level", "documents", "--workspace", str(workspace))
    copy.python("-m", "clustering_tasks", "redact", *where, STAGE4_DELETION_SECRET=SECRET)
    left = json.loads(Path(result(run, "label")["files"]["report"]).read_text())["counts"]
    assert left["clustered"] < report["counts"]["clustered"]
    assert sum(size * clusters for size, clusters in sizes(run)) == left["clustered"]


def test_a_step_is_a_task_in_its_place(copy: Copy, tmp_path: Path) -> None:
    copy.follow("Add a step")
    found = graph(copy, tmp_path)
    assert found["upstream"]["sizes"] == ["identify"]
    assert found["upstream"]["label"] == ["sizes"]
    assert "\n| `sizes` | counts the clusters of each size |\n| `label` |" in found["page"]


def only(folder: Path) -> Path:
    [path] = folder.iterdir()
    return path


def result(run: Path, step: str) -> Any:
    return json.loads((run / f"{step}.json").read_text())


def sizes(run: Path) -> list[tuple[int, int]]:
    """The rows that the new step wrote: size, clusters of it."""
    with Path(result(run, "sizes")["files"]["sizes_csv"]).open(newline="") as file:
        return [(int(row["size"]), int(row["clusters"])) for row in csv.DictReader(file)]


def member(run: Path) -> Any:
    """A document that is in a cluster."""
    members = pq.read_table(result(run, "label")["files"]["members_parquet"]).to_pylist()
    return next(each["source_id"] for each in members if each["cluster_id"])


def delete(workspace: Path, document_id: str) -> None:
    """Write the file that tells the steps of a deletion."""
    hashes, checks = [document_hash(SECRET, document_id)], [key_check(SECRET)]
    (workspace / "deleted.json").write_text(json.dumps({"hashes": hashes, "key_checks": checks}))


def test_an_algorithm_clusters_and_is_recommended(copy: Copy, tmp_path: Path) -> None:
    copy.follow("Add an algorithm")
    done, recommended = map(json.loads, copy.sh("Add an algorithm", tmp_path)[-2:])
    report = json.loads(Path(done["report"]).read_text())
    assert report["algorithm"] == "components"
    assert report["settings"]["components"] == {"similarity": 0.75}
    assert done["published"]
    assert done["clusters"] > 1
    assert "components" in {each["algorithm"] for each in recommended["forecast"]}


def test_an_endpoint_answers_who_may_read(
    copy: Copy, results: Results, workspace: Path, tmp_path: Path
) -> None:
    label = Label(tmp_path).write()
    load_run(label["files"], report_of(label))
    assert publish_run(label)["published"]
    copy.follow("Add an endpoint")
    own = {
        "AIRFLOW_HOME": str(tmp_path / "airflow"),
        CONNECTION_VARIABLE: os.environ[CONNECTION_VARIABLE],
    }
    [nobody, stranger, viewer], paths = copy.json(ASK, "largest/events", **own)
    assert (nobody[0], stranger[0], viewer[0]) == (401, 403, 200)
    expected = results.rows(
        "SELECT cluster_id, size FROM stage4.current_clusters ORDER BY size DESC, cluster_id"
    )
    assert viewer[1]["level"] == "events"
    assert [(each["cluster_id"], each["size"]) for each in viewer[1]["clusters"]] == expected
    assert "/largest/{level}" in paths


def test_a_runner_runs_the_steps_of_a_dag_and_a_sink_gets_what_it_published(
    copy: Copy, results: Results, workbench: Workbench, tmp_path: Path
) -> None:
    copy.follow("Add a runner")
    copy.follow("Add a sink")
    workbench.stage3.write("events", blobs([6, 6, 6]))
    own = {
        "AIRFLOW_HOME": str(tmp_path / "airflow"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        CONNECTION_VARIABLE: os.environ[CONNECTION_VARIABLE],
        "STAGE4_RUNNER": "nice",
        "STAGE4_PYTHON": str(noting_its_priority(tmp_path)),
        "STAGE4_INDICES": str(workbench.stage3.path),
        "STAGE4_WORKSPACE": str(workbench.workspace),
    }
    found = graph(copy, tmp_path, **own)
    by_us = [task for task, name in found["operators"].items() if name == "NiceStepOperator"]
    assert by_us == [
        "snapshot",
        "plan",
        "cluster",
        "merge",
        "tag",
        "trend",
        "identify",
        "label",
        "map",
    ]
    assert "publish" in found["upstream"]["write_counts"]
    assert "\n| `write_counts` | writes the counts as CSV |\n" in found["page"]

    states = copy.json(PERFORM, json.dumps({"input.dimension": DIMENSION}), **own)
    order = [task for task, _ in states]
    skipped = {task for task, state in states if state == "skipped"}
    assert skipped == {"notify_stage5", "write_back"}
    assert {state for task, state in states if task not in skipped} == {"success"}
    assert order.index("publish") < order.index("write_counts")
    # `nice` adds to what this process has
    assert (tmp_path / "priorities").read_text().split() == [str(os.nice(0) + 10)] * len(by_us)
    [(job_id, read)] = results.rows("SELECT job_id, read FROM stage4.current_runs")
    [path] = workbench.output.glob("counts_*.csv")
    [row] = csv.DictReader(Path(path.path).read_text().splitlines())
    assert (row["job_id"], row["read"]) == (job_id, str(read)) == (job_id, "18")


def noting_its_priority(folder: Path) -> Path:
    """A Python for the steps that notes the priority at which it was started."""
    python = folder / "python"
    python.write_text(f'#!/bin/sh\nnice >> "{folder}/priorities"\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    return python


def test_an_edit_whose_place_is_gone_is_refused() -> None:
    assert patched("a\n\nb\n", " a\n\n+x\n-b\n+c\n") == "a\n\nx\nc\n"
    for text in ("a\nc\n", "a\nb\na\nb\n"):
        with pytest.raises(AssertionError, match=r"these lines are there [02] times"):
            patched(text, " a\n-b\n")


def test_every_recipe_is_followed() -> None:
    text = PAGE.read_text(encoding="utf-8")
    tested = Path(__file__).read_text(encoding="utf-8")
    assert len(titles()) == 5
    assert [title for title in titles() if f'follow("{title}")' not in tested] == []
    # A block is either an edit or a command: none is there for the eye alone.
    blocks = [edit for title in titles() for edit in edits(title)]
    assert text.count("\n```\n") == len(blocks) + text.count("\n```sh\n")
