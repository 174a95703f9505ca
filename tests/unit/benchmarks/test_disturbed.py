"""What the disturbances change, and what they leave as it was."""

import numpy as np
import pytest

from tests.benchmarks.collection import Collection, Items
from tests.benchmarks.disturbed import (
    GRADED,
    WHOLE,
    digests,
    equal_documents,
    one_mention,
    reprinted,
    shuffled_mentions,
    without_documents,
)
from tests.stage3_folder import scattered

N, DOCUMENTS = 200, 40


def collection() -> Collection:
    names = [f"doc_{n}" for n in range(DOCUMENTS)]
    documents = Items(
        names,
        scattered(DOCUMENTS),
        [{"source_id": name, "metadata": {}} for name in names],
        ["a"] * DOCUMENTS,
    )
    events = Items(
        [f"event_{n}" for n in range(N)],
        scattered(N, seed=1),
        [
            {
                "source_id": f"event_{n}",
                "metadata": {"document_id": names[n // 5], "trigger": f"word {n}"},
            }
            for n in range(N)
        ],
        [str(n // 10) for n in range(N)],
    )
    return Collection("some", {"documents": documents, "events": events})


PLAIN = collection()


def moved(changed: Collection) -> float:
    """Share of the events that name another document."""
    before, after = PLAIN.levels["events"].documents, changed.levels["events"].documents
    return float(np.mean([one != other for one, other in zip(before, after, strict=True)]))


@pytest.mark.parametrize("title", GRADED)
@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_a_share_of_the_items_names_other_documents(title: str, share: float) -> None:
    changed = GRADED[title](PLAIN, "events", share)
    assert moved(changed) == pytest.approx(share, abs=0.1)
    assert changed.levels["events"].gold == PLAIN.levels["events"].gold
    np.testing.assert_array_equal(changed.levels["events"].vectors, PLAIN.levels["events"].vectors)
    again = GRADED[title](PLAIN, "events", share)
    assert again.levels["events"].documents == changed.levels["events"].documents


def test_a_digest_has_the_vector_of_what_it_tells() -> None:
    changed = digests(PLAIN, "events", 1.0)
    told = [
        PLAIN.levels["events"].documents[row]
        for row, name in enumerate(changed.levels["events"].documents)
        if name == "doc_7"
    ]
    rows = [int(name.removeprefix("doc_")) for name in told]
    mean = PLAIN.levels["documents"].vectors[rows].mean(axis=0)
    np.testing.assert_allclose(
        changed.levels["documents"].vectors[7], mean / np.linalg.norm(mean), atol=1e-6
    )


@pytest.mark.parametrize("title", WHOLE)
def test_the_original_is_left_as_it_was(title: str) -> None:
    WHOLE[title](PLAIN, "events", 1)
    assert PLAIN.levels["events"].documents == collection().levels["events"].documents


def test_whole_levels_can_be_missing_or_equal() -> None:
    assert set(without_documents(PLAIN, "events", 1).levels) == {"events"}
    assert len(np.unique(equal_documents(PLAIN, "events", 1).levels["documents"].vectors)) <= 16


def test_mentions_are_made_equal_or_dealt_out() -> None:
    equal = one_mention(PLAIN, "events", 1).levels["events"]
    assert {entry["metadata"]["trigger"] for entry in equal.entries} == {"said"}
    dealt = shuffled_mentions(PLAIN, "events", 1).levels["events"]
    words = [entry["metadata"]["trigger"] for entry in dealt.entries]
    assert sorted(words) == sorted(f"word {n}" for n in range(N))
    assert words != [f"word {n}" for n in range(N)]


def test_reprints_double_each_story_by_one_of_its_items() -> None:
    changed = reprinted(PLAIN, "events").levels["events"]
    assert changed.names[:N] == PLAIN.levels["events"].names
    assert len(set(changed.names)) == len(changed.names) == 2 * N
    for story in range(N // 10):
        rows = [row for row in range(N, 2 * N) if changed.gold[row] == str(story)]
        words = {changed.entries[row]["metadata"]["trigger"] for row in rows}
        assert (len(rows), len(words)) == (10, 1)
        source = int(words.pop().split()[1])
        assert source // 10 == story
        assert (changed.vectors[rows] @ changed.vectors[source]).min() > 0.99
