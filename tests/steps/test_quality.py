"""Quality without gold, from the vectors to the report."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from sklearn import metrics

from clustering_tasks.settings.algorithms import ALGORITHMS
from clustering_tasks.steps.label.report import QUALITY
from tests.conftest import Workbench
from tests.stage3_folder import blobs, scattered

WITHOUT_TWO_CLUSTERS = ("silhouette", "davies_bouldin", "inter_cluster_similarity")


def quality(workbench: Workbench, algorithm: str, job: str = "job") -> tuple[dict[str, Any], Any]:
    done = workbench.perform("documents", job, algorithm=algorithm)
    report = json.loads(Path(done["report"]).read_bytes())
    label = workbench.start("documents", job, algorithm=algorithm).result("label")
    assert {name: label.metrics[name] for name in QUALITY} == report["quality"]
    return report["quality"], pq.read_table(done["members_parquet"]).to_pandas()


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_every_number_is_there_and_is_of_the_published_clusters(
    workbench: Workbench, algorithm: str
) -> None:
    vectors = blobs([30, 20, 10], noise=15, seed=2, spread=0.1)
    workbench.stage3.write("documents", vectors)
    found, members = quality(workbench, algorithm)
    kept = members["cluster_id"].notna().to_numpy()
    names = members["cluster_id"][kept]
    expected = metrics.silhouette_score(vectors[kept], names, metric="cosine")
    assert found["silhouette"] == pytest.approx(expected, abs=1e-5)
    expected = metrics.davies_bouldin_score(vectors[kept], names)
    assert found["davies_bouldin"] == pytest.approx(expected, rel=1e-4)
    assert found["mean_probability"] == pytest.approx(members["probability"][kept].mean())
    unknown = {name for name, value in found.items() if value is None}
    assert unknown == (set() if algorithm == "hdbscan" else {"density_validity"})
    assert {found[name] for name in found if name.endswith("_error")} == {0}
    for name in ("stability", "modularity", "intra_cluster_similarity"):
        assert 0 < found[name] <= 1


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_one_cluster_has_no_rival(workbench: Workbench, algorithm: str) -> None:
    workbench.stage3.write("documents", np.repeat(scattered(1), 12, axis=0))
    found, _ = quality(workbench, algorithm)
    for name in WITHOUT_TWO_CLUSTERS:
        assert found[name] is None
        assert found[f"{name}_error"] is None
    assert found["density_validity"] is None
    assert found["intra_cluster_similarity"] == pytest.approx(1)
    assert found["modularity"] is None  # identical items are one node, without edges


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("count", [0, 1])
def test_nothing_clustered_has_no_quality(workbench: Workbench, algorithm: str, count: int) -> None:
    workbench.stage3.write("documents", scattered(count))
    found, _ = quality(workbench, algorithm)
    assert set(found.values()) == {None}
