"""The sample corpus: the contract's form, its bounds, its gold and its dirt."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter, defaultdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import faiss
import numpy as np
import orjson
import pytest

from local.sample import MIN_DOCUMENTS, write_sample
from local.sample.prose import tidy
from local.sample.templates import DOMAINS

PREFIXES = {
    "documents": "doc_emb_",
    "events": "event_emb_",
    "entities": "entity_emb_",
    "storylines": "storyline_emb_",
}
ENTITY_TYPES = {"PER", "ORG", "LOC", "GPE", "DATE", "TIME", "MONEY", "MISC", "EVENT"}


class Sample(NamedTuple):
    folder: Path
    counts: dict[str, int]
    files: dict[str, dict[str, Any]]
    gold: dict[str, dict[str, str]]

    def items(self, level: str) -> dict[str, dict[str, Any]]:
        store = self.files[level]["metadata_store"]
        return {vector_id: entry["metadata"] for vector_id, entry in store.items()}


def read_sample(folder: Path, counts: dict[str, int]) -> Sample:
    files = {lv: orjson.loads((folder / f"{lv}_metadata.json").read_bytes()) for lv in PREFIXES}
    return Sample(folder, counts, files, orjson.loads((folder / "gold.json").read_bytes()))


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Sample:
    """The default sample."""
    folder = tmp_path_factory.mktemp("sample") / "stage3"
    return read_sample(folder, write_sample(folder))


def parse_date(value: str | int) -> datetime:
    if isinstance(value, int):
        return datetime.fromtimestamp(value, UTC)
    moment = datetime.fromisoformat(value)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def test_default_has_the_promised_size(sample: Sample) -> None:
    assert sample.counts["documents"] == 420
    assert 15_000 <= sum(sample.counts.values()) <= 20_000
    stories = Counter(sample.gold["documents"].values())
    sizes = sorted(stories.values(), reverse=True)
    assert sum(size > 1 for size in sizes) == 42
    assert 25 <= sizes[0] <= 40
    assert 0.05 <= sizes.count(1) / 420 <= 0.08


def test_files_are_those_of_the_contract(sample: Sample) -> None:
    expected = {f"{level}{end}" for level in PREFIXES for end in (".index", "_metadata.json")}
    expected |= {"gold.json", "sample.json"}
    assert {path.name for path in sample.folder.iterdir()} == expected


@pytest.mark.parametrize("level", PREFIXES)
def test_ids_agree_everywhere(sample: Sample, level: str) -> None:
    maps = sample.files[level]
    ids = list(maps["metadata_store"])
    assert len(ids) == sample.counts[level]
    assert maps["id_map"] == {vector_id: row for row, vector_id in enumerate(ids)}
    assert maps["reverse_id_map"] == {str(row): vector_id for row, vector_id in enumerate(ids)}
    for vector_id, entry in maps["metadata_store"].items():
        assert vector_id == PREFIXES[level] + entry["source_id"]
    assert set(sample.gold[level]) == set(ids)


@pytest.mark.parametrize("level", PREFIXES)
def test_vectors_are_unit_length_in_a_flat_inner_product_index(sample: Sample, level: str) -> None:
    index = faiss.read_index(str(sample.folder / f"{level}.index"))
    assert isinstance(index, faiss.IndexFlatIP)
    assert (index.ntotal, index.d) == (sample.counts[level], 768)
    vectors = index.reconstruct_n(0, index.ntotal)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def per_document(sample: Sample, level: str) -> Counter[str]:
    return Counter(item["document_id"] for item in sample.items(level).values())


@pytest.mark.parametrize(("level", "low", "high"), [
    ("events", 5, 15), ("entities", 20, 30), ("storylines", 2, 5),
])  # fmt: skip
def test_items_per_document(sample: Sample, level: str, low: int, high: int) -> None:
    counts = per_document(sample, level)
    assert len(counts) == 420
    assert low <= min(counts.values())
    assert max(counts.values()) <= high


def test_documents_count_their_own_items(sample: Sample) -> None:
    events, entities = per_document(sample, "events"), per_document(sample, "entities")
    for vector_id, item in sample.items("documents").items():
        document = vector_id.removeprefix("doc_emb_")
        assert (item["event_count"], item["entity_count"]) == (events[document], entities[document])
        assert item["word_count"] > 50
        assert item["source_url"].startswith("https://www.")
        assert item["source_url"].split("/")[2].endswith(".test")
        assert item["categories"]


def test_storylines_share_out_the_events(sample: Sample) -> None:
    storylines = sample.items("storylines").values()
    named = [event for storyline in storylines for event in storyline["event_ids"]]
    source_ids = [vector_id.removeprefix("event_emb_") for vector_id in sample.items("events")]
    assert sorted(named) == sorted(source_ids)
    by_storyline = {item["storyline_id"]: item["event_ids"] for item in storylines}
    for vector_id, event in sample.items("events").items():
        assert vector_id.removeprefix("event_emb_") in by_storyline[event["storyline_id"]]


def test_dates_parse_and_come_in_several_forms(sample: Sample) -> None:
    written = [item["publication_date"] for item in sample.items("documents").values()]
    dates = [parse_date(value) for value in written if value is not None]
    assert 0 < written.count(None) < 0.1 * len(written)
    assert 40 <= (max(dates) - min(dates)).days <= 62
    assert any(isinstance(value, int) for value in written)
    texts = [value for value in written if isinstance(value, str)]
    assert any(len(text) == 10 for text in texts)
    assert any(text.endswith("Z") for text in texts)
    assert any(text.endswith("+01:00") for text in texts)
    assert any(len(text) == 19 for text in texts)
    for event in sample.items("events").values():
        if event["temporal_reference"] is not None:
            parse_date(event["temporal_reference"])


def test_temporal_spans_parse_and_agree_with_their_days(sample: Sample) -> None:
    spans = [item for item in sample.items("storylines").values() if item["temporal_span"]]
    assert len(spans) > 900
    for item in spans:
        start, end = map(parse_date, item["temporal_span"])
        assert start.date() <= end.date()
        assert item["temporal_span_days"] >= 0


def test_all_domains_in_different_sizes_and_some_wrong_or_short(sample: Sample) -> None:
    domains = Counter(item["domain"] for item in sample.items("events").values())
    assert set(DOMAINS) <= set(domains)
    assert max(domains.values()) > 2 * min(domains[name] for name in DOMAINS)
    assert set(domains) - set(DOMAINS) <= {name.partition("_")[0] for name in DOMAINS}
    of_story: dict[str, Counter[str]] = defaultdict(Counter)
    for vector_id, item in sample.items("storylines").items():
        of_story[sample.gold["storylines"][vector_id]][item["domain"]] += 1
    largest = sum(counts.most_common(1)[0][1] for counts in of_story.values())
    assert 0.80 < largest / sample.counts["storylines"] < 0.97


def test_entities_have_variants(sample: Sample) -> None:
    texts: dict[str, set[str]] = defaultdict(set)
    mentions = Counter(sample.gold["entities"].values())
    for vector_id, item in sample.items("entities").items():
        assert item["entity_type"] in ENTITY_TYPES
        assert item["entity_text"] in item["context"]
        texts[sample.gold["entities"][vector_id]].add(item["entity_text"])
    assert {item["entity_type"] for item in sample.items("entities").values()} == ENTITY_TYPES
    people = [key for key in texts if key.startswith("per:story") and mentions[key] >= 10]
    assert len(people) > 40
    assert np.mean([len(texts[key]) > 1 for key in people]) > 0.8
    assert any(
        form.isupper() for key, forms in texts.items() if key[:4] == "org:" for form in forms
    )


def test_events_recur_across_documents_in_other_words(sample: Sample) -> None:
    documents: dict[str, set[str]] = defaultdict(set)
    wordings: dict[str, set[str]] = defaultdict(set)
    for vector_id, item in sample.items("events").items():
        gold = sample.gold["events"][vector_id]
        documents[gold].add(item["document_id"])
        wordings[gold].add(item["event_description"])
        assert item["trigger"] in item["event_description"]
    shared = [gold for gold, where in documents.items() if len(where) >= 5]
    assert len(shared) > 100
    assert np.mean([len(wordings[gold]) > 1 for gold in shared]) > 0.95


def test_texts_are_rendered(sample: Sample) -> None:
    for level, field in [
        ("documents", "title"),
        ("events", "event_description"),
        ("storylines", "storyline_summary"),
    ]:
        for item in sample.items(level).values():
            assert not set("[]{}*|") & set(item[field]), item[field]
            assert not re.search(r"\bthe the\b", item[field], re.IGNORECASE), item[field]
            assert item[field][0] == item[field][0].upper()


def test_stories_are_near_and_others_far(sample: Sample) -> None:
    index = faiss.read_index(str(sample.folder / "documents.index"))
    vectors = index.reconstruct_n(0, index.ntotal)
    gold = np.array(list(sample.gold["documents"].values()))
    same = gold[:, None] == gold
    np.fill_diagonal(same, val=False)
    similarity = vectors @ vectors.T
    assert similarity[same].mean() > similarity[~same & ~np.eye(len(gold), dtype=bool)].mean() + 0.3
    nearest = (similarity - 2 * np.eye(len(gold), dtype=np.float32)).argmax(axis=1)
    assert 0.85 < np.mean(gold[nearest] == gold) < 1


def content(folder: Path) -> dict[str, bytes]:
    """What Stage 3 would write; `sample.json` says for which arguments it was made."""
    found = {path.name: path.read_bytes() for path in sorted(folder.iterdir())}
    del found["sample.json"]
    return found


def test_same_seed_same_bytes_even_in_another_process(tmp_path: Path) -> None:
    write_sample(tmp_path / "a", documents=20, seed=3)
    write_sample(tmp_path / "c", documents=20, seed=4)
    code = (
        "import pathlib, sys; from local.sample import write_sample; "
        "write_sample(pathlib.Path(sys.argv[1]), documents=20, seed=3)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "b")], check=True)
    assert content(tmp_path / "a") == content(tmp_path / "b")
    assert content(tmp_path / "a") != content(tmp_path / "c")


def test_documents_scale_stories_and_vectors(tmp_path: Path) -> None:
    small = read_sample(tmp_path / "s", write_sample(tmp_path / "s", documents=MIN_DOCUMENTS))
    larger = read_sample(tmp_path / "m", write_sample(tmp_path / "m", documents=100))
    assert small.counts["documents"] == len(small.items("documents")) == MIN_DOCUMENTS
    assert larger.counts["documents"] == len(larger.items("documents")) == 100
    assert larger.counts["entities"] >= 20 * 100
    stories = Counter(larger.gold["documents"].values())
    assert sum(size > 1 for size in stories.values()) == 10


def test_too_few_documents_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least 10 documents, got 9"):
        write_sample(tmp_path / "x", documents=9)
    assert not any(tmp_path.iterdir())


def test_an_occupied_folder_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(FileExistsError, match="not empty"):
        write_sample(tmp_path, documents=10)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_folder_that_has_this_very_sample_is_left_as_it_is(tmp_path: Path) -> None:
    """The README's lines can be typed again; another sample, or half of it, is told."""
    folder = tmp_path / "stage3"
    counts = write_sample(folder, documents=10, days=50)
    written = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert write_sample(folder, documents=10, days=50) == counts
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == written
    with pytest.raises(FileExistsError, match=r"another sample \(documents 10, days 50\)"):
        write_sample(folder, documents=12)
    (folder / "events.index").unlink()
    with pytest.raises(FileExistsError, match=r"remove it\.$"):
        write_sample(folder, documents=10, days=50)


@pytest.mark.parametrize("text", ["", "[]", '{"asked": 3, "vectors": {}}', "{"])
def test_a_file_that_is_no_record_of_a_sample_makes_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "sample.json").write_text(text)
    with pytest.raises(FileExistsError, match=r"remove it\.$"):
        write_sample(tmp_path, documents=10)


def test_no_path_of_this_machine_in_the_files(sample: Sample) -> None:
    home = str(Path.home()).encode()
    for name, data in content(sample.folder).items():
        if name.endswith(".json"):
            assert str(sample.folder).encode() not in data
            assert home not in data or home == b"/"


@pytest.mark.parametrize(
    ("raw", "mended"),
    [
        ("the the navy met a envoy", "The navy met an envoy"),
        ("A old case of hepatitis A outbreak", "An old case of hepatitis A outbreak"),
        ("it ended at 5 p.m..", "It ended at 5 p.m."),
        ("a one-day strike", "A one-day strike"),
    ],
)
def test_tidy_mends_what_slots_leave(raw: str, mended: str) -> None:
    assert tidy(raw) == mended


def test_the_first_days_are_a_part_of_the_sample_and_grow(tmp_path: Path) -> None:
    whole, some, more = (
        read_sample(folder, write_sample(folder, documents=40, days=days))
        for folder, days in ((tmp_path / "a", None), (tmp_path / "b", 30), (tmp_path / "c", 40))
    )
    for level in PREFIXES:
        assert some.items(level).items() < more.items(level).items() <= whole.items(level).items()
        vectors = [vectors_of(each, level) for each in (whole, some)]
        assert vectors[1].items() <= vectors[0].items()
        assert some.gold[level].keys() == some.items(level).keys()
    with pytest.raises(ValueError, match="no document is of the first 0 days"):
        write_sample(tmp_path / "d", documents=40, days=0)
    assert not (tmp_path / "d").exists()


def vectors_of(sample: Sample, level: str) -> dict[str, bytes]:
    index = faiss.read_index(str(sample.folder / f"{level}.index"))
    rows = sample.files[level]["id_map"]
    return {name: index.reconstruct(row).tobytes() for name, row in rows.items()}
