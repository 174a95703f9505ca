"""The context counts as far as items of one document belong together."""

from typing import Any

import numpy as np
import pytest

from clustering_tasks.arrays import F32, I64
from clustering_tasks.steps.plan.plan import plan
from clustering_tasks.steps.snapshot.snapshot import snapshot
from tests.conftest import Workbench
from tests.stage3_folder import Json, scattered, unit

STORIES, DOCUMENTS, EACH = 40, 60, 3
_WIDE: Json = {"input": {"dimension": 128}, "algorithm": "agglomerative"}


def storylines(story: I64) -> F32:
    """A vector for each storyline, near its story's."""
    around = scattered(STORIES, seed=1, dimension=128)[story]
    return unit(around + 0.4 * scattered(len(story), seed=2, dimension=128))


def weight_found(bench: Workbench, documents: I64, story: I64, **settings: Any) -> float | None:
    """Plan storylines of these documents and stories; return the weight of their context."""
    metadata: list[Json] = [{"document_id": f"doc_{number:04d}"} for number in documents]
    bench.stage3.write("storylines", storylines(story), metadata)
    bench.stage3.write("documents", scattered(DOCUMENTS, seed=3, dimension=128))
    run = bench.start("storylines", **_WIDE, **settings)
    snapshot(run)
    found = plan(run).metrics["context_weight"]
    return None if found is None else float(found)


DOCUMENT = np.repeat(np.arange(DOCUMENTS), EACH)
ONE_STORY = DOCUMENT % STORIES
SEVERAL = np.random.default_rng(0).permutation(ONE_STORY)


def test_the_context_of_documents_about_one_story_counts(workbench: Workbench) -> None:
    found = weight_found(workbench, DOCUMENT, ONE_STORY)
    assert found == pytest.approx(0.5, abs=0.02)


def test_the_context_of_documents_about_several_stories_hardly_counts(workbench: Workbench) -> None:
    found = weight_found(workbench, DOCUMENT, SEVERAL)
    assert found is not None
    assert found < 0.15


def test_of_half_of_the_documents_it_counts_by_half(workbench: Workbench) -> None:
    story = np.where(DOCUMENT % 2, ONE_STORY, SEVERAL)
    found = weight_found(workbench, DOCUMENT, story)
    assert found == pytest.approx(0.28, abs=0.06)


def test_a_few_pairs_prove_little(workbench: Workbench) -> None:
    story = np.arange(30) % STORIES
    found = weight_found(workbench, np.arange(30) // 2, story)
    assert found == pytest.approx(0.5 * 20 / 35, abs=0.03)


def test_items_alone_in_their_document_keep_the_context(workbench: Workbench) -> None:
    assert weight_found(workbench, np.arange(DOCUMENTS), np.arange(DOCUMENTS) % STORIES) == 0.5


def test_without_the_check_it_counts_as_it_is_set(workbench: Workbench) -> None:
    assert weight_found(workbench, DOCUMENT, SEVERAL, **{"evidence.check": False}) == 0.5


def test_what_the_caller_sets_is_checked_as_well(workbench: Workbench) -> None:
    found = weight_found(workbench, DOCUMENT, ONE_STORY, **{"evidence.context_weight": 0.2})
    assert found == pytest.approx(0.2, abs=0.01)


def test_where_no_context_is_read_its_weight_is_null(workbench: Workbench) -> None:
    found = weight_found(workbench, DOCUMENT, ONE_STORY, **{"evidence.context": False})
    assert found is None
