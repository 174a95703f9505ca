"""Outlier policies through all steps, with every algorithm: counts, files, tiny inputs (TG-3)."""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from clustering_tasks.arrays import F32
from clustering_tasks.settings.algorithms import ALGORITHMS
from tests.conftest import Workbench
from tests.stage3_folder import blobs, plain_metadata, scattered

POLICIES: dict[str, dict[str, Any]] = {
    "skip": {},
    "nearest": {"threshold": 0.3},
    "individual": {},
    "target": {"target_share": 0.1},
}
Done = dict[str, Any]

policies = pytest.mark.parametrize("policy", POLICIES)
algorithms = pytest.mark.parametrize("algorithm", ALGORITHMS)


def perform(
    workbench: Workbench, vectors: F32, algorithm: str, policy: str, level: str = "documents"
) -> Done:
    metadata = [plain_metadata(level, n) | {"entity_type": "ORG"} for n in range(len(vectors))]
    workbench.stage3.write(level, vectors, metadata)
    settings = {"algorithm": algorithm, "outliers": {"policy": policy, **POLICIES[policy]}}
    return workbench.perform(level, f"{level}-{algorithm}-{policy}", **settings)


def members(done: Done) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(done["members_parquet"]).to_pylist()
    return rows


def report(done: Done) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(Path(done["report"]).read_bytes())
    return read


def records(done: Done) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(done["clusters_jsonl"]).read_text().splitlines()]


def assert_sound(done: Done, policy: str) -> None:
    assert done["read"] == done["clustered"] + done["noise"]
    assert sum(record["cluster_size"] for record in records(done)) == done["clustered"]
    allowed: dict[str, set[str | None]] = {
        "skip": {"core", None},
        "individual": {"core", "individual"},
    }
    for row in members(done):
        assert row["assignment"] in allowed.get(policy, {"core", "nearest", None})
        assert (row["status"] == "clustered") is (row["assignment"] in ("core", "nearest"))
        assert (row["cluster_id"] is not None) is (row["status"] == "clustered")
        assert (row["similarity"] is not None) is (row["status"] == "clustered")
        assert (row["probability"] > 0) is (row["status"] == "clustered")
        if row["assignment"] == "nearest":
            assert row["probability"] <= 0.5
    read = report(done)
    raw = sum(row["assignment"] != "core" for row in members(done))
    assert read["raw_outlier_share"] == (raw / done["read"] if done["read"] else None)
    assert read["outlier_share"] == (done["noise"] / done["read"] if done["read"] else None)


@policies
@algorithms
@pytest.mark.parametrize("count", [0, 1, 5])
def test_hardly_any_items(workbench: Workbench, algorithm: str, policy: str, count: int) -> None:
    assert_sound(perform(workbench, blobs([count]), algorithm, policy), policy)


@policies
@algorithms
def test_identical_items_are_one_cluster(workbench: Workbench, algorithm: str, policy: str) -> None:
    done = perform(workbench, scattered(1).repeat(6, axis=0), algorithm, policy)
    assert_sound(done, policy)
    assert (done["clusters"], done["clustered"]) == (1, 6)


@policies
@algorithms
def test_items_that_have_nothing_in_common_stay_alone(
    workbench: Workbench, algorithm: str, policy: str
) -> None:
    done = perform(workbench, np.eye(16, dtype=np.float32), algorithm, policy)
    assert_sound(done, policy)
    assert (done["clusters"], done["noise"]) == (0, 16)


@policies
@algorithms
@pytest.mark.parametrize("level", ["events", "documents"])
def test_identical_items_share_their_fate(
    workbench: Workbench, level: str, algorithm: str, policy: str
) -> None:
    copies = np.random.default_rng(1).choice([1, 2, 5], size=44)
    vectors = blobs([12, 12], noise=20, seed=5).repeat(copies, axis=0)
    done = perform(workbench, vectors, algorithm, policy, level)
    assert_sound(done, policy)
    fates = [
        (row["cluster_id"], row["status"], row["assignment"], row["probability"])
        for row in members(done)
    ]
    bounds = [0, *np.cumsum(copies).tolist()]
    assert all(len(set(fates[start:stop])) == 1 for start, stop in pairwise(bounds))


def test_a_policy_moves_noise_and_nothing_else(workbench: Workbench) -> None:
    """The core, its centroids and the quality are the same under every policy."""
    vectors = blobs([20, 20], noise=40, seed=3)
    done = {policy: perform(workbench, vectors, "hdbscan", policy) for policy in POLICIES}
    rows = {policy: members(one) for policy, one in done.items()}
    noise = [n for n, row in enumerate(rows["skip"]) if row["status"] == "noise"]
    assert len(noise) > 20
    for policy in POLICIES:
        assert_sound(done[policy], policy)
        core = [n for n, row in enumerate(rows[policy]) if row["assignment"] == "core"]
        assert core == [n for n in range(80) if n not in noise]
        for n in core:
            for name in ("probability", "similarity"):
                assert rows[policy][n][name] == rows["skip"][n][name]
        ours, plain = report(done[policy]), report(done["skip"])
        assert ours["quality"] == plain["quality"]
        assert ours["raw_outlier_share"] == plain["outlier_share"] == len(noise) / 80
        centroids = sorted(record["centroid_vector"] for record in records(done[policy]))
        assert centroids == sorted(record["centroid_vector"] for record in records(done["skip"]))
    assert done["individual"]["noise"] == done["skip"]["noise"]
    assert 0 < done["nearest"]["noise"] < done["skip"]["noise"]
    assert done["target"]["noise"] <= 8


def test_what_joins_is_as_similar_as_it_says(workbench: Workbench) -> None:
    vectors = blobs([20, 20], noise=40, seed=3)
    done = perform(workbench, vectors, "hdbscan", "nearest")
    centroids = {r["cluster_id"]: np.array(r["centroid_vector"]) for r in records(done)}
    joined = [
        (row, vector)
        for row, vector in zip(members(done), vectors, strict=True)
        if row["assignment"] == "nearest"
    ]
    assert joined
    for row, vector in joined:
        cosine = float(vector @ centroids[row["cluster_id"]])
        assert row["similarity"] == pytest.approx(cosine, abs=1e-5)
        others = [
            float(vector @ other)
            for other, its in zip(vectors, members(done), strict=True)
            if its["assignment"] == "core" and its["cluster_id"] == row["cluster_id"]
        ]
        assert row["probability"] == pytest.approx(min(max(others), 0.5), abs=1e-5)
        assert max(others) >= 0.3


@pytest.mark.parametrize("policy", ["nearest", "target"])
def test_the_number_of_parts_changes_nothing(workbench: Workbench, policy: str) -> None:
    vectors = blobs([40, 30, 20], noise=80, seed=2)
    workbench.stage3.write("events", vectors)
    found = set()
    for parts in (1, 9):
        done = workbench.perform(
            "events",
            f"j{parts}",
            outliers={"policy": policy, **POLICIES[policy]},
            parts={"max_count": parts, "min_rows": 1},
        )
        found.add(Path(done["members_parquet"]).read_bytes())
    assert len(found) == 1


def test_outliers_join_within_their_own_domain(workbench: Workbench) -> None:
    """With domains apart, also after clusters of different domains were joined."""
    vectors = blobs([30, 30], noise=40, seed=6)
    workbench.stage3.write("events", vectors)
    done = workbench.perform(
        "events",
        scope="domain",
        merge={"join": "mutual_best", "join_similarity": 0.8},
        outliers={"policy": "nearest", "threshold": 0.2},
    )
    assert_sound(done, "nearest")
    assert any(row["assignment"] == "nearest" for row in members(done))
