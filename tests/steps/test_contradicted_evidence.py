"""Metadata that contradict the vectors: what is left of the evidence, and what is published.

Events of 120 stories, whose documents are those of their stories, or digests of any.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clustering_tasks.arrays import F32
from clustering_tasks.engine import neighbours
from clustering_tasks.graph import parts as parts_of_level
from clustering_tasks.publication.alerts import find_alerts
from clustering_tasks.settings.groups.publication import AlertSettings
from tests.conftest import Workbench
from tests.stage3_folder import Json, blobs, scattered, unit

STORIES, SIZE = 120, 12
N = STORIES * SIZE
DIMENSION = 64  # where random stories have little in common
ITEMS_PER_DOCUMENT = 6
VECTORS = blobs([SIZE] * STORIES, spread=0.07, dimension=DIMENSION)
NO_STORIES = {"story_similarity_floor": 0}
TRIGGERS = [f"{a}{b}" for a in ("struck", "elected", "arrested") for b in range(STORIES // 3)]


def write(
    workbench: Workbench, *, digests: bool, mention: str | None = None, vectors: F32 = VECTORS
) -> None:
    """Write the events; every document holds items of one story, or of random ones."""
    document = np.arange(N) // ITEMS_PER_DOCUMENT
    if digests:
        document = np.random.default_rng(0).permutation(document)
    metadata: list[Json] = [
        {
            "document_id": f"doc_{document[n]:04d}",
            "trigger": mention or TRIGGERS[n // SIZE],
            "event_description": f"event {n}",
        }
        for n in range(N)
    ]
    workbench.stage3.write("events", vectors, metadata)


def report(workbench: Workbench, job: str = "job", **settings: Any) -> tuple[Json, Json]:
    """Perform all steps with the level's own algorithm; what was done, and the report."""
    settings = {"algorithm": "label_propagation", "input": {"dimension": DIMENSION}} | settings
    done = workbench.perform("events", job, **settings)
    return done, json.loads(Path(done["report"]).read_bytes())


def raised(found: Json) -> set[str]:
    """Names of the alerts of a run without a history."""
    pieces = found["evidence"].items()
    metrics = {f"evidence.{piece}.factor": each["factor"] for piece, each in pieces}
    metrics["raw_outlier_share"] = found["raw_outlier_share"]
    return {each.name for each in find_alerts("events", metrics, [], AlertSettings())}


def test_documents_of_one_story_each_are_kept_as_evidence(workbench: Workbench) -> None:
    write(workbench, digests=False)
    done, found = report(workbench)
    assert done["published"]
    assert {each["state"] for each in found["evidence"].values()} <= {"kept", "unchecked"}
    assert found["evidence"]["stories"]["agreement"] > 0.9
    assert raised(found) == set()


def test_digests_do_not_tear_the_level_apart(workbench: Workbench) -> None:
    write(workbench, digests=True)
    done, found = report(workbench)
    assert done["published"]
    assert found["coverage"] > 0.9
    assert 0.9 * STORIES < found["counts"]["clusters"] < 1.1 * STORIES
    stories = found["evidence"]["stories"]
    assert stories["state"] in ("damped", "off")
    assert stories["cut_share"] > 0.8
    assert raised(found) == {"limit.evidence.stories.factor"}


def test_what_they_would_tear_apart_is_not_published(workbench: Workbench) -> None:
    write(workbench, digests=True)
    done, found = report(workbench, evidence={"check": False, "story_penalty_factor": 10})
    assert found["coverage"] < 0.2
    assert not done["published"]
    assert "publish.min_coverage=0.2" in done["not_published_because"][0]
    assert {each["state"] for each in found["evidence"].values()} == {"unchecked"}
    assert "limit.raw_outlier_share" in raised(found)


def test_one_mention_for_all_is_off_and_reported(workbench: Workbench) -> None:
    write(workbench, digests=False, mention="said")
    _, found = report(workbench)
    assert found["evidence"]["mentions"]["state"] == "off"
    assert raised(found) == {"limit.evidence.mentions.factor"}
    # the threshold was set for mentions that differ: without them it may only rise
    assert found["chosen"]["edge_similarity"] >= 0.6


def test_a_threshold_that_the_caller_set_stays(workbench: Workbench) -> None:
    write(workbench, digests=False, mention="said")
    _, found = report(workbench, label_propagation={"edge_similarity": 0.4})
    assert found["evidence"]["mentions"]["state"] == "off"
    assert found["chosen"]["edge_similarity"] == 0.4


def test_like_stories_are_told_apart_without_mentions(workbench: Workbench) -> None:
    """Pairs of stories with a cosine of .58: their mentions differ, or are all the same."""
    base = blobs([1] * (STORIES // 2), dimension=DIMENSION)
    other = scattered(STORIES, seed=9, dimension=DIMENSION)
    centres = unit(np.repeat(base, 2, axis=0) + 0.85 * other)
    noise = np.random.default_rng(3).normal(size=(N, DIMENSION))
    vectors = unit(np.repeat(centres, SIZE, axis=0) + 0.04 * noise)
    write(workbench, digests=False, vectors=vectors)
    assert report(workbench, "told")[1]["counts"]["clusters"] > 0.9 * STORIES
    write(workbench, digests=False, mention="said", vectors=vectors)
    _, trusted = report(workbench, "trusted", evidence={"check": False, **NO_STORIES})
    _, checked = report(workbench, "checked", evidence=NO_STORIES)
    assert trusted["counts"]["clusters"] < 0.7 * STORIES
    assert checked["counts"]["clusters"] > 0.9 * STORIES
    assert checked["chosen"]["edge_similarity"] > trusted["chosen"]["edge_similarity"]


def test_an_algorithm_on_vectors_alone_has_no_evidence_to_check(workbench: Workbench) -> None:
    write(workbench, digests=True)
    done = workbench.perform("events", input={"dimension": DIMENSION})
    assert json.loads(Path(done["report"]).read_bytes())["evidence"] == {}


@pytest.mark.parametrize("threads", ["1", "4"])
def test_the_check_is_the_same_for_any_parts_and_threads(
    workbench: Workbench, monkeypatch: pytest.MonkeyPatch, threads: str
) -> None:
    for module in (neighbours, parts_of_level):
        monkeypatch.setattr(module, "BATCH_ROWS", 64)
    write(workbench, digests=True)
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    one, first = report(workbench, "one", parts={"max_count": 1})
    monkeypatch.setenv("OMP_NUM_THREADS", threads)
    many, second = report(workbench, "many", parts={"max_count": 9, "min_rows": 1})
    assert first["evidence"] == second["evidence"]
    files = [Path(done["members_parquet"]).read_bytes() for done in (one, many)]
    assert files[0] == files[1]
