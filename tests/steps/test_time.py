"""What dates do to clusters: decay, the window, gaps (TM-1 to TM-3)."""

import json
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from clustering_tasks.settings.algorithms import ALGORITHMS
from tests.conftest import Workbench
from tests.stage3_folder import Json, blobs, plain_metadata

DAY = "2025-{:02d}-{:02d}T12:00:00Z"


def write(
    workbench: Workbench, days: Sequence[str | None], sizes: list[int], seed: int = 1
) -> None:
    """Events in groups of like vectors, one day each."""
    metadata: list[Json] = [
        plain_metadata("events", n) | {"temporal_reference": day} for n, day in enumerate(days)
    ]
    workbench.stage3.write("events", blobs(sizes, spread=0.03, seed=1), metadata)


def perform(workbench: Workbench, algorithm: str, job: str = "job", **temporal: Any) -> Json:
    done = workbench.perform("events", job, algorithm=algorithm, temporal=temporal)
    kept = done["clustered"] + done["noise"]
    assert done["read"] == kept
    return done


def found(done: Json) -> list[str | None]:
    rows = pq.read_table(done["members_parquet"]).to_pylist()
    return [row["cluster_id"] for row in rows]


def probabilities(done: Json) -> list[float]:
    rows = pq.read_table(done["members_parquet"]).to_pylist()
    return [row["probability"] for row in rows]


SPRING, AUTUMN = DAY.format(3, 1), DAY.format(9, 1)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_like_items_beyond_the_window_are_not_one_cluster(
    workbench: Workbench, algorithm: str
) -> None:
    write(workbench, [SPRING] * 10 + [AUTUMN] * 10 + [SPRING] * 10, [20, 10])
    without = perform(workbench, algorithm, "without")
    assert without["clusters"] == 2
    done = perform(workbench, algorithm, "window", window_days=30)
    labels = found(done)
    assert None not in labels
    assert [len(set(labels[a:b])) for a, b in pairwise((0, 10, 20, 30))] == [1, 1, 1]
    assert len(set(labels)) == 3


@pytest.mark.parametrize("exact_rows", [1000, 10])
def test_in_an_archive_of_like_items_those_of_the_window_are_found(
    workbench: Workbench, exact_rows: int
) -> None:
    """Each of 24 days has 5 of 120 items; the 4 nearest of all times are hardly ever among them."""
    days = [DAY.format(1 + n % 12, 1 + 14 * (n % 24 // 12)) for n in range(120)]
    write(workbench, days, [120])
    done = workbench.perform(
        "events",
        algorithm="label_propagation",
        temporal={"window_days": 3},
        neighbours={"k": 4, "exact_rows": exact_rows, "probes": 256},
    )
    assert done["clusters"] == 24
    labels = found(done)
    for day in set(days):
        (label,) = {labels[n] for n in range(120) if days[n] == day}
        assert label is not None


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_no_cluster_needs_a_link_across_the_window(workbench: Workbench, algorithm: str) -> None:
    """From each member of a cluster a way leads to each other one by links within the window."""
    rng = np.random.default_rng(3)
    numbers = rng.integers(1, 28, 60)
    months = rng.integers(1, 12, 60)
    days = [DAY.format(int(m), int(d)) for m, d in zip(months, numbers, strict=True)]
    write(workbench, days, [30, 30])
    done = perform(workbench, algorithm, window_days=10)
    dates = np.array([np.datetime64(day[:10]) for day in days])
    labels = np.array([label or "" for label in found(done)])
    for label in set(labels) - {""}:
        covered = np.sort(dates[labels == label])
        assert (np.diff(covered).astype(int) <= 10).all()
    assert done["clusters"] > 2


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_undated_items_are_neutral(workbench: Workbench, algorithm: str) -> None:
    write(workbench, [None] * 20, [10, 10])
    plain = perform(workbench, algorithm, "plain")
    dated = perform(
        workbench, algorithm, "dated", decay=True, decay_days=7, window_days=1, max_gap_days=1
    )
    assert found(plain) == found(dated)
    assert probabilities(plain) == probabilities(dated)


def test_similarity_decays_between_items_that_are_far_apart(workbench: Workbench) -> None:
    write(workbench, [SPRING] * 10 + [AUTUMN] * 10, [20])
    assert perform(workbench, "label_propagation", "without")["clusters"] == 1
    assert (
        perform(workbench, "label_propagation", "slow", decay=True, decay_days=1000)["clusters"]
        == 1
    )
    assert (
        perform(workbench, "label_propagation", "quick", decay=True, decay_days=7)["clusters"] == 2
    )


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_cluster_is_split_at_a_gap_or_trusted_less(workbench: Workbench, algorithm: str) -> None:
    broken = [SPRING] * 9 + [None] + [AUTUMN] * 9 + [DAY.format(12, 31)]
    write(workbench, [*broken, *[SPRING] * 10], [20, 10])
    plain = perform(workbench, algorithm, "plain")
    whole = found(plain)
    assert [len(set(whole[a:b])) for a, b in ((0, 20), (20, 30))] == [1, 1]
    split = perform(workbench, algorithm, "split", max_gap_days=60)
    labels = found(split)
    assert [len(set(labels[a:b])) for a, b in ((0, 9), (10, 19), (20, 30))] == [1, 1, 1]
    assert labels[9] in {labels[0], labels[10]}
    assert labels[19] is None  # left alone by the split
    assert split["clusters"] == 3
    penalised = perform(workbench, algorithm, "penalised", max_gap_days=60, on_gap="penalise")
    assert found(penalised) == whole
    lowered = np.array(probabilities(penalised)) / np.array(probabilities(plain))
    assert lowered == pytest.approx([60 / 184] * 20 + [1] * 10, rel=1e-4)


def test_a_split_is_counted_and_measured(workbench: Workbench) -> None:
    write(workbench, [SPRING] * 10 + [AUTUMN] * 10, [20])
    done = perform(workbench, "label_propagation", max_gap_days=60)
    run = workbench.start("events", temporal={"max_gap_days": 60})
    assert run.result("merge").metrics["clusters_with_gap"] == 1
    lines = Path(done["clusters_jsonl"]).read_text().splitlines()
    assert sorted(json.loads(line)["cluster_size"] for line in lines) == [10, 10]
    report = json.loads(Path(done["report"]).read_bytes())
    assert report["counts"]["clusters"] == 2


def write_documents(workbench: Workbench, days: Sequence[str | None]) -> None:
    """Ten stories of twelve documents, and one kind of incident that happened twice."""
    metadata: list[Json] = [
        plain_metadata("documents", n) | {"publication_date": day} for n, day in enumerate(days)
    ]
    workbench.stage3.write("documents", blobs([12] * 10 + [24], spread=0.03, seed=1), metadata)


STORIES = [DAY.format(1 + n // 12, 1 + n % 12) for n in range(120)]
INCIDENTS = [DAY.format(2, 1)] * 12 + [DAY.format(12, 1)] * 12


def test_documents_alike_are_two_stories_if_dates_are_evidence(workbench: Workbench) -> None:
    write_documents(workbench, STORIES + INCIDENTS)
    done = workbench.perform("documents", "on", algorithm="auto", temporal={"decay": True})
    assert done["clusters"] == 12
    labels = found(done)
    assert len(set(labels[120:132])) == len(set(labels[132:])) == 1
    assert workbench.perform("documents", "off", algorithm="auto")["clusters"] == 11


@pytest.mark.parametrize("kind", ["undated", "crawl", "template", "random"])
def test_dates_that_are_no_evidence_change_no_bit(workbench: Workbench, kind: str) -> None:
    rng = np.random.default_rng(1)
    days = {
        "undated": [None] * 144,
        "crawl": [f"2025-03-01T{hour:02d}:00:00Z" for hour in rng.integers(0, 24, 144)],
        "template": [SPRING] * 144,
        "random": rng.permutation(np.array(STORIES + INCIDENTS)).tolist(),
    }
    write_documents(workbench, days[kind])
    on = workbench.perform("documents", "on", algorithm="auto", temporal={"decay": True})
    off = workbench.perform("documents", "off", algorithm="auto")
    assert found(on) == found(off)
    assert probabilities(on) == probabilities(off)
