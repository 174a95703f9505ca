"""What holds for every algorithm: nothing is lost, nothing is alone, and no order matters."""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from clustering_tasks import plan as planning
from clustering_tasks.algorithms import ALGORITHMS
from clustering_tasks.engine import neighbours
from clustering_tasks.levels import LEVELS
from tests.conftest import Workbench
from tests.stage3_folder import Matrix, blobs, plain_metadata, scattered

ONE_TYPE = {"entity_type": "ORG"}
Done = dict[str, Any]


def perform(
    workbench: Workbench, level: str, algorithm: str, vectors: Matrix, job: str = "job", **more: Any
) -> Done:
    metadata = [plain_metadata(level, n) | ONE_TYPE for n in range(len(vectors))]
    workbench.stage3.write(level, vectors, metadata)
    done = workbench.perform(level, job, algorithm=algorithm, **more)
    assert done["read"] == len(vectors)
    assert done["read"] == sum(
        done[name] for name in ("clustered", "noise", "filtered", "unassigned")
    )
    return done


def members(done: Done) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(done["members_parquet"]).to_pylist()
    return rows


def assert_sound(done: Done) -> None:
    lines = Path(done["clusters_jsonl"]).read_text().splitlines()
    records = [json.loads(line) for line in lines]
    assert len(records) == done["clusters"]
    assert all(record["cluster_size"] >= 2 for record in records)
    for row in members(done):
        clustered = row["status"] == "clustered"
        assert (row["cluster_id"] is not None) is clustered
        assert 0 <= row["probability"] <= 1
        assert (row["probability"] > 0) is clustered
    report = json.loads(Path(done["report"]).read_bytes())
    assert report["algorithm"] in ALGORITHMS
    assert report["algorithm_reason"]


@pytest.mark.parametrize("count", [0, 1, 2, 5])
@pytest.mark.parametrize(
    ("level", "algorithm"),
    [*((level, "auto") for level in LEVELS), *(("documents", name) for name in ALGORITHMS)],
)
def test_hardly_any_items_are_accounted_for(
    workbench: Workbench, level: str, algorithm: str, count: int
) -> None:
    assert_sound(perform(workbench, level, algorithm, blobs([count])))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_identical_items_are_one_cluster(workbench: Workbench, algorithm: str) -> None:
    done = perform(workbench, "documents", algorithm, scattered(1).repeat(6, axis=0))
    assert (done["clusters"], done["clustered"]) == (1, 6)
    assert {row["probability"] for row in members(done)} == {1.0}


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_items_that_have_nothing_in_common_are_noise(workbench: Workbench, algorithm: str) -> None:
    done = perform(workbench, "documents", algorithm, np.eye(16, dtype=np.float32))
    assert (done["clusters"], done["noise"]) == (0, 16)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_clear_groups_are_found(workbench: Workbench, algorithm: str) -> None:
    vectors = blobs([30, 20, 10], spread=0.05, seed=1)
    done = perform(workbench, "documents", algorithm, vectors, evidence={"context": False})
    assert_sound(done)
    found = [row["cluster_id"] for row in members(done)]
    assert [len(set(found[a:b])) for a, b in ((0, 30), (30, 50), (50, 60))] == [1, 1, 1]
    assert done["clusters"] == 3


def test_the_callers_cut_is_made_and_the_datas_own_is_reported(workbench: Workbench) -> None:
    vectors = blobs([20, 20], noise=20, seed=3)
    chosen = []
    for cut in (None, 0.3, 0.85):
        settings = {} if cut is None else {"agglomerative": {"cut_similarity": cut}}
        done = perform(workbench, "documents", "agglomerative", vectors, f"cut-{cut}", **settings)
        report = json.loads(Path(done["report"]).read_bytes())["chosen"]
        chosen.append((report["cut_similarity"], report["cut_silhouette"] is not None))
    assert chosen[0][1]
    assert chosen[1:] == [(0.3, False), (0.85, False)]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("level", ["events", "storylines"])
def test_identical_items_share_their_fate(workbench: Workbench, level: str, algorithm: str) -> None:
    copies = np.random.default_rng(1).choice([1, 2, 5], size=34)
    vectors = blobs([12, 12], noise=10, seed=5).repeat(copies, axis=0)
    done = perform(workbench, level, algorithm, vectors)
    assert_sound(done)
    fates = [(row["cluster_id"], row["status"], row["probability"]) for row in members(done)]
    bounds = [0, *np.cumsum(copies).tolist()]
    for start, stop in pairwise(bounds):
        assert len(set(fates[start:stop])) == 1


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("scope", ["level", "partition"])
def test_the_number_of_parts_changes_nothing(
    workbench: Workbench, scope: str, algorithm: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (neighbours, planning):
        monkeypatch.setattr(module, "TILE_ROWS", 16)
        monkeypatch.setattr(module, "TILE_COLUMNS", 64)
    vectors = blobs([40, 30, 30, 20], noise=80, seed=2)
    bytes_of_members = set()
    for parts in (1, 12):
        partition = {"max_parts": parts, "min_part_rows": 1}
        done = perform(
            workbench, "events", algorithm, vectors, f"j{parts}", scope=scope, partition=partition
        )
        assert done["clusters"]
        bytes_of_members.add(Path(done["members_parquet"]).read_bytes())
    assert len(bytes_of_members) == 1


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_the_documents_of_a_level_are_its_context(workbench: Workbench, algorithm: str) -> None:
    """With the context in the folder, with another one, and without."""
    vectors = blobs([20, 20], noise=20, seed=3)
    perform(workbench, "storylines", algorithm, vectors, "without")
    for seed in (1, 2):
        workbench.stage3.write("documents", scattered(12, seed))
        done = perform(workbench, "storylines", algorithm, vectors, f"context-{seed}")
        assert_sound(done)
        run = workbench.start("storylines", f"context-{seed}", algorithm=algorithm)
        context = run.result("context")
        assert context.metrics["items"] == 12
        assert "/documents/artefacts/snapshot/" in context.uri
