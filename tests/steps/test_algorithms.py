"""What holds for every algorithm: nothing is lost, nothing is alone, and no order matters."""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from clustering_tasks.arrays import F32
from clustering_tasks.engine import neighbours
from clustering_tasks.settings.algorithms import ALGORITHMS
from clustering_tasks.settings.levels import LEVELS
from tests.conftest import Workbench
from tests.stage3_folder import blobs, plain_metadata, scattered

ONE_TYPE = {"entity_type": "ORG"}
# The algorithms, and what is another one in all but name.
METHODS: dict[str, dict[str, Any]] = {
    **{name: {} for name in ("auto", *ALGORITHMS)},
    **{
        f"agglomerative {linkage}": {"agglomerative": {"linkage": linkage}}
        for linkage in ("average", "complete", "single", "ward")
    },
    "kmeans by elbow": {"kmeans": {"estimate": "elbow"}},
    "kmeans in mini-batches": {"kmeans": {"mini_batch_above": 0}},
    "two_stage in small cells": {"two_stage": {"cell_size": 16}},
}
EVERY = [method for method in METHODS if method != "auto"]
Done = dict[str, Any]


def perform(
    workbench: Workbench, level: str, method: str, vectors: F32, job: str = "job", **more: Any
) -> Done:
    metadata = [plain_metadata(level, n) | ONE_TYPE for n in range(len(vectors))]
    workbench.stage3.write(level, vectors, metadata)
    done = workbench.perform(
        level, job, algorithm=method.partition(" ")[0], **METHODS[method], **more
    )
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
    ("level", "method"),
    [*((level, "auto") for level in LEVELS), *(("documents", name) for name in EVERY)],
)
def test_hardly_any_items_are_accounted_for(
    workbench: Workbench, level: str, method: str, count: int
) -> None:
    assert_sound(perform(workbench, level, method, blobs([count])))


@pytest.mark.parametrize("method", EVERY)
def test_identical_items_are_one_cluster(workbench: Workbench, method: str) -> None:
    done = perform(workbench, "documents", method, scattered(1).repeat(6, axis=0))
    assert (done["clusters"], done["clustered"]) == (1, 6)
    assert {row["probability"] for row in members(done)} == {1.0}


@pytest.mark.parametrize("method", EVERY)
def test_items_that_have_nothing_in_common_are_noise(workbench: Workbench, method: str) -> None:
    done = perform(workbench, "documents", method, np.eye(16, dtype=np.float32))
    assert (done["clusters"], done["noise"]) == (0, 16)


@pytest.mark.parametrize("method", EVERY)
def test_clear_groups_are_found(workbench: Workbench, method: str) -> None:
    vectors = blobs([30, 20, 10], spread=0.05, seed=1)
    done = perform(workbench, "documents", method, vectors, evidence={"context": False})
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
        chosen.append([report[name] for name in ("linkage", "cut_similarity", "cut_silhouette")])
    assert chosen[0][2] > 0
    assert chosen[1:] == [["average", 0.3, None], ["average", 0.85, None]]


@pytest.mark.parametrize("method", EVERY)
@pytest.mark.parametrize("level", ["events", "storylines"])
def test_identical_items_share_their_fate(workbench: Workbench, level: str, method: str) -> None:
    copies = np.random.default_rng(1).choice([1, 2, 5], size=34)
    vectors = blobs([12, 12], noise=10, seed=5).repeat(copies, axis=0)
    done = perform(workbench, level, method, vectors)
    assert_sound(done)
    fates = [(row["cluster_id"], row["status"], row["probability"]) for row in members(done)]
    bounds = [0, *np.cumsum(copies).tolist()]
    for start, stop in pairwise(bounds):
        assert len(set(fates[start:stop])) == 1


@pytest.mark.parametrize("method", EVERY)
@pytest.mark.parametrize("scope", ["level", "domain"])
def test_the_number_of_parts_changes_nothing(
    workbench: Workbench, scope: str, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(neighbours, "CELL_ROWS", 64)
    vectors = blobs([40, 30, 30, 20], noise=80, seed=2)
    bytes_of_members = set()
    for parts in (1, 12):
        cut = {"max_count": parts, "min_rows": 1, "max_rows": 20}
        done = perform(workbench, "events", method, vectors, f"j{parts}", scope=scope, parts=cut)
        assert done["clusters"]
        bytes_of_members.add(Path(done["members_parquet"]).read_bytes())
    assert len(bytes_of_members) == 1


@pytest.mark.parametrize("method", EVERY)
def test_the_documents_of_a_level_are_its_context(workbench: Workbench, method: str) -> None:
    """With the context in the folder, with another one, and without."""
    vectors = blobs([20, 20], noise=20, seed=3)
    perform(workbench, "storylines", method, vectors, "without")
    for seed in (1, 2):
        workbench.stage3.write("documents", scattered(12, seed))
        done = perform(workbench, "storylines", method, vectors, f"context-{seed}")
        assert_sound(done)
        run = workbench.start("storylines", f"context-{seed}")
        context = run.result("context")
        assert context.metrics["items"] == 12
        assert "/documents/artefacts/snapshot/" in context.uri


@pytest.mark.parametrize("method", EVERY)
def test_the_order_of_the_input_changes_nothing(workbench: Workbench, method: str) -> None:
    vectors = blobs([30, 20], noise=30, seed=4)
    algorithm, found = method.partition(" ")[0], set()
    for seed in (None, 1, 2):
        order = None if seed is None else np.random.default_rng(seed).permutation(80).tolist()
        workbench.stage3.write("events", vectors, order=order)
        done = workbench.perform("events", f"o{seed}", algorithm=algorithm, **METHODS[method])
        assert done["clusters"]
        found.add(Path(done["members_parquet"]).read_bytes())
    assert len(found) == 1


def test_the_trees_hold_what_another_cut_needs(workbench: Workbench) -> None:
    """A dendrogram, a spanning tree, or the centroid of each cluster, in its column."""
    vectors = blobs([20, 16, 12], noise=12, seed=3)
    for method in EVERY:
        job = method.replace(" ", "-")
        done = perform(workbench, "entities", method, vectors, job)
        merged = workbench.start("entities", job).result("merge")
        with merged.path("tree").open("rb") as file, np.load(file) as tree:
            arrays = {name: tree[name] for name in tree.files}
        if method.startswith("kmeans"):
            assert arrays["centroids"].shape == (16, done["clusters"])
            np.testing.assert_allclose(np.linalg.norm(arrays["centroids"], axis=0), 1, atol=1e-6)
        elif method != "label_propagation":
            edges = arrays["nodes"].shape[1]
            assert edges > 40
            assert all(len(array) == edges for name, array in arrays.items() if name != "nodes")


def test_what_k_means_chose_is_reported(workbench: Workbench) -> None:
    vectors = blobs([20, 16, 12], spread=0.05, seed=3)
    chosen = []
    for k in (None, 5):
        settings = {} if k is None else {"kmeans": {"k": k, "trim_similarity": -1}}
        done = perform(workbench, "documents", "kmeans", vectors, f"k-{k}", **settings)
        report = json.loads(Path(done["report"]).read_bytes())["chosen"]
        chosen.append((report["k"], report["k_silhouette"] is not None, done["clusters"]))
    assert chosen == [(3, True, 3), (5, False, 5)]
