"""The story templates: how news develops, read from `stories/*.toml`.

`stories/README.md` explains the small language that they are written in.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

DATA = Path(__file__).parent / "stories"
SENTIMENTS = {"-": "negative", "0": "neutral", "+": "positive"}
DOMAINS = (
    "diplomatic_relations",
    "military_operations",
    "economic_activity",
    "political_events",
    "legal_judicial",
    "health_medical",
    "environmental",
    "technology_science",
    "cultural_social",
    "sports_entertainment",
    "infrastructure_development",
    "general_news",
)


@dataclass(frozen=True, slots=True)
class EventTemplate:
    """One thing that happens; `sentence` has a `*` where the trigger goes."""

    event_type: str
    sentiment: str
    triggers: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Phase:
    """A stage of a story: what the papers call it, and what happened."""

    heads: tuple[str, ...]
    events: tuple[EventTemplate, ...]


@dataclass(frozen=True, slots=True)
class Template:
    """A kind of story: slots to fill once per story, and its phases in order."""

    key: str
    domain: str
    days: int
    categories: tuple[str, ...]
    tags: tuple[str, ...]
    slots: Mapping[str, str]
    variants: tuple[Mapping[str, str], ...]
    phases: tuple[Phase, ...]


@dataclass(frozen=True, slots=True)
class Echoes:
    """Headlines and events that fit every story, and the slots that they need."""

    phase: Phase
    slots: Mapping[str, str]


def _event(line: str) -> EventTemplate:
    event_type, sign, triggers, sentence = (part.strip() for part in line.split(" | "))
    return EventTemplate(event_type, SENTIMENTS[sign], triggers, sentence)


def _phase(table: Mapping[str, Any]) -> Phase:
    return Phase(tuple(table["heads"]), tuple(_event(line) for line in table["events"]))


def _template(table: Mapping[str, Any], domain: str) -> Template:
    return Template(
        key=table["key"],
        domain=domain,
        days=table.get("days", 1),
        categories=tuple(table["categories"]),
        tags=tuple(table["tags"]),
        slots=table.get("slots", {}),
        variants=tuple(table.get("variants", [{}])),
        phases=tuple(_phase(phase) for phase in table.get("phases", [table])),
    )


def read_toml(name: str) -> dict[str, Any]:
    """Return the parsed data file `stories/<name>.toml`."""
    with (DATA / f"{name}.toml").open("rb") as file:
        return tomllib.load(file)


@lru_cache(maxsize=1)
def story_templates() -> Mapping[str, tuple[Template, ...]]:
    """Return the templates of the stories, by domain."""
    return {
        domain: tuple(_template(table, domain) for table in read_toml(domain)["story"])
        for domain in DOMAINS
    }


@lru_cache(maxsize=1)
def brief_templates() -> tuple[Template, ...]:
    """Return the templates of news that only one document reports."""
    return tuple(_template(table, table["domain"]) for table in read_toml("briefs")["brief"])


@lru_cache(maxsize=1)
def echo_templates() -> Echoes:
    """Return what every story brings with it."""
    table = read_toml("echoes")
    return Echoes(_phase(table), table["slots"])


@lru_cache(maxsize=1)
def colour_templates() -> tuple[EventTemplate, ...]:
    """Return what any one document may add of its own: witnesses, analysts, the weather."""
    return tuple(_event(line) for line in read_toml("colour")["events"])
