"""Metadata of a world's items, in the form of Stage 3: texts, names, kinds and dates."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from clustering_tasks.arrays import F64, I32, I64
from clustering_tasks.settings.levels import DOMAINS
from tests.benchmarks.hashed import mixed, uniform
from tests.benchmarks.independent import EVENT_TYPES
from tests.benchmarks.invented_words import Writer, vocabulary
from tests.benchmarks.world import CHAINS, LevelItems, World

Json = dict[str, Any]

VOCABULARY = 30_000
_ROWS = 8192
_TRIGGERS, _GENERIC = 40, 6  # words of a story for its events, for all its entities
_FORMS = ("", "ed", "ing", "")  # of a word, by the wording; the last is another word
_OTHER_WORD = 3
_DOMAINS = list(DOMAINS.values())
_EVENT_TYPES = EVENT_TYPES.split()
_ENTITY_TYPES = ["PER", "PER", "PER", "PER", "ORG", "ORG", "ORG", "GPE", "GPE", "LOC"]
_FIRST_DAY = datetime(2024, 1, 1, tzinfo=UTC)
_UNDATED = {"documents": 0.1, "events": 0.5, "entities": 0.1, "storylines": 0.1}
_OTHER_KIND = {"domain": 0.15, "event_type": 0.1, "entity_type": 0.03}  # wrong guesses


def words_of(level: str, items: LevelItems, rows: slice) -> tuple[I32, I32]:
    """Numbers of what names items: (m,) twice, -1 for none.

    An event has a word in three forms, and another word. They are its story's, so that other events
    of the story share them; the second number is the form. An entity has a first and a last name,
    the last name alone (twice), or one of the words that its story has for all entities.
    """
    chain, wording, story = items.chain[rows], items.wording[rows], items.story[rows]
    if level == "events":
        place = uniform(chain, 21, (wording == _OTHER_WORD).astype(np.int64)) ** 2 * _TRIGGERS
        word = _word(story * _TRIGGERS + place.astype(np.int64), 22)
        return word, VOCABULARY + word * len(_FORMS) + wording
    place = uniform(chain, 21) * _GENERIC
    generic = _word(story * _GENERIC + place.astype(np.int64), 22)
    first, last = _word(chain, 23), _word(chain, 24)
    one = np.where(wording == 0, first, np.where(wording == _OTHER_WORD, generic, last))
    return one, np.where(wording == 0, last, np.int32(-1))


def _word(ids: I64, salt: int) -> I32:
    return (mixed(ids, salt) % np.uint64(VOCABULARY)).astype(np.int32)


@dataclass
class Page:
    """What the metadata of one item are made of.

    Attributes:
        source: its source id.
        document: the id of the document that it names.
        names: the words that name it.
        cast: names of the first entities of its story.
        domain, kind: of its story, of its chain; sometimes guessed wrong.
        published, happened: times of the document and of the item, None for undated.
        sentence: that it stands in.
        writer: of its story.
    """

    source: str
    document: str
    names: str
    cast: list[str]
    domain: str
    kind: str
    published: str | None
    happened: str | None
    sentence: str
    writer: Writer


def metadata_of(
    world: World, level: str, items: LevelItems, sources: list[str], documents: list[str]
) -> Iterator[Json]:
    """Write the metadata of a level's items.

    Args:
        world: that they are of.
        level: by its name.
        items: of the level.
        sources: (n) their source ids.
        documents: (n) ids of the documents that they name.
    """
    words = vocabulary(np.random.default_rng([world.settings.seed, 3]))[:VOCABULARY]
    published = published_on(world)
    for start in range(0, len(sources), _ROWS):
        rows = slice(start, start + _ROWS)
        rng = np.random.default_rng([world.settings.seed, 14, start])
        columns = _columns(world, level, items, rows, words, published, rng)
        writers = (Writer(story, words, rng) for story in items.story[rows].tolist())
        texts = _texts(items.sentence[rows].tolist(), writers)
        for cells in zip(sources[rows], documents[rows], *columns, texts, strict=True):
            yield MAKERS[level](Page(*cells[:-1], *cells[-1]))


def _texts(sentences: list[int], writers: Iterable[Writer]) -> Iterator[tuple[str, Writer]]:
    """Write the sentences, each once for the items that stand in it."""
    before, text = -1, ""
    for sentence, writer in zip(sentences, writers, strict=True):
        if sentence != before:
            before, text = sentence, writer.text(18)
        yield text, writer


def _columns(
    world: World,
    level: str,
    items: LevelItems,
    rows: slice,
    words: list[str],
    published: F64,
    rng: np.random.Generator,
) -> tuple[list[Any], ...]:
    """Names, casts, domains, kinds and times of some items, as in `Page`."""
    story, chain = items.story[rows], items.chain[rows]
    casts = [_full_names(story * CHAINS + rank, words) for rank in range(4)]
    kind = "entity_type" if level == "entities" else "event_type"
    kinds = _ENTITY_TYPES if level == "entities" else _EVENT_TYPES
    day = published[items.document[rows]]
    happened = _happened(world, story, chain, day)
    return (
        _names(level, items, rows, words),
        [list(cast) for cast in zip(*casts, strict=True)],
        _guessed(_DOMAINS, uniform(story, 31), _OTHER_KIND["domain"], rng),
        _guessed(kinds, uniform(chain, 32), _OTHER_KIND[kind], rng),
        _dated(day, _UNDATED["documents"], "%FT%H:%M:00Z", uniform(items.document[rows], 33)),
        _dated(happened, _UNDATED[level], "%FT00:00:00Z", rng.random(len(day))),
    )


def _full_names(chain: I64, words: list[str]) -> list[str]:
    return [
        f"{words[one].title()} {words[other].title()}"
        for one, other in zip(_word(chain, 23).tolist(), _word(chain, 24).tolist(), strict=True)
    ]


def _names(level: str, items: LevelItems, rows: slice, words: list[str]) -> list[str]:
    """Trigger of an event, name of an entity as its wording has it."""
    if level == "events":
        drawn = words_of(level, items, rows)[0].tolist(), items.wording[rows].tolist()
        return [words[word] + _FORMS[wording] for word, wording in zip(*drawn, strict=True)]
    full = _full_names(items.chain[rows], words)
    initial = [f"{first[0]}. {last}" for first, last in map(str.split, full)]
    last = [name.split()[1] for name in full]
    generic = [f"the {words[word]}" for word in words_of(level, items, rows)[0].tolist()]
    each = (full, last, initial, generic)
    return [each[wording][at] for at, wording in enumerate(items.wording[rows].tolist())]


def _guessed(kinds: list[str], place: F64, wrong: float, rng: np.random.Generator) -> list[str]:
    """Choose by a number from 0 to 1, for some items by chance."""
    place = np.where(rng.random(len(place)) < wrong, rng.random(len(place)), place)
    return [kinds[number] for number in (place * len(kinds)).astype(int).tolist()]


def published_on(world: World) -> F64:
    """Day on which metadata say that each document was published: (D,), NaN for undated."""
    if world.settings.dates == "none":
        return np.full(len(world.time), np.nan)
    if world.settings.dates == "random":
        return np.random.default_rng([world.settings.seed, 15]).permutation(world.time)
    return world.time


def _happened(world: World, story: I64, chain: I64, published: F64) -> F64:
    """Day of each item's event, at most that of its document; every mention has the same."""
    if world.settings.dates != "story":
        return published
    known = story < len(world.begin)
    began = np.where(known, world.begin[np.where(known, story, 0)], published)
    return np.minimum(began + 3 * uniform(chain, 34) ** 2, published)


def _dated(days: F64, undated: float, form: str, drawn: F64) -> list[str | None]:
    return [
        None if chance < undated or day != day else f"{_FIRST_DAY + timedelta(day):{form}}"
        for day, chance in zip(days.tolist(), drawn.tolist(), strict=True)
    ]


def _document(page: Page) -> Json:
    writer = page.writer
    return {
        "title": writer.text(10),
        "publication_date": page.published,
        "word_count": int(writer.rng.integers(80, 1500)),
        "entity_count": int(writer.rng.integers(3, 40)),
        "event_count": int(writer.rng.integers(2, 20)),
        "source_url": f"https://news.example.org/{page.source}",
        "categories": [page.domain],
        "tags": page.cast,
        "lead": f'"{page.sentence}" {writer.text(40)}',
    }


def _event(page: Page) -> Json:
    return {
        "document_id": page.document,
        "event_description": f"{page.names}: {page.sentence}",
        "trigger": page.names,
        "event_type": page.kind,
        "domain": page.domain,
        "sentiment": page.writer.among(["neutral", "positive", "negative"]),
        "confidence": round(float(page.writer.rng.random()), 4),
        "temporal_reference": page.happened,
        "publication_date": page.published,
        "argument_count": 2,
        "primary_entities": page.cast,
        "arguments": [
            {"role": role, "text": name, "span": [3, 17]}
            for role, name in zip(("agent", "place"), page.cast, strict=False)
        ],
        "sentence": page.sentence,
    }


def _entity(page: Page) -> Json:
    return {
        "document_id": page.document,
        "entity_type": page.kind,
        "entity_text": page.names,
        "context": page.sentence,
        "publication_date": page.published,
    }


def _storyline(page: Page) -> Json:
    days = [page.happened, page.published] if page.happened and page.published else None
    return {
        "storyline_id": page.source,
        "document_id": page.document,
        "event_ids": [f"{page.document}_event_{number}" for number in range(5)],
        "event_count": 5,
        "primary_entities": page.cast,
        "temporal_span": days,
        "temporal_span_days": _days_between(*days) if days else None,
        "domain": page.domain,
        "storyline_summary": f"{page.sentence} {page.writer.text(30)}",
    }


def _days_between(first: str, last: str) -> int:
    return (datetime.fromisoformat(last) - datetime.fromisoformat(first)).days


MAKERS: dict[str, Callable[[Page], Json]] = {
    "documents": _document,
    "events": _event,
    "entities": _entity,
    "storylines": _storyline,
}
