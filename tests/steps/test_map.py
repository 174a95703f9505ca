"""The map of a level: what is drawn, where, and in which order."""

import time
from collections import Counter

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from clustering_tasks.steps.map.map import POINTS_SCHEMA
from clustering_tasks.steps.map.placement import _narrowed, draw_members, place_clusters, radii
from clustering_tasks.workspace.artefacts import Result
from tests.conftest import Workbench
from tests.stage3_folder import blobs, scattered

SIZES = [40, 25, 12, 12, 8, 6]
HDBSCAN = {"min_cluster_size": 5}


def drawn(workbench: Workbench, job: str = "job", **settings: object) -> Result:
    settings = {"hdbscan": HDBSCAN} | settings
    workbench.perform("documents", job, **settings)
    return workbench.start("documents", job, **settings).result("map")


def points(result: Result) -> pd.DataFrame:
    return pd.read_csv(result.files["points_csv"])


@pytest.fixture
def level(workbench: Workbench) -> Workbench:
    workbench.stage3.write("documents", blobs(SIZES, noise=10, spread=0.05))
    return workbench


def test_clusters_come_first_and_every_member_lies_beside_its_own(level: Workbench) -> None:
    result = drawn(level)
    found = points(result)
    label = level.start("documents").result("label")
    members = pq.read_table(label.files["members_parquet"]).to_pandas()
    of_vector = members.set_index("vector_id")["cluster_id"]
    sizes = Counter(members["cluster_id"].dropna())
    assert list(found) == POINTS_SCHEMA.names
    assert found["rank"].tolist() == list(range(len(found)))
    clusters = found[found["kind"] == "cluster"].set_index("cluster_id")
    assert dict(clusters["size"].astype(int)) == sizes
    assert clusters["size"].is_monotonic_decreasing
    assert clusters["rank"].max() == len(clusters) - 1
    rest = found[found["kind"] == "member"]
    assert set(rest["vector_id"]) == set(of_vector.dropna().index)
    assert (rest["cluster_id"].to_numpy() == of_vector[rest["vector_id"]].to_numpy()).all()
    radius = dict(zip(clusters.index, radii(clusters["size"].to_numpy()), strict=True))
    for cluster_id, own in rest.groupby("cluster_id"):
        apart = own[["x", "y"]].to_numpy() - clusters.loc[cluster_id, ["x", "y"]].to_numpy(float)
        assert np.linalg.norm(apart, axis=1).max() <= radius[cluster_id] * 1.001
        assert len(np.unique(apart, axis=0)) == len(own)
    assert clusters[["x", "y"]].abs().max().max() <= 1
    assert result.metrics == {"clusters": len(clusters), "members": len(rest)}


def test_the_order_of_the_input_changes_nothing(level: Workbench) -> None:
    first = drawn(level).path("points_csv").read_bytes()
    order = np.random.default_rng(5).permutation(sum(SIZES) + 10).tolist()
    level.stage3.write("documents", blobs(SIZES, noise=10, spread=0.05), order=order)
    again = drawn(level, "permuted")
    assert not again.reused
    assert again.path("points_csv").read_bytes() == first


@pytest.mark.parametrize(("sizes", "clusters"), [([], 0), ([20], 1), ([20, 20], 2)])
def test_a_level_with_few_clusters_or_none_has_a_map(
    workbench: Workbench, sizes: list[int], clusters: int
) -> None:
    workbench.stage3.write("documents", blobs(sizes, noise=6, spread=0.01))
    hdbscan = HDBSCAN | {"allow_single_cluster": bool(sizes)}
    found = points(drawn(workbench, hdbscan=hdbscan, publish={"allow_empty": True}))
    assert (found["kind"] == "cluster").sum() == clusters
    assert found[["x", "y"]].abs().max().fillna(0).max() <= 1.1


def test_settings_bound_what_is_laid_out_and_drawn(level: Workbench) -> None:
    few = points(drawn(level, map={"clusters": 2, "members": 7}))
    whole = points(drawn(level, "whole"))
    assert (few["kind"] == "cluster").sum() == (whole["kind"] == "cluster").sum()
    assert (few["kind"] == "member").sum() == 7
    shown = few.loc[few["kind"] == "cluster", ["x", "y"]]
    assert len(shown.drop_duplicates()) == len(shown)


def test_without_members_only_clusters_are_drawn(level: Workbench) -> None:
    assert set(points(drawn(level, map={"members": 0}))["kind"]) == {"cluster"}


def test_what_is_not_laid_out_lies_beside_the_most_similar_that_is() -> None:
    centroids = scattered(60, seed=8)
    sizes = np.arange(100, 40, -1)
    places = place_clusters(centroids, sizes, 20)
    assert len(np.unique(places, axis=0)) == 60
    similar = (centroids[20:] @ centroids[:20].T).argmax(axis=1)
    apart = np.linalg.norm(places[20:, None] - places[:20], axis=2)
    own = apart[np.arange(40), similar]
    assert own.max() < 0.6
    assert (apart.argmin(axis=1) == similar).mean() > 0.5


def test_members_are_drawn_by_the_root_of_their_clusters_size() -> None:
    sizes = np.array([10_000, 100, 1])
    labels = np.repeat(np.arange(-1, 3), [500, *sizes]).astype(np.int32)
    order = np.random.default_rng(0).permutation(len(labels))
    rows = draw_members(labels[order], sizes, 111)
    assert np.bincount(labels[order][rows]).tolist() == [100, 10, 1]
    assert len(set(rows.tolist())) == 111
    # a view that shows fewer shows a part of these
    assert draw_members(labels[order], sizes, 20).tolist() == rows[:20].tolist()


@pytest.mark.parametrize("count", [0, 1, 2, 3, 40])
def test_a_few_clusters_of_very_many_dimensions_are_laid_out_by_their_distances(count: int) -> None:
    vectors = scattered(count, dimension=3072)
    narrow = _narrowed(vectors)
    assert narrow.shape == (count, max(count, 8))
    np.testing.assert_allclose(narrow @ narrow.T, vectors @ vectors.T, atol=1e-4)
    began = time.process_time()
    places = place_clusters(vectors, np.full(count, 5), 5000)
    assert places.shape == (count, 2)
    assert np.isfinite(places).all()
    assert time.process_time() - began < 3
    usual = scattered(count, dimension=768)
    assert _narrowed(usual).shape == usual.shape
