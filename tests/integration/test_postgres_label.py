"""What `label` really writes is what the database takes: every level of the sample corpus."""

from datetime import UTC, datetime
from pathlib import Path

import orjson
import pytest
from upath import UPath

from clustering_tasks.pipeline import perform_steps
from clustering_tasks.publication.report import read_report
from clustering_tasks.settings.levels import LEVELS
from clustering_tasks.settings.run import run_settings
from clustering_tasks.workspace.artefacts import Run
from local.sample import write_sample
from tests.integration.conftest import Results
from tests.integration.performed import publish


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("indices")
    write_sample(folder, documents=40, seed=1)
    return folder


@pytest.mark.parametrize("level", LEVELS)
def test_a_level_of_the_sample(results: Results, workspace: Path, sample: Path, level: str) -> None:
    run = Run(
        workspace=UPath(workspace),
        level=LEVELS[level],
        job_id="cli-1",
        indices=str(sample),
        as_of=datetime(2026, 3, 1, tzinfo=UTC),
        settings=run_settings({"hdbscan.min_cluster_size": 2, "hdbscan.min_samples": 1}),
    )
    run.start()
    perform_steps(run, with_map=True)
    report = read_report(run.result("label").files["report"])
    published = publish(run)

    lines = Path(published["clusters_jsonl"]).read_bytes().splitlines()
    records = {record["cluster_id"]: record for record in map(orjson.loads, lines)}
    assert len(records) == report.counts.clusters > 0
    found = results.rows(
        "SELECT cluster_id, label, size, vector_dims(centroid), document_ids, start_time IS NULL"
        " FROM stage4.current_clusters WHERE level = %s",
        level,
    )
    assert {name: tuple(rest) for name, *rest in found} == {
        name: (
            record["cluster_label"],
            record["cluster_size"],
            768,
            record["document_ids"],
            record["temporal_span"] is None,
        )
        for name, record in records.items()
    }
    drawn = results.rows(
        "SELECT rank, cluster_id, size FROM stage4.points WHERE kind = 'cluster' ORDER BY rank",
        user=results.loader,
    )
    assert [rank for rank, *_ in drawn] == list(range(len(records)))
    assert {name: size for _, name, size in drawn} == {
        name: record["cluster_size"] for name, record in records.items()
    }
    members = results.rows(
        "SELECT cluster_id, array_agg(source_id ORDER BY source_id) FROM stage4.current_members"
        " WHERE cluster_id IS NOT NULL GROUP BY cluster_id"
    )
    assert dict(members) == {name: sorted(record["member_ids"]) for name, record in records.items()}
