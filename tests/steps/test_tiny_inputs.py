"""The table of tiny inputs, at each level, through all steps."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from clustering_tasks.arrays import F32
from clustering_tasks.publication.files import published
from clustering_tasks.settings.levels import LEVELS
from tests.conftest import Workbench
from tests.stage3_folder import Json, blobs, plain_metadata, scattered

SIZE = 5


def perform(
    workbench: Workbench, level: str, vectors: F32, job: str = "job", **settings: Any
) -> dict[str, Any]:
    """Cluster vectors; entities all have one type, because types never mix."""
    entity: Json = {"entity_type": "ORG"} if level == "entities" else {}
    metadata = [plain_metadata(level, n) | entity for n in range(len(vectors))]
    workbench.stage3.write(level, vectors, metadata)
    hdbscan = {"min_cluster_size": SIZE, "min_samples": 3}
    return workbench.perform(level, job, hdbscan=hdbscan, **settings)


def counts(done: dict[str, Any]) -> tuple[int, int, int, int]:
    assert done["filtered"] == done["unassigned"] == 0
    return done["read"], done["clustered"], done["noise"], done["clusters"]


def members(done: dict[str, Any]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(done["members_parquet"]).to_pylist()
    return rows


def report(done: dict[str, Any]) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(Path(done["report"]).read_bytes())
    return read


@pytest.mark.parametrize("scope", ["level", "domain"])
@pytest.mark.parametrize("level", LEVELS)
def test_nothing_gives_no_cluster_and_is_published_only_on_request(
    workbench: Workbench, level: str, scope: str
) -> None:
    done = perform(workbench, level, scattered(0), scope=scope)
    assert counts(done) == (0, 0, 0, 0)
    assert Path(done["clusters_jsonl"]).read_bytes() == b""
    assert members(done) == []
    assert report(done)["coverage"] is report(done)["outlier_share"] is None
    assert not done["published"]
    assert "publish.allow_empty" in done["not_published_because"][0]
    assert published(str(workbench.workspace), level) is None
    again = perform(workbench, level, scattered(0), "b", scope=scope, publish={"allow_empty": True})
    assert again["published"]
    pointer = published(str(workbench.workspace), level)
    assert pointer is not None
    assert pointer.job_id == "b"


@pytest.mark.parametrize("count", [1, 2, 3, SIZE - 1])
@pytest.mark.parametrize("level", LEVELS)
def test_fewer_than_a_cluster_are_noise(workbench: Workbench, level: str, count: int) -> None:
    done = perform(workbench, level, blobs([count]))
    assert counts(done) == (count, 0, count, 0)
    assert not done["published"]
    assert {(row["status"], row["cluster_id"], row["probability"]) for row in members(done)} == {
        ("noise", None, 0.0)
    }
    assert report(done)["coverage"] == 0
    assert report(done)["outlier_share"] == 1


@pytest.mark.parametrize("level", LEVELS)
def test_identical_items_are_one_cluster_from_its_least_size_on(
    workbench: Workbench, level: str
) -> None:
    one = scattered(1)
    done = perform(workbench, level, one.repeat(SIZE, axis=0))
    assert counts(done) == (SIZE, SIZE, 0, 1)
    assert done["published"]
    rows = members(done)
    assert len({row["cluster_id"] for row in rows}) == 1
    assert {row["probability"] for row in rows} == {1.0}
    assert [row["similarity"] for row in rows] == pytest.approx([1] * SIZE)


@pytest.mark.parametrize("level", LEVELS)
def test_fewer_identical_items_are_noise(workbench: Workbench, level: str) -> None:
    done = perform(workbench, level, scattered(1).repeat(SIZE - 1, axis=0))
    assert counts(done) == (SIZE - 1, 0, SIZE - 1, 0)


def test_fewer_items_are_noise_though_a_single_cluster_is_allowed(workbench: Workbench) -> None:
    workbench.stage3.write("documents", blobs([SIZE - 1], spread=0.02))
    settings = {"min_cluster_size": SIZE, "min_samples": 2, "allow_single_cluster": True}
    done = workbench.perform("documents", hdbscan=settings)
    assert counts(done) == (SIZE - 1, 0, SIZE - 1, 0)


@pytest.mark.parametrize("level", LEVELS)
def test_five_items_are_accounted_for(workbench: Workbench, level: str) -> None:
    """Five similar ones: a cluster only where a single one is allowed."""
    done = perform(workbench, level, blobs([SIZE], spread=0.02))
    assert counts(done) == (SIZE, 0, SIZE, 0)
    workbench.stage3.write(level, blobs([SIZE], spread=0.02))
    settings = {"min_cluster_size": 2, "min_samples": 1, "allow_single_cluster": True}
    allowed = workbench.perform(level, "allowed", hdbscan=settings)
    assert allowed["read"] == SIZE == allowed["clustered"] + allowed["noise"]
    assert allowed["clusters"] >= 1
    assert allowed["published"]


@pytest.mark.parametrize("level", LEVELS)
def test_items_that_have_nothing_in_common_are_noise(workbench: Workbench, level: str) -> None:
    """Corners of a simplex: every distance is the same, nothing is denser than the rest."""
    done = perform(workbench, level, np.eye(16, dtype=np.float32))
    assert counts(done) == (16, 0, 16, 0)
    assert report(done)["quality"]["silhouette"] is None
    assert not done["published"]


@pytest.mark.parametrize("copies", [2, 4, 7])
def test_identical_items_share_their_fate(workbench: Workbench, copies: int) -> None:
    """Also where they are fewer than a cluster, and whatever their metadata says."""
    vectors = blobs([8, 8], noise=6, seed=3)
    repeated = vectors.repeat(copies, axis=0)
    workbench.stage3.write("events", repeated)
    done = workbench.perform("events", hdbscan={"min_cluster_size": 9, "min_samples": 2})
    fates = [(row["status"], row["cluster_id"], row["probability"]) for row in members(done)]
    groups = [fates[n : n + copies] for n in range(0, len(fates), copies)]
    assert all(len(set(group)) == 1 for group in groups)
    assert done["clusters"]


def test_entities_of_different_types_never_share_a_cluster(workbench: Workbench) -> None:
    vectors = scattered(1).repeat(15, axis=0)
    metadata = [{"entity_type": kind} for kind in ["ORG"] * 5 + ["PER"] * 5 + ["GPE"] * 5]
    workbench.stage3.write("entities", vectors, metadata)
    done = workbench.perform("entities", hdbscan={"min_cluster_size": SIZE, "min_samples": 3})
    assert counts(done) == (15, 15, 0, 3)
    types = {(row["cluster_id"], row["metadata"]) for row in members(done)}
    assert len(types) == 3
