"""Which stories there are, how large they grow and when: the plan that the articles follow."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import cycle

from local.sample.randomness import named_random
from local.sample.templates import Template, brief_templates, story_templates
from local.sample.world import Filling, fill_story

FIRST_DAY = date(2025, 10, 18)
DAYS = 60
LARGEST_STORY = 40
SINGLES = 0.065
_WEIGHTS = {
    "economic_activity": 6,
    "political_events": 6,
    "diplomatic_relations": 4,
    "military_operations": 3,
    "legal_judicial": 4,
    "health_medical": 3,
    "environmental": 4,
    "technology_science": 3,
    "cultural_social": 3,
    "sports_entertainment": 4,
    "infrastructure_development": 2,
    "general_news": 2,
}


@dataclass(frozen=True, slots=True)
class Story:
    """A story that really happens in the sample's world; `days` has the day of each phase."""

    key: str
    template: Template
    filling: Filling
    days: tuple[date, ...]
    documents: int

    @property
    def topic(self) -> str:
        """What the papers call the story; empty for what happens only once."""
        return str(self.filling["topic"]) if self.documents > 1 else ""


def story_sizes(documents: int, stories: int) -> list[int]:
    """Return the sizes of the stories, largest first: a long tail from `LARGEST_STORY` to 2.

    Raises ValueError if `documents` cannot be shared out in stories of at least two.
    """
    if documents < 2 * stories:
        raise ValueError(f"{documents} documents are too few for {stories} stories of two")
    top = min(LARGEST_STORY, documents - 2 * (stories - 1))
    power = max(0.0, (top - 2) / max(documents / stories - 2, 0.1) - 1)
    raw = [2 + (top - 2) * (1 - (i + 0.5) / stories) ** power for i in range(stories)]
    sizes = [int(size) for size in raw]
    for position in cycle(range(stories)):
        missing = documents - sum(sizes)
        if missing == 0:
            return sizes
        if missing > 0 or sizes[position] > 2:
            sizes[position] += 1 if missing > 0 else -1
    return sizes


def _domains(stories: int, draw: random.Random) -> list[str]:
    """Share the stories out by weight (largest remainder), in a drawn order."""
    total = sum(_WEIGHTS.values())
    exact = {name: stories * weight / total for name, weight in _WEIGHTS.items()}
    counts = {name: int(share) for name, share in exact.items()}
    by_rest = sorted(exact, key=lambda name: (counts[name] - exact[name], name))
    for name in by_rest[: stories - sum(counts.values())]:
        counts[name] += 1
    domains = [name for name, count in counts.items() for _ in range(count)]
    draw.shuffle(domains)
    return domains


def _phase_days(template: Template, documents: int, draw: random.Random) -> tuple[date, ...]:
    """Larger stories last longer; all of it falls into the sample's days."""
    gaps = len(template.phases) - 1
    stretch = 0.5 + min(documents, LARGEST_STORY) / LARGEST_STORY
    length = min(max(gaps, round(template.days * stretch)), DAYS - 4)
    start = draw.randrange(DAYS - 3 - length)
    inner = sorted(draw.sample(range(1, length), gaps - 1)) if gaps > 1 else []
    offsets = [0, *inner, length][: gaps + 1]
    return tuple(FIRST_DAY + timedelta(days=start + offset) for offset in offsets)


def _story(key: str, template: Template, variant: int, documents: int, seed: int) -> Story:
    draw = named_random(seed, key)
    filling = {"topic": "case", **fill_story(key, template, variant, draw)}
    return Story(key, template, filling, _phase_days(template, documents, draw), documents)


def _pick(templates: Sequence[Template], number: int, offset: int) -> tuple[Template, int]:
    """The `number`-th use of a list of templates: each once, then each with its next variant."""
    turn, place = divmod(number, len(templates))
    return templates[(place + offset) % len(templates)], turn + offset


def plan_stories(documents: int, seed: int) -> list[Story]:
    """Return the stories of a sample of `documents`, then its singles, as stories of one."""
    draw = named_random(seed, "plan")
    singles = round(documents * SINGLES)
    count = max(1, min(round(documents / 10), (documents - singles) // 2))
    used = dict.fromkeys(_WEIGHTS, 0)
    offset = draw.randrange(1000)
    stories = []
    domains = _domains(count, draw)
    for number, (domain, size) in enumerate(
        zip(domains, story_sizes(documents - singles, count), strict=True)
    ):
        template, variant = _pick(story_templates()[domain], used[domain], offset)
        used[domain] += 1
        stories.append(_story(f"story_{number:03d}", template, variant, size, seed))
    for number in range(singles):
        template, variant = _pick(brief_templates(), number, offset)
        stories.append(_story(f"single_{number:03d}", template, variant, 1, seed))
    return stories
