"""Articles about the stories: what one outlet writes on one day, with its events and mentions."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from local.sample.newsroom import Story, plan_stories
from local.sample.prose import Sentence, SentenceWriter, Voice, headline
from local.sample.randomness import named_random
from local.sample.templates import (
    EventTemplate,
    Phase,
    colour_templates,
    echo_templates,
)
from local.sample.world import Entity, fill_colour

MAX_EVENTS = 15
MIN_MENTIONS, MAX_MENTIONS = 20, 30
WIRE_SHARE = 0.04
ECHOES, ECHO_SHARE = 5, 0.6
COMMON_HEADLINES = 0.12


@dataclass(frozen=True, slots=True)
class Outlet:
    """A newspaper or agency of the sample's world."""

    name: str
    host: str
    american: bool


OUTLETS = tuple(
    Outlet(name, f"www.{name.lower().replace(' ', '')}.test", american)
    for name, american in (
        ("Averil Courier", False),
        ("Morning Ledger", False),
        ("Continental Post", True),
        ("Northern Herald", False),
        ("Daily Meridian", False),
        ("Harbour Gazette", False),
        ("Capital Tribune", True),
        ("Evening Standard Bearer", False),
        ("Interpress Wire", True),
        ("Weekend Observer", False),
        ("Public Radio News", False),
        ("Metro Dispatch", True),
    )
)


@dataclass(frozen=True, slots=True)
class ArticleEvent:
    """An event as one article reports it; `gold` is the event itself."""

    gold: str
    template: EventTemplate
    sentence: Sentence
    day: date


@dataclass(frozen=True, slots=True)
class Article:
    """One document of the corpus."""

    source_id: str
    story: Story
    outlet: Outlet
    title: str
    published: datetime
    events: tuple[ArticleEvent, ...]

    @property
    def text(self) -> str:
        """The title and the body."""
        return " ".join([f"{self.title}.", *(event.sentence.text for event in self.events)])


def _published(day: date, draw: random.Random) -> datetime:
    hours = draw.choice((0, 0, 0, 24, 24, 48)) + draw.uniform(9, 23)
    moment = datetime.combine(day, time(), tzinfo=UTC) + timedelta(hours=hours)
    return moment.replace(second=0, microsecond=0)


def _choose_events(story: Story, phase: int, draw: random.Random) -> list[tuple[int, int]]:
    """The (phase, event) numbers that an article of this phase reports, its news first."""
    numbers = [list(range(len(part.events))) for part in story.template.phases]
    lead, *rest = numbers[phase]
    news = [(phase, lead)] + [(phase, event) for event in rest if draw.random() < 0.85]
    before = [(p, event) for p in range(phase) for event in numbers[p] if draw.random() < 0.5]
    return news + sorted(draw.sample(before, min(len(before), 5)), reverse=True)


class _Reporter:
    """Writes the article of one document."""

    def __init__(self, story: Story, voice: Voice, source_id: str) -> None:
        self.story, self.voice, self.source_id = story, voice, source_id

    def event(self, phase: int, number: int) -> ArticleEvent:
        """Report an event of the story."""
        template = self.story.template.phases[phase].events[number]
        gold = f"{self.story.key}:{phase}:{number}"
        minute = named_random(gold).randrange(6 * 60, 22 * 60, 5)
        return self._write(gold, template, self.story.days[phase], minute, self.story.key)

    def echoes(self, phase: int) -> list[ArticleEvent]:
        """Report some of what this phase of the story set off; its documents share these."""
        templates = echo_templates().phase.events
        key = f"{self.story.key}:{phase}"
        shared = named_random("echoes", key).sample(range(len(templates)), ECHOES)
        return [
            self._write(
                f"{key}:echo{number}",
                templates[number],
                self.story.days[phase],
                named_random(key, number).randrange(6 * 60, 22 * 60, 5),
                self.story.key,
            )
            for number in shared
            if self.voice.draw.random() < ECHO_SHARE
        ]

    def colour(self, number: int) -> ArticleEvent:
        """Add something that no other document has."""
        template = self.voice.draw.choice(colour_templates())
        minute = self.voice.draw.randrange(6 * 60, 22 * 60, 5)
        gold = f"{self.source_id}:{number}"
        return self._write(gold, template, self.voice.published, minute, self.source_id)

    def _write(
        self, gold: str, template: EventTemplate, day: date, minute: int, scope: str
    ) -> ArticleEvent:
        writer = SentenceWriter(self.voice, scope, day, minute)
        return ArticleEvent(gold, template, writer.write(template.sentence, template.triggers), day)


def _events(reporter: _Reporter, phase: int, draw: random.Random) -> tuple[ArticleEvent, ...]:
    """The story's events, then enough colour for a document's usual number of mentions."""
    events = [reporter.event(*chosen) for chosen in _choose_events(reporter.story, phase, draw)]
    if reporter.story.documents > 1:
        events += reporter.echoes(phase)
    events = events[: MAX_EVENTS - 1]
    wanted = draw.randint(MIN_MENTIONS, MAX_MENTIONS - 4)
    while len(events) < MAX_EVENTS and (
        len(events) < 5 or sum(len(event.sentence.mentions) for event in events) < wanted
    ):
        events.append(reporter.colour(len(events)))
    return tuple(events)


def _article(story: Story, phase: int, source_id: str, text: str, seed: int) -> Article:
    """Write a document; the same `text` name gives the same words (agency copy)."""
    draw = named_random(seed, "outlet", source_id)
    outlet = draw.choice(OUTLETS)
    words = named_random(seed, "text", text)
    published = _published(story.days[phase], words)
    filling = {**story.filling, **fill_colour(text, str(story.filling["nation"]), words)}
    filling["outlet"] = Entity(f"org:{outlet.name}", "ORG", outlet.name, (outlet.name,), "")
    voice = Voice(filling, words, published.date(), outlet.american)
    common = story.documents > 1 and words.random() < COMMON_HEADLINES
    source: Phase = echo_templates().phase if common else story.template.phases[phase]
    title = headline(source.heads, voice)
    events = _events(_Reporter(story, voice, source_id), phase, words)
    return Article(source_id, story, outlet, title, published, events)


def _phases(story: Story, draw: random.Random) -> list[int]:
    """The phase of each document of a story, in order; every phase if there are enough."""
    count = len(story.template.phases)
    phases = list(range(count))[: story.documents]
    phases += [draw.randrange(count) for _ in range(story.documents - len(phases))]
    return sorted(phases)


def write_articles(documents: int, seed: int) -> Iterator[Article]:
    """Yield the articles of the corpus, numbered in a drawn order so that stories mix."""
    width = max(3, len(str(documents)))
    numbers = list(range(1, documents + 1))
    draw = named_random(seed, "order")
    draw.shuffle(numbers)
    ids = (f"doc_{number:0{width}d}" for number in numbers)
    for story in plan_stories(documents, seed):
        text, last = "", -1
        for phase, source_id in zip(_phases(story, draw), ids, strict=False):
            copied = phase == last and draw.random() < WIRE_SHARE
            text, last = text if copied else source_id, phase
            yield _article(story, phase, source_id, text, seed)
