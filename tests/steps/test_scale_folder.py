"""The folders that benchmarks measure are Stage 3 folders."""

from pathlib import Path

import faiss
import numpy as np
import pyarrow.parquet as pq
import pytest

from clustering_tasks.settings.levels import LEVELS
from clustering_tasks.steps.snapshot.snapshot import snapshot
from tests.benchmarks import scale
from tests.benchmarks import snapshot as benchmark
from tests.conftest import Workbench

N = 600


@pytest.fixture(autouse=True)
def without_real_collections(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(scale, "DATA", tmp_path / "none")


@pytest.mark.parametrize("level", LEVELS)
def test_a_scale_folder_is_read_and_its_stories_lie_close(workbench: Workbench, level: str) -> None:
    scale.write_scale_folder(workbench.stage3.path, level, N)
    result = snapshot(workbench.start(level, input={"dimension": scale.DIMENSION}))
    assert result.metrics["items"] == N
    assert result.metrics["identical_vectors"]
    assert result.metrics["unparsable_dates"] == result.metrics["unknown_domains"] == 0
    truth = np.load(workbench.stage3.path / f"{level}_truth.npz")
    story_of = dict(zip(truth["vector_id"].tolist(), truth["story"].tolist(), strict=True))
    ids = pq.read_table(result.files["items"])["vector_id"].to_pylist()
    story = np.array([story_of[vector_id] for vector_id in ids])
    vectors = np.load(result.files["vectors"])
    cosines = vectors @ vectors.T - 2 * np.eye(N)
    inside = np.flatnonzero(story >= 0)
    assert (story[cosines[inside].argmax(axis=1)] == story[inside]).mean() > 0.95
    sizes = np.bincount(story[inside])
    assert sizes.min() >= 2
    assert sizes.max() > 5 * np.median(sizes)


def test_the_same_seed_writes_the_same_bytes(tmp_path: Path) -> None:
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        scale.write_scale_folder(tmp_path / name, "events", N, seed)
    for file in LEVELS["events"].pair:
        a, b, c = ((tmp_path / name / file).read_bytes() for name in "abc")
        assert a == b != c
    assert faiss.read_index(str(tmp_path / "a" / "events.index")).ntotal == N


def test_the_benchmark_measures_every_step(tmp_path: Path) -> None:
    costs = dict(benchmark.measured(N, "events", tmp_path / "indices"))
    assert list(costs) == ["snapshot", "nodes of plan", "label"]
    for cost in costs.values():
        assert cost.cpu > 0
        assert cost.wall > 0
        assert cost.peak > 10_000_000  # bytes: nothing here starts with less
