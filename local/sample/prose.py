"""From the small language of the templates to sentences, with the mentions in them."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date

from local.sample.world import Entity, Filling

_CHOICE = re.compile(r"\[([^\[\]]*)\]")
_TWICE = re.compile(r"\b(the) the\b", re.IGNORECASE)
_VOWEL = re.compile(r"(^A|\ba) (?=[aeioAEIO])(?!one\b|one-|eu|Eu)")
_ARTICLE = re.compile(r"^an? ", re.IGNORECASE)
_SLOT = re.compile(r"\{(\w+)\}")
_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_AMERICAN = {
    "harbour": "harbor",
    "labour": "labor",
    "centre": "center",
    "theatre": "theater",
    "defence": "defense",
    "neighbour": "neighbor",
    "colour": "color",
    "programme": "program",
    "organis": "organiz",
    "kilometre": "kilometer",
    "litre": "liter",
    "metres": "meters",
    "licence": "license",
    "travell": "travel",
    "honour": "honor",
    "favour": "favor",
    "rumour": "rumor",
    "tonne": "ton",
    "per cent": "percent",
}
_BRITISH_WORD = re.compile("|".join(_AMERICAN), re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Mention:
    """A span of a sentence that names an entity; `key` is the entity's gold cluster."""

    key: str
    kind: str
    text: str
    canonical: str


@dataclass(frozen=True, slots=True)
class Sentence:
    """A rendered sentence, its trigger ('' if none) and its mentions in order."""

    text: str
    trigger: str
    mentions: tuple[Mention, ...]


@dataclass(slots=True)
class Voice:
    """Who writes: the filled slots, the house style, and whom the text has introduced so far."""

    filling: Filling
    draw: random.Random
    published: date
    american: bool = False
    introduced: set[str] = field(default_factory=set)

    def spell(self, text: str) -> str:
        """Return `text` in the outlet's spelling."""
        return _BRITISH_WORD.sub(_to_american, text) if self.american else text


def _to_american(match: re.Match[str]) -> str:
    found = match[0]
    new = _AMERICAN[found.lower()]
    return new.capitalize() if found[0].isupper() else new


def choose(text: str, draw: random.Random) -> str:
    """Resolve every `[one/other]` of a template, the inner ones first."""
    while "[" in text:
        text = _CHOICE.sub(lambda match: draw.choice(match[1].split("/")), text)
    return text


def capitalised(text: str) -> str:
    """Return `text` with its first letter in upper case and the rest as it is."""
    return text[:1].upper() + text[1:]


def _surface(entity: Entity, voice: Voice) -> tuple[str, str]:
    """The words before the mention (a role), and the mention."""
    if entity.key in voice.introduced:
        return "", voice.draw.choice(entity.short)
    voice.introduced.add(entity.key)
    if entity.kind in ("PER", "ORG") or voice.draw.random() < 0.6:
        return (f"{entity.role} " if entity.role else ""), entity.full
    return "", voice.draw.choice(entity.short)


def day_name(day: date, published: date) -> str:
    """Return how a paper of `published` calls `day`: the weekday, or the date if it is long ago."""
    if 0 <= (published - day).days <= 5:
        return _WEEKDAYS[day.weekday()]
    return f"{day.day} {day:%B}"


def clock_forms(minute: int) -> tuple[str, ...]:
    """Return the ways to write a time of day, given in minutes after midnight."""
    hour, rest = divmod(minute, 60)
    half = "a.m." if hour < 12 else "p.m."
    twelve = hour % 12 or 12
    return (
        f"{twelve}.{rest:02d} {half}",
        f"{twelve}:{rest:02d}{half.replace('.', '')}",
        (f"{hour:02d}:{rest:02d}"),
    )


def tidy(text: str) -> str:
    """Mend articles and full stops around filled slots, and start with a capital."""
    return capitalised(_VOWEL.sub(r"\1n ", _TWICE.sub(r"\1", text))).replace("..", ".")


def _as_in(text: str, mention: Mention) -> Mention:
    """The mention as the sentence has it: its first letter may have become a capital."""
    return mention if mention.text in text else replace(mention, text=capitalised(mention.text))


class SentenceWriter:
    """Renders the sentences about one event of one story."""

    def __init__(self, voice: Voice, scope: str, day: date, minute: int) -> None:
        self.voice, self.scope, self.day, self.minute = voice, scope, day, minute
        self.mentions: list[Mention] = []

    def _when(self, slot: str) -> str:
        if slot == "day":
            text = day_name(self.day, self.voice.published)
            key, kind, canonical = f"date:{self.scope}:{self.day}", "DATE", f"{self.day}"
        else:
            text = self.voice.draw.choice(clock_forms(self.minute))
            key, kind = f"time:{self.scope}:{self.day}:{self.minute}", "TIME"
            canonical = clock_forms(self.minute)[2]
        self.mentions.append(Mention(key, kind, text, canonical))
        return text

    def _slot(self, match: re.Match[str]) -> str:
        slot = match[1]
        if slot in ("day", "time"):
            return self._when(slot)
        value = self.voice.filling[slot[0].lower() + slot[1:]]
        if isinstance(value, str):
            return capitalised(value) if slot[0].isupper() else value
        before, text = _surface(value, self.voice)
        text = self.voice.spell(text)
        bare = text.removeprefix("the ").strip()
        self.mentions.append(Mention(value.key, value.kind, bare, value.full.removeprefix("the ")))
        return before + text

    def write(self, template: str, triggers: str) -> Sentence:
        """Return one wording of `template`, its `*` replaced by one of the triggers."""
        trigger = _SLOT.sub(self._slot, self.voice.draw.choice(triggers.split("/")))
        self.mentions = []
        text = choose(template, self.voice.draw).replace("*", trigger)
        text = tidy(self.voice.spell(_SLOT.sub(self._slot, text)))
        mentions = tuple(_as_in(text, mention) for mention in self.mentions)
        return Sentence(text, self.voice.spell(trigger), mentions)


def headline(heads: Sequence[str], voice: Voice) -> str:
    """Return one wording of a headline: surnames, acronyms, no roles."""

    def value(match: re.Match[str]) -> str:
        slot = match[1]
        found = voice.filling[slot[0].lower() + slot[1:]]
        text = found.headline if isinstance(found, Entity) else found
        return capitalised(text) if slot[0].isupper() else text

    text = _SLOT.sub(value, choose(voice.draw.choice(heads), voice.draw))
    return voice.spell(tidy(_ARTICLE.sub("", text)))
