"""The folders that benchmarks measure are Stage 3 folders."""

from collections.abc import Callable, Iterator
from pathlib import Path

import faiss
import numpy as np
import pyarrow.parquet as pq
import pytest

from clustering_tasks.settings.levels import LEVELS
from clustering_tasks.steps.snapshot.snapshot import snapshot
from tests.benchmarks import snapshot as benchmark
from tests.benchmarks import spectrum
from tests.benchmarks.independent import write_independent
from tests.benchmarks.scale import read_truth, write_scale_folder
from tests.conftest import Workbench

N = 600


@pytest.fixture(autouse=True)
def without_real_collections(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.setattr(spectrum, "DATA", tmp_path / "none")
    spectrum.level_spectrum.cache_clear()
    yield
    spectrum.level_spectrum.cache_clear()


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize(("write", "near"), [(write_scale_folder, 0.7), (write_independent, 0.95)])
def test_a_scale_folder_is_read_and_its_clusters_lie_close(
    workbench: Workbench, level: str, write: Callable[[Path, str, int], None], near: float
) -> None:
    write(workbench.stage3.path, level, N)
    result = snapshot(workbench.start(level, input={"dimension": spectrum.DIMENSION}))
    assert result.metrics["items"] == N
    assert result.metrics["identical_vectors"]
    assert result.metrics["unparsable_dates"] == result.metrics["unknown_domains"] == 0
    names, clusters = read_truth(workbench.stage3.path, level)
    gold_of = dict(zip(names, clusters.tolist(), strict=True))
    ids = pq.read_table(result.files["items"])["vector_id"].to_pylist()
    gold = np.array([gold_of[vector_id] for vector_id in ids])
    vectors = np.load(result.files["vectors"])
    cosines = vectors @ vectors.T - 2 * np.eye(N)
    inside = np.flatnonzero(gold >= 0)
    assert (gold[cosines[inside].argmax(axis=1)] == gold[inside]).mean() > near
    sizes = np.bincount(gold[inside])
    assert sizes.min() >= 2
    assert sizes.max() > 2 * np.median(sizes)


def test_the_same_seed_writes_the_same_bytes(tmp_path: Path) -> None:
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        write_independent(tmp_path / name, "events", N, seed)
    for file in LEVELS["events"].pair:
        a, b, c = ((tmp_path / name / file).read_bytes() for name in "abc")
        assert a == b != c
    assert faiss.read_index(str(tmp_path / "a" / "events.index")).ntotal == N


def test_the_benchmark_measures_every_step(tmp_path: Path) -> None:
    costs = dict(benchmark.measured(N, "events", tmp_path / "indices"))
    assert list(costs) == ["snapshot", "nodes of plan", "tag", "trend", "identify", "label"]
    for cost in costs.values():
        assert cost.cpu > 0
        assert cost.wall > 0
        assert cost.peak > 10_000_000  # bytes: nothing here starts with less
