"""Collections that benchmarks change: what belongs together stays together."""

from collections import Counter
from pathlib import Path

import numpy as np
import orjson
import pytest

from local.sample import write_sample
from tests.benchmarks import generated, peer_cache
from tests.benchmarks.bootstraps import LEAST, MOST, draw, summary, topic
from tests.benchmarks.collection import (
    Collection,
    Items,
    joined,
    read_collection,
    write_collection,
)
from tests.benchmarks.contenders import recall
from tests.benchmarks.leiden import SETTINGS, Leiden, communities, neighbour_graph
from tests.benchmarks.peers import answers
from tests.benchmarks.tables import SHOWN_PEERS
from tests.benchmarks.variants import DRAWS, thinned
from tests.stage3_folder import blobs, scattered


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Collection:
    folder = tmp_path_factory.mktemp("sample") / "folder"
    write_sample(folder, 60)
    return read_collection(folder)


def of_topics(count: int) -> Collection:
    documents = [f"{number % count}_{number}ecb" for number in range(5 * count)]
    entries = [{"source_id": name, "metadata": {}} for name in documents]
    events = [{"source_id": f"{d}_event_0", "metadata": {"document_id": d}} for d in documents]
    vectors = scattered(len(documents))
    gold = [topic(name) for name in documents]
    return Collection(
        "made up",
        {
            "documents": Items([f"doc_emb_{d}" for d in documents], vectors, entries, gold),
            "events": Items([f"event_emb_{d}_event_0" for d in documents], vectors, events, gold),
        },
    )


def test_a_collection_that_was_written_is_read_again(sample: Collection, tmp_path: Path) -> None:
    write_collection(sample, tmp_path / "again")
    gold = {
        level: dict(zip(items.names, items.gold, strict=True))
        for level, items in sample.levels.items()
    }
    (tmp_path / "again" / "gold.json").write_bytes(orjson.dumps(gold))
    again = read_collection(tmp_path / "again")
    for level, items in sample.levels.items():
        other = again.levels[level]
        assert (other.names, other.entries, other.gold) == (items.names, items.entries, items.gold)
        np.testing.assert_array_equal(other.vectors, items.vectors)


def test_other_levels_keep_what_belongs_to_the_documents_that_stay(sample: Collection) -> None:
    rows = np.array([3, 17, 40])
    kept = sample.with_rows("documents", rows)
    documents = [sample.levels["documents"].documents[row] for row in rows]
    assert kept.levels["documents"].documents == documents
    np.testing.assert_array_equal(
        kept.levels["documents"].vectors, sample.levels["documents"].vectors[rows]
    )
    for level in ("events", "entities", "storylines"):
        expected = [
            name
            for name, document in zip(
                sample.levels[level].names, sample.levels[level].documents, strict=True
            )
            if document in documents
        ]
        assert kept.levels[level].names == expected != []


def test_gold_clusters_of_different_collections_stay_apart() -> None:
    one = of_topics(3)
    both = joined("both", [one, one]).levels["documents"]
    assert len(both.names) == len(both.vectors) == len(both.entries) == 30
    assert set(Counter(both.gold).values()) == {5}
    assert len(set(both.gold)) == 6


GOLD = [f"story {number}" for number, size in enumerate([40] * 4 + [9] * 9) for _ in range(size)]


@pytest.mark.parametrize("most", [3, 4, 12])
def test_stories_are_thinned(most: int) -> None:
    rows = DRAWS[f"at most {most} a story"](GOLD, np.random.default_rng(0))
    sizes = Counter(GOLD[row] for row in rows)
    assert sizes == {name: min(most, size) for name, size in Counter(GOLD).items()}
    assert rows.tolist() == sorted(set(rows.tolist()))


def test_most_items_are_alone_where_they_shall() -> None:
    sizes = Counter(GOLD[row] for row in DRAWS["mostly singletons"](GOLD, np.random.default_rng(0)))
    assert set(sizes) == set(GOLD)
    assert max(sizes.values()) <= 5
    assert sum(size == 1 for size in sizes.values()) > 3


@pytest.mark.parametrize("fraction", [0.3, 0.9])
def test_a_share_of_the_stories_keeps_one_item(sample: Collection, fraction: float) -> None:
    base = {"folder": sample}
    draws = list(thinned(base, [fraction], 2, ["folder events", "folder documents"]))
    assert [(d.name, d.seed) for d in draws] == [
        (f"folder {level}", seed) for level in ("documents", "events") for seed in (0, 1)
    ]
    assert draws[0].items.names != draws[1].items.names
    for one in draws:
        before = Counter(sample.levels[one.level].gold)
        several = [story for story, size in before.items() if size > 1]
        left = Counter(one.items.gold)
        assert left.keys() == before.keys()
        cut = [story for story in several if left[story] != before[story]]
        assert {left[story] for story in cut} == {1}
        assert len(cut) == round(fraction * len(several))
        documents = set(one.items.documents)
        assert set(one.collection.levels["entities"].documents) <= documents
        again = next(d for d in thinned(base, [fraction], 2, [one.name]) if d.seed == one.seed)
        assert again.items.names == one.items.names
    with pytest.raises(ValueError, match="folder facts"):
        next(thinned(base, names=["folder facts", "folder events"]))


def test_what_peers_score_is_computed_once(
    sample: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peer_cache, "FOLDER", tmp_path)
    items = sample.levels["documents"].take(np.arange(0, 60, 2))
    found = peer_cache.cached_peers(items)
    assert found
    (kept,) = tmp_path.iterdir()
    kept.write_bytes(orjson.dumps({"from the file": 1.0}))
    assert peer_cache.cached_peers(items) == {"from the file": 1.0}
    other = Items(items.names, items.vectors, items.entries, [*items.gold[1:], "another"])
    assert peer_cache.cached_peers(other).keys() == found.keys()


def test_whole_stories_and_halves() -> None:
    rows = DRAWS["12 stories"](GOLD, np.random.default_rng(0))
    sizes = Counter(GOLD[row] for row in rows)
    assert len(sizes) == 12
    assert all(size == GOLD.count(name) for name, size in sizes.items())
    rows = DRAWS["half"](GOLD, np.random.default_rng(0))
    assert len(set(rows.tolist())) == len(rows) == len(GOLD) // 2


def test_topics_are_drawn_without_replacement_and_by_the_seed() -> None:
    whole = of_topics(33)
    counts = set()
    for seed in range(20):
        drawn = draw(whole, seed)
        topics = Counter(topic(d) for d in drawn.levels["documents"].documents)
        assert set(topics.values()) == {5}
        assert LEAST <= len(topics) <= MOST
        assert drawn.levels["events"].documents == drawn.levels["documents"].documents
        assert draw(whole, seed).levels["events"].names == drawn.levels["events"].names
        counts.add(tuple(sorted(topics)))
    assert len(counts) == 20


def test_the_gain_is_over_the_setting_that_is_best_on_average() -> None:
    series = {"ours": [0.8, 0.6, 0.7], "a": [0.9, 0.1, 0.1], "b": [0.5, 0.5, 0.6]}
    found = summary(series)
    assert found["peer"] == "b"
    assert found["peer_f1"] == pytest.approx(1.6 / 3)
    assert found["gains"] == pytest.approx([0.3, 0.1, 0.1])
    assert found["ours/gain"] == pytest.approx(0.5 / 3)
    assert found["ours/low"] == pytest.approx(0.1)
    assert found["ours/high"] == pytest.approx(0.29)


def test_leiden_finds_groups_and_leaves_lone_items_alone() -> None:
    vectors = np.concatenate([blobs([60, 60, 60], spread=0.1), scattered(3, seed=9)])
    graph = neighbour_graph(vectors)
    found = communities(graph, Leiden("CPM", 0.4))
    assert len({tuple(set(found[start : start + 60].tolist())) for start in (0, 60, 120)}) == 3
    assert all(len(set(found[start : start + 60].tolist())) == 1 for start in (0, 60, 120))
    assert found[180:].tolist() == [-1, -1, -1]
    assert (communities(neighbour_graph(vectors), Leiden("CPM", 0.4)) == found).all()
    fewer = communities(graph, Leiden("CPM", 0.001))
    assert len(set(fewer.tolist())) < len(set(found.tolist()))


def test_every_shown_peer_is_among_the_answers(sample: Collection) -> None:
    names = [name for name, _ in answers(sample.levels["documents"].vectors)]
    assert set(SHOWN_PEERS) <= set(names)
    assert len(names) == len(set(names))
    assert {setting.name for setting in SETTINGS} <= set(names)


def test_generated_news_is_compared_with_its_gold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peer_cache, "FOLDER", tmp_path)
    found = generated.measured("storylines", generated.WRONG["digests 50%"], 300)
    for name in ("ours", "ours hdbscan", "ours without documents"):
        assert 0.3 < float(str(found[f"{name}/f1"])) <= 1
    assert "peers/EVoC" in found
    assert found["items"] == 300


def test_recall_is_of_the_sixteen_nearest_and_counts_ties() -> None:
    vectors = scattered(60)
    order = np.argsort(-(vectors @ vectors.T), axis=1)[:, 1:]
    rows = np.array([2, 5])
    assert recall(vectors, rows, [order[row][:16] for row in rows]) == 1
    half = [order[row][8:24] for row in rows]
    assert recall(vectors, rows, half) == 0.5
    same = np.repeat(scattered(1), 20, axis=0)
    assert recall(same, np.array([0]), [np.arange(4, 20)]) == 1
