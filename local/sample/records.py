"""From articles to the records of the four levels, in the form of Stage 3's metadata."""

from __future__ import annotations

import random
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from typing import Any

from local.sample.articles import MAX_MENTIONS, Article, ArticleEvent
from local.sample.dirt import guessed_domain, midnight, written_date
from local.sample.prose import Mention, capitalised
from local.sample.randomness import named_random

LEVELS = {
    "documents": "document",
    "events": "event",
    "entities": "entity",
    "storylines": "storyline",
}
TOPIC_NAMED = 0.6
_PREFIX = {"document": "doc_emb_", "event": "event_emb_"}
_PRIMARY = ("PER", "ORG", "GPE", "LOC", "EVENT")


@dataclass(frozen=True, slots=True)
class Record:
    """One item of a level; `thing` and `context` are what its vector is made from."""

    source_id: str
    kind: str
    gold: str
    metadata: dict[str, Any]
    thing: str
    context: str

    @property
    def vector_id(self) -> str:
        """The id in Stage 3's index."""
        return _PREFIX.get(self.kind, f"{self.kind}_emb_") + self.source_id


def _slug(title: str) -> str:
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")


def _primary(mentions: Sequence[Mention], limit: int = 5) -> list[str]:
    counts = Counter(m.canonical for m in mentions if m.kind in _PRIMARY)
    return [name for name, _ in counts.most_common(limit)]


def mentions_of(article: Article) -> list[tuple[Mention, str]]:
    """Return the article's mentions with their sentences, as many as Stage 2 keeps."""
    found = [
        (mention, event.sentence.text)
        for event in article.events
        for mention in event.sentence.mentions
    ]
    return found[:MAX_MENTIONS]


def threads_of(article: Article) -> list[tuple[ArticleEvent, ...]]:
    """Return the article's two to five storylines: its events, cut into runs."""
    count = min(5, max(2, len(article.events) // 3))
    cuts = [round(i * len(article.events) / count) for i in range(count + 1)]
    return [article.events[a:b] for a, b in pairwise(cuts)]


def _thread_number(article: Article) -> list[int]:
    return [number for number, part in enumerate(threads_of(article)) for _ in part]


def _named_topic(article: Article, draw: random.Random) -> list[str]:
    """The story's topic, where upstream found it: not for every document and storyline."""
    return [article.story.topic] if article.story.topic and draw.random() < TOPIC_NAMED else []


def document_record(article: Article) -> Record:
    """Return the record of the article itself."""
    draw = named_random("document", article.source_id, article.title)
    template = article.story.template
    slug = f"{article.published:%Y/%m/%d}/{_slug(article.title)}"
    body = [event.sentence.text for event in article.events]
    tags = [tag for tag in template.tags if draw.random() < 0.8]
    keywords = [*template.categories, *tags, *_named_topic(article, draw)]
    metadata = {
        "title": article.title,
        "publication_date": written_date(article.published, draw),
        "word_count": len(article.text.split()),
        "entity_count": len(mentions_of(article)),
        "event_count": len(article.events),
        "source_url": f"https://{article.outlet.host}/{slug}",
        "source": article.outlet.name,
        "categories": list(template.categories),
        "tags": keywords[len(template.categories) :],
    }
    return Record(
        article.source_id,
        "document",
        article.story.key,
        metadata,
        article.title,
        " ".join([*keywords, *body]),
    )


def event_records(article: Article) -> Iterator[Record]:
    """Yield the records of the article's events."""
    for number, (event, thread) in enumerate(
        zip(article.events, _thread_number(article), strict=True)
    ):
        source_id = f"{article.source_id}_event_{number}"
        draw = named_random("event", source_id, event.sentence.text)
        domain, right = guessed_domain(article.story.template.domain, draw)
        mentions = event.sentence.mentions
        metadata = {
            "document_id": article.source_id,
            "storyline_id": f"{article.source_id}_storyline_{thread}",
            "event_type": event.template.event_type,
            "trigger": event.sentence.trigger,
            "event_description": event.sentence.text,
            "domain": domain,
            "sentiment": event.template.sentiment,
            "confidence": round(draw.uniform(0.7, 0.99) if right else draw.uniform(0.35, 0.8), 3),
            "temporal_reference": written_date(midnight(event.day, article.published), draw),
            "argument_count": len(mentions),
            "primary_entities": _primary(mentions),
        }
        thing = f"{event.sentence.trigger} {' '.join(_primary(mentions, 3))}"
        yield Record(source_id, "event", event.gold, metadata, thing, event.sentence.text)


def entity_records(article: Article) -> Iterator[Record]:
    """Yield the records of the article's mentions."""
    for number, (mention, sentence) in enumerate(mentions_of(article)):
        metadata = {
            "document_id": article.source_id,
            "entity_type": mention.kind,
            "entity_text": mention.text,
            "context": sentence,
        }
        source_id = f"{article.source_id}_entity_{number}"
        yield Record(source_id, "entity", mention.key, metadata, mention.text, sentence)


def _span(days: Sequence[date], article: Article) -> dict[str, Any]:
    draw = named_random("span", article.source_id, *days)
    ends = [midnight(day, article.published) for day in (min(days), max(days))]
    written = [written_date(end, draw) for end in ends]
    if None in written:
        return {"temporal_span": None, "temporal_span_days": None}
    return {"temporal_span": written, "temporal_span_days": (ends[1] - ends[0]).days}


def storyline_records(article: Article) -> Iterator[Record]:
    """Yield the records of the article's storylines."""
    first = 0
    for number, thread in enumerate(threads_of(article)):
        source_id = f"{article.source_id}_storyline_{number}"
        mentions = [mention for event in thread for mention in event.sentence.mentions]
        draw = named_random("storyline", source_id, thread[0].sentence.text)
        opening = "".join(f"{capitalised(topic)}: " for topic in _named_topic(article, draw))
        summary = opening + " ".join(event.sentence.text for event in thread[:3])
        metadata = {
            "storyline_id": source_id,
            "document_id": article.source_id,
            "event_ids": [f"{article.source_id}_event_{first + i}" for i in range(len(thread))],
            "event_count": len(thread),
            "primary_entities": _primary(mentions),
            **_span([event.day for event in thread], article),
            "domain": guessed_domain(article.story.template.domain, draw)[0],
            "storyline_summary": summary,
        }
        first += len(thread)
        thing = f"{opening}{' '.join(_primary(mentions, 8))}"
        yield Record(source_id, "storyline", article.story.key, metadata, thing, summary)
