"""A level's DAG over a table of PostgreSQL, with the real steps: rows in, clusters out."""

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from airflow.sdk import DAG

from tests.integration.conftest import Results
from tests.integration.source_tables import News, news
from tests.integration.synced_dags import run_here, synced
from tests.readme import REPO
from tests.stage3_folder import DIMENSION, blobs, plain_metadata, source_id

__all__ = ["news"]  # a fixture

LEVEL = "documents"
SETTINGS = {"input.source": "postgres", "input.dimension": DIMENSION, "algorithm": "hdbscan"}


@pytest.fixture
def dag(airflow_metadata: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[DAG]:
    """The DAG, whose steps are processes of this Python."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(REPO), str(REPO / "plugins")]))
    with synced(REPO / "dags") as bag:
        yield bag.dags[f"cluster_{LEVEL}"]


def perform(dag: DAG) -> set[str]:
    """Run the DAG; returns the tasks that did not succeed."""
    run = run_here(dag, SETTINGS)
    return {task.task_id for task in run.get_task_instances() if task.state != "success"}


def versions(news: News) -> dict[str, tuple[str, str | None]]:
    """Of each row the transaction that wrote it last, and its cluster."""
    rows = news.execute("SELECT id, xmin::text, cluster_id FROM {table}")
    return {name: (transaction, cluster) for name, transaction, cluster in rows}


def test_rows_go_in_and_their_clusters_come_out(
    news: News, results: Results, workspace: Path, dag: DAG
) -> None:
    news.create()
    news.install(articles=news.listing(clusters=["news", "clusters"]))
    vectors = blobs([12, 9, 7], noise=4)
    ids = [source_id(LEVEL, number) for number in range(len(vectors))]
    news.fill(ids, vectors, [plain_metadata(LEVEL, number) for number in range(len(vectors))])

    assert perform(dag) == {"notify_stage5"}  # skipped

    published = "SELECT source_id, cluster_id FROM stage4.current_members"
    assert news.clusters() == dict(results.rows(published))
    found = Counter(news.clusters().values())
    assert found.pop(None) > 0  # noise
    own = replace(news, table=("news", "clusters"))
    assert len(found) == 3
    assert dict(own.execute("SELECT cluster_id, size FROM {table}")) == found
    assert not (workspace / LEVEL / "exports").exists()

    news.execute("DELETE FROM {table} WHERE id = %s", ids[0])
    before = versions(news)
    assert perform(dag) == {"notify_stage5"}
    after = versions(news)
    assert {name: cluster for name, (_, cluster) in after.items()} == dict(results.rows(published))
    touched = {name for name in after if after[name][0] != before[name][0]}
    assert touched == {name for name in after if after[name][1] != before[name][1]}
    assert len(touched) < len(after)
