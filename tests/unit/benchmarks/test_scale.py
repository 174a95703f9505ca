"""The generated news: every level is of the same documents, and its gold is what they say."""

from collections import Counter
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import orjson
import pytest

from clustering_tasks.settings.levels import LEVELS
from tests.benchmarks.independent import write_independent
from tests.benchmarks.scale import read_truth, write_levels, write_scale_folder
from tests.benchmarks.world import (
    ITEMS_PER_DOCUMENT,
    World,
    WorldSettings,
    make_items,
    make_world,
    story_sizes,
)

DOCUMENTS = 120


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    written = tmp_path_factory.mktemp("scale") / "folder"
    write_levels(written, WorldSettings(DOCUMENTS))
    return written


def metadata(folder: Path, level: str) -> dict[str, Any]:
    read: dict[str, Any] = orjson.loads((folder / f"{level}_metadata.json").read_bytes())
    return read


def about(folder: Path, level: str) -> list[dict[str, Any]]:
    return [entry["metadata"] for entry in metadata(folder, level)["metadata_store"].values()]


def vectors(folder: Path, level: str) -> Any:
    index = faiss.read_index(str(folder / f"{level}.index"))
    return index.reconstruct_n(0, index.ntotal)


@pytest.fixture(scope="module")
def world() -> World:
    return make_world(WorldSettings(4000))


def test_the_documents_are_of_stories_alone_or_digests(world: World) -> None:
    assert world.digest.mean() == pytest.approx(0.1, abs=0.03)
    main = Counter(world.stories[:, 0].tolist())
    several = [story for story in main if story < world.story_count]
    assert sum(main[story] < 2 for story in several) < 0.05 * len(several)
    alone = sum(main[story] for story in main if story >= world.story_count)
    assert alone / 4000 == pytest.approx(0.1 + 0.9 * 0.2, abs=0.02)
    assert max(main.values()) < 0.05 * 4000
    mentioned = (world.stories[:, 1] >= 0).mean()
    assert mentioned == pytest.approx(0.9 * 0.8 * 0.3, abs=0.04)


@pytest.mark.parametrize("documents", [0, 1, 2, 3, 23, 24, 25, 1000, 77_777])
def test_sizes_of_stories_add_up(documents: int) -> None:
    sizes = story_sizes(documents)
    assert sizes.sum() == documents
    assert (sizes >= min(documents, 2)).all()
    assert (np.diff(sizes) <= 0).all()


@pytest.mark.parametrize("level", ["events", "entities", "storylines"])
def test_items_are_of_a_story_of_their_document(world: World, level: str) -> None:
    n = len(world.time) * ITEMS_PER_DOCUMENT[level]
    items = make_items(world, level, n)
    assert len(items.story) == n
    assert (np.diff(items.document) >= 0).all()
    own = (world.stories[items.document] == items.story[:, None]).any(axis=1)
    thread = items.story >= world.story_count + len(world.time)
    plain = ~world.digest[items.document] & ~items.copied & ~thread
    assert own[plain].all()
    assert thread.any() == (level == "storylines")
    told = [items.story[items.document == each] for each in np.flatnonzero(world.digest)[:60]]
    assert np.mean([len(set(stories.tolist())) / len(stories) for stories in told]) > 0.5


@pytest.mark.parametrize("level", ["events", "entities"])
def test_gold_is_the_chain_and_not_the_story(world: World, level: str) -> None:
    items = make_items(world, level, 4000 * ITEMS_PER_DOCUMENT[level])
    cluster = items.clusters()
    assert (cluster < 0).mean() == pytest.approx(0.2, abs=0.06)
    sizes = np.bincount(cluster[cluster >= 0])
    assert sizes.min() == 2
    across, over = 0, 0
    for number in range(0, len(sizes), 97):
        members = cluster == number
        across += len(set(items.document[members].tolist())) > 1
        over += len(set(items.story[members].tolist())) > 1
    assert across > 0.6 * len(range(0, len(sizes), 97))
    assert (over > 0) == (level == "entities")  # some entities are named everywhere
    chains_of_story = Counter(items.story[cluster >= 0].tolist())
    assert len(sizes) > 2 * len(chains_of_story)


def test_storylines_and_documents_have_the_same_gold(world: World) -> None:
    documents = make_items(world, "documents", 4000)
    assert documents.story.tolist() == world.stories[:, 0].tolist()
    storylines = make_items(world, "storylines", 8000)
    first = (storylines.part == 0) & ~world.digest[storylines.document] & ~storylines.copied
    np.testing.assert_array_equal(
        storylines.story[first], world.stories[storylines.document[first], 0]
    )


@pytest.mark.parametrize("level", LEVELS)
def test_a_level_that_was_written_names_documents_that_were(folder: Path, level: str) -> None:
    names, cluster = read_truth(folder, level)
    read = metadata(folder, level)
    assert list(read["metadata_store"]) == list(read["id_map"]) == names
    assert len(names) == len(set(names)) == len(cluster) == DOCUMENTS * ITEMS_PER_DOCUMENT[level]
    documents = {e["source_id"] for e in metadata(folder, "documents")["metadata_store"].values()}
    if level != "documents":
        assert {each["document_id"] for each in about(folder, level)} <= documents
    rows = vectors(folder, level)
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)
    similarity = rows @ rows.T
    same = (cluster[:, None] == cluster) & (cluster >= 0) & ~np.eye(len(cluster), dtype=bool)
    assert similarity[same].mean() > similarity[~same].mean() + 0.3


def test_mentions_of_an_event_have_several_words_and_days_of_one_event(folder: Path) -> None:
    cluster = read_truth(folder, "events")[1]
    items = about(folder, "events")
    largest = np.bincount(cluster[cluster >= 0]).argmax()
    mentions = [items[row] for row in np.flatnonzero(cluster == largest)]
    words = {mention["trigger"] for mention in mentions}
    assert 1 < len(words) <= 4
    assert all(m["event_description"].startswith(m["trigger"]) for m in mentions)
    kinds = Counter(mention["event_type"] for mention in mentions)
    assert kinds.most_common(1)[0][1] > len(mentions) / 2
    days = {m["temporal_reference"] for m in mentions} - {None}
    assert 0 < len(days) <= 4


def test_an_entity_has_one_type_and_names_that_share_words(folder: Path) -> None:
    cluster = read_truth(folder, "entities")[1]
    items = about(folder, "entities")
    largest = np.bincount(cluster[cluster >= 0]).argmax()
    names = Counter(items[row]["entity_text"] for row in np.flatnonzero(cluster == largest))
    full = max(names, key=lambda name: (not name.startswith("the "), "." not in name, len(name)))
    last = full.split()[-1]
    assert sum(count for name, count in names.items() if last in name) > 0.7 * names.total()
    types = Counter(items[row]["entity_type"] for row in np.flatnonzero(cluster == largest))
    assert types.most_common(1)[0][1] > 0.85 * types.total()


def test_documents_of_a_story_are_published_in_its_days(folder: Path) -> None:
    cluster = read_truth(folder, "documents")[1]
    dates = [each["publication_date"] for each in about(folder, "documents")]
    assert 0 < dates.count(None) < 0.25 * len(dates)
    of_story = [dates[row] or "" for row in np.flatnonzero(cluster == 0) if dates[row]]
    span = np.datetime64(max(of_story)[:10]) - np.datetime64(min(of_story)[:10])
    assert span < np.timedelta64(20, "D")


def test_stories_are_shorter_than_the_world(world: World) -> None:
    middle = np.array([world.time[world.stories[:, 0] == s].mean() for s in range(100)])
    within = np.array([np.ptp(world.time[world.stories[:, 0] == s]) for s in range(100)])
    assert middle.std() > 40
    assert np.median(within) < 15


def test_the_same_seed_gives_the_same_folder(folder: Path, tmp_path: Path) -> None:
    count = DOCUMENTS * ITEMS_PER_DOCUMENT["events"]
    write_scale_folder(tmp_path / "again", "events", count)
    write_scale_folder(tmp_path / "other", "events", count, WorldSettings(DOCUMENTS, seed=1))
    for name in ("events.index", "events_metadata.json"):
        assert (tmp_path / "again" / name).read_bytes() == (folder / name).read_bytes()
        assert (tmp_path / "other" / name).read_bytes() != (folder / name).read_bytes()


def test_a_copy_has_the_vector_of_the_item_before(tmp_path: Path) -> None:
    write_scale_folder(tmp_path, "events", 1500)
    rows, cluster = vectors(tmp_path, "events"), read_truth(tmp_path, "events")[1]
    copies = np.flatnonzero((rows[1:] == rows[:-1]).all(axis=1)) + 1
    assert 5 < len(copies) < 90
    assert (cluster[copies] == cluster[copies - 1]).all()
    assert (cluster[copies] >= 0).all()


def test_documents_can_be_dealt_out_at_random(folder: Path, tmp_path: Path) -> None:
    count = DOCUMENTS * ITEMS_PER_DOCUMENT["events"]
    settings = WorldSettings(DOCUMENTS, shuffle_documents=True)
    write_scale_folder(tmp_path, "events", count, settings)
    assert (tmp_path / "events.index").read_bytes() == (folder / "events.index").read_bytes()
    before, now = about(folder, "events"), about(tmp_path, "events")
    ids = [[each["document_id"] for each in items] for items in (before, now)]
    assert sorted(ids[0]) == sorted(ids[1])
    assert sum(one == other for one, other in zip(*ids, strict=True)) < 0.05 * count
    assert [each["trigger"] for each in now] == [each["trigger"] for each in before]
    assert (read_truth(tmp_path, "events")[1] == read_truth(folder, "events")[1]).all()


def test_dates_can_be_dealt_out_at_random_or_left_out(folder: Path, tmp_path: Path) -> None:
    write_levels(tmp_path / "random", WorldSettings(DOCUMENTS, dates="random"))
    write_levels(tmp_path / "none", WorldSettings(DOCUMENTS, dates="none"))
    before, dealt = (
        [each["publication_date"] for each in about(place, "documents")]
        for place in (folder, tmp_path / "random")
    )
    assert before != dealt
    assert len(set(before) & set(dealt)) > 0.5 * len(set(before))
    for level in LEVELS:
        for each in about(tmp_path / "none", level):
            fields = ("publication_date", "temporal_reference", "temporal_span")
            assert [each.get(name) for name in fields] == [None] * 3


def test_all_documents_can_be_digests(tmp_path: Path) -> None:
    write_levels(tmp_path, WorldSettings(30, digests=1.0))
    assert set(read_truth(tmp_path, "documents")[1].tolist()) == {-1}
    world = make_world(WorldSettings(2000, digests=1.0))
    items = make_items(world, "events", 20_000)
    assert (items.story < world.story_count).all()
    assert (items.clusters() < 0).mean() < 0.25


def test_the_former_generator_is_still_there(tmp_path: Path) -> None:
    write_independent(tmp_path, "events", 500)
    names, cluster = read_truth(tmp_path, "events")
    documents = [name.rsplit("_", 2)[0] for name in names]
    stories = Counter(zip(documents, cluster.tolist(), strict=True))
    assert max(count for (_, story), count in stories.items() if story >= 0) < 8
    assert len(vectors(tmp_path, "events")) == 500
