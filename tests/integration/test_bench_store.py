"""The benchmark of the results database: its files are what `label` writes, its figures arrive."""

from pathlib import Path

import psycopg

from clustering_tasks.publication.report import read_report
from stage4.database.load import load_run
from stage4.database.publish import publish_run
from tests.benchmarks import store
from tests.benchmarks.store_files import write_run
from tests.benchmarks.tables import TABLES
from tests.integration.conftest import Results


def test_two_days_of_runs_are_loaded_measured_and_shown(
    results: Results, workspace: Path, tmp_path: Path
) -> None:
    for day in range(2):
        label = write_run(tmp_path / "files", 2000, day)
        assert write_run(tmp_path / "files", 2000, day) == label
        report = read_report(label["files"]["report"])
        load_run(label["files"], report)
        assert publish_run(label)["published"]
        assert 35 <= report.counts.clusters <= 42
        assert 1500 <= report.counts.clustered <= 1700

    with results.server.connect(results.database, results.loader) as connection:
        found: psycopg.Connection = connection
        figures = store.measured(found) | store.compared(found) | store.planned(found)
    assert figures["halfvec/ef200/recall10"] == 1
    tree = {f"2000/{name}": value for name, value in figures.items()}
    for table in ("store", "graphs", "store_sizes"):
        lines = TABLES[table][1](tree)
        assert len(lines) > 2
        assert len({line.count("|") for line in lines}) == 1
